package commands

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"atelier/schemas"
)

func testRequest() *schemas.RequestGeneration {
	return &schemas.RequestGeneration{
		CommandMetadata: meta(1), BatchID: batchID(1), BrandID: brandID(1), BrandVersion: 1,
		Kit: []byte("kit"), KitHash: bytesOf(1, 16), KitSchema: 1, Brief: []byte("brief"),
		References: []schemas.Reference{{AssetID: assetID(1), Role: "logo", MediaKey: "m/logo.png", MIMEType: "image/png"}},
		Workflow:   "create", Campaign: []byte("spring"), Tier: "standard",
		Placements: []string{"meta_feed_square", "meta_story"}, PlacementTable: 1, Variants: 2,
		MaxCredits: 8, OpenMax: 96, DeadlineMs: 1_800_000,
	}
}

// sourceRequest asks for what a workflow makes of a picture.
func sourceRequest(workflow string) *schemas.RequestGeneration {
	r := testRequest()
	source := schemas.Reference{AssetID: generationID(1), Role: "source", MediaKey: "m/1.webp", MIMEType: "image/webp"}
	r.Workflow, r.References = workflow, append([]schemas.Reference{source}, r.References...)
	r.Params = map[string]string{"source_generation_id": generationID(1)}
	switch workflow {
	case "refine":
		r.Feedback = []byte("warmer")
	case "vary":
		r.Params["factor"] = "light"
	}
	return r
}

// What a picture is made from is in its batch, at the same price as a new one.
func TestRequestGenerationFromASource(t *testing.T) {
	given := []schemas.Event{savedBrand(1, 1), granted(1, 100)}
	for _, workflow := range []string{"refine", "vary", "adapt"} {
		r := sourceRequest(workflow)
		events, err := Decide(scenario{given: given}.account(), r, noon)
		if err != nil {
			t.Fatalf("%s: %v", workflow, err)
		}
		reserved, batch := events[0].(*schemas.CreditsReserved), events[1].(*schemas.BatchRequested)
		if reserved.Credits != 8 || batch.Workflow != workflow || !reflect.DeepEqual(batch.References, r.References) ||
			!maps.Equal(batch.Params, r.Params) || string(batch.Feedback) != string(r.Feedback) {
			t.Errorf("%s: %+v, %+v", workflow, reserved, batch)
		}
	}
}

func TestRequestGeneration(t *testing.T) {
	request := testRequest()
	deadline := noon.Add(30 * time.Minute)
	with := func(change func(*schemas.RequestGeneration)) *schemas.RequestGeneration {
		r := testRequest()
		change(r)
		return r
	}
	accepted := func(after int64, lines ...schemas.BlockCredits) []schemas.Event {
		events := []schemas.Event{
			&schemas.CreditsReserved{BatchID: batchID(1), Credits: 8, PerImage: 2, PriceList: 1, Lines: lines, AvailableAfter: after, HeldAfter: 8},
			&schemas.BatchRequested{BatchID: batchID(1), BrandID: brandID(1), BrandVersion: 1, Kit: []byte("kit"), KitHash: bytesOf(1, 16),
				KitSchema: 1, Brief: []byte("brief"), References: request.References, Workflow: "create", Params: request.Params,
				Campaign: []byte("spring"), Tier: "standard", PlacementTable: 1, PriceList: 1, PerImage: 2, Images: 4, Deadline: deadline},
		}
		for _, g := range []struct {
			placement, name string
			number          int
		}{{"meta_feed_square", "meta_feed_square/1", 1}, {"meta_feed_square", "meta_feed_square/2", 2}, {"meta_story", "meta_story/1", 1}, {"meta_story", "meta_story/2", 2}} {
			events = append(events, &schemas.GenerationRequested{GenerationID: schemas.DeriveID(commandID(1), g.name),
				BatchID: batchID(1), Placement: g.placement, Number: g.number, Deadline: deadline})
		}
		return events
	}
	brand := []schemas.Event{savedBrand(1, 1)}
	rich := concat(brand, []schemas.Event{granted(1, 100)})
	wasted := func(at time.Time, micros int64) []schemas.Event {
		return after(at, &schemas.SpendRecorded{CostMicros: micros, Reason: "canceled"})
	}
	captured := func(at time.Time, credits int64) []schemas.Event {
		return after(at, &schemas.CreditsCaptured{BatchID: batchID(9), Credits: credits})
	}
	run(t, []scenario{
		{name: "a batch is accepted", given: rich, when: request, then: accepted(92, line(1, 8))},
		{name: "from several blocks, the soonest expiry first, over or not",
			given: concat(brand, []schemas.Event{granted(1, 100), granted(2, 3, noon.Add(time.Hour)), granted(3, 2, noon.Add(-time.Hour))}),
			when:  request, then: accepted(97, line(3, 2), line(2, 3), line(1, 3))},
		{name: "an unknown brand", given: []schemas.Event{granted(1, 100)}, when: request, rule: ErrBrandNotFound},
		{name: "an archived brand", given: concat(rich, []schemas.Event{&schemas.BrandArchived{BrandID: brandID(1)}}), when: request, rule: ErrBrandNotFound},
		{name: "a brand that was saved since", given: concat(rich, []schemas.Event{savedBrand(1, 2)}), when: request,
			rule: ErrVersionConflict, figures: map[string]int64{"current": 2}},
		{name: "another kit of the same version", given: rich, when: with(func(r *schemas.RequestGeneration) { r.KitHash = bytesOf(9, 16) }),
			rule: ErrVersionConflict, figures: map[string]int64{"current": 1}},
		{name: "a batch that is open", given: concat(rich, requested(1, 1, 1, 2, deadline, line(1, 2))), when: request, rule: ErrDuplicate},
		{name: "more open ones than the request allows", given: concat(rich, requested(2, 1, 3, 2, deadline, line(1, 6))),
			when: with(func(r *schemas.RequestGeneration) { r.OpenMax = 6 }),
			rule: ErrTooManyOpen, figures: map[string]int64{"open": 3, "images": 4, "limit": 6}},
		{name: "as many as it allows", given: concat(rich, requested(2, 1, 3, 2, deadline, line(1, 6))),
			when: with(func(r *schemas.RequestGeneration) { r.OpenMax = 7 }),
			then: withHeld(accepted(86, line(1, 8)), 6)},
		{name: "dearer than was agreed to", given: rich, when: with(func(r *schemas.RequestGeneration) { r.MaxCredits = 7 }),
			rule: ErrPriceChanged, figures: map[string]int64{"credits": 8, "max_credits": 7}},
		{name: "pro is dearer", given: rich, when: with(func(r *schemas.RequestGeneration) { r.Tier = "pro" }),
			rule: ErrPriceChanged, figures: map[string]int64{"credits": 20, "max_credits": 8}},
		{name: "too few credits", given: concat(brand, []schemas.Event{granted(1, 5)}), when: request,
			rule: ErrInsufficientCredits, figures: map[string]int64{"credits": 8, "available": 5, "shortfall": 3, "affordable": 2}},
		{name: "none at all", given: brand, when: request,
			rule: ErrInsufficientCredits, figures: map[string]int64{"credits": 8, "available": 0, "shortfall": 8, "affordable": 0}},
		{name: "half a dollar a day is free", given: concat(rich, wasted(noon, 500_000)), when: request, then: accepted(92, line(1, 8))},
		{name: "more is not", given: concat(rich, wasted(noon, 500_001)), when: request, rule: ErrAllowanceExhausted},
		{name: "a failed image counts", given: concat(rich, after(noon, &schemas.GenerationFailed{CostMicros: 500_001, Fault: "user", Reason: "blocked"})), when: request, rule: ErrAllowanceExhausted},
		{name: "one that no picture fitted counts", given: concat(rich, after(noon, &schemas.GenerationFailed{CostMicros: 500_001, Fault: "model", Reason: "rejected"})), when: request, rule: ErrAllowanceExhausted},
		{name: "an outage of the model does not", given: concat(rich, after(noon, &schemas.GenerationFailed{CostMicros: 9_000_000, Fault: "model", Reason: "cut"})), when: request, then: accepted(92, line(1, 8))},
		{name: "nor one of ours", given: concat(rich, after(noon, &schemas.SpendRecorded{CostMicros: 9_000_000, Reason: "lost"})), when: request, then: accepted(92, line(1, 8))},
		{name: "30 % of what was captured is free too", given: concat(rich, captured(noon, 100), wasted(noon, 2_700_000)), when: request, then: accepted(92, line(1, 8))},
		{name: "but no more", given: concat(rich, captured(noon, 100), wasted(noon, 2_700_001)), when: request, rule: ErrAllowanceExhausted},
		{name: "the allowance comes back after a day", given: concat(rich, wasted(noon.Add(-25*time.Hour), 9_000_000)), when: request, then: accepted(92, line(1, 8))},
		{name: "not within it", given: concat(rich, wasted(noon.Add(-24*time.Hour), 9_000_000)), when: request, rule: ErrAllowanceExhausted},
	})
}

func withHeld(events []schemas.Event, more int64) []schemas.Event {
	events[0].(*schemas.CreditsReserved).HeldAfter += more
	return events
}

func TestCompleteGeneration(t *testing.T) {
	deadline := noon.Add(30 * time.Minute)
	complete := func(n int) *schemas.CompleteGeneration {
		return &schemas.CompleteGeneration{CommandMetadata: meta(1), GenerationID: generationID(n), BatchID: batchID(1), Media: testMedia(),
			ThumbnailKey: "t/1.webp", Model: "m", ModelVersion: "v", Template: "create", TemplateVersion: 1,
			Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000, Durations: schemas.Durations{QueuedMs: 1, GeneratingMs: 2, CheckingMs: 3}}
	}
	succeeded := func(n int) *schemas.GenerationSucceeded {
		return &schemas.GenerationSucceeded{GenerationID: generationID(n), BatchID: batchID(1), Media: testMedia(),
			ThumbnailKey: "t/1.webp", Model: "m", ModelVersion: "v", Template: "create", TemplateVersion: 1,
			Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000, Durations: schemas.Durations{QueuedMs: 1, GeneratingMs: 2, CheckingMs: 3}}
	}
	open := concat([]schemas.Event{granted(1, 3), granted(2, 10)}, requested(1, 1, 2, 5, deadline, line(1, 3), line(2, 7)))
	first := &schemas.CreditsCaptured{GenerationID: generationID(1), BatchID: batchID(1), Credits: 5,
		Lines: []schemas.BlockCredits{line(1, 3), line(2, 2)}, AvailableAfter: 3, HeldAfter: 5}
	second := &schemas.CreditsCaptured{GenerationID: generationID(2), BatchID: batchID(1), Credits: 5,
		Lines: []schemas.BlockCredits{line(2, 5)}, AvailableAfter: 3}
	run(t, []scenario{
		{name: "an image is paid from the front of the hold", given: open, when: complete(1), then: []schemas.Event{succeeded(1), first}},
		{name: "the last from what is left", given: concat(open, []schemas.Event{succeeded(1), first}), when: complete(2), then: []schemas.Event{succeeded(2), second}},
		{name: "past its deadline it counts while it is open", given: open, when: complete(1), at: deadline.Add(time.Hour), then: []schemas.Event{succeeded(1), first}},
		{name: "once", given: concat(open, []schemas.Event{succeeded(1), first}), when: complete(1), rule: ErrAlreadyFinished},
		{name: "not after the whole batch", given: concat(open, []schemas.Event{succeeded(1), first, succeeded(2), second}), when: complete(1), rule: ErrAlreadyFinished},
		{name: "not an unknown one", given: open, when: complete(7), rule: ErrAlreadyFinished},
	})
}

func TestFailGeneration(t *testing.T) {
	deadline := noon.Add(30 * time.Minute)
	fail := &schemas.FailGeneration{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Reason: "rejected",
		Fault: "model", Detail: "no pass", Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000}
	failed := &schemas.GenerationFailed{GenerationID: generationID(1), BatchID: batchID(1), Reason: "rejected",
		Fault: "model", Detail: "no pass", Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000}
	soon, grace := noon.Add(time.Minute), noon.Add(7*24*time.Hour)
	open := func(expiry time.Time) []schemas.Event {
		return concat([]schemas.Event{granted(1, 9, expiry), granted(2, 10)}, requested(1, 1, 2, 5, deadline, line(1, 9), line(2, 1)))
	}
	overAndMore := concat([]schemas.Event{granted(1, 10, noon)}, requested(1, 1, 1, 5, deadline, line(1, 5)))
	released := func(available, held int64, lines ...schemas.ReleasedCredits) *schemas.CreditsReleased {
		return &schemas.CreditsReleased{GenerationID: generationID(1), BatchID: batchID(1), Credits: 5, Lines: lines, AvailableAfter: available, HeldAfter: held}
	}
	run(t, []scenario{
		{name: "credits go back to their blocks, from the back of the hold", given: open(soon), when: fail,
			then: []schemas.Event{failed, released(14, 5, givenBack(2, 1, nil), givenBack(1, 4, &soon))}},
		{name: "a block that is over gets a grace", given: open(noon), when: fail,
			then: []schemas.Event{failed, released(14, 5, givenBack(2, 1, nil), givenBack(1, 4, &grace))}},
		{name: "what was not held of it expires first", given: overAndMore, when: fail,
			then: []schemas.Event{failed,
				&schemas.CreditsExpired{Credits: 5, Lines: []schemas.BlockCredits{line(1, 5)}, HeldAfter: 5},
				released(5, 0, givenBack(1, 5, &grace))}},
		{name: "once", given: concat(overAndMore, []schemas.Event{failed, released(5, 0, givenBack(1, 5, &grace))}), when: fail, rule: ErrAlreadyFinished},
		{name: "not an unknown one", when: fail, rule: ErrAlreadyFinished},
	})
}

func TestExpireGeneration(t *testing.T) {
	deadline := noon.Add(30 * time.Minute)
	expire := &schemas.ExpireGeneration{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1)}
	open := concat([]schemas.Event{granted(1, 10)}, requested(1, 1, 1, 2, deadline, line(1, 2)))
	failed := &schemas.GenerationFailed{GenerationID: generationID(1), BatchID: batchID(1), Reason: "deadline", Fault: "ours",
		Detail: "the image was not ready by its deadline"}
	released := &schemas.CreditsReleased{GenerationID: generationID(1), BatchID: batchID(1), Credits: 2,
		Lines: []schemas.ReleasedCredits{givenBack(1, 2, nil)}, AvailableAfter: 10}
	run(t, []scenario{
		{name: "at the deadline it fails", given: open, when: expire, at: deadline, then: []schemas.Event{failed, released}},
		{name: "not before", given: open, when: expire, at: deadline.Add(-time.Microsecond), rule: ErrInvalid},
		{name: "once", given: concat(open, []schemas.Event{failed, released}), when: expire, at: deadline, rule: ErrAlreadyFinished},
	})
}

func TestCancelGeneration(t *testing.T) {
	deadline := noon.Add(30 * time.Minute)
	cancel := func(generation string) *schemas.CancelGeneration {
		return &schemas.CancelGeneration{CommandMetadata: meta(1), BatchID: batchID(1), GenerationID: generation}
	}
	open := concat([]schemas.Event{granted(1, 10)}, requested(1, 1, 3, 2, deadline, line(1, 6)))
	ended := func(n int, available, held int64) []schemas.Event {
		return []schemas.Event{
			&schemas.GenerationCanceled{GenerationID: generationID(n), BatchID: batchID(1)},
			&schemas.CreditsReleased{GenerationID: generationID(n), BatchID: batchID(1), Credits: 2,
				Lines: []schemas.ReleasedCredits{givenBack(1, 2, nil)}, AvailableAfter: available, HeldAfter: held}}
	}
	grace := noon.Add(7 * 24 * time.Hour)
	over := concat([]schemas.Event{granted(1, 10, noon)}, requested(1, 1, 2, 2, deadline, line(1, 4)))
	run(t, []scenario{
		{name: "one", given: open, when: cancel(generationID(2)), then: ended(2, 6, 4)},
		{name: "all", given: open, when: cancel(""), then: concat(ended(1, 6, 4), ended(2, 8, 2), ended(3, 10, 0))},
		{name: "the rest", given: concat(open, ended(2, 6, 4)), when: cancel(""), then: concat(ended(1, 8, 2), ended(3, 10, 0))},
		{name: "all of a block that is over: it expires once", given: over, when: cancel(""),
			then: []schemas.Event{
				&schemas.GenerationCanceled{GenerationID: generationID(1), BatchID: batchID(1)},
				&schemas.CreditsExpired{Credits: 6, Lines: []schemas.BlockCredits{line(1, 6)}, HeldAfter: 4},
				&schemas.CreditsReleased{GenerationID: generationID(1), BatchID: batchID(1), Credits: 2,
					Lines: []schemas.ReleasedCredits{givenBack(1, 2, &grace)}, AvailableAfter: 2, HeldAfter: 2},
				&schemas.GenerationCanceled{GenerationID: generationID(2), BatchID: batchID(1)},
				&schemas.CreditsReleased{GenerationID: generationID(2), BatchID: batchID(1), Credits: 2,
					Lines: []schemas.ReleasedCredits{givenBack(1, 2, &grace)}, AvailableAfter: 4}}},
		{name: "one twice", given: concat(open, ended(2, 6, 4)), when: cancel(generationID(2)), rule: ErrAlreadyFinished},
		{name: "all twice", given: concat(open, ended(1, 6, 4), ended(2, 8, 2), ended(3, 10, 0)), when: cancel(""), rule: ErrAlreadyFinished},
		{name: "an unknown batch", when: cancel(""), rule: ErrAlreadyFinished},
	})
}

func TestRecordSpend(t *testing.T) {
	spend := &schemas.RecordSpend{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Attempts: testAttempts(),
		Tokens: 10, CostMicros: 40_000, Reason: "canceled"}
	run(t, []scenario{
		{name: "always", when: spend, then: []schemas.Event{&schemas.SpendRecorded{GenerationID: generationID(1), BatchID: batchID(1),
			Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000, Reason: "canceled"}}},
		{name: "once a generation", given: after(noon, &schemas.SpendRecorded{GenerationID: generationID(1), BatchID: batchID(1),
			CostMicros: 40_000, Reason: "canceled"}), when: spend, rule: ErrDuplicate},
		{name: "of each", given: after(noon, &schemas.SpendRecorded{GenerationID: generationID(2), BatchID: batchID(1),
			CostMicros: 40_000, Reason: "canceled"}), when: spend, then: []schemas.Event{&schemas.SpendRecorded{GenerationID: generationID(1),
			BatchID: batchID(1), Attempts: testAttempts(), Tokens: 10, CostMicros: 40_000, Reason: "canceled"}}},
	})
}

func TestSpendIsKeptByTheHourForADay(t *testing.T) {
	var account schemas.Account
	for hour := range 40 {
		at := noon.Add(time.Duration(hour) * time.Hour)
		account = Evolve(account, after(at, &schemas.SpendRecorded{CostMicros: 10, Reason: "canceled"})[0])
		account = Evolve(account, after(at, &schemas.CreditsCaptured{Credits: 3})[0])
	}
	if len(account.Spend) != 25 {
		t.Fatalf("%d hours, want 25", len(account.Spend))
	}
	first, last := account.Spend[0], account.Spend[24]
	if first.Hour != hourOf(noon)+15 || last.Hour != hourOf(noon)+39 || last.UnpaidMicros != 10 || last.CapturedCredits != 3 {
		t.Errorf("first %+v, last %+v", first, last)
	}
}
