package api

import (
	"bytes"
	"image"
	"image/color"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
	"atelier/schemas"
)

// branded makes one image for each placement, of a brand with colours and a logo, and
// returns their IDs by placement.
func (p *person) branded(placements ...string) map[string]string {
	p.t.Helper()
	logo := p.upload(newForm(map[string]string{"kind": "logo"}, pngOf(200, 80, color.NRGBA{R: 0x1f, G: 0x3a, B: 0x4d, A: 0xff})), nil)
	require.Equal(p.t, http.StatusCreated, logo.status, logo)
	p.position = logo.headers.Get(positionHeader)
	body := request(p.brand(map[string]any{
		"name": "Fjord", "logo_asset_id": logo.text("id"), "banned_words": []string{"cheap"}, "forbidden_colours": []string{"#ff0000"},
		"colours": []map[string]any{{"hex": "#1f3a4d", "role": "primary"}, {"hex": "#c8552b", "role": "accent"}},
	}), placements...)
	body["campaign"] = "=Herbst/2026"
	body["brief"].(map[string]any)["call_to_action"] = "Shop now"
	batch := p.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil)
	p.position = p.settled(batch.text("batch_id")).headers.Get(positionHeader)
	images := map[string]string{}
	for _, item := range batch.at("generations").([]any) {
		g := item.(map[string]any)
		images[g["placement"].(string)] = g["id"].(string)
	}
	return images
}

// bytesOf follows the redirect to a file.
func (p *person) bytesOf(path string) []byte {
	p.t.Helper()
	a := p.send(http.MethodGet, path, nil, nil)
	require.Equal(p.t, http.StatusFound, a.status, a)
	return fetch(p.t, p.node.base+a.headers.Get("Location"), http.StatusOK)
}

// apart is the mean distance of two pictures' pixels, 0 to 255, compared on 8x8 blocks.
func apart(t *testing.T, a, b image.Image) float64 {
	t.Helper()
	require.Equal(t, a.Bounds(), b.Bounds())
	sum, n := 0.0, 0
	for y := a.Bounds().Min.Y; y < a.Bounds().Max.Y; y += 2 {
		for x := a.Bounds().Min.X; x < a.Bounds().Max.X; x += 2 {
			ar, ag, ab, _ := a.At(x, y).RGBA()
			br, bg, bb, _ := b.At(x, y).RGBA()
			for _, d := range []int{int(ar>>8) - int(br>>8), int(ag>>8) - int(bg>>8), int(ab>>8) - int(bb>>8)} {
				sum, n = sum+float64(max(d, -d)), n+1
			}
		}
	}
	return sum / float64(n)
}

func decoded(t *testing.T, data []byte) image.Image {
	t.Helper()
	img, format, err := picture.Decode(data)
	require.NoError(t, err)
	require.Equal(t, picture.JPEG, format)
	return img
}

func testLayouts(t *testing.T, w *world) {
	ann := w.node.person(t)
	images := ann.branded("meta_feed_square")
	path := "/v1/generations/" + images["meta_feed_square"]

	// Nobody composed it: brief and brand say what is over it.
	fresh := ann.get(path + "/layout")
	require.Equal(t, false, fresh.at("composed"))
	require.Equal(t, []any{"Hot at the summit", "Shop now", true, "auto"}, []any{fresh.at("layout.headline"), fresh.at("layout.call_to_action"), fresh.at("layout.logo"), fresh.at("layout.position")})
	require.Equal(t, fresh.at("layout"), ann.get(path).at("layout"))
	require.Equal(t, len(schemas.Placements), fresh.len("placements"))
	shown := map[string]map[string]any{}
	for _, item := range fresh.at("placements").([]any) {
		r := item.(map[string]any)
		shown[r["placement"].(string)] = r
	}
	require.Equal(t, []any{true, "brand", []any{}}, []any{shown["meta_feed_square"]["fits"], shown["meta_feed_square"]["overlay"], shown["meta_feed_square"]["problems"]})
	require.Len(t, shown["meta_feed_square"]["checks"], 5)
	require.Equal(t, []any{true, "none", []any{}}, []any{shown["google_square"]["fits"], shown["google_square"]["overlay"], shown["google_square"]["checks"]})
	require.Equal(t, []any{false, []any{}}, []any{shown["meta_story"]["fits"], shown["meta_story"]["checks"]})

	// The clean picture stays within reach, and Google gets it by itself.
	first := ann.bytesOf(path + "/file?placement=meta_feed_square")
	require.Equal(t, picture.TrainedAlgorithmicMedia, picture.DigitalSourceType(first))
	clean := ann.bytesOf(path + "/file?placement=meta_feed_square&overlay=none")
	require.Greater(t, apart(t, decoded(t, first), decoded(t, clean)), 1.0)
	google, branded := ann.bytesOf(path+"/file?placement=google_square"), ann.bytesOf(path+"/file?placement=google_square&overlay=brand")
	require.Greater(t, apart(t, decoded(t, google), decoded(t, branded)), 0.5)
	ann.send(http.MethodGet, path+"/file?overlay=none", nil, nil).refused(http.StatusUnprocessableEntity, codeValidation)

	// The preview is the export made smaller, and keeps nothing.
	layout := map[string]any{"headline": "Bleibt zwölf Stunden heiß", "position": "bottom", "colours": map[string]any{"text": "#ffffff", "ground": "#1f3a4d"},
		"placements": map[string]any{"meta_feed_portrait": map[string]any{"overlay": "none"}}}
	preview := ann.send(http.MethodPost, path+"/layout/preview?placement=meta_feed_square&width=360", layout, nil)
	require.Equal(t, http.StatusOK, preview.status, preview)
	require.Equal(t, "image/jpeg", preview.headers.Get("Content-Type"))
	require.Equal(t, false, ann.get(path+"/layout").at("composed"))
	ann.command(http.StatusNoContent, http.MethodPut, path+"/layout", layout, withKey("layout"))
	ann.command(http.StatusNoContent, http.MethodPut, path+"/layout", layout, withKey("layout"))
	composed := ann.bytesOf(path + "/file?placement=meta_feed_square")
	small, err := picture.Export(decoded(t, composed), picture.Target{Width: 360, Height: 360})
	require.NoError(t, err)
	require.Less(t, apart(t, decoded(t, preview.body), decoded(t, small)), 2.5)
	require.Greater(t, apart(t, decoded(t, first), decoded(t, composed)), 1.0)

	kept := ann.get(path + "/layout")
	require.Equal(t, []any{true, "Bleibt zwölf Stunden heiß", "Shop now", "bottom"}, []any{kept.at("composed"), kept.at("layout.headline"), kept.at("layout.call_to_action"), kept.at("layout.position")})
	require.Equal(t, "Bleibt zwölf Stunden heiß", ann.get("/v1/generations?limit=1").text("items.0.headline"))
	portrait := ann.bytesOf(path + "/file?placement=meta_feed_portrait")
	require.Less(t, apart(t, decoded(t, portrait), decoded(t, ann.bytesOf(path+"/file?placement=meta_feed_portrait&overlay=none"))), 0.001)

	for name, tt := range map[string]struct {
		layout        map[string]any
		code, pointer string
	}{
		"letters without glyphs":   {map[string]any{"headline": "حار فوق القمة"}, codeLayoutRefused, "/headline"},
		"a call in another script": {map[string]any{"call_to_action": "買う"}, codeLayoutRefused, "/call_to_action"},
		"colours too near":         {map[string]any{"colours": map[string]any{"text": "#777777", "ground": "#888888"}}, codeLayoutRefused, "/colours"},
		"a word wider than a line": {map[string]any{"headline": "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenherstellerverbandes"}, codeLayoutRefused, "/headline"},
		"a banned word":            {map[string]any{"headline": "So CHEAP!"}, codeValidation, "/headline"},
		"a forbidden colour":       {map[string]any{"colours": map[string]any{"text": "#FF0000", "ground": "#000000"}}, codeValidation, "/colours/text"},
		"no such placement":        {map[string]any{"placements": map[string]any{"wall": map[string]any{"overlay": "none"}}}, codeValidation, "/placements/wall"},
		"no such position":         {map[string]any{"position": "middle"}, codeValidation, "/position"},
		"too long":                 {map[string]any{"headline": string(bytes.Repeat([]byte("x"), 91))}, codeValidation, "/headline"},
	} {
		t.Run(name, func(t *testing.T) {
			a := ann.in(t).send(http.MethodPut, path+"/layout", tt.layout, nil).refused(http.StatusUnprocessableEntity, tt.code)
			require.Equal(t, tt.pointer, a.text("errors.0.pointer"), a)
			b := ann.in(t).send(http.MethodPost, path+"/layout/preview?placement=meta_feed_square", tt.layout, nil).refused(http.StatusUnprocessableEntity, tt.code)
			require.Equal(t, tt.pointer, b.text("errors.0.pointer"), b)
		})
	}
	require.Equal(t, kept.at("layout"), ann.get(path+"/layout").at("layout"), "what is refused changes nothing")
	ann.send(http.MethodPost, path+"/layout/preview?placement=meta_story", layout, nil).refused(http.StatusUnprocessableEntity, codeNeedsAdapt)
	ann.send(http.MethodPost, path+"/layout/preview?placement=wall", layout, nil).refused(http.StatusUnprocessableEntity, codeValidation)

	ben := w.node.person(t)
	for _, call := range []answer{
		ben.send(http.MethodGet, path+"/layout", nil, nil), ben.send(http.MethodPut, path+"/layout", layout, nil),
		ben.send(http.MethodPost, path+"/layout/preview?placement=meta_feed_square", layout, nil),
	} {
		call.refused(http.StatusNotFound, codeNotFound)
	}
}
