package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// from is the body of a request that starts from an image, and says nothing else.
func from(workflow, source string, params map[string]any) map[string]any {
	all := map[string]any{"source_generation_id": source}
	for name, value := range params {
		all[name] = value
	}
	return map[string]any{"workflow": workflow, "params": all, "max_credits": 2}
}

// drawn makes the one image of a batch and returns its ID.
func (p *person) drawn(body map[string]any) string {
	p.t.Helper()
	quote := p.send(http.MethodPost, "/v1/quotes", body, nil)
	require.Equal(p.t, http.StatusOK, quote.status, quote)
	batch := p.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil)
	require.Equal(p.t, quote.number("credits"), batch.number("credits_reserved"))
	settled := p.settled(batch.text("batch_id"))
	require.Equal(p.t, 1, settled.number("counts.succeeded"), settled)
	p.position = settled.headers.Get(positionHeader)
	return batch.text("generations.0.id")
}

// An image refined, varied and adapted, each by naming it alone; then the family.
func testSources(t *testing.T, w *world) {
	ann := w.node.person(t)
	body := request(ann.brand(nil), "google_landscape")
	body["campaign"] = "autumn"
	source := ann.drawn(body)

	refined := ann.drawn(from("refine", source, map[string]any{"feedback": " warmer light "}))
	varied := ann.drawn(from("vary", source, map[string]any{"factor": "props"}))
	adapt := from("adapt", source, nil)
	adapt["placements"] = []string{"google_square"}
	adapted := ann.drawn(adapt)
	require.Equal(t, 2, ann.get("/v1/credits").number("available"), "each at the price of a new one")

	path := "/v1/generations/" + source
	family := ann.get(path)
	require.Equal(t, []any{nil, nil, nil}, []any{family.at("lineage.source"), family.at("lineage.factor"), family.at("lineage.feedback")})
	require.Equal(t, 3, family.len("lineage.derived"))
	for i, want := range [][]any{
		{adapted, "adapt", nil, nil, "google_square", "succeeded"},
		{varied, "vary", "props", nil, "google_landscape", "succeeded"},
		{refined, "refine", nil, "warmer light", "google_landscape", "succeeded"},
	} {
		d := family.at("lineage.derived").([]any)[i].(map[string]any)
		require.Equal(t, want, []any{d["id"], d["workflow"], d["factor"], d["feedback"], d["placement"], d["status"]})
		fetch(t, w.node.base+d["links"].(map[string]any)["thumbnail"].(string), http.StatusOK)
	}
	one := ann.get("/v1/generations/" + refined)
	require.Equal(t, []any{"refine", "autumn", "a steel bottle", "Hot at the summit", "warmer light", source, "refine"}, []any{
		one.at("workflow"), one.at("campaign"), one.at("product"), one.at("headline"), one.at("lineage.feedback"), one.at("lineage.source.id"), one.at("receipt.template"),
	})
	require.Equal(t, family.text("brand_id"), one.text("brand_id"))
	require.Zero(t, one.len("lineage.derived"))

	// What is in the bin is not started from, and shows no picture.
	ann.command(http.StatusNoContent, http.MethodDelete, path, nil, nil)
	ann.command(http.StatusNoContent, http.MethodDelete, "/v1/generations/"+varied, nil, nil)
	refused := ann.send(http.MethodPost, "/v1/quotes", from("refine", source, map[string]any{"feedback": "warmer"}), nil).refused(422, codeValidation)
	require.Equal(t, "/params/source_generation_id", refused.text("errors.0.pointer"))
	require.Nil(t, ann.get("/v1/generations/"+refined).at("lineage.source.links.thumbnail"))
	require.Equal(t, 2, ann.get(path).len("lineage.derived"))
}

func testSourcesAreChecked(t *testing.T, w *world) {
	ann, ben := w.node.person(t), w.node.person(t)
	brand, other := ann.brand(nil), ann.brand(map[string]any{"name": "Fell", "banned_words": []string{"summit"}})
	source := ann.drawn(request(brand, "meta_feed_portrait"))
	hopeless := request(brand, "meta_story")
	hopeless["brief"] = map[string]any{"product": "a bottle [[fault:blocked]]"}
	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", hopeless, nil)
	require.Equal(t, 1, ann.settled(batch.text("batch_id")).number("counts.failed"))
	failed := batch.text("generations.0.id")
	good := map[string]func() map[string]any{
		"refine": func() map[string]any { return from("refine", source, map[string]any{"feedback": "warmer"}) },
		"vary":   func() map[string]any { return from("vary", source, map[string]any{"factor": "light"}) },
		"adapt": func() map[string]any {
			body := from("adapt", source, nil)
			body["placements"] = []string{"meta_story"}
			return body
		},
	}
	param := func(name string, value any) func(map[string]any) {
		return func(b map[string]any) { b["params"].(map[string]any)[name] = value }
	}
	for name, tt := range map[string]struct {
		workflow string
		change   func(map[string]any)
		status   int
		code     string
		pointer  string
	}{
		"no such image":           {"refine", param("source_generation_id", schemas.NewID()), 404, codeNotFound, "/params/source_generation_id"},
		"an image that failed":    {"refine", param("source_generation_id", failed), 422, codeValidation, "/params/source_generation_id"},
		"no source":               {"adapt", func(b map[string]any) { delete(b, "params") }, 422, codeValidation, "/params/source_generation_id"},
		"another brand":           {"vary", func(b map[string]any) { b["brand_id"] = other }, 422, codeValidation, "/brand_id"},
		"no feedback":             {"refine", param("feedback", " \n "), 422, codeValidation, "/params/feedback"},
		"long feedback":           {"refine", param("feedback", strings.Repeat("ä", 1100)), 422, codeValidation, "/params/feedback"},
		"feedback on a variation": {"vary", param("feedback", "warmer"), 422, codeValidation, "/params/feedback"},
		"no factor":               {"vary", param("factor", ""), 422, codeValidation, "/params/factor"},
		"no such factor":          {"vary", param("factor", "price"), 422, codeValidation, "/params/factor"},
		"refined elsewhere":       {"refine", func(b map[string]any) { b["placements"] = []string{"meta_feed_portrait", "meta_story"} }, 422, codeValidation, "/placements/1"},
		"adapted to nothing":      {"adapt", func(b map[string]any) { delete(b, "placements") }, 422, codeValidation, "/placements"},
		"adapted to where it is":  {"adapt", func(b map[string]any) { b["placements"] = []string{"meta_story", "meta_feed_portrait"} }, 422, codeValidation, "/placements/1"},
		"too many variants":       {"vary", func(b map[string]any) { b["variants"] = 49 }, 422, codeValidation, "/variants"},
		"a lower price":           {"vary", func(b map[string]any) { b["max_credits"] = 1 }, 409, schemas.CodePriceChanged, ""},
	} {
		t.Run(name, func(t *testing.T) {
			body := good[tt.workflow]()
			tt.change(body)
			a := ann.in(t).send(http.MethodPost, "/v1/generations", body, nil).refused(tt.status, tt.code)
			if tt.pointer != "" {
				require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
			}
		})
	}
	t.Run("another account's image", func(t *testing.T) {
		ben.in(t).send(http.MethodPost, "/v1/generations", good["refine"](), nil).refused(404, codeNotFound)
	})
	t.Run("a word that the brand bans since", func(t *testing.T) {
		kit := map[string]any{"kit": map[string]any{"name": "Fjord", "banned_words": []string{"summit"}}}
		ann.command(http.StatusOK, http.MethodPut, "/v1/brands/"+brand, kit, map[string]string{"If-Match": `"1"`})
		a := ann.in(t).send(http.MethodPost, "/v1/quotes", good["vary"](), nil).refused(422, codeValidation)
		require.Equal(t, "/brief/headline", a.text("errors.0.pointer"), a)
	})
	t.Run("exports that need no charge", func(t *testing.T) {
		body := good["adapt"]()
		body["placements"], body["brief"] = []string{"meta_story", "google_portrait", "google_landscape", "meta_feed_square"}, map[string]any{"product": "a flask"}
		quote := ann.in(t).send(http.MethodPost, "/v1/quotes", body, nil)
		require.Equal(t, http.StatusOK, quote.status, quote)
		require.Equal(t, []any{"google_portrait", "meta_feed_square"}, quote.at("free_exports"))
		require.Equal(t, 8, quote.number("credits"))
	})
	t.Run("the table", func(t *testing.T) {
		table := ann.in(t).get("/v1/workflows")
		require.Equal(t, len(schemas.Workflows), table.len("items"))
		require.Equal(t, []any{"vary", "source", "angle"}, []any{table.at("items.2.name"), table.at("items.2.placements"), table.at("items.2.factors.0.name")})
	})
	require.Equal(t, 8, ann.get("/v1/credits").number("available"), "nothing but the source was paid")
}
