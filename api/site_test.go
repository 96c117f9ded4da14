package api

import (
	"net/http"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

const sitePage = `<!doctype html><script>go()</script><script src="/_next/static/a.js" defer></script><script>go()</script>`

// goHash is that of `go()`: printf 'go()' | openssl dgst -sha256 -binary | base64.
const goHash = "'sha256-wZF76mpgiaBT3DJ3H55CNvz2xR5QzQeM2N+nmSyWiwU='"

func siteOf(t *testing.T) site {
	t.Helper()
	s, err := newSite(fstest.MapFS{
		"index.html":                {Data: []byte(sitePage)},
		"create.html":               {Data: []byte(sitePage)},
		"create.html.br":            {Data: []byte("brotli")},
		"create.html.gz":            {Data: []byte("gzip")},
		"404.html":                  {Data: []byte(sitePage)},
		"_next/static/a.js":         {Data: []byte("go")},
		".keep":                     {},
		"_next/static/chunks/b.css": {Data: []byte("p{}")},
	}, "https://project.example")
	require.NoError(t, err)
	return s
}

func TestPagesStandUnderTheirNames(t *testing.T) {
	t.Parallel()
	s := siteOf(t)
	require.Len(t, s, 5)
	for path, kind := range map[string]string{
		"/": "text/html; charset=utf-8", "/create": "text/html; charset=utf-8", "/404": "text/html; charset=utf-8",
		"/_next/static/a.js": "text/javascript; charset=utf-8", "/_next/static/chunks/b.css": "text/css; charset=utf-8",
	} {
		require.NotNil(t, s[path], path)
		require.Equal(t, kind, s[path].contentType, path)
	}
	require.Empty(t, s["/_next/static/a.js"].policy)

	none, err := newSite(fstest.MapFS{".keep": {}})
	require.NoError(t, err)
	require.Empty(t, none)
	none, err = newSite(nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAPagesOwnScriptsAndNoOthersMayRun(t *testing.T) {
	t.Parallel()
	require.Equal(t, "default-src 'none'; script-src 'self' "+goHash+"; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "+
		"connect-src 'self' https://project.example; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", siteOf(t)["/create"].policy)
}

func TestTheScreensAreServed(t *testing.T) {
	w := newWorld(t)
	w.node.server.site = siteOf(t)
	stranger := w.node.as("")
	get := func(path string, headers ...string) answer {
		header := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			header.Set(headers[i], headers[i+1])
		}
		return stranger.send(http.MethodGet, path, nil, header)
	}

	page := get("/create")
	require.Equal(t, http.StatusOK, page.status)
	require.Equal(t, sitePage, string(page.body))
	require.Equal(t, "no-cache", page.header.Get("Cache-Control"))
	require.Equal(t, "Accept-Encoding", page.header.Get("Vary"))
	require.Contains(t, page.header.Get("Content-Security-Policy"), goHash)
	require.Equal(t, "nosniff", page.header.Get("X-Content-Type-Options"))
	require.Equal(t, http.StatusNotModified, get("/create", "If-None-Match", page.header.Get("Etag")).status)

	packed := get("/create?id=1", "Accept-Encoding", "gzip, deflate, br")
	require.Equal(t, "br", packed.header.Get("Content-Encoding"))
	require.Equal(t, "brotli", string(packed.body))
	require.Equal(t, "gzip", get("/create", "Accept-Encoding", "gzip").header.Get("Content-Encoding"))
	require.Empty(t, get("/_next/static/a.js", "Accept-Encoding", "br").header.Get("Content-Encoding"), "there is no smaller one")
	require.Equal(t, "public, max-age=31536000, immutable", get("/_next/static/a.js").header.Get("Cache-Control"))

	lost := get("/creat", "Accept", "text/html")
	require.Equal(t, http.StatusNotFound, lost.status)
	require.Equal(t, "text/html; charset=utf-8", lost.header.Get("Content-Type"))
	require.Equal(t, "application/problem+json", get("/creat").header.Get("Content-Type"), "a program is told so")
	require.Equal(t, "application/problem+json", get("/v1/creat", "Accept", "text/html").header.Get("Content-Type"))
	require.Equal(t, http.StatusMethodNotAllowed, stranger.send(http.MethodPost, "/docs", nil, nil).status)
}

func TestClientsAreToldHowOneSignsIn(t *testing.T) {
	w := newWorld(t)
	stranger := w.node.as("")
	kind := func() string {
		var config ClientConfig
		stranger.send(http.MethodGet, "/client.json", nil, nil).decode(&config)
		return string(config.SignIn.Kind)
	}
	require.Equal(t, "embedded", kind())
	w.node.server.config.Issuer = nil
	require.Equal(t, "none", kind())
	w.node.server.config.SignIn = SignInMethod{URL: "https://project.example", Key: "publishable"}
	require.Equal(t, "supabase", kind())
}
