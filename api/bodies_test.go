package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func testBodies(t *testing.T, w *world) {
	ann := w.node.person(t)
	post := func(t *testing.T, body string, headers map[string]string) answer {
		return ann.in(t).send(http.MethodPost, "/v1/brands", body, headers)
	}
	for name, tt := range map[string]struct {
		body   string
		status int
		code   string
	}{
		"empty":           {"", http.StatusBadRequest, codeMalformed},
		"no JSON":         {"{", http.StatusBadRequest, codeMalformed},
		"two values":      {"{} {}", http.StatusBadRequest, codeMalformed},
		"no UTF-8":        {"{\"kit\": \"\xff\"}", http.StatusBadRequest, codeMalformed},
		"nested deeply":   {strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), http.StatusBadRequest, codeMalformed},
		"a name twice":    {`{"kit": {}, "kit": {"name": "x"}}`, http.StatusBadRequest, codeMalformed},
		"another type":    {`[]`, http.StatusUnprocessableEntity, codeValidation},
		"a strange field": {`{"kit": {"name": "x"}, "owner": 1}`, http.StatusUnprocessableEntity, codeValidation},
		"too large":       {`{"kit": {"name": "` + strings.Repeat("x", bodyBytesMax) + `"}}`, http.StatusRequestEntityTooLarge, codeBodyTooLarge},
	} {
		t.Run(name, func(t *testing.T) { post(t, tt.body, nil).refused(tt.status, tt.code) })
	}
	t.Run("another media type", func(t *testing.T) {
		post(t, "kit=1", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}).refused(http.StatusUnsupportedMediaType, codeMediaType)
	})
	t.Run("compressed", func(t *testing.T) { // what it inflates to is among the bombs
		for _, path := range []string{"/v1/brands", "/v1/assets", "/dev/sign-in"} {
			ann.in(t).send(http.MethodPost, path, "x", map[string]string{"Content-Encoding": "gzip"}).
				refused(http.StatusUnsupportedMediaType, codeContentEncoding)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.node.base, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		const whole = `{"email":"a@example.com"}` // what comes of it, that is
		_, err = fmt.Fprintf(conn, "POST /dev/sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(whole)+1, whole)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, response.StatusCode)
	})
	t.Run("a stranger's body is not read", func(t *testing.T) {
		stranger := &person{t: t, node: w.node}
		stranger.upload(newForm(map[string]string{"kind": "logo"}, make([]byte, 100<<10)), nil).refused(http.StatusUnauthorized, codeUnauthorized)
	})
	require.Equal(t, 0, ann.get("/v1/brands").len("items"))
}

func TestJSONKeepsItsCanonicalForm(t *testing.T) {
	for _, same := range [][]string{
		{`{"b":1,"a":[true,null,"<&>"]}`, ` { "a" : [ true, null, "\u003c&>" ] , "b": 1.0 } `},
		{`{"x":"ä"}`, `{"x":"\u00e4"}`},
	} {
		var first []byte
		for i, text := range same {
			value, err := parseJSON([]byte(text))
			require.NoError(t, err)
			canonical, err := canonicalJSON(value)
			require.NoError(t, err)
			if i == 0 {
				first = canonical
			}
			require.Equal(t, string(first), string(canonical))
		}
	}
}

func TestBannedWordsStandByThemselves(t *testing.T) {
	for _, tt := range []struct {
		text, word string
		has        bool
	}{
		{"So cheap!", "cheap", true}, {"cheaper", "cheap", false}, {"CHEAP", "Cheap", true}, {"ÄPFEL sind da", "äpfel", true},
		{"free-of-charge", "free of charge", true}, {"free charge", "free of charge", false}, {"100% sure", "%", true}, {"sure", "%", false},
		{"", "x", false}, {"कसरत करो", "कसरत", true},
	} {
		require.Equal(t, tt.has, containsWord(tt.text, tt.word), "%q in %q", tt.word, tt.text)
	}
}

func TestRequestHashesTellRequestsApart(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range [][]string{
		{"POST", "/a", "b"}, {"POST", "/ab", ""}, {"PUT", "/a", "b"}, {"POST", "/a", "b", "c"}, {"POST", "/a", "bc"}, {"POST", "/a", "", "bc"},
	} {
		seen[string(requestHash(r[0], r[1], []byte(r[2]), r[3:]))] = true
	}
	require.Len(t, seen, 6)
	require.NotEqual(t, canonicalForm(map[string]string{"a": "1", "b": "2"}, nil), canonicalForm(map[string]string{"a": "12", "b": ""}, nil))
	require.NotEqual(t, canonicalForm(nil, []byte("x")), canonicalForm(nil, []byte("y")))
}
