package commands

import (
	"testing"
	"time"

	"atelier/schemas"
)

func TestOpenAccount(t *testing.T) {
	run(t, []scenario{
		{name: "a new account is opened",
			when: &schemas.OpenAccount{CommandMetadata: meta(1), Email: []byte("sealed"), EmailConfirmed: true},
			then: []schemas.Event{&schemas.AccountOpened{Email: []byte("sealed"), EmailConfirmed: true}}},
		{name: "once",
			given: []schemas.Event{&schemas.AccountOpened{}},
			when:  &schemas.OpenAccount{CommandMetadata: meta(2)},
			rule:  ErrDuplicate},
	})
}

func TestClaimWelcome(t *testing.T) {
	claim := &schemas.ClaimWelcome{CommandMetadata: meta(1), EmailHash: bytesOf(1, 32)}
	welcome := &schemas.CreditsGranted{
		BlockID: schemas.DeriveID(commandID(1), "block"), Credits: 10, Source: "welcome", Priority: 0,
		ExpiresAt: ref(noon.Add(14 * 24 * time.Hour)), Reason: "welcome", AvailableAfter: 10,
	}
	var full []schemas.Event
	for n := range BlocksMax {
		full = append(full, granted(n, 1))
	}
	run(t, []scenario{
		{name: "ten credits for two weeks", when: claim, then: []schemas.Event{welcome}},
		{name: "once", given: []schemas.Event{welcome}, when: claim, rule: ErrAlreadyClaimed},
		{name: "once, also when they are spent",
			given: concat([]schemas.Event{welcome, &schemas.CreditsExpired{Credits: 10, Lines: []schemas.BlockCredits{{BlockID: welcome.BlockID, Credits: 10}}}}),
			when:  claim, rule: ErrAlreadyClaimed},
		{name: "at most 100 blocks", given: full, when: claim, rule: ErrLimitReached, figures: map[string]int64{"limit": 100}},
	})
}

func TestGrantCredits(t *testing.T) {
	in30Days := noon.Add(30 * 24 * time.Hour)
	grant := &schemas.GrantCredits{CommandMetadata: meta(1), BlockID: blockID(1), Credits: 100, Source: "plan", Priority: 10,
		ExpiresAt: ref(in30Days.Add(999 * time.Nanosecond)), Reason: "November"}
	var full []schemas.Event
	for n := range BlocksMax {
		full = append(full, granted(n+10, 1))
	}
	run(t, []scenario{
		{name: "a block comes to be, its time in whole microseconds",
			given: []schemas.Event{granted(2, 7)},
			when:  grant,
			then: []schemas.Event{&schemas.CreditsGranted{BlockID: blockID(1), Credits: 100, Source: "plan", Priority: 10,
				ExpiresAt: ref(in30Days), Reason: "November", AvailableAfter: 107}}},
		{name: "held credits are told too",
			given: concat([]schemas.Event{granted(2, 7)}, requested(1, 1, 1, 5, noon.Add(time.Hour), line(2, 5))),
			when:  &schemas.GrantCredits{CommandMetadata: meta(1), BlockID: blockID(1), Credits: 1_000_000, Source: "operator"},
			then: []schemas.Event{&schemas.CreditsGranted{BlockID: blockID(1), Credits: 1_000_000, Source: "operator",
				AvailableAfter: 1_000_002, HeldAfter: 5}}},
		{name: "a block comes once", given: []schemas.Event{granted(1, 7)}, when: grant, rule: ErrDuplicate},
		{name: "at most 100 blocks", given: full, when: grant, rule: ErrLimitReached, figures: map[string]int64{"limit": 100}},
	})
}

func TestExpireCredits(t *testing.T) {
	expire := &schemas.ExpireCredits{CommandMetadata: meta(1), BlockID: blockID(1)}
	run(t, []scenario{
		{name: "what is left is gone at its time",
			given: []schemas.Event{granted(1, 7, noon), granted(2, 3)},
			when:  expire,
			then:  []schemas.Event{&schemas.CreditsExpired{Credits: 7, Lines: []schemas.BlockCredits{line(1, 7)}, AvailableAfter: 3}}},
		{name: "what is held stays held",
			given: concat([]schemas.Event{granted(1, 7, noon)}, requested(1, 1, 1, 2, noon.Add(time.Hour), line(1, 2))),
			when:  expire,
			then:  []schemas.Event{&schemas.CreditsExpired{Credits: 5, Lines: []schemas.BlockCredits{line(1, 5)}, HeldAfter: 2}}},
		{name: "not before its time",
			given: []schemas.Event{granted(1, 7, noon.Add(time.Microsecond))}, when: expire, rule: ErrAlreadyFinished},
		{name: "never without one",
			given: []schemas.Event{granted(1, 7)}, when: expire, rule: ErrAlreadyFinished},
		{name: "nothing where all is held",
			given: concat([]schemas.Event{granted(1, 2, noon)}, requested(1, 1, 1, 2, noon.Add(time.Hour), line(1, 2))),
			when:  expire, rule: ErrAlreadyFinished},
		{name: "nothing of an unknown block", when: expire, rule: ErrAlreadyFinished},
	})
}

func TestBurnOrder(t *testing.T) {
	soon, late := noon.Add(time.Hour), noon.Add(48*time.Hour)
	blocks := []schemas.AccountBlock{
		{Source: "never, first come", Priority: 5},
		{Source: "late", Priority: 5, ExpiresAt: &late},
		{Source: "soon", Priority: 5, ExpiresAt: &soon},
		{Source: "soon, later come", Priority: 5, ExpiresAt: &soon},
		{Source: "never, later come", Priority: 5},
		{Source: "first by priority", Priority: 1},
	}
	want := []string{"first by priority", "soon", "soon, later come", "late", "never, first come", "never, later come"}
	for i, index := range burnOrder(blocks) {
		if blocks[index].Source != want[i] {
			t.Errorf("place %d: %s, want %s", i, blocks[index].Source, want[i])
		}
	}
}

func TestSpentBlocksDisappear(t *testing.T) {
	deadline := noon.Add(time.Hour)
	account := scenario{given: concat([]schemas.Event{granted(1, 2), granted(2, 2)}, requested(1, 1, 2, 2, deadline, line(1, 2), line(2, 2)))}.account()
	if len(account.Blocks) != 2 {
		t.Fatalf("%d blocks while both are held, want 2", len(account.Blocks))
	}
	account = Evolve(account, &schemas.GenerationSucceeded{BatchID: batchID(1), GenerationID: generationID(1)})
	account = Evolve(account, &schemas.CreditsCaptured{BatchID: batchID(1), GenerationID: generationID(1), Credits: 2, Lines: []schemas.BlockCredits{line(1, 2)}})
	if len(account.Blocks) != 1 || account.Blocks[0].ID != schemas.ID16(blockID(2)) {
		t.Errorf("blocks %+v, want the second alone", account.Blocks)
	}
	if len(account.Batches) != 1 || len(account.Batches[0].Holds) != 1 {
		t.Errorf("batches %+v, want one with one hold", account.Batches)
	}
}
