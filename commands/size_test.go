package commands

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"atelier/schemas"
)

// usualAccount is one that works with the product every day: two brands, some
// assets, three batches in progress, all keys in use.
func usualAccount() schemas.Account {
	given := []schemas.Event{&schemas.AccountOpened{}, savedBrand(1, 3), savedBrand(2, 1),
		granted(1, 4, noon.Add(time.Hour)), granted(2, 480, noon.Add(300*24*time.Hour))}
	for n := range 24 {
		given = append(given, &schemas.AssetAdded{AssetID: assetID(n), Media: testMedia()})
	}
	for n := range 3 {
		given = append(given, requested(n+1, 10*n+1, 4, 2, noon.Add(time.Hour), line(2, 8))...)
	}
	for n := range keysMax {
		e := &schemas.CommandRejected{Code: schemas.CodeInsufficientCredits}
		e.IdempotencyKey, e.RequestHash, e.CausationID = fmt.Sprint("k", n), bytesOf(1, 32), commandID(n)
		given = append(given, e)
	}
	for n := range 8 {
		given = append(given, after(noon.Add(time.Duration(n-8)*time.Hour), &schemas.SpendRecorded{CostMicros: 40_000, Reason: "canceled"})...)
	}
	for _, e := range given {
		m := e.Meta()
		m.AccountID, m.CommandPosition = testAccount, position(0, 70_000)
	}
	account := scenario{given: given}.account()
	account.LastAt = noon
	return account
}

func TestUsualAccountSize(t *testing.T) {
	size := len(encode(t, usualAccount()))
	t.Logf("a usual account: %d bytes", size)
	if size > usualBytesMax {
		t.Errorf("%d bytes, at most %d", size, usualBytesMax)
	}
}

// TestFullAccountSize builds an account with every bound reached at once: 500
// batches of one image, each paid from as many blocks as its price has credits,
// and every number as long as the rules let it be.
func TestFullAccountSize(t *testing.T) {
	account := schemas.Account{FoldVersion: 1 << 30, AccountID: testAccount, CommandGeneration: 1 << 30, NextCommandOffset: 1 << 62,
		LastAt: noon, Opened: true, WelcomeClaimed: true}
	for n := range BlocksMax {
		account.Blocks = append(account.Blocks, schemas.AccountBlock{ID: schemas.ID16(blockID(n)), Source: SourcePurchase,
			Priority: priorityMax, Credits: grantCreditsMax, ExpiresAt: ref(noon.Add(grantForMax))})
	}
	for n := range OpenMax {
		batch := schemas.AccountBatch{ID: schemas.ID16(batchID(n)), PerImage: schemas.PricePerImageMax, Deadline: noon,
			Generations: [][16]byte{schemas.ID16(generationID(n))}}
		for i := range schemas.PricePerImageMax {
			batch.Holds = append(batch.Holds, schemas.AccountHold{BlockID: schemas.ID16(blockID(i)), Credits: 1})
		}
		account.Batches = append(account.Batches, batch)
	}
	for n := range BrandsMax {
		account.Brands = append(account.Brands, schemas.AccountBrand{ID: schemas.ID16(brandID(n)), Version: versionMax, Archived: true})
	}
	account.Assets = make([]schemas.AccountAsset, AssetsMax)
	account.Keys = make([]schemas.AccountKey, keysMax)
	for range spendHoursMax {
		account.Spend = append(account.Spend, schemas.AccountSpend{Hour: 1 << 40, UnpaidMicros: 1 << 62, CapturedCredits: 1 << 62})
	}
	size := len(encode(t, account))
	t.Logf("a full account: %d bytes", size)
	if size > accountBytesMax {
		t.Errorf("%d bytes, at most %d", size, accountBytesMax)
	}
}

// TestFillingAnAccount sends commands until each is refused for a limit.
func TestFillingAnAccount(t *testing.T) {
	var account schemas.Account
	var offset int64
	send := func(c schemas.Command, wantCode string) {
		t.Helper()
		d := Handle(account, c, position(0, offset), noon)
		offset++
		code := ""
		if r, ok := d.Events[0].(*schemas.CommandRejected); ok {
			code = r.Code
		}
		if code != wantCode {
			t.Fatalf("%T: code %q, want %q", c, code, wantCode)
		}
		account = d.Account
	}
	many := func(n int, limitCode string, make func(n int) schemas.Command) {
		t.Helper()
		for i := range n {
			send(make(i), "")
		}
		send(make(n), limitCode)
	}
	many(BrandsMax, schemas.CodeLimitReached, func(n int) schemas.Command {
		return &schemas.SaveBrand{CommandMetadata: meta(n), BrandID: brandID(n), Kit: []byte("kit"), KitHash: bytesOf(1, 16), KitSchema: 1}
	})
	many(AssetsMax, schemas.CodeLimitReached, func(n int) schemas.Command {
		return &schemas.AddAsset{CommandMetadata: meta(n), AssetID: assetID(n), Kind: "logo", Media: testMedia()}
	})
	many(BlocksMax, schemas.CodeLimitReached, func(n int) schemas.Command {
		// 26 credits: most blocks end in the middle of an image.
		return &schemas.GrantCredits{CommandMetadata: meta(n), BlockID: blockID(n), Credits: 26, Source: SourcePurchase, Priority: priorityMax,
			ExpiresAt: ref(noon.Add(grantForMax))}
	})
	many(OpenMax, schemas.CodeTooManyOpen, func(n int) schemas.Command {
		r := testRequest()
		r.CommandMetadata, r.BatchID, r.Tier, r.OpenMax, r.MaxCredits = keyed(n, fmt.Sprint("k", n), "r").CommandMetadata, batchID(n), "pro", OpenMax, 5
		r.Placements, r.Variants = r.Placements[:1], 1
		return r
	})
	size := len(encode(t, account))
	t.Logf("a filled account: %d bytes", size)
	if size > accountBytesMax {
		t.Errorf("%d bytes, at most %d", size, accountBytesMax)
	}
	decoded, err := testCodec.Decode(t.Context(), schemas.TopicAccounts, encode(t, account))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(encode(t, *decoded.(*schemas.Account)), encode(t, account)) {
		t.Error("the account does not come back as it was")
	}
}

// TestLargestEvent: every field of a result as full as it may be.
func TestLargestEvent(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	c := &schemas.CompleteGeneration{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Media: testMedia(),
		ThumbnailKey: long(mediaKeyBytesMax), Model: long(labelBytesMax), ModelVersion: long(labelBytesMax), Template: long(labelBytesMax),
		TemplateVersion: 1, CostMicros: costMicrosMax}
	figures := map[string]float64{}
	for n := range figuresMax {
		figures[fmt.Sprintf("%0*d", figureNameBytesMax, n)] = 1
	}
	for n := range attemptsMax {
		attempt := schemas.Attempt{Number: n + 1, Model: long(labelBytesMax), Outcome: long(codeBytesMax)}
		for range verdictsMax {
			attempt.Verdicts = append(attempt.Verdicts, schemas.Verdict{Check: long(labelBytesMax), Version: 1, Verdict: "block",
				Evidence: long(evidenceBytesMax), Figures: figures, Question: long(questionBytesMax), Answer: "unsure"})
		}
		c.Attempts = append(c.Attempts, attempt)
	}
	account := scenario{given: concat([]schemas.Event{granted(1, 2)}, requested(1, 1, 1, 2, noon, line(1, 2)))}.account()
	events, err := Decide(account, c, noon)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := testCodec.Encode(events[0])
	if err != nil || len(raw) > eventBytesMax {
		t.Errorf("%d bytes, at most %d: %v", len(raw), eventBytesMax, err)
	}
	t.Logf("the largest event: %d bytes", len(raw))
}
