package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Two readers of one connection must not see two different requests in it (RFC
// 9112, 11.2): what is ambiguous is refused, and the connection ends.
func testFraming(t *testing.T, w *world) {
	address := strings.TrimPrefix(w.node.base, "http://")
	const smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, raw := range map[string]string{
		"two lengths":                   "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + smuggled,
		"two lengths in one":            "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 2, 40\r\n\r\n{}" + smuggled,
		"a signed length":               "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}" + smuggled,
		"length and chunks":             "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"two encodings":                 "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + smuggled,
		"an unknown encoding":           "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled,
		"chunks on HTTP/1.0":            "POST /dev/sign-in HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled,
		"a bare LF in a chunk":          "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n" + smuggled,
		"a chunk's length that is none": "POST /dev/sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n" + smuggled,
		"two hosts":                     "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + smuggled,
		"no host":                       "GET /healthz HTTP/1.1\r\n\r\n" + smuggled,
		"a space before the colon":      "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}" + smuggled,
		"a NUL in a header":             "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n" + smuggled,
	} {
		t.Run(name, func(t *testing.T) {
			answers := raw1(t, address, raw)
			require.Len(t, answers, 1, "one answer, and the connection ends")
			require.GreaterOrEqual(t, answers[0], 400)
		})
	}
	t.Run("headers without an end", func(t *testing.T) {
		answers := raw1(t, address, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 2*headerBytesMax)+"\r\n\r\n")
		require.Equal(t, []int{http.StatusRequestHeaderFieldsTooLarge}, answers)
	})
	t.Run("what is right passes", func(t *testing.T) {
		raw := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" +
			"POST /dev/sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n12\r\n{\"email\":\"a@b.com\"\r\n1\r\n}\r\n0\r\n\r\n" +
			"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		require.Equal(t, []int{http.StatusOK, http.StatusOK, http.StatusOK}, raw1(t, address, raw))
	})
	t.Run("a path is decoded once", func(t *testing.T) {
		for _, path := range []string{"/v1/%2e%2e/healthz", "/v1/..%2fhealthz", "/%252e%252e/healthz", "/media/a/b/%2e%2e%2fc?expires=1&token=x"} {
			answers := raw1(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			require.Len(t, answers, 1)
			require.Contains(t, []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest}, answers[0], path)
		}
	})
}

// raw1 writes bytes to a fresh connection and returns the statuses that come
// before it ends.
func raw1(t *testing.T, address, raw string) (statuses []int) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, raw)
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			var timeout net.Error
			if isTimeout(err, &timeout) {
				require.Fail(t, "the connection stays open", "after %v", statuses)
			}
			return statuses
		}
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		statuses = append(statuses, response.StatusCode)
	}
}

func isTimeout(err error, network *net.Error) bool {
	n, ok := err.(net.Error) //nolint:errorlint // what the connection itself returns
	if ok {
		*network = n
	}
	return ok && n.Timeout()
}
