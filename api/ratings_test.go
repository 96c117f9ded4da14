package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/internal/media"
	"atelier/schemas"
)

// finished makes two images of a batch and returns their IDs, the newest first.
func (p *person) finished(brief map[string]any) (images []string) {
	p.t.Helper()
	body := request(p.brand(nil), "meta_story")
	body["variants"], body["campaign"], body["brief"] = 2, "Autumn", brief
	batch := p.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil).text("batch_id")
	p.position = p.settled(batch).headers.Get(positionHeader)
	gallery := p.get("/v1/generations?status=succeeded&batch_id=" + batch)
	require.Equal(p.t, 2, gallery.len("items"), gallery)
	return []string{gallery.text("items.0.id"), gallery.text("items.1.id")}
}

// listed returns the IDs of a page of the gallery.
func (p *person) listed(query string) (ids []string) {
	p.t.Helper()
	gallery := p.get("/v1/generations?" + query)
	for _, item := range gallery.at("items").([]any) {
		ids = append(ids, item.(map[string]any)["id"].(string))
	}
	return ids
}

func testRatings(t *testing.T, w *world) {
	ann := w.node.person(t)
	images := ann.finished(map[string]any{"product": "a steel bottle", "headline": "Hot at the SUMMIT", "call_to_action": "Shop now"})
	path := "/v1/generations/" + images[0]
	fresh := ann.get(path)
	require.Equal(t, []any{false, []any{}, "none", nil, nil}, []any{fresh.at("favourite"), fresh.at("tags"), fresh.at("rating"), fresh.at("rating_reason"), fresh.at("deleted_at")})
	require.Equal(t, []any{"a steel bottle", "Hot at the SUMMIT", "Shop now"}, []any{fresh.at("product"), fresh.at("headline"), fresh.at("call_to_action")})

	rate := func(said map[string]any) answer {
		return ann.command(http.StatusNoContent, http.MethodPatch, path, said, nil)
	}
	said := func() []any {
		one, item := ann.get(path), ann.get("/v1/generations?limit=1")
		for _, part := range []string{"favourite", "tags", "rating", "rating_reason", "headline"} {
			require.Equal(t, one.at(part), item.at("items.0."+part), part)
		}
		return []any{one.at("favourite"), one.at("tags"), one.at("rating"), one.at("rating_reason")}
	}
	rate(map[string]any{"favourite": true, "tags": []string{" Summer Sale ", "été"}, "rating": "down", "reason": " too dark "})
	require.Equal(t, []any{true, []any{"Summer Sale", "été"}, "down", "too dark"}, said())
	rate(map[string]any{"rating": "up"})
	require.Equal(t, []any{true, []any{"Summer Sale", "été"}, "up", "too dark"}, said(), "what is left out stays")
	rate(map[string]any{"reason": "", "favourite": false})
	require.Equal(t, []any{false, []any{"Summer Sale", "été"}, "up", nil}, said())
	rate(map[string]any{"tags": []string{}, "rating": "none"})
	require.Equal(t, []any{false, []any{}, "none", nil}, said())

	// The same key is the same rating, whatever was said since.
	key := withKey("like")
	ann.command(http.StatusNoContent, http.MethodPatch, path, map[string]any{"rating": "up"}, key)
	rate(map[string]any{"rating": "down"})
	first := ann.send(http.MethodPatch, path, map[string]any{"rating": "up"}, key)
	require.Equal(t, http.StatusNoContent, first.status, first)
	require.Equal(t, "down", ann.get(path).text("rating"))
	ann.send(http.MethodPatch, path, map[string]any{"rating": "none"}, key).refused(http.StatusUnprocessableEntity, schemas.CodeIdempotencyConflict)
}

func testRatingsAreChecked(t *testing.T, w *world) {
	ann := w.node.person(t)
	path := "/v1/generations/" + ann.finished(map[string]any{"product": "tea"})[0]
	many := make([]string, 21)
	for i := range many {
		many[i] = strings.Repeat("x", i+1)
	}
	for name, tt := range map[string]struct {
		said    map[string]any
		pointer string
	}{
		"nothing":                 {map[string]any{}, ""},
		"a strange part":          {map[string]any{"stars": 5}, ""},
		"a strange rating":        {map[string]any{"rating": "great"}, "/rating"},
		"null":                    {map[string]any{"favourite": nil}, "/favourite"},
		"21 tags":                 {map[string]any{"tags": many}, "/tags"},
		"an empty tag":            {map[string]any{"tags": []string{"a", "  "}}, "/tags/1"},
		"a long tag":              {map[string]any{"tags": []string{strings.Repeat("ä", 41)}}, "/tags/0"},
		"two tags equal but case": {map[string]any{"tags": []string{"Été", "a", "éTÉ "}}, "/tags/2"},
		"a tag of two lines":      {map[string]any{"tags": []string{"a\nb"}}, "/tags/0"},
		"NUL":                     {map[string]any{"reason": "a\x00"}, "/reason"},
		"a long reason":           {map[string]any{"reason": strings.Repeat("ä", 501)}, "/reason"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ann.in(t).send(http.MethodPatch, path, tt.said, nil).refused(http.StatusUnprocessableEntity, codeValidation)
			require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
		})
	}
	// What takes most bytes: six for a character of a tag as JSON, four for one of the reason.
	for i := range 20 {
		many[i] = "x" + strings.Repeat("\u2028", 38) + string(rune('a'+i))
	}
	full := map[string]any{"tags": many[:20], "reason": strings.Repeat("\U0001F3A8", 500)}
	ann.command(http.StatusNoContent, http.MethodPatch, path, full, nil)
	require.Equal(t, 20, ann.get(path).len("tags"))
}

func testGalleryIsSearched(t *testing.T, w *world) {
	ann := w.node.person(t)
	tea := ann.finished(map[string]any{"product": "Grüner Assam", "headline": "Wide awake", "scene": "on a slate table", "audience": "climbers"})
	bottle := ann.finished(map[string]any{"product": "a steel bottle", "offer": "20 % off"})
	ann.command(http.StatusNoContent, http.MethodPatch, "/v1/generations/"+tea[0], map[string]any{"tags": []string{"Summer Sale", "hero"}, "favourite": true}, nil)
	ann.command(http.StatusNoContent, http.MethodPatch, "/v1/generations/"+bottle[0], map[string]any{"tags": []string{"HERO"}}, nil)
	all := append(append([]string{}, bottle...), tea...)
	for query, want := range map[string][]string{
		"":                         all,
		"q=GR%C3%9CNER":            tea,
		"q=slate+assam":            tea,
		"q=ssa":                    tea,
		"q=climbers":               nil, // it is not about the picture
		"q=assam+bottle":           nil,
		"q=20+%25":                 bottle,
		"q=_":                      nil, // no pattern
		"q=autumn":                 all,
		"q=assam+summer":           tea[:1],
		"q=sale":                   tea[:1],
		"q=hero":                   {bottle[0], tea[0]},
		"q=bottleautumn":           nil, // no word reaches over two fields
		"tag=hero":                 {bottle[0], tea[0]},
		"tag=+Hero&q=assam":        tea[:1],
		"tag=sale":                 nil,
		"favourite=true":           tea[:1],
		"favourite=false":          {bottle[0], bottle[1], tea[1]},
		"favourite=false&tag=hero": bottle[:1],
	} {
		require.Equal(t, want, ann.listed(query), query)
	}
	for _, query := range []string{"q=", "q=+", "q=" + strings.Repeat("x", 101), "tag=", "favourite=yes", "binned=1.5"} {
		ann.send(http.MethodGet, "/v1/generations?"+query, nil, nil).refused(http.StatusBadRequest, codeMalformed)
	}
	tags := ann.get("/v1/tags")
	require.Equal(t, []any{map[string]any{"tag": "HERO", "images": 2.0}, map[string]any{"tag": "Summer Sale", "images": 1.0}}, tags.at("items"))
	require.Nil(t, tags.at("next_cursor"))
}

func testBin(t *testing.T, w *world) {
	ann := w.node.person(t)
	images := ann.finished(map[string]any{"product": "tea"})
	path := "/v1/generations/" + images[0]
	ann.command(http.StatusNoContent, http.MethodPatch, path, map[string]any{"tags": []string{"old"}}, nil)

	ann.command(http.StatusNoContent, http.MethodDelete, path, nil, nil)
	require.NotNil(t, ann.get(path).at("deleted_at"), "it is still shown by its ID")
	require.Equal(t, images[1:], ann.listed(""))
	require.Equal(t, images[1:], ann.listed("binned=false"))
	require.Equal(t, images[:1], ann.listed("binned=true"))
	require.Equal(t, images[:1], ann.listed("binned=true&q=old"))
	require.Equal(t, 0, ann.get("/v1/tags").len("items"), "tags of what is in the bin are not offered")
	ann.command(http.StatusNoContent, http.MethodDelete, path, nil, nil)
	require.Equal(t, images[:1], ann.listed("binned=true"))

	ann.goneAfterAMonth(t, w, images[0], images[1])

	ann.command(http.StatusNoContent, http.MethodPost, path+"/restore", nil, nil)
	require.Nil(t, ann.get(path).at("deleted_at"))
	require.Equal(t, images, ann.listed(""))
	require.Empty(t, ann.listed("binned=true"))
	require.Equal(t, "old", ann.get("/v1/tags").text("items.0.tag"), "what was said of it is still said")
	ann.command(http.StatusNoContent, http.MethodPost, path+"/restore", nil, nil)
	require.Equal(t, images, ann.listed(""))
	ann.send(http.MethodDelete, "/v1/generations/"+schemas.NewID(), nil, nil).refused(http.StatusNotFound, codeNotFound)
}

// goneAfterAMonth asks a node for which it is 30 days later, with a CDN before it.
func (p *person) goneAfterAMonth(t *testing.T, w *world, binned, kept string) {
	cdn, err := media.NewBunny("https://zone.b-cdn.net", "0f14a7ba-1d2e-4c1f-8f9a-5b7d6c3e2a10")
	require.NoError(t, err)
	later := p.at(w.startNode(func(c *Config) {
		c.Now = func() time.Time { return time.Now().Add(media.InBin) }
		c.Links = cdn
	}))
	require.Empty(t, later.listed("binned=true"))
	path := "/v1/generations/" + binned
	shown := later.get(path)
	require.NotNil(t, shown.at("deleted_at"), "its receipt is still there")
	require.Equal(t, []any{nil, nil}, []any{shown.at("links.file"), shown.at("links.thumbnail")})
	for _, call := range []struct {
		method, rest string
		body         any
	}{
		{http.MethodGet, "/file", nil}, {http.MethodGet, "/file?placement=meta_story", nil}, {http.MethodPost, "/restore", nil},
		{http.MethodDelete, "", nil}, {http.MethodPatch, "", map[string]any{"favourite": true}},
	} {
		later.send(call.method, path+call.rest, call.body, nil).refused(http.StatusGone, codeImageGone)
	}
	lies := "https://zone.b-cdn.net/" + media.ImagePrefix(p.account, kept)
	require.True(t, strings.HasPrefix(later.get("/v1/generations/"+kept).text("links.thumbnail"), lies+"thumbnail-"))
	answer := later.send(http.MethodGet, "/v1/generations/"+kept+"/file", nil, nil)
	require.Equal(t, http.StatusFound, answer.status, answer)
	require.True(t, strings.HasPrefix(answer.headers.Get("Location"), lies+"master-"))
	require.Contains(t, answer.headers.Get("Location"), "&filename="+kept)
}

// While the model is busy nothing can be said of an image, and its batch is open.
func TestOpenBatches(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		hold := make(chan struct{})
		w := newWorld(t, brokers, prefix, hold)
		ann := w.node.person(t)
		brand := ann.brand(nil)
		var batches []string
		for range 3 {
			batches = append(batches, ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", request(brand, "meta_story"), nil).text("batch_id"))
		}
		listed := func(query string) (ids []string) {
			for path := "/v1/batches?limit=2" + query; path != ""; {
				page := ann.get(path)
				for _, item := range page.at("items").([]any) {
					ids = append(ids, item.(map[string]any)["id"].(string))
				}
				path = ""
				if next := page.at("next_cursor"); next != nil {
					path = "/v1/batches?limit=2" + query + "&cursor=" + next.(string)
				}
			}
			return ids
		}
		newestFirst := []string{batches[2], batches[1], batches[0]}
		require.Equal(t, newestFirst, listed(""))
		require.Equal(t, newestFirst, listed("&open=true"))
		require.Empty(t, listed("&open=false"))

		open := ann.listed("batch_id=" + batches[1])[0]
		for _, call := range []struct {
			method, rest string
			body         any
		}{{http.MethodPatch, "", map[string]any{"favourite": true}}, {http.MethodDelete, "", nil}, {http.MethodPost, "/restore", nil}} {
			ann.send(call.method, "/v1/generations/"+open+call.rest, call.body, nil).refused(http.StatusConflict, codeNotReady)
		}
		ann.command(http.StatusNoContent, http.MethodPost, "/v1/batches/"+batches[1]+"/cancel", nil, nil)
		require.Equal(t, []string{batches[2], batches[0]}, listed("&open=true"))
		require.Equal(t, batches[1:2], listed("&open=false"))
		require.Equal(t, newestFirst, listed(""))
		shown := ann.get("/v1/batches?open=false")
		require.Equal(t, ann.get("/v1/batches/"+batches[1]).json, shown.at("items.0"), "as by its ID")
		ann.send(http.MethodDelete, "/v1/generations/"+open, nil, nil).refused(http.StatusConflict, codeNotReady)
		ann.send(http.MethodGet, "/v1/batches?cursor=x", nil, nil).refused(http.StatusBadRequest, codeInvalidCursor)
		require.Equal(t, 0, w.node.person(t).get("/v1/batches").len("items"))
		close(hold)
	})
}
