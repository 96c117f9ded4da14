package api

import (
	"bytes"
	"image/color"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
	"atelier/schemas"
)

func testAssets(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(nil)
	upload := func(fields map[string]string, file []byte, headers map[string]string) answer {
		return ann.upload(newForm(fields, file), headers)
	}
	added := upload(map[string]string{"kind": "logo", "name": "Logo – one", "brand_id": brand}, pngOf(40, 20, color.NRGBA{R: 200, A: 128}), nil)
	require.Equal(t, http.StatusCreated, added.status, added)
	ann.position = added.headers.Get(positionHeader)
	id := added.text("id")
	require.Equal(t, 40, added.number("image.width"))
	require.Equal(t, "image/png", added.text("image.mime_type"), "transparency is kept")

	got := ann.get("/v1/assets/" + id)
	require.Equal(t, "Logo – one", got.text("name"))
	require.Equal(t, brand, got.text("brand_id"))
	bytesOf := fetch(t, w.node.base+got.text("links.file"), http.StatusOK)
	img, _, err := picture.Decode(bytesOf)
	require.NoError(t, err)
	require.Equal(t, 40, img.Bounds().Dx())

	product := upload(map[string]string{"kind": "product"}, pngOf(10, 10, color.White), nil)
	ann.position = product.headers.Get(positionHeader)
	require.Equal(t, 1, ann.get("/v1/assets?kind=product").len("items"))
	require.Equal(t, 1, ann.get("/v1/assets?brand_id="+brand).len("items"))
	require.Equal(t, 2, ann.get("/v1/assets").len("items"))

	// The logo can now be the brand's.
	ann.command(http.StatusOK, http.MethodPut, "/v1/brands/"+brand, map[string]any{"kit": map[string]any{"name": "x", "logo_asset_id": id}},
		map[string]string{"If-Match": `"1"`})
	ann.send(http.MethodPut, "/v1/brands/"+brand, map[string]any{"kit": map[string]any{"name": "x", "logo_asset_id": product.text("id")}},
		map[string]string{"If-Match": `"2"`}).refused(http.StatusUnprocessableEntity, codeValidation)

	ann.command(http.StatusNoContent, http.MethodDelete, "/v1/assets/"+id, nil, nil)
	ann.send(http.MethodGet, "/v1/assets/"+id, nil, nil).refused(http.StatusNotFound, schemas.CodeAssetNotFound)
	ann.send(http.MethodDelete, "/v1/assets/"+id, nil, nil).refused(http.StatusNotFound, schemas.CodeAssetNotFound)
}

func testUploadsAreChecked(t *testing.T, w *world) {
	ann := w.node.person(t)
	good := pngOf(8, 8, color.White)
	logo := map[string]string{"kind": "logo"}
	for name, tt := range map[string]struct {
		fields map[string]string
		file   []byte
		status int
		code   string
	}{
		"SVG":             {logo, []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), http.StatusUnsupportedMediaType, codeMediaType},
		"GIF":             {logo, []byte("GIF89a\x01\x00\x01\x00"), http.StatusUnsupportedMediaType, codeMediaType},
		"TIFF":            {logo, []byte("II*\x00\x08\x00\x00\x00"), http.StatusUnsupportedMediaType, codeMediaType},
		"broken":          {logo, good[:len(good)/2], http.StatusUnprocessableEntity, codeImageRefused},
		"a pixel bomb":    {logo, pixelBomb(), http.StatusUnprocessableEntity, codeImageRefused},
		"no file":         {logo, nil, http.StatusUnprocessableEntity, codeValidation},
		"an empty file":   {logo, []byte{}, http.StatusUnprocessableEntity, codeValidation},
		"no kind":         {nil, good, http.StatusUnprocessableEntity, codeValidation},
		"a strange kind":  {map[string]string{"kind": "poster"}, good, http.StatusUnprocessableEntity, codeValidation},
		"a strange field": {map[string]string{"kind": "logo", "owner": "me"}, good, http.StatusUnprocessableEntity, codeValidation},
		"a long name":     {map[string]string{"kind": "logo", "name": strings.Repeat("n", 101)}, good, http.StatusUnprocessableEntity, codeValidation},
		"no such brand":   {map[string]string{"kind": "logo", "brand_id": schemas.NewID()}, good, http.StatusNotFound, schemas.CodeBrandNotFound},
		"too many bytes":  {logo, make([]byte, fileBytesMax+1), http.StatusRequestEntityTooLarge, codeBodyTooLarge},
		"far too many":    {logo, make([]byte, fileBytesMax+formBytesMore+1), http.StatusRequestEntityTooLarge, codeBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) { ann.in(t).upload(newForm(tt.fields, tt.file), nil).refused(tt.status, tt.code) })
	}
	t.Run("not a form", func(t *testing.T) {
		ann.in(t).send(http.MethodPost, "/v1/assets", `{"kind": "logo"}`, nil).refused(http.StatusUnsupportedMediaType, codeMediaType)
	})
	t.Run("cut off", func(t *testing.T) {
		f := newForm(logo, good)
		f.body.Truncate(f.body.Len() - 20)
		ann.in(t).upload(f, nil).refused(http.StatusBadRequest, codeMalformed)
	})
	t.Run("a field twice", func(t *testing.T) {
		f := newForm(logo, good)
		f.body.Truncate(f.body.Len() - len(f.w.Boundary()) - 8)
		again := newForm(logo, nil)
		f.body.WriteString("\r\n" + strings.ReplaceAll(again.body.String(), again.w.Boundary(), f.w.Boundary()))
		ann.in(t).upload(f, nil).refused(http.StatusUnprocessableEntity, codeValidation)
	})
	require.Equal(t, 0, ann.get("/v1/assets").len("items"), "nothing is half done")
}

// pixelBomb is a PNG whose header claims 60,000 x 60,000 pixels.
func pixelBomb() []byte {
	bomb := pngOf(1, 1, color.White)
	copy(bomb[16:], []byte{0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60})
	return bomb
}

// The link of another's picture, or a changed one, opens nothing.
func testLinks(t *testing.T, w *world) {
	ann := w.node.person(t)
	added := ann.upload(newForm(map[string]string{"kind": "logo"}, pngOf(8, 8, color.White)), nil)
	ann.position = added.headers.Get(positionHeader)
	link := ann.get("/v1/assets/" + added.text("id")).text("links.file")
	response, err := http.Get(w.node.base + link)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, "default-src 'none'; sandbox", response.Header.Get("Content-Security-Policy"))
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-referrer", response.Header.Get("Referrer-Policy"))
	for _, changed := range []string{
		strings.Replace(link, "expires=1", "expires=2", 1), strings.Replace(link, "/asset/", "/master/", 1),
		link + "&filename=x.jpg",
	} {
		fetch(t, w.node.base+changed, http.StatusForbidden)
	}
	fetch(t, w.node.base+link+"&token=x", http.StatusBadRequest)
	fetch(t, w.node.base+link+"&x=y", http.StatusBadRequest)
	fetch(t, w.node.base+"/media/../../etc/passwd", http.StatusNotFound)
	fetch(t, w.node.base+"/media/%2e%2e/%2e%2e/x?expires=1&token=x", http.StatusForbidden)
	old, err := w.node.server.config.Signer.Link(strings.TrimPrefix(link[:strings.IndexByte(link, '?')], "/"), w.node.server.now().Add(-1), "")
	require.NoError(t, err)
	fetch(t, w.node.base+old, http.StatusGone)
}

func fetch(t *testing.T, url string, status int) []byte {
	t.Helper()
	response, err := noRedirects.Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	var body bytes.Buffer
	_, err = io.Copy(&body, response.Body)
	require.NoError(t, err)
	require.Equal(t, status, response.StatusCode, "%s: %.500s", url, body.String())
	return body.Bytes()
}
