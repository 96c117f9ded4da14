package commands

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"atelier/schemas"
)

func position(generation int, offset int64) schemas.CommandPosition {
	return schemas.CommandPosition{Generation: generation, Partition: 3, Offset: offset}
}

// keyed is a command under an idempotency key, or without one.
func keyed(n int, key, request string) *schemas.SaveBrand {
	m := meta(n)
	if key != "" {
		hash := sha256.Sum256([]byte(request))
		m.IdempotencyKey, m.RequestHash = key, hash[:]
	}
	return &schemas.SaveBrand{CommandMetadata: m, BrandID: brandID(n), Kit: []byte("kit"), KitHash: bytesOf(1, 16), KitSchema: 1}
}

// rejected returns the one event of a rejection.
func rejected(t *testing.T, d Decision) *schemas.CommandRejected {
	t.Helper()
	if len(d.Events) != 1 {
		t.Fatalf("%d events, want one rejection: %s", len(d.Events), show(d.Events))
	}
	r, ok := d.Events[0].(*schemas.CommandRejected)
	if !ok {
		t.Fatalf("got %s, want a rejection", show(d.Events))
	}
	return r
}

func TestHandleStampsEvents(t *testing.T) {
	account := scenario{given: []schemas.Event{savedBrand(1, 1), granted(1, 100)}}.account()
	request := testRequest()
	request.IdempotencyKey, request.RequestHash = "k", bytesOf(5, 32)
	at := position(2, 41)
	d := Handle(account, request, at, noon.Add(123*time.Nanosecond).In(time.FixedZone("", 3600)))

	if len(d.Events) != 6 {
		t.Fatalf("%d events, want 6", len(d.Events))
	}
	for i, event := range d.Events {
		want := schemas.EventMetadata{
			ID: schemas.DeriveID(commandID(1), fmt.Sprint(i)), AccountID: testAccount, OccurredAt: noon,
			CorrelationID: id("cc", 1), CausationID: commandID(1), Actor: request.Actor, CommandPosition: at, Index: i, Count: 6,
		}
		if i == 0 {
			want.IdempotencyKey, want.RequestHash = "k", bytesOf(5, 32)
		}
		if got := *event.Meta(); !reflect.DeepEqual(got, want) {
			t.Errorf("event %d\n got %+v\nwant %+v", i, got, want)
		}
	}
	got := d.Account
	if got.FoldVersion != FoldVersion || got.AccountID != testAccount || got.CommandGeneration != 2 || got.NextCommandOffset != 42 || !got.LastAt.Equal(noon) {
		t.Errorf("account %+v", got)
	}
	if len(got.Keys) != 1 || got.Keys[0].Key != keyHash("k") || got.Keys[0].RequestHash != hash16(bytesOf(5, 32)) || got.Keys[0].CommandID != schemas.ID16(commandID(1)) {
		t.Errorf("keys %+v", got.Keys)
	}
}

func TestHandleTime(t *testing.T) {
	first := Handle(schemas.Account{}, keyed(1, "a", "a"), position(0, 0), noon)
	second := Handle(first.Account, keyed(2, "b", "b"), position(0, 1), noon.Add(-time.Hour))
	if at := second.Events[0].Meta().OccurredAt; !at.Equal(noon) {
		t.Errorf("a wall clock that ran back gave %s, want the account's time %s", at, noon)
	}
}

func TestHandleRedelivery(t *testing.T) {
	first := Handle(schemas.Account{}, keyed(1, "", ""), position(1, 7), noon)
	for _, tt := range []struct {
		name    string
		at      schemas.CommandPosition
		decides bool
	}{
		{"the same position", position(1, 7), false},
		{"an earlier one", position(1, 0), false},
		{"an older generation of the topic", position(0, 900), false},
		{"the next one", position(1, 8), true},
		{"a later one", position(1, 900), true},
		{"the first of a new generation", position(2, 0), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, d := range map[string]Decision{
				"Handle":           Handle(first.Account, keyed(2, "", ""), tt.at, noon),
				"HandleUnreadable": HandleUnreadable(first.Account, testAccount, commandID(2), "bytes", tt.at, noon),
			} {
				if got := len(d.Events) > 0; got != tt.decides {
					t.Errorf("%s: decided %v, want %v", name, got, tt.decides)
				}
				if !tt.decides && !reflect.DeepEqual(d.Account, first.Account) {
					t.Errorf("%s: a redelivery changed the account", name)
				}
			}
		})
	}
}

func TestHandleRejectionsMoveThePosition(t *testing.T) {
	d := Handle(schemas.Account{}, &schemas.RemoveAsset{CommandMetadata: meta(1), AssetID: assetID(1)}, position(0, 5), noon)
	want := &schemas.CommandRejected{
		EventMetadata: schemas.EventMetadata{
			ID: schemas.DeriveID(commandID(1), "rejected/0."+strconv.Itoa(position(0, 5).Partition)+".5"), AccountID: testAccount, OccurredAt: noon, CorrelationID: id("cc", 1),
			CausationID: commandID(1), Actor: meta(1).Actor, CommandPosition: position(0, 5), Count: 1,
		},
		Command: "atelier.commands.v1.RemoveAsset", Code: "asset_not_found", Detail: "the account has no such asset",
	}
	if got := rejected(t, d); !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if d.Account.NextCommandOffset != 6 || d.Panic != "" {
		t.Errorf("next offset %d, panic %q", d.Account.NextCommandOffset, d.Panic)
	}
}

func TestHandleIdempotencyKeys(t *testing.T) {
	first := Handle(schemas.Account{}, keyed(1, "key", "request"), position(0, 0), noon)

	same := Handle(first.Account, keyed(2, "key", "request"), position(0, 1), noon)
	if r := rejected(t, same); r.Code != "duplicate" || r.FirstCommandID != commandID(1) || r.IdempotencyKey != "key" {
		t.Errorf("same request: %+v", r)
	}
	other := Handle(same.Account, keyed(3, "key", "another"), position(0, 2), noon)
	if r := rejected(t, other); r.Code != "idempotency_conflict" || r.FirstCommandID != commandID(1) {
		t.Errorf("other request: %+v", r)
	}
	if !reflect.DeepEqual(other.Account.Keys, first.Account.Keys) {
		t.Errorf("keys %+v, want the first command's %+v", other.Account.Keys, first.Account.Keys)
	}
	again := Handle(other.Account, keyed(4, "key", "request"), position(0, 3), noon)
	if r := rejected(t, again); r.Code != "duplicate" || r.FirstCommandID != commandID(1) {
		t.Errorf("the first request again: %+v", r)
	}
}

func TestHandleRemembersRejectedKeys(t *testing.T) {
	stale := keyed(1, "key", "request")
	stale.ExpectedVersion = 4
	first := Handle(schemas.Account{}, stale, position(0, 0), noon)
	if r := rejected(t, first); r.Code != "brand_not_found" || r.IdempotencyKey != "key" {
		t.Fatalf("%+v", r)
	}
	if r := rejected(t, Handle(first.Account, stale, position(0, 1), noon)); r.Code != "duplicate" || r.FirstCommandID != commandID(1) {
		t.Errorf("%+v", r)
	}
}

func TestHandleForgetsOldKeys(t *testing.T) {
	var account schemas.Account
	for n := range keysMax + 1 {
		account = Handle(account, keyed(n, fmt.Sprint("key ", n), "r"), position(0, int64(n)), noon).Account
	}
	if len(account.Keys) != keysMax || account.Keys[0].CommandID != schemas.ID16(commandID(1)) || account.Keys[63].CommandID != schemas.ID16(commandID(64)) {
		t.Errorf("%d keys, from %x to %x", len(account.Keys), account.Keys[0].CommandID, account.Keys[len(account.Keys)-1].CommandID)
	}
}

// strange is a command that Decide does not know.
type strange struct{ schemas.CommandMetadata }

func (*strange) SchemaName() string { return "atelier.commands.v1.Strange" }

func TestHandlePanics(t *testing.T) {
	before := Handle(schemas.Account{}, keyed(1, "", ""), position(0, 0), noon).Account
	d := Handle(before, &strange{CommandMetadata: meta(2)}, position(0, 1), noon)
	if r := rejected(t, d); r.Code != "internal" || r.Command != "atelier.commands.v1.Strange" {
		t.Errorf("%+v", r)
	}
	if !strings.Contains(d.Panic, "unknown command") {
		t.Errorf("panic %q", d.Panic)
	}
	if d.Account.NextCommandOffset != 2 || len(d.Account.Brands) != 1 {
		t.Errorf("account %+v", d.Account)
	}

	// It is a dead letter, and comes again with the build that can decide it.
	m := keyed(3, "key", "request").CommandMetadata
	d = Handle(before, &strange{CommandMetadata: m}, position(0, 1), noon)
	if r := rejected(t, d); r.IdempotencyKey != "" || len(d.Account.Keys) != 0 {
		t.Errorf("a command of which nothing was done keeps its key: %+v", r)
	}
	if d = Handle(d.Account, keyed(3, "key", "request"), position(0, 2), noon); schemas.ShortName(d.Events[0]) != "BrandSaved" {
		t.Errorf("%+v", d.Events[0])
	}

	// An account that breaks its own invariant: a hold of a block that is not there.
	broken := scenario{given: requested(1, 1, 1, 2, noon, line(1, 2))}.account()
	d = Handle(broken, &schemas.ExpireGeneration{CommandMetadata: meta(1), BatchID: batchID(1), GenerationID: generationID(1)}, position(0, 1), noon)
	if r := rejected(t, d); r.Code != "internal" || d.Panic == "" {
		t.Errorf("%+v, panic %q", r, d.Panic)
	}
	if len(d.Account.Batches) != 1 || len(d.Account.Batches[0].Generations) != 1 {
		t.Errorf("half of a decision was kept: %+v", d.Account.Batches)
	}
}

func TestHandleUnreadable(t *testing.T) {
	detail := strings.Repeat("é", 300) + "\x00\xff"
	d := HandleUnreadable(schemas.Account{}, testAccount, commandID(1), detail, position(0, 9), noon)
	r := rejected(t, d)
	if r.Code != "unreadable" || r.Command != "" || r.CausationID != commandID(1) || r.AccountID != testAccount ||
		r.Actor.Kind != schemas.ActorSystem || r.ID != schemas.DeriveID(commandID(1), "rejected/0."+strconv.Itoa(position(0, 9).Partition)+".9") {
		t.Errorf("%+v", r)
	}
	if len(r.Detail) != 500 || !storable(r.Detail) {
		t.Errorf("detail of %d bytes: %q", len(r.Detail), r.Detail)
	}
	if d.Account.NextCommandOffset != 10 || d.Account.AccountID != testAccount {
		t.Errorf("account %+v", d.Account)
	}
}
