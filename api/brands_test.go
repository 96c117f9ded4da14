package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

func testBrands(t *testing.T, w *world) {
	ann := w.node.person(t)
	created := ann.command(http.StatusCreated, http.MethodPost, "/v1/brands", map[string]any{"kit": map[string]any{"name": "Fjord", "voice": "calm <b>"}}, nil)
	id := created.text("id")
	require.Equal(t, 1, created.number("version"))
	require.Equal(t, "/v1/brands/"+id, created.headers.Get("Location"))

	got := ann.get("/v1/brands/" + id)
	require.Equal(t, `"1"`, got.headers.Get("ETag"))
	require.Equal(t, "calm <b>", got.text("kit.voice"))
	require.Equal(t, false, got.at("archived"))

	path, kit := "/v1/brands/"+id, map[string]any{"kit": map[string]any{"name": "Fjord & Pine"}}
	ann.send(http.MethodPut, path, kit, nil).refused(http.StatusPreconditionRequired, codeVersionRequired)
	ann.send(http.MethodPut, path, kit, map[string]string{"If-Match": "1"}).refused(http.StatusBadRequest, codeMalformed)
	saved := ann.command(http.StatusOK, http.MethodPut, path, kit, map[string]string{"If-Match": `"1"`})
	require.Equal(t, 2, saved.number("version"))
	stale := ann.send(http.MethodPut, path, kit, map[string]string{"If-Match": `"1"`}).refused(http.StatusPreconditionFailed, codeStaleVersion)
	require.Equal(t, 2, stale.number("current"), "the version that there is")
	require.Equal(t, "Fjord & Pine", ann.get(path).text("kit.name"))

	ann.command(http.StatusNoContent, http.MethodDelete, path, nil, nil)
	require.Equal(t, 0, ann.get("/v1/brands").len("items"))
	require.Equal(t, 1, ann.get("/v1/brands?archived=true").len("items"))
	ann.send(http.MethodPut, path, kit, map[string]string{"If-Match": `"2"`}).refused(http.StatusNotFound, schemas.CodeBrandNotFound)
	ann.send(http.MethodPost, "/v1/quotes", request(id, "meta_story"), nil).refused(http.StatusNotFound, schemas.CodeBrandNotFound)
	ann.command(http.StatusNoContent, http.MethodPost, path+"/restore", nil, nil)
	ann.send(http.MethodPost, path+"/restore", nil, nil).refused(http.StatusNotFound, schemas.CodeBrandNotFound)
	require.Equal(t, 1, ann.get("/v1/brands").len("items"))
}

func testBrandPages(t *testing.T, w *world) {
	ann := w.node.person(t)
	var ids []string
	for range 5 {
		ids = append([]string{ann.brand(nil)}, ids...)
	}
	var seen []string
	path := "/v1/brands?limit=2"
	for next := ""; ; {
		page := ann.get(path + next)
		for i := range page.len("items") {
			seen = append(seen, page.text("items."+string(rune('0'+i))+".id"))
		}
		if page.at("next_cursor") == nil {
			break
		}
		next = "&cursor=" + page.text("next_cursor")
	}
	require.Equal(t, ids, seen, "newest first, each once")
	ann.send(http.MethodGet, "/v1/brands?cursor=nonsense", nil, nil).refused(http.StatusBadRequest, codeInvalidCursor)
	other := ann.get(path).text("next_cursor")
	ann.send(http.MethodGet, "/v1/assets?cursor="+other, nil, nil).refused(http.StatusBadRequest, codeInvalidCursor)
	ann.send(http.MethodGet, "/v1/brands?limit=101", nil, nil).refused(http.StatusBadRequest, codeMalformed)
	ann.send(http.MethodGet, "/v1/brands?limit=x", nil, nil).refused(http.StatusBadRequest, codeMalformed)
}

// What is wrong with a kit is said field by field.
func testKitsAreChecked(t *testing.T, w *world) {
	ann := w.node.person(t)
	for name, tt := range map[string]struct{ body, pointer string }{
		"no name":        {`{"kit": {}}`, "/kit/name"},
		"a wrong colour": {`{"kit": {"name": "x", "colours": [{"hex": "green"}]}}`, "/kit/colours/0/hex"},
		"a strange key":  {`{"kit": {"name": "x", "colour": 1}}`, "/kit"},
		"a NUL":          {`{"kit": {"name": "x\u0000"}}`, "/kit/name"},
		"a logo of none": {`{"kit": {"name": "x", "logo_asset_id": "` + schemas.NewID() + `"}}`, "/kit/logo_asset_id"},
		"too large":      {`{"kit": {"name": "x", "banned_words": [` + strings.Repeat(`"`+strings.Repeat("ä", 49)+`",`, 190) + `"x"]}}`, "/kit"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ann.in(t).send(http.MethodPost, "/v1/brands", tt.body, nil).refused(http.StatusUnprocessableEntity, codeValidation)
			require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
		})
	}
	limited := w.startNode(func(c *Config) { c.Limits.Brands = 1 })
	ben := limited.person(t)
	ben.brand(nil)
	a := ben.send(http.MethodPost, "/v1/brands", map[string]any{"kit": map[string]any{"name": "2"}}, nil).refused(http.StatusUnprocessableEntity, schemas.CodeLimitReached)
	require.Equal(t, 1, a.number("limit"))
}
