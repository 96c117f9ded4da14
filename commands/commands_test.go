package commands

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"atelier/schemas"
)

// noon is the time of every scenario that names none.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const testAccount = "0a000000-0000-7000-8000-00000000000a"

// id returns the UUID of a kind and number, such as id("b1", 2).
func id(kind string, n int) string { return fmt.Sprintf("%s000000-0000-7000-8000-%012d", kind, n) }

func blockID(n int) string      { return id("b1", n) }
func brandID(n int) string      { return id("b2", n) }
func batchID(n int) string      { return id("b3", n) }
func assetID(n int) string      { return id("a1", n) }
func commandID(n int) string    { return id("c0", n) }
func generationID(n int) string { return id("9e", n) }

func ref[T any](v T) *T { return &v }

// meta is the metadata of a person's own command.
func meta(n int) schemas.CommandMetadata {
	return schemas.CommandMetadata{
		ID: commandID(n), AccountID: testAccount, OccurredAt: noon, CorrelationID: id("cc", n), CausationID: id("cc", n),
		Actor: schemas.Actor{Kind: schemas.ActorUser, ID: testAccount, Via: "web"},
	}
}

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

// scenario is a row of the tables: what happened before, what is asked, and what
// it leads to or which rule it breaks.
type scenario struct {
	name    string
	given   []schemas.Event
	when    schemas.Command
	at      time.Time // noon where it is zero
	then    []schemas.Event
	rule    error
	figures map[string]int64
}

func (s scenario) account() schemas.Account {
	var account schemas.Account
	for _, event := range s.given {
		account = Evolve(account, event)
	}
	return account
}

func run(t *testing.T, scenarios []scenario) {
	t.Helper()
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			if s.at.IsZero() {
				s.at = noon
			}
			got, err := Decide(s.account(), s.when, s.at)
			if !errors.Is(err, s.rule) {
				t.Fatalf("error %v, want %v", err, s.rule)
			}
			if !reflect.DeepEqual(got, s.then) {
				t.Errorf("events\n got %s\nwant %s", show(got), show(s.then))
			}
			var rejection *Rejection
			if errors.As(err, &rejection) && !reflect.DeepEqual(rejection.Figures, s.figures) {
				t.Errorf("figures %v, want %v", rejection.Figures, s.figures)
			}
		})
	}
}

func show(events []schemas.Event) string {
	var text string
	for _, e := range events {
		text += fmt.Sprintf("\n  %s %+v", schemas.ShortName(e), reflect.ValueOf(e).Elem().Interface())
	}
	return text
}

// after sets the time of events that were given.
func after(at time.Time, events ...schemas.Event) []schemas.Event {
	for _, e := range events {
		e.Meta().OccurredAt = at
	}
	return events
}

func concat(lists ...[]schemas.Event) []schemas.Event {
	var all []schemas.Event
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// granted is a block of credits without an expiry, or with one.
func granted(n int, credits int64, expiresAt ...time.Time) *schemas.CreditsGranted {
	e := &schemas.CreditsGranted{BlockID: blockID(n), Credits: credits, Source: SourceOperator, Priority: 50}
	if len(expiresAt) > 0 {
		e.ExpiresAt = &expiresAt[0]
	}
	return e
}

func line(n int, credits int64) schemas.BlockCredits {
	return schemas.BlockCredits{BlockID: blockID(n), Credits: credits}
}

func givenBack(n int, credits int64, expiresAt *time.Time) schemas.ReleasedCredits {
	return schemas.ReleasedCredits{BlockID: blockID(n), Credits: credits, ExpiresAt: expiresAt}
}

// requested is a batch of images, counted from first, with its hold.
func requested(n, first, images int, perImage int64, deadline time.Time, lines ...schemas.BlockCredits) []schemas.Event {
	events := []schemas.Event{
		&schemas.CreditsReserved{BatchID: batchID(n), Credits: perImage * int64(images), PerImage: perImage, Lines: lines},
		&schemas.BatchRequested{BatchID: batchID(n), PerImage: perImage, Images: images, Deadline: deadline},
	}
	for i := range images {
		events = append(events, &schemas.GenerationRequested{BatchID: batchID(n), GenerationID: generationID(first + i), Deadline: deadline})
	}
	return events
}

func savedBrand(n, version int) *schemas.BrandSaved {
	return &schemas.BrandSaved{BrandID: brandID(n), Version: version, Kit: []byte("kit"), KitHash: bytesOf(byte(version), 16), KitSchema: 1}
}

func testMedia() schemas.Media {
	return schemas.Media{Key: "m/1.png", SHA256: bytesOf(7, 32), Bytes: 1000, Width: 1080, Height: 1080, MIMEType: "image/png"}
}

func testAttempts() []schemas.Attempt {
	return []schemas.Attempt{{
		Number: 1, Model: "m", Seed: 1, Outcome: "ok", Tokens: 10, CostMicros: 40_000, DurationMs: 900,
		Verdicts: []schemas.Verdict{{Check: "decodes", Version: 1, Verdict: "pass", Evidence: "fine", Question: "Is it fine?", Answer: "yes", Figures: map[string]float64{"blur": 0.5}}},
	}}
}

func encode(t interface{ Fatal(...any) }, account schemas.Account) []byte {
	raw, err := testCodec.Encode(&account)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

var testCodec = schemas.NewLockedCodec()
