package api

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image/color"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/internal/picture"
	"atelier/schemas"
)

// A batch from its quote to files of the platforms' sizes and a statement that adds up.
func testBatch(t *testing.T, w *world) {
	ann := w.node.person(t)
	added := ann.upload(newForm(map[string]string{"kind": "product"}, pngOf(64, 64, color.NRGBA{G: 120, A: 255})), nil)
	ann.position = added.headers.Get(positionHeader)
	brand := ann.brand(map[string]any{"name": "Fjord", "colours": []any{map[string]any{"hex": "#1f4d3a"}}})
	body := request(brand, "meta_story", "google_landscape")
	body["variants"], body["campaign"] = 2, "autumn"
	body["brief"].(map[string]any)["reference_asset_ids"] = []string{added.text("id")}
	quote := ann.send(http.MethodPost, "/v1/quotes", body, nil)
	require.Equal(t, http.StatusOK, quote.status, quote)
	require.Equal(t, []int{8, 2, 4, 10}, []int{quote.number("credits"), quote.number("per_image"), quote.number("images"), quote.number("available")})
	require.Equal(t, true, quote.at("affordable"))

	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil)
	require.Equal(t, 8, batch.number("credits_reserved"))
	require.Equal(t, 4, batch.len("generations"))
	id := batch.text("batch_id")
	require.Equal(t, "/v1/batches/"+id, batch.headers.Get("Location"))
	settled := ann.settled(id)
	require.Equal(t, 4, settled.number("counts.succeeded"), settled)
	require.Equal(t, []int{8, 0, 8, 0}, []int{settled.number("credits.reserved"), settled.number("credits.held"), settled.number("credits.captured"), settled.number("credits.released")})
	require.Equal(t, "a steel bottle", settled.text("brief.product"))

	gallery := ann.get("/v1/generations?batch_id=" + id)
	require.Equal(t, 4, gallery.len("items"))
	require.Equal(t, 2, ann.get("/v1/generations?placement=meta_story&status=succeeded&campaign=autumn&brand_id="+brand).len("items"))
	require.Equal(t, 0, ann.get("/v1/generations?campaign=winter").len("items"))
	for i := range 4 {
		item := fmt.Sprintf("items.%d.", i)
		placement, ok := schemas.PlacementByID(gallery.text(item + "placement"))
		require.True(t, ok)
		img := ann.file(gallery.text(item+"links.file") + "?placement=" + placement.ID)
		require.Equal(t, [2]int{placement.Width, placement.Height}, img)
		thumbnail := fetch(t, w.node.base+gallery.text(item+"links.thumbnail"), http.StatusOK)
		require.Less(t, len(thumbnail), 200<<10)
	}
	ann.page(id)
	ann.receipt(gallery.text("items.0.id"))
	ann.statement(8)
}

// page reads the gallery an image at a time.
func (p *person) page(batch string) {
	p.t.Helper()
	seen := map[string]bool{}
	for path := "/v1/generations?limit=1&batch_id=" + batch; path != ""; {
		page := p.get(path)
		seen[page.text("items.0.id")] = true
		path = ""
		if next := page.at("next_cursor"); next != nil {
			path = "/v1/generations?limit=1&batch_id=" + batch + "&cursor=" + next.(string)
		}
	}
	require.Len(p.t, seen, 4)
}

func (p *person) receipt(id string) {
	p.t.Helper()
	one := p.get("/v1/generations/" + id)
	require.Equal(p.t, "pass", one.text("receipt.attempts.0.verdicts.0.verdict"), one)
	judged := strconv.Itoa(len(one.at("receipt.attempts.0.verdicts").([]any)) - 1)
	require.NotEmpty(p.t, one.text("receipt.attempts.0.verdicts."+judged+".question"), one)
	require.Equal(p.t, "yes", one.text("receipt.attempts.0.verdicts."+judged+".answer"), one)
	require.NotEmpty(p.t, one.text("receipt.attempts.0.verdicts."+judged+".evidence"), one)
	require.Nil(p.t, one.at("waiting"))
	for _, secret := range []string{"cost", "micros", "prompt", "tokens"} {
		require.NotContains(p.t, string(one.body), secret)
	}
	p.send(http.MethodPost, "/v1/generations/"+id+"/cancel", nil, nil).refused(http.StatusConflict, schemas.CodeAlreadyFinished)
	// A portrait cannot give a landscape.
	if one.text("placement") == "meta_story" {
		p.send(http.MethodGet, "/v1/generations/"+id+"/file?placement=google_landscape", nil, nil).refused(http.StatusUnprocessableEntity, codeNeedsAdapt)
	}
	p.send(http.MethodGet, "/v1/generations/"+id+"/file?placement=wall", nil, nil).refused(http.StatusUnprocessableEntity, codeValidation)
}

// file follows the redirect and returns the pixels of the JPEG.
func (p *person) file(path string) [2]int {
	p.t.Helper()
	img, format, err := picture.Decode(p.fetched(path))
	require.NoError(p.t, err)
	require.Equal(p.t, picture.JPEG, format)
	return [2]int{img.Bounds().Dx(), img.Bounds().Dy()}
}

// fetched is the file that a path leads to.
func (p *person) fetched(path string) []byte {
	p.t.Helper()
	a := p.send(http.MethodGet, path, nil, nil)
	require.Equal(p.t, http.StatusFound, a.status, a)
	return fetch(p.t, p.node.base+a.headers.Get("Location"), http.StatusOK)
}

// statement checks that the lines add up to the balance, in both formats.
func (p *person) statement(captured int) {
	p.t.Helper()
	credits := p.get("/v1/credits")
	require.Equal(p.t, 10-captured, credits.number("available"))
	require.Equal(p.t, 10-captured, credits.number("blocks.0.remaining"))
	file := p.send(http.MethodGet, "/v1/credits/entries", nil, map[string]string{"Accept": "text/csv"})
	lines, err := csv.NewReader(bytes.NewReader(file.body)).ReadAll()
	require.NoError(p.t, err)
	require.Equal(p.t, statementColumns, lines[0])
	var available, held int
	for _, line := range lines[1:] {
		for i, sum := range map[int]*int{5: &available, 6: &held} {
			n, err := strconv.Atoi(line[i])
			require.NoError(p.t, err)
			*sum += n
		}
	}
	require.Equal(p.t, []int{credits.number("available"), credits.number("held")}, []int{available, held})
	pages := 0
	for path := "/v1/credits/entries?limit=3"; path != ""; pages += 3 {
		page := p.get(path)
		path = ""
		if next := page.at("next_cursor"); next != nil {
			path = "/v1/credits/entries?limit=3&cursor=" + next.(string)
		}
	}
	require.GreaterOrEqual(p.t, pages, len(lines)-1)
	p.send(http.MethodGet, "/v1/credits/entries", nil, map[string]string{"Accept": "image/png"}).refused(http.StatusNotAcceptable, codeNotAcceptable)
}

func testRequestsAreChecked(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(map[string]any{"name": "Fjord", "banned_words": []string{"cheap", "free of charge"}})
	for name, tt := range map[string]struct {
		change        func(map[string]any)
		status        int
		code, pointer string
	}{
		"no such placement": {func(b map[string]any) { b["placements"] = []string{"meta_story", "wall"} }, 422, codeValidation, "/placements/1"},
		"a placement twice": {func(b map[string]any) { b["placements"] = []string{"meta_story", "meta_story"} }, 422, codeValidation, "/placements"},
		"too many images":   {func(b map[string]any) { b["placements"], b["variants"] = []string{"meta_story", "meta_reel"}, 25 }, 422, codeValidation, "/variants"},
		"no such workflow":  {func(b map[string]any) { b["workflow"] = "paint" }, 422, codeValidation, "/workflow"},
		"strange params":    {func(b map[string]any) { b["params"] = map[string]any{"feedback": "brighter"} }, 422, codeValidation, "/params/feedback"},
		"no price":          {func(b map[string]any) { delete(b, "max_credits") }, 422, codeValidation, "/max_credits"},
		"a lower price":     {func(b map[string]any) { b["max_credits"] = 1 }, 409, schemas.CodePriceChanged, ""},
		"a banned word":     {func(b map[string]any) { b["brief"].(map[string]any)["headline"] = "So CHEAP!" }, 422, codeValidation, "/brief/headline"},
		"a banned phrase":   {func(b map[string]any) { b["brief"].(map[string]any)["offer"] = "Free of  charge today" }, 422, codeValidation, "/brief/offer"},
		"no such brand":     {func(b map[string]any) { b["brand_id"] = schemas.NewID() }, 404, schemas.CodeBrandNotFound, ""},
		"no such reference": {func(b map[string]any) { b["brief"].(map[string]any)["reference_asset_ids"] = []string{schemas.NewID()} }, 404, schemas.CodeAssetNotFound, "/brief/reference_asset_ids/0"},
		"too few credits":   {func(b map[string]any) { b["tier"], b["variants"] = "pro", 3 }, 402, schemas.CodeInsufficientCredits, ""},
		"a long campaign":   {func(b map[string]any) { b["campaign"] = strings.Repeat("ä", 60) }, 422, codeValidation, "/campaign"},
	} {
		t.Run(name, func(t *testing.T) {
			body := request(brand, "meta_story")
			tt.change(body)
			a := ann.in(t).send(http.MethodPost, "/v1/generations", body, nil).refused(tt.status, tt.code)
			if tt.pointer != "" {
				require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
			}
			if tt.code == schemas.CodeInsufficientCredits {
				require.Equal(t, []int{5, 2, 10}, []int{a.number("shortfall"), a.number("affordable"), a.number("available")})
				require.Equal(t, ann.in(t).get("/v1/packs").at("items"), a.at("packs"))
			}
		})
	}
	t.Run("a word in another", func(t *testing.T) {
		body := request(brand, "meta_story")
		body["brief"].(map[string]any)["headline"] = "Cheaper by far"
		require.Equal(t, http.StatusOK, ann.in(t).send(http.MethodPost, "/v1/quotes", body, nil).status)
	})
	require.Equal(t, 10, ann.get("/v1/credits").number("available"), "nothing was spent")
}

// While the model is busy, one image is cancelled, then the rest.
func TestCancel(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		hold := make(chan struct{})
		w := newWorld(t, brokers, prefix, hold)
		ann := w.node.person(t)
		body := request(ann.brand(nil), "meta_story", "meta_reel", "google_square")
		batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil)
		path := "/v1/generations/" + batch.text("generations.0.id")
		require.Equal(t, "requested", ann.get(path).text("status"))
		require.NotNil(t, ann.get(path).at("waiting"))
		ann.send(http.MethodGet, path+"/file", nil, nil).refused(http.StatusConflict, codeNotReady)
		require.Equal(t, 6, ann.get("/v1/credits").number("held"))

		ann.command(http.StatusNoContent, http.MethodPost, path+"/cancel", nil, nil)
		require.Equal(t, "canceled", ann.get(path).text("status"))
		ann.command(http.StatusNoContent, http.MethodPost, "/v1/batches/"+batch.text("batch_id")+"/cancel", nil, withKey("rest"))
		// The retry of a command that leaves nothing to show.
		ann.command(http.StatusNoContent, http.MethodPost, "/v1/batches/"+batch.text("batch_id")+"/cancel", nil, withKey("rest"))
		ann.send(http.MethodPost, "/v1/batches/"+batch.text("batch_id")+"/cancel", nil, nil).refused(http.StatusConflict, schemas.CodeAlreadyFinished)
		done := ann.get("/v1/batches/" + batch.text("batch_id"))
		require.Equal(t, []int{3, 0, 6}, []int{done.number("counts.canceled"), done.number("credits.captured"), done.number("credits.released")})
		credits := ann.get("/v1/credits")
		require.Equal(t, []int{10, 0}, []int{credits.number("available"), credits.number("held")})
		close(hold)
	})
}
