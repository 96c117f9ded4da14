package projections

import (
	"testing"
	"time"

	"atelier/schemas"
)

func granted(n int, credits, availableAfter int64, expiresAt *time.Time) *schemas.CreditsGranted {
	return &schemas.CreditsGranted{BlockID: blockID(n), Credits: credits, Source: "operator", Priority: 50, ExpiresAt: expiresAt,
		Reason: "sorry", AvailableAfter: availableAfter}
}

func TestCredits(t *testing.T) {
	t.Parallel()
	later, grace := noon.Add(time.Hour), noon.Add(7*24*time.Hour)
	newDatabase(t).folds(t, credits, map[string]string{
		"balances": "account_id, available, held, updated_at",
		"blocks":   "account_id, block_id, source, priority, granted, remaining, expires_at, granted_at",
		"entries": "account_id, seq, line, event_id, at, kind, credits, available_change, held_change, available_after, held_after, " +
			"batch_id, generation_id, source, reason",
	}, []scenario{
		{name: "an account begins with nothing", given: [][]schemas.Event{
			of(ann, 1, noon, &schemas.AccountOpened{}),
		}, then: map[string][]string{
			"balances": {`ann 0 0 noon`},
		}},
		{name: "an account that is opened after its first credits keeps them", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 10, 10, nil)),
			of(ann, 2, later, &schemas.AccountOpened{}),
		}, then: map[string][]string{
			"balances": {`ann 10 0 noon`},
			"blocks":   {`ann b1:1 "operator" 50 10 10 - noon`},
			"entries":  {`ann 0 0 e0:100 noon "granted" 10 10 0 10 0 - - "operator" "sorry"`},
		}},
		{name: "events of two accounts in turn", given: [][]schemas.Event{
			of(ann, 1, noon, &schemas.AccountOpened{}),
			of(ben, 2, noon, &schemas.AccountOpened{}),
			of(ann, 3, later, granted(1, 10, 10, nil)),
			of(ben, 4, later, granted(1, 3, 3, &grace)),
			of(ann, 5, later, granted(2, 5, 15, &grace)),
		}, then: map[string][]string{
			"balances": {`ann 15 0 noon+1h0m0s`, `ben 3 0 noon+1h0m0s`},
			"blocks": {
				`ann b1:1 "operator" 50 10 10 - noon+1h0m0s`,
				`ann b1:2 "operator" 50 5 5 noon+168h0m0s noon+1h0m0s`,
				`ben b1:1 "operator" 50 3 3 noon+168h0m0s noon+1h0m0s`,
			},
			"entries": {
				`ann 2 0 e0:300 noon+1h0m0s "granted" 10 10 0 10 0 - - "operator" "sorry"`,
				`ann 4 0 e0:500 noon+1h0m0s "granted" 5 5 0 15 0 - - "operator" "sorry"`,
				`ben 3 0 e0:400 noon+1h0m0s "granted" 3 3 0 3 0 - - "operator" "sorry"`,
			},
		}},
		{name: "held from two blocks, one image paid for and one given back to a block that is over", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 3, 3, &later), granted(2, 10, 13, nil)),
			of(ann, 2, noon, &schemas.CreditsReserved{BatchID: batchID(1), Credits: 4, PerImage: 2, Lines: []schemas.BlockCredits{line(1, 3), line(2, 1)},
				AvailableAfter: 9, HeldAfter: 4}),
			of(ann, 3, noon, &schemas.CreditsCaptured{GenerationID: generationID(1), BatchID: batchID(1), Credits: 2,
				Lines: []schemas.BlockCredits{line(1, 2)}, AvailableAfter: 9, HeldAfter: 2}),
			of(ann, 4, later, &schemas.CreditsReleased{GenerationID: generationID(2), BatchID: batchID(1), Credits: 2,
				Lines: []schemas.ReleasedCredits{givenBack(2, 1, nil), givenBack(1, 1, &grace)}, AvailableAfter: 11}),
		}, then: map[string][]string{
			"balances": {`ann 11 0 noon+1h0m0s`},
			"blocks": {
				`ann b1:1 "operator" 50 3 1 noon+168h0m0s noon`,
				`ann b1:2 "operator" 50 10 10 - noon`,
			},
			"entries": {
				`ann 0 0 e0:100 noon "granted" 3 3 0 3 0 - - "operator" "sorry"`,
				`ann 1 0 e0:101 noon "granted" 10 10 0 13 0 - - "operator" "sorry"`,
				`ann 2 0 e0:200 noon "reserved" 0 -4 4 9 4 b3:1 - "" ""`,
				`ann 3 0 e0:300 noon "captured" -2 0 -2 9 2 b3:1 9e:1 "" ""`,
				`ann 4 0 e0:400 noon+1h0m0s "released" 0 2 -2 11 0 b3:1 9e:2 "" ""`,
			},
		}},
		{name: "what is left of two blocks expires", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 3, 3, &later), granted(2, 10, 13, &later), granted(3, 1, 14, nil)),
			of(ann, 2, later, &schemas.CreditsExpired{Credits: 13, Lines: []schemas.BlockCredits{line(1, 3), line(2, 10)}, AvailableAfter: 1}),
		}, then: map[string][]string{
			"balances": {`ann 1 0 noon+1h0m0s`},
			"blocks": {
				`ann b1:1 "operator" 50 3 0 noon+1h0m0s noon`,
				`ann b1:2 "operator" 50 10 0 noon+1h0m0s noon`,
				`ann b1:3 "operator" 50 1 1 - noon`,
			},
			"entries": {
				`ann 0 0 e0:100 noon "granted" 3 3 0 3 0 - - "operator" "sorry"`,
				`ann 1 0 e0:101 noon "granted" 10 10 0 13 0 - - "operator" "sorry"`,
				`ann 2 0 e0:102 noon "granted" 1 1 0 14 0 - - "operator" "sorry"`,
				`ann 3 0 e0:200 noon+1h0m0s "expired" -13 -13 0 1 0 - - "" ""`,
			},
		}},
		{name: "a block that is used up is given again, with another expiry", given: [][]schemas.Event{
			of(ann, 1, noon, granted(1, 3, 3, &grace)),
			of(ann, 2, noon, &schemas.CreditsReserved{BatchID: batchID(1), Credits: 3, PerImage: 3, Lines: []schemas.BlockCredits{line(1, 3)}, HeldAfter: 3}),
			of(ann, 3, noon, &schemas.CreditsReleased{GenerationID: generationID(1), BatchID: batchID(1), Credits: 3,
				Lines: []schemas.ReleasedCredits{givenBack(1, 3, &grace)}, AvailableAfter: 3}),
			of(ann, 4, noon, &schemas.CreditsExpired{Credits: 3, Lines: []schemas.BlockCredits{line(1, 3)}}),
			of(ann, 5, later, granted(1, 5, 5, nil)),
		}, then: map[string][]string{
			"balances": {`ann 5 0 noon+1h0m0s`},
			"blocks":   {`ann b1:1 "operator" 50 8 5 - noon`},
			"entries": {
				`ann 0 0 e0:100 noon "granted" 3 3 0 3 0 - - "operator" "sorry"`,
				`ann 1 0 e0:200 noon "reserved" 0 -3 3 0 3 b3:1 - "" ""`,
				`ann 2 0 e0:300 noon "released" 0 3 -3 3 0 b3:1 9e:1 "" ""`,
				`ann 3 0 e0:400 noon "expired" -3 -3 0 0 0 - - "" ""`,
				`ann 4 0 e0:500 noon+1h0m0s "granted" 5 5 0 5 0 - - "operator" "sorry"`,
			},
		}},
		{name: "what does not concern credits moves the position alone", given: [][]schemas.Event{
			of(ann, 1, noon, &schemas.BrandArchived{BrandID: brandID(1)}),
			of(ann, 2, noon, &schemas.CommandRejected{Code: schemas.CodeInvalid}),
		}},
	})
}
