package api

import (
	"io"
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const sitePage = `<!doctype html><script>go()</script><script src="/_next/static/a.js" defer></script><script>go()</script>`

// goHash is that of `go()`: printf 'go()' | openssl dgst -sha256 -binary | base64.
const goHash = "'sha256-5KYv+PUboo5h+0+YAtGRPbwv5d/QxzHslP4YGnUaxRw='"

var siteFiles = fstest.MapFS{
	"index.html":                {Data: []byte(sitePage)},
	"create.html":               {Data: []byte(sitePage)},
	"create.html.br":            {Data: []byte("brotli")},
	"create.html.gz":            {Data: []byte("gzip")},
	"404.html":                  {Data: []byte(sitePage)},
	"_next/static/a.js":         {Data: []byte("go")},
	"_next/static/chunks/b.css": {Data: []byte("p{}")},
	".keep":                     {},
}

func TestPagesStandUnderTheirNames(t *testing.T) {
	t.Parallel()
	s, err := newSite(siteFiles, "")
	require.NoError(t, err)
	require.Len(t, s, 5)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/create": "text/html; charset=utf-8", "/404": "text/html; charset=utf-8",
		"/_next/static/a.js": "text/javascript; charset=utf-8", "/_next/static/chunks/b.css": "text/css; charset=utf-8",
	} {
		require.NotNil(t, s[path], path)
		require.Equal(t, kind, s[path].contentType, path)
	}
	require.Empty(t, s["/_next/static/a.js"].policy)

	none, err := newSite(fstest.MapFS{".keep": {}}, "")
	require.NoError(t, err)
	require.Empty(t, none)
	none, err = newSite(nil, "")
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAPagesOwnScriptsAndNoOthersMayRun(t *testing.T) {
	t.Parallel()
	s, err := newSite(siteFiles, "", "https://project.example")
	require.NoError(t, err)
	require.Equal(t, "default-src 'none'; script-src 'self' "+goHash+"; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "+
		"connect-src 'self' https://project.example; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", s["/create"].policy)
	s, err = newSite(siteFiles, "https://zone.b-cdn.net")
	require.NoError(t, err)
	require.Contains(t, s["/create"].policy, "img-src 'self' blob: data: https://zone.b-cdn.net; connect-src 'self' https://zone.b-cdn.net;")
}

// testScreens asks a node that has screens for them. They are not of the contract.
func testScreens(t *testing.T, w *world) {
	n := w.startNode(func(c *Config) { c.Site = siteFiles })
	get := func(path string, headers ...string) (*http.Response, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.base+path, nil)
		require.NoError(t, err)
		request.Header.Set("Accept-Encoding", "identity")
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		response, err := noRedirects.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response, string(body)
	}
	header := func(name, path string, headers ...string) string {
		response, _ := get(path, headers...)
		return response.Header.Get(name)
	}

	page, body := get("/create")
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.Equal(t, sitePage, body)
	require.Equal(t, "no-cache", page.Header.Get("Cache-Control"))
	require.Equal(t, "Accept-Encoding", page.Header.Get("Vary"))
	require.Contains(t, page.Header.Get("Content-Security-Policy"), goHash)
	require.Equal(t, "nosniff", page.Header.Get("X-Content-Type-Options"))
	kept, _ := get("/create", "If-None-Match", page.Header.Get("Etag"))
	require.Equal(t, http.StatusNotModified, kept.StatusCode)
	_, body = get("/")
	require.Equal(t, sitePage, body)

	packed, body := get("/create?id=1", "Accept-Encoding", "gzip, deflate, br")
	require.Equal(t, "br", packed.Header.Get("Content-Encoding"))
	require.Equal(t, "brotli", body)
	require.Equal(t, "gzip", header("Content-Encoding", "/create", "Accept-Encoding", "gzip"))
	require.Empty(t, header("Content-Encoding", "/_next/static/a.js", "Accept-Encoding", "br"), "there is no smaller one")
	require.Equal(t, "public, max-age=31536000, immutable", header("Cache-Control", "/_next/static/a.js"))

	lost, _ := get("/creat", "Accept", "text/html")
	require.Equal(t, http.StatusNotFound, lost.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", lost.Header.Get("Content-Type"))
	require.Equal(t, "application/problem+json", header("Content-Type", "/creat"), "a program is told so")
	require.Equal(t, "application/problem+json", header("Content-Type", "/v1/creat", "Accept", "text/html"))
	require.Equal(t, "application/problem+json", header("Content-Type", "/create/", "Accept", "*/*"))
}

func testHowOneSignsIn(t *testing.T, w *world) {
	kind := func(change func(*Config)) string {
		n := w.startNode(change)
		return (&person{t: t, node: n}).get("/client.json").text("sign_in.kind")
	}
	require.Equal(t, "embedded", kind(nil))
	require.Equal(t, "none", kind(func(c *Config) { c.Issuer = nil }))
	require.Equal(t, "supabase", kind(func(c *Config) {
		c.Issuer, c.SignIn = nil, SignInMethod{URL: "https://project.example", Key: "publishable"}
	}))
}
