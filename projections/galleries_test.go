package projections

import (
	"testing"
	"time"

	"atelier/internal/vault"
	"atelier/schemas"
)

const (
	batchColumns = "account_id, batch_id, brand_id, brand_version, workflow, params, brief, campaign, tier, images, per_image, price_list, " +
		"placement_table, deadline, requested_at, succeeded, failed, canceled, credits_captured, credits_released, seq, search, " +
		"source_generation_id, feedback, reference_asset_ids::text[]"
	generationColumns = "account_id, generation_id, batch_id, brand_id, seq, placement, number, status, requested_at, finished_at, deadline, " +
		"media_key, thumbnail_key, sha256, bytes, width, height, mime_type, model, model_version, template, template_version, attempts, " +
		"reason, fault, detail, credits, campaign, workflow, tier, favourite, tags, tag_keys, rating, rating_reason, deleted_at"
)

// batch is a request of ann's for images of one placement, numbered from first.
func (d *database) batch(n, first, images int, at time.Time) []schemas.Event {
	events := []schemas.Event{
		&schemas.CreditsReserved{BatchID: batchID(n), Credits: int64(2 * images), PerImage: 2},
		&schemas.BatchRequested{BatchID: batchID(n), BrandID: brandID(1), BrandVersion: 3, Brief: d.seal(ann, `{"product":"tea"}`),
			Workflow: "create", Params: map[string]string{"seed": "7"}, Campaign: d.seal(ann, "spring"), Tier: "standard",
			PlacementTable: 4, PriceList: 5, PerImage: 2, Images: images, Deadline: at.Add(time.Hour)},
	}
	for i := range images {
		events = append(events, &schemas.GenerationRequested{BatchID: batchID(n), GenerationID: generationID(first + i), Placement: "meta_feed",
			Number: i + 1, Deadline: at.Add(time.Hour)})
	}
	return of(ann, n, at, events...)
}

// refinement is a request of ann's for the image anew, in a batch without images.
func (d *database) refinement(n int, source string) []schemas.Event {
	return of(ann, n, noon, &schemas.BatchRequested{BatchID: batchID(n), BrandID: brandID(1), BrandVersion: 3, Brief: d.seal(ann, `{"product":"tea"}`),
		Workflow: "refine", Params: map[string]string{"source_generation_id": source}, Feedback: d.seal(ann, "warmer"), Tier: "pro",
		References:     []schemas.Reference{{AssetID: source, Role: "source"}, {AssetID: brandID(7), Role: "logo"}, {AssetID: brandID(8), Role: "product"}},
		PlacementTable: 4, PriceList: 5, PerImage: 5, Images: 1, Deadline: noon.Add(time.Hour)})
}

func completed(n, batch int) []schemas.Event {
	return []schemas.Event{
		&schemas.GenerationSucceeded{GenerationID: generationID(n), BatchID: batchID(batch), Media: picture(n), ThumbnailKey: "t", Model: "m",
			ModelVersion: "m-1", Template: "create", TemplateVersion: 2, Attempts: []schemas.Attempt{{Number: 1, Model: "m", Outcome: "ok"}}},
		&schemas.CreditsCaptured{GenerationID: generationID(n), BatchID: batchID(batch), Credits: 2},
	}
}

func failed(n, batch int) []schemas.Event {
	return []schemas.Event{
		&schemas.GenerationFailed{GenerationID: generationID(n), BatchID: batchID(batch), Reason: "rejected", Fault: "model", Detail: "too dark",
			Attempts: []schemas.Attempt{{Number: 1, Outcome: "rejected", CostMicros: 9,
				Verdicts: []schemas.Verdict{{Check: "light", Version: 1, Verdict: "retry", Figures: map[string]float64{"mean": 0.25}}}}}},
		&schemas.CreditsReleased{GenerationID: generationID(n), BatchID: batchID(batch), Credits: 2},
	}
}

func canceled(n, batch int) []schemas.Event {
	return []schemas.Event{
		&schemas.GenerationCanceled{GenerationID: generationID(n), BatchID: batchID(batch)},
		&schemas.CreditsReleased{GenerationID: generationID(n), BatchID: batchID(batch), Credits: 2},
	}
}

const (
	okAttempt = `[{"cost_micros":0,"duration_ms":0,"model":"m","number":1,"outcome":"ok","seed":0,"tokens":0,"verdicts":[]}]`
	badTry    = `[{"cost_micros":9,"duration_ms":0,"model":"","number":1,"outcome":"rejected","seed":0,"tokens":0,` +
		`"verdicts":[{"answer":"","check":"light","evidence":"","figures":{"mean":0.25},"question":"","verdict":"retry","version":1}]}]`
	// what an image that is not made, and one that is, have in the columns of the picture
	noPicture   = `"" "" x 0 0 0 "" "" "" "" 0`
	itsPicture2 = `"m/9e:2" "t" xab02 1000 1080 1350 "image/png" "m" "m-1" "create" 2`
	// what an image of which nothing was said has in the last columns
	nothingSaid = `false [] [] "none" "" -`
)

func TestGalleries(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	later, latest := noon.Add(time.Minute), noon.Add(2*time.Minute)
	shared := `"spring" "create" "standard" ` + nothingSaid
	d.folds(t, galleries, map[string]string{"batches": batchColumns, "generations": generationColumns}, []scenario{
		{name: "requested", given: [][]schemas.Event{d.batch(1, 1, 1, noon)}, then: map[string][]string{
			"batches":     {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 1 2 5 4 noon+1h0m0s noon 0 0 0 0 0 1 "tea\nspring" - "" []`},
			"generations": {`ann 9e:1 b3:1 b2:1 2 "meta_feed" 1 "requested" noon - noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + shared},
		}},
		{name: "of one batch one succeeds, one fails, one is canceled and one is open", given: [][]schemas.Event{
			d.batch(1, 1, 4, noon),
			of(ann, 2, later, canceled(1, 1)...),
			of(ann, 3, later, completed(2, 1)...),
			of(ann, 4, latest, failed(3, 1)...),
		}, then: map[string][]string{
			"batches": {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 4 2 5 4 noon+1h0m0s noon 1 1 1 2 4 1 "tea\nspring" - "" []`},
			"generations": {
				`ann 9e:1 b3:1 b2:1 2 "meta_feed" 1 "canceled" noon noon+1m0s noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + shared,
				`ann 9e:2 b3:1 b2:1 3 "meta_feed" 2 "succeeded" noon noon+1m0s noon+1h0m0s ` + itsPicture2 + ` ` + okAttempt + ` "" "" "" 2 ` + shared,
				`ann 9e:3 b3:1 b2:1 4 "meta_feed" 3 "failed" noon noon+2m0s noon+1h0m0s ` + noPicture + ` ` + badTry + ` "rejected" "model" "too dark" 0 ` + shared,
				`ann 9e:4 b3:1 b2:1 5 "meta_feed" 4 "requested" noon - noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + shared,
			},
		}},
		{name: "what has ended stays ended", given: [][]schemas.Event{
			d.batch(1, 2, 1, noon),
			of(ann, 2, later, completed(2, 1)...),
			of(ann, 3, latest, &schemas.GenerationFailed{GenerationID: generationID(2), BatchID: batchID(1), Reason: "deadline"}),
			of(ann, 4, latest, &schemas.GenerationCanceled{GenerationID: generationID(2), BatchID: batchID(1)}),
		}, then: map[string][]string{
			"batches": {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 1 2 5 4 noon+1h0m0s noon 1 0 0 2 0 1 "tea\nspring" - "" []`},
			"generations": {`ann 9e:2 b3:1 b2:1 2 "meta_feed" 1 "succeeded" noon noon+1m0s noon+1h0m0s ` + itsPicture2 + ` ` + okAttempt +
				` "" "" "" 2 ` + shared},
		}},
		{name: "an ID of a batch that is used again changes nothing of the first", given: [][]schemas.Event{
			d.batch(1, 1, 1, noon),
			of(ann, 2, later, &schemas.BatchRequested{BatchID: batchID(1), BrandID: brandID(9), Workflow: "vary", Tier: "pro", Images: 1}),
		}, then: map[string][]string{
			"batches":     {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 1 2 5 4 noon+1h0m0s noon 0 0 0 0 0 1 "tea\nspring" - "" []`},
			"generations": {`ann 9e:1 b3:1 b2:1 2 "meta_feed" 1 "requested" noon - noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + shared},
		}},
		{name: "two accounts with the same IDs", given: [][]schemas.Event{
			d.batch(1, 2, 1, noon),
			of(ben, 2, later, completed(2, 1)...),
		}, then: map[string][]string{
			"batches":     {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 1 2 5 4 noon+1h0m0s noon 0 0 0 0 0 1 "tea\nspring" - "" []`},
			"generations": {`ann 9e:2 b3:1 b2:1 2 "meta_feed" 1 "requested" noon - noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + shared},
		}},
	})
}

// A batch that starts from an image names it, and keeps what was asked of it.
func TestGalleriesFromASource(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	row := func(source, of string) map[string][]string {
		return map[string][]string{"generations": nil, "batches": {`ann b3:1 b2:1 3 "refine" {"source_generation_id":"` + source +
			`"} {"product":"tea"} "" "pro" 1 5 5 4 noon+1h0m0s noon 0 0 0 0 0 0 "tea" ` + of + ` "warmer" ["b2:8"]`}}
	}
	d.folds(t, galleries, map[string]string{"batches": batchColumns, "generations": generationColumns}, []scenario{
		{name: "the source is named", given: [][]schemas.Event{d.refinement(1, generationID(2))}, then: row("9e:2", "9e:2")},
		{name: "what is no ID is none", given: [][]schemas.Event{d.refinement(1, "not an ID")}, then: row("not an ID", "-")},
	})
	given := [][]schemas.Event{d.refinement(1, generationID(2))}
	if err := d.vault.Destroy(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	d.folds(t, galleries, map[string]string{"batches": "brief, feedback, source_generation_id", "generations": generationColumns}, []scenario{
		{name: "erased", given: given, then: map[string][]string{"batches": {`- "` + vault.Erased + `" 9e:2`}}},
	})
}

// What people say of images, each part by itself; the later wins.
func TestGalleriesOfWhatIsSaid(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	later, latest := noon.Add(time.Minute), noon.Add(2*time.Minute)
	said := func(n int, at time.Time, e *schemas.ImageRated) []schemas.Event {
		e.GenerationID, e.BatchID = generationID(2), batchID(1)
		return of(ann, n, at, e)
	}
	deleted := func(n int, at time.Time) []schemas.Event {
		return of(ann, n, at, &schemas.ImageDeleted{GenerationID: generationID(2), BatchID: batchID(1)})
	}
	restored := func(n int, at time.Time) []schemas.Event {
		return of(ann, n, at, &schemas.ImageRestored{GenerationID: generationID(2), BatchID: batchID(1)})
	}
	made := [][]schemas.Event{d.batch(1, 2, 1, noon), of(ann, 2, noon, completed(2, 1)...)}
	whole := &schemas.ImageRated{Favourite: ref(true), Tags: ref(d.seal(ann, `["Summer Sale","ÉTÉ"]`)), Rating: ref("up"), Reason: ref(d.seal(ann, "bright"))}
	then := func(row string) map[string][]string {
		return map[string][]string{
			"batches": {`ann b3:1 b2:1 3 "create" {"seed":"7"} {"product":"tea"} "spring" "standard" 1 2 5 4 noon+1h0m0s noon 1 0 0 2 0 1 "tea\nspring" - "" []`},
			"generations": {`ann 9e:2 b3:1 b2:1 2 "meta_feed" 1 "succeeded" noon noon noon+1h0m0s ` + itsPicture2 + ` ` + okAttempt +
				` "" "" "" 2 "spring" "create" "standard" ` + row},
		}
	}
	all := `true ["Summer Sale","ÉTÉ"] ["summer sale","été"] "up" "bright" `
	d.folds(t, galleries, map[string]string{"batches": batchColumns, "generations": generationColumns}, []scenario{
		{name: "all of it", given: append(made, said(3, later, whole)), then: then(all + "-")},
		{name: "what is not said again stays", given: append(made, said(3, later, whole), said(4, latest, &schemas.ImageRated{Rating: ref("down")})),
			then: then(`true ["Summer Sale","ÉTÉ"] ["summer sale","été"] "down" "bright" -`)},
		{name: "each is taken back by itself", given: append(made, said(3, later, whole), said(4, later, &schemas.ImageRated{Favourite: ref(false)}),
			said(5, later, &schemas.ImageRated{Tags: ref(d.seal(ann, `[]`))}), said(6, later, &schemas.ImageRated{Reason: &[]byte{}}),
			said(7, latest, &schemas.ImageRated{Rating: ref("none")})), then: then(nothingSaid)},
		{name: "the later wins", given: append(made, said(3, later, &schemas.ImageRated{Favourite: ref(false), Tags: ref(d.seal(ann, `["old"]`)), Rating: ref("down"),
			Reason: ref(d.seal(ann, "old"))}), said(4, latest, whole)), then: then(all + "-")},
		{name: "tags that are none", given: append(made, said(3, later, &schemas.ImageRated{Tags: ref(d.seal(ann, `{"a":1}`))})), then: then(nothingSaid)},
		{name: "NUL and half a character", given: append(made, said(3, later, &schemas.ImageRated{Tags: ref(d.seal(ann, `["a\u0000","\ud800"]`))})),
			then: then(`false ["a�","�"] ["a�","�"] "none" "" -`)},
		{name: "into the bin", given: append(made, said(3, later, whole), deleted(4, later)), then: then(all + "noon+1m0s")},
		{name: "again, from then on", given: append(made, deleted(3, later), deleted(4, latest)), then: then(`false [] [] "none" "" noon+2m0s`)},
		{name: "out of the bin", given: append(made, deleted(3, later), restored(4, latest)), then: then(nothingSaid)},
		{name: "out of it and in again", given: append(made, deleted(3, later), restored(4, later), deleted(5, latest)), then: then(`false [] [] "none" "" noon+2m0s`)},
		{name: "rated in the bin it stays there", given: append(made, deleted(3, later), said(4, latest, whole)), then: then(all + "noon+1m0s")},
		{name: "of another's image nothing is kept", given: append(made,
			of(ben, 3, later, &schemas.ImageRated{GenerationID: generationID(2), BatchID: batchID(1), Rating: ref("up"), Tags: ref(d.seal(ben, `["mine"]`))}),
			of(ben, 4, later, &schemas.ImageDeleted{GenerationID: generationID(2), BatchID: batchID(1)})), then: then(nothingSaid)},
	})
}

// What a person sets over an image, and what the batch was made with.
func TestGalleriesOfLayouts(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	composed := func(n int, account, layout string) []schemas.Event {
		return of(account, n, noon, &schemas.ImageComposed{GenerationID: generationID(2), BatchID: batchID(1), LayoutSchema: 1, Layout: d.seal(account, layout)})
	}
	made := [][]schemas.Event{of(ann, 1, noon,
		&schemas.BatchRequested{BatchID: batchID(1), BrandID: brandID(1), Kit: d.seal(ann, `{"name":"Fjord"}`), References: []schemas.Reference{
			{Role: "product", MediaKey: "bottle"}, {Role: "logo", MediaKey: "fjord"}}},
		&schemas.GenerationRequested{BatchID: batchID(1), GenerationID: generationID(2), Placement: "meta_feed", Number: 1})}
	then := func(layout string) map[string][]string {
		return map[string][]string{"batches": {`ann b3:1 {"name":"Fjord"} "fjord"`}, "generations": {`ann 9e:2 ` + layout}}
	}
	d.folds(t, galleries, map[string]string{"batches": "account_id, batch_id, kit, logo_key", "generations": "account_id, generation_id, layout"}, []scenario{
		{name: "nobody composed it", given: made, then: then("-")},
		{name: "the later replaces the one before", given: append(made, composed(2, ann, `{"headline":"Hot","logo":true}`), composed(3, ann, `{"headline":"Cold"}`)),
			then: then(`{"headline":"Cold"}`)},
		{name: "said in one batch of events with a rating", given: append(made, append(composed(2, ann, `{"overlay":"none"}`),
			of(ann, 3, noon, &schemas.ImageRated{GenerationID: generationID(2), BatchID: batchID(1), Rating: ref("up")})...)), then: then(`{"overlay":"none"}`)},
		{name: "what is no document changes nothing", given: append(made, composed(2, ann, `{"headline":"Hot"}`), composed(3, ann, `hot`)), then: then(`{"headline":"Hot"}`)},
		{name: "of another's image nothing is kept", given: append(made, composed(2, ben, `{"headline":"Mine"}`)), then: then("-")},
		{name: "exports change nothing", given: append(made, of(ann, 2, noon, &schemas.ImagesExported{Kind: "file", Images: []schemas.ExportedImage{
			{GenerationID: generationID(2), BatchID: batchID(1), Placement: "meta_feed"}}})), then: then("-")},
	})
}

// Words are looked for in what the brief says of the picture, without case.
func TestSearchText(t *testing.T) {
	t.Parallel()
	for brief, want := range map[string]string{
		`{"product":"Green TEA","offer":"ÜBER","audience":"no","headline":"H","call_to_action":"Buy","scene":"a\nb","must":["no"]}`: "green tea\nüber\nh\nbuy\na\nb\nspring",
		`{"product":7,"scene":null}`: "spring", `[1]`: "spring", `"tea"`: "spring", ``: "spring",
	} {
		if got := searchText([]byte(brief), "Spring"); got != want {
			t.Errorf("%s: %q, want %q", brief, got, want)
		}
	}
	if got := searchText([]byte(`{"product":"tea"}`), ""); got != "tea" {
		t.Errorf("%q without a campaign", got)
	}
}

func TestGalleriesOfAnErasedAccount(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	given := [][]schemas.Event{d.batch(1, 1, 1, noon), of(ann, 2, noon, &schemas.ImageRated{GenerationID: generationID(1), BatchID: batchID(1),
		Favourite: ref(true), Tags: ref(d.seal(ann, `["secret"]`)), Rating: ref("down"), Reason: ref(d.seal(ann, "secret"))})}
	if err := d.vault.Destroy(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	erased := `"` + vault.Erased + `"`
	d.folds(t, galleries, map[string]string{"batches": batchColumns, "generations": generationColumns}, []scenario{
		{name: "erased", given: given, then: map[string][]string{
			"batches":     {`ann b3:1 b2:1 3 "create" {"seed":"7"} - ` + erased + ` "standard" 1 2 5 4 noon+1h0m0s noon 0 0 0 0 0 1 ` + erased + ` - "" []`},
			"generations": {`ann 9e:1 b3:1 b2:1 2 "meta_feed" 1 "requested" noon - noon+1h0m0s ` + noPicture + ` [] "" "" "" 0 ` + erased + ` "create" "standard" true [] [] "down" ` + erased + ` -`},
		}},
	})
}
