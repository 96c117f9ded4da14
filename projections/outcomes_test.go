package projections

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"atelier/schemas"
)

const outcomeColumns = "account_id, command_id, partition, command_generation, command_offset, command, status, code, detail, figures, " +
	"first_command_id, idempotency_key, request_hash, batch_id, resource_id, events, total, last_position, at"

// keyed puts an idempotency key on a command's first event.
func keyed(events []schemas.Event) []schemas.Event {
	events[0].Meta().IdempotencyKey, events[0].Meta().RequestHash = "key", []byte{1, 2}
	return events
}

// again is the same command at another position in the log of commands.
func again(offset int64, events []schemas.Event) []schemas.Event {
	for _, e := range events {
		e.Meta().CommandPosition.Offset = offset
		e.Meta().ID = id("e9", int(offset))
	}
	return events
}

func rejected(code string, first string, figures map[string]int64) *schemas.CommandRejected {
	return &schemas.CommandRejected{Command: "atelier.commands.v1.RequestGeneration", Code: code, Detail: "no", FirstCommandID: first, Figures: figures}
}

// eventsOf is how the row of command n shows its events, the first at an offset,
// and how many there are.
func eventsOf(n int, offset int, types ...string) string {
	var all []string
	for i, name := range types {
		all = append(all, fmt.Sprintf(`{"id":"e0:%d","position":"0.0.%d","type":%q}`, 100*n+i, offset+i, name))
	}
	return "[" + strings.Join(all, ",") + fmt.Sprintf("] %d", len(all))
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	later, day := noon.Add(time.Minute), 24*time.Hour
	requested := eventsOf(1, 0, "CreditsReserved", "BatchRequested", "GenerationRequested", "GenerationRequested")
	d.folds(t, outcomes, map[string]string{"outcomes": outcomeColumns}, []scenario{
		{name: "all events of a command are one outcome", given: [][]schemas.Event{
			keyed(d.batch(1, 1, 2, noon)),
			of(ann, 2, later, completed(1, 1)...),
		}, then: map[string][]string{"outcomes": {
			`ann c0:1 0 0 1 "RequestGeneration" "done" "" "" {} - "key" x0102 b3:1 b3:1 ` + requested + ` "0.0.3" noon`,
			`ann c0:2 0 0 2 "CompleteGeneration" "done" "" "" {} - "" x b3:1 9e:1 ` + eventsOf(2, 4, "GenerationSucceeded", "CreditsCaptured") +
				` "0.0.5" noon+1m0s`,
		}}},
		{name: "a rejection says why", given: [][]schemas.Event{
			of(ann, 1, noon, rejected(schemas.CodeInsufficientCredits, "", map[string]int64{"shortfall": 3})),
			of(ann, 2, noon, rejected(schemas.CodeDuplicate, commandID(1), nil)),
		}, then: map[string][]string{"outcomes": {
			`ann c0:1 0 0 1 "RequestGeneration" "rejected" "insufficient_credits" "no" {"shortfall":3} - "" x - - ` +
				eventsOf(1, 0, "CommandRejected") + ` "0.0.0" noon`,
			`ann c0:2 0 0 2 "RequestGeneration" "rejected" "duplicate" "no" {} c0:1 "" x - - ` + eventsOf(2, 1, "CommandRejected") + ` "0.0.1" noon`,
		}}},
		{name: "a command that was sent twice keeps its first outcome", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 5, 5, nil)),
			again(7, of(ann, 1, later, rejected(schemas.CodeDuplicate, "", nil))),
		}, then: map[string][]string{"outcomes": {
			`ann c0:1 0 0 1 "GrantCredits" "done" "" "" {} - "" x - b1:1 ` + eventsOf(1, 0, "CreditsGranted") + ` "0.0.0" noon`,
		}}},
		{name: "outcomes are kept for 30 whole days of the log", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 5, 5, nil)),
			of(ben, 2, noon.Add(12*time.Hour), granted(1, 5, 5, nil)), // midnight: the next day
			of(ann, 3, noon.Add(31*day), granted(3, 5, 5, nil)),
			of(ann, 4, noon.Add(31*day), granted(4, 5, 5, nil)),
		}, then: map[string][]string{"outcomes": {
			`ann c0:3 0 0 3 "GrantCredits" "done" "" "" {} - "" x - b1:3 ` + eventsOf(3, 2, "CreditsGranted") + ` "0.0.2" noon+744h0m0s`,
			`ann c0:4 0 0 4 "GrantCredits" "done" "" "" {} - "" x - b1:4 ` + eventsOf(4, 3, "CreditsGranted") + ` "0.0.3" noon+744h0m0s`,
			`ben c0:2 0 0 2 "GrantCredits" "done" "" "" {} - "" x - b1:1 ` + eventsOf(2, 1, "CreditsGranted") + ` "0.0.1" noon+12h0m0s`,
		}}},
		{name: "an event from before the log's 30 days leaves no row", given: [][]schemas.Event{
			of(ann, 1, noon.Add(40*day), granted(1, 5, 5, nil)),
			of(ben, 2, noon, granted(1, 5, 5, nil)), // a decider whose clock is late
		}, then: map[string][]string{"outcomes": {
			`ann c0:1 0 0 1 "GrantCredits" "done" "" "" {} - "" x - b1:1 ` + eventsOf(1, 0, "CreditsGranted") + ` "0.0.0" noon+960h0m0s`,
		}}},
	})
}

// Every command has its name in the outcomes, whatever its first event is.
func TestEveryOutcomeNamesItsCommand(t *testing.T) {
	t.Parallel()
	swept := &schemas.GenerationFailed{}
	swept.Actor.Via = viaSweep
	for want, e := range map[string]schemas.Event{
		"OpenAccount": &schemas.AccountOpened{}, "ClaimWelcome": &schemas.CreditsGranted{Source: "welcome"},
		"GrantCredits": &schemas.CreditsGranted{Source: "operator"}, "ExpireCredits": &schemas.CreditsExpired{},
		"SaveBrand": &schemas.BrandSaved{}, "ArchiveBrand": &schemas.BrandArchived{}, "RestoreBrand": &schemas.BrandRestored{},
		"AddAsset": &schemas.AssetAdded{}, "RemoveAsset": &schemas.AssetRemoved{}, "RequestGeneration": &schemas.CreditsReserved{},
		"CompleteGeneration": &schemas.GenerationSucceeded{}, "FailGeneration": &schemas.GenerationFailed{}, "ExpireGeneration": swept,
		"CancelGeneration": &schemas.GenerationCanceled{}, "RecordSpend": &schemas.SpendRecorded{},
		"RateImage": &schemas.ImageRated{}, "ComposeImage": &schemas.ImageComposed{}, "RecordExport": &schemas.ImagesExported{},
		"DeleteImage": &schemas.ImageDeleted{}, "RestoreImage": &schemas.ImageRestored{},
		"EraseAccount": &schemas.CommandRejected{Command: "atelier.commands.v1.EraseAccount"}, "": &schemas.CommandRejected{},
	} {
		if got := commandOf(e); got != want {
			t.Errorf("%T is of %q, want %q", e, got, want)
		}
	}
	for _, e := range []schemas.Event{
		&schemas.ImageRated{BatchID: batchID(1), GenerationID: generationID(2)}, &schemas.ImageComposed{BatchID: batchID(1), GenerationID: generationID(2)},
		&schemas.ImageDeleted{BatchID: batchID(1), GenerationID: generationID(2)},
		&schemas.ImageRestored{BatchID: batchID(1), GenerationID: generationID(2)},
	} {
		if batch, resource := subjects(e); batch != batchID(1) || resource != generationID(2) {
			t.Errorf("%T is about %s and %s", e, batch, resource)
		}
	}
}
