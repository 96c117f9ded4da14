package commands

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"atelier/schemas"
)

func TestDue(t *testing.T) {
	first, second := noon.Add(time.Hour), noon.Add(2*time.Hour)
	account := scenario{given: concat(
		[]schemas.Event{granted(1, 9, first), granted(2, 9), granted(3, 2, noon)},
		requested(1, 1, 2, 2, second, line(3, 2), line(1, 2)),
		requested(2, 3, 1, 2, first, line(1, 2)),
	)}.account()
	account.AccountID, account.LastAt = testAccount, noon

	m := func(id, subject string, at time.Time) schemas.CommandMetadata {
		return schemas.CommandMetadata{ID: id, AccountID: testAccount, OccurredAt: at, CorrelationID: subject, CausationID: subject,
			Actor: schemas.Actor{Kind: "system", ID: "sweep", Via: "sweep"}}
	}
	fails := func(batch, generation int, at time.Time) schemas.Command {
		return &schemas.ExpireGeneration{CommandMetadata: m(schemas.DeriveID(generationID(generation), "expire"), batchID(batch), at),
			GenerationID: generationID(generation), BatchID: batchID(batch)}
	}
	expires := func(block int, expiry, at time.Time) schemas.Command {
		return &schemas.ExpireCredits{CommandMetadata: m(schemas.DeriveID(blockID(block), fmt.Sprintf("expire/%d", expiry.UnixMicro())), blockID(block), at),
			BlockID: blockID(block)}
	}
	for _, tt := range []struct {
		name string
		at   time.Time
		want []schemas.Command
	}{
		{"nothing of a block that is over but held whole", noon, nil},
		{"nothing before its time", first.Add(-time.Microsecond), nil},
		{"a generation and a block at their time", first, []schemas.Command{fails(2, 3, first), expires(1, first, first)}},
		{"all of them later", second.Add(time.Nanosecond), []schemas.Command{fails(1, 1, second), fails(1, 2, second), fails(2, 3, second), expires(1, first, second)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Due(account, tt.at); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("\n got %+v\nwant %+v", got, tt.want)
			}
		})
	}
	if next, ok := NextDue(account); !ok || !next.Equal(first) {
		t.Errorf("next is %s, %v; want %s", next, ok, first)
	}
}

func TestDueIsBounded(t *testing.T) {
	account := scenario{given: concat(
		[]schemas.Event{granted(1, 1000), granted(2, 1, noon)},
		requested(1, 1, 99, 2, noon, line(1, 198)), requested(2, 200, 48, 2, noon, line(1, 96)),
	)}.account()
	if due := Due(account, noon); len(due) != duePerCallMax {
		t.Errorf("%d commands, want %d", len(due), duePerCallMax)
	}
}

func TestNextDueOfNothing(t *testing.T) {
	account := scenario{given: []schemas.Event{granted(1, 10)}}.account()
	if at, ok := NextDue(account); ok {
		t.Errorf("due at %s", at)
	}
}

// TestDueIsDecided: what Due asks for is done, and then nothing is due any more.
func TestDueIsDecided(t *testing.T) {
	given := concat([]schemas.Event{granted(1, 9, noon.Add(time.Hour))}, requested(1, 1, 2, 2, noon.Add(time.Hour), line(1, 4)))
	account := scenario{given: given}.account()
	account.AccountID = testAccount
	offset := account.NextCommandOffset
	for {
		at, ok := NextDue(account)
		if !ok {
			break
		}
		for _, c := range Due(account, at) {
			d := Handle(account, c, position(0, offset), at)
			if r, ok := d.Events[0].(*schemas.CommandRejected); ok && r.Code != schemas.CodeAlreadyFinished {
				t.Fatalf("%T: %+v", c, r)
			}
			account, offset = d.Account, offset+1
		}
		if offset > 10 {
			t.Fatal("it never ends")
		}
	}
	if len(account.Batches) != 0 || len(account.Blocks) != 0 {
		t.Errorf("left: %+v %+v", account.Batches, account.Blocks)
	}
}
