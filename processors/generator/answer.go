package generator

import (
	"time"
	"unicode/utf8"

	"atelier/schemas"
)

// detailBytesMax is what a command's detail may hold, by its schema.
const detailBytesMax = 500

// The IDs follow from the generation, so that two owners who answer the same
// make one command twice, and the decider refuses the second.
func completeID(generation string) string { return schemas.DeriveID(generation, "complete") }
func failID(generation string) string     { return schemas.DeriveID(generation, "fail") }
func spendID(generation string) string    { return schemas.DeriveID(generation, "spend") }

// actor says that we acted, not a person.
func actor() schemas.Actor {
	return schemas.Actor{Kind: schemas.ActorSystem, ID: "generator", Via: "generator"}
}

func commandMeta(r *schemas.GenerationRequested, id string, now time.Time) schemas.CommandMetadata {
	return schemas.CommandMetadata{
		ID: id, AccountID: r.AccountID, OccurredAt: now.UTC(),
		CorrelationID: r.CorrelationID, CausationID: r.ID, Actor: actor(),
	}
}

// fail is the answer that an image will not be made.
func fail(r *schemas.GenerationRequested, w work, f failure, now time.Time) *schemas.FailGeneration {
	tokens, cost := sums(w.attempts)
	return &schemas.FailGeneration{
		CommandMetadata: commandMeta(r, failID(r.GenerationID), now),
		GenerationID:    r.GenerationID, BatchID: r.BatchID,
		Reason: f.Code, Fault: f.Fault, Detail: clip(f.Detail, detailBytesMax),
		Attempts: w.attempts, Tokens: tokens, CostMicros: cost,
	}
}

// recordSpend tells of calls that no terminal event carries.
func recordSpend(r *schemas.GenerationRequested, attempts []schemas.Attempt, reason string, now time.Time) *schemas.RecordSpend {
	tokens, cost := sums(attempts)
	return &schemas.RecordSpend{
		CommandMetadata: commandMeta(r, spendID(r.GenerationID), now),
		GenerationID:    r.GenerationID, BatchID: r.BatchID,
		Attempts: attempts, Tokens: tokens, CostMicros: cost, Reason: reason,
	}
}

func sums(attempts []schemas.Attempt) (tokens, costMicros int64) {
	for _, a := range attempts {
		tokens += a.Tokens
		costMicros += a.CostMicros
	}
	return tokens, costMicros
}

// clip cuts text to at most limit bytes, between runes.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
