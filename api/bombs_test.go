package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image/color"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// bombTakesMax is what the process may allocate while it refuses one request
	// (bytes), the other parts of the world included. The bombs are larger.
	bombTakesMax = 8 << 20
	// bombLastsMax is how long an answer may take: that of passOverTime, and some.
	bombLastsMax = 15 * time.Second
	// bombSentMax is how much of an endless body can be sent before the connection
	// ends (bytes), what the kernel keeps included.
	bombSentMax = passOverBytesMax + 16<<20
)

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// repeated gives a text again and again.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		copied := copy(p[n:], r.text[r.at:])
		n, r.at = n+copied, (r.at+copied)%len(r.text)
	}
	return n, nil
}

// bomb writes a request on a connection of its own, however it is answered, and
// returns the status and how many bytes of the body could be sent.
func bomb(t *testing.T, n *node, head string, body io.Reader) (status int, sent int64) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.base, "http://"))
	require.NoError(t, err)
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	written := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(conn, body) // it may break off: that is what is looked for
		written <- n
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, "application/problem+json", response.Header.Get("Content-Type"))
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, conn) // the server ends it
	require.NoError(t, conn.Close())
	return response.StatusCode, <-written
}

// allocated is how many bytes the process allocates while something runs.
func allocated(run func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// Whatever is sent is refused within a time and a memory that do not grow with it.
func testBombs(t *testing.T, w *world) {
	ann := w.node.person(t)
	post := func(path, headers string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + ann.token + "\r\nConnection: close\r\n" + headers + "\r\n\r\n"
	}
	const asJSON, asForm = "Content-Type: application/json\r\n", "Content-Type: multipart/form-data; boundary=b\r\n"
	const chunked = "Transfer-Encoding: chunked"
	const part = "--b\r\nContent-Disposition: form-data; name="
	for name, tt := range map[string]struct {
		head   string
		body   io.Reader
		status int
	}{
		"400 MiB in a gzip":            {post("/v1/brands", asJSON+"Content-Encoding: gzip\r\n"+chunked), oneChunk(gzipOf(400 << 20)), http.StatusUnsupportedMediaType},
		"an encoding nobody knows":     {post("/v1/assets", asForm+"Content-Encoding: zstd\r\n"+chunked), oneChunk(nil), http.StatusUnsupportedMediaType},
		"a length of 1 GB":             {post("/v1/brands", asJSON+"Content-Length: 1073741824"), strings.NewReader("{"), http.StatusRequestEntityTooLarge},
		"a form's length of 1 GB":      {post("/v1/assets", asForm+"Content-Length: 1073741824"), strings.NewReader("-"), http.StatusRequestEntityTooLarge},
		"1 GB":                         {post("/v1/brands", asJSON+"Content-Length: 1073741824"), io.LimitReader(zeros{}, 1<<30), http.StatusRequestEntityTooLarge},
		"a form of 1 GB":               {post("/v1/assets", asForm+"Content-Length: 1073741824"), io.LimitReader(zeros{}, 1<<30), http.StatusRequestEntityTooLarge},
		"chunks without an end":        {post("/v1/brands", asJSON+chunked), &repeated{text: "1000\r\n" + strings.Repeat("x", 4096) + "\r\n"}, http.StatusRequestEntityTooLarge},
		"a form's chunks without one":  {post("/v1/assets", asForm+chunked), &repeated{text: "1000\r\n" + strings.Repeat("x\r\n", 1366)[:4096] + "\r\n"}, http.StatusRequestEntityTooLarge},
		"chunks of one byte":           {post("/v1/brands", asJSON+chunked), &repeated{text: "1\r\nx\r\n"}, http.StatusRequestEntityTooLarge},
		"trailers without an end":      {post("/v1/brands", asJSON+chunked), io.MultiReader(strings.NewReader("2\r\n{}\r\n0\r\n"), &repeated{text: "A: b\r\n"}), http.StatusBadRequest},
		"headers without an end":       {"GET /healthz HTTP/1.1\r\nHost: x\r\n", &repeated{text: "A: b\r\n"}, http.StatusRequestHeaderFieldsTooLarge},
		"an address without an end":    {"GET /", &repeated{text: "a/"}, http.StatusRequestHeaderFieldsTooLarge},
		"a million names":              {post("/v1/brands", asJSON+chunked), oneChunk([]byte(manyNames(1_000_000))), http.StatusRequestEntityTooLarge},
		"as many names as a body has":  {post("/v1/brands", asJSON+chunked), oneChunk([]byte(manyNames(5_000))), http.StatusBadRequest},
		"as many as are looked at":     {post("/v1/brands", asJSON+chunked), oneChunk([]byte(manyNames(jsonNamesMax))), http.StatusUnprocessableEntity},
		"a number of a million digits": {post("/v1/brands", asJSON+chunked), oneChunk([]byte(`{"kit": ` + strings.Repeat("9", 1_000_000) + `}`)), http.StatusRequestEntityTooLarge},
		"a number as long as a body":   {post("/v1/brands", asJSON+chunked), oneChunk([]byte(`{"kit": ` + strings.Repeat("9", 60_000) + `}`)), http.StatusBadRequest},
		"an exponent":                  {post("/v1/brands", asJSON+chunked), oneChunk([]byte(`{"kit": 1e999999999}`)), http.StatusBadRequest},
		"objects in objects":           {post("/v1/brands", asJSON+chunked), oneChunk([]byte(strings.Repeat(`{"kit":`, 7_000) + "1" + strings.Repeat("}", 7_000))), http.StatusBadRequest},
		"a name that stands twice":     {post("/v1/brands", asJSON+chunked), oneChunk([]byte(`{"kit": {"name": "a", "n\u0061me": "b"}}`)), http.StatusBadRequest},
		"10,000 parts":                 {post("/v1/assets", asForm+chunked), oneChunk([]byte(strings.Repeat(part+"\"kind\"\r\n\r\nlogo\r\n", 10_000) + "--b--\r\n")), http.StatusUnprocessableEntity},
		"10,000 parts without a name":  {post("/v1/assets", asForm+chunked), oneChunk([]byte(strings.Repeat("--b\r\n\r\n\r\n", 10_000) + "--b--\r\n")), http.StatusUnprocessableEntity},
		"a part with 1 MB of headers":  {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + "\"kind\"\r\n" + strings.Repeat("A: b\r\n", 1<<20/6) + "\r\nlogo\r\n--b--\r\n")), http.StatusRequestEntityTooLarge},
		"a name of 1 MB":               {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + `"` + strings.Repeat("n", 1<<20) + "\"\r\n\r\nlogo\r\n--b--\r\n")), http.StatusRequestEntityTooLarge},
		"a field of 1 MB":              {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + "\"name\"\r\n\r\n" + strings.Repeat("n", 1<<20) + "\r\n--b--\r\n")), http.StatusUnprocessableEntity},
		"a form in a form":             {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + "\"file\"\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n" + part + "\"kind\"\r\n\r\nlogo\r\n--b--\r\n")), http.StatusUnsupportedMediaType},
		"no final boundary":            {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + "\"kind\"\r\n\r\nlogo\r\n")), http.StatusBadRequest},
		"a boundary of 1 KB":           {post("/v1/assets", "Content-Type: multipart/form-data; boundary="+strings.Repeat("b", 1<<10)+"\r\n"+chunked), oneChunk(nil), http.StatusBadRequest},
		"900 million pixels":           {post("/v1/assets", asForm+chunked), oneChunk([]byte(part + "\"kind\"\r\n\r\nlogo\r\n" + part + "\"file\"\r\n\r\n" + string(blankPNG(30_000)) + "\r\n--b--\r\n")), http.StatusUnprocessableEntity},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			var status int
			var sent int64
			took := allocated(func() { status, sent = bomb(t, w.node, tt.head, tt.body) })
			t.Logf("%d after %s, %d KB sent, %d KB allocated", status, time.Since(began).Round(time.Millisecond), sent>>10, took>>10)
			require.Equal(t, tt.status, status)
			require.Less(t, took, int64(bombTakesMax))
			require.Less(t, sent, int64(bombSentMax))
			require.Less(t, time.Since(began), bombLastsMax)
		})
	}
	require.Equal(t, 0, ann.get("/v1/brands").len("items"))
	require.Equal(t, 0, ann.get("/v1/assets").len("items"))
}

// oneChunk is a body of unknown length that ends.
func oneChunk(body []byte) io.Reader {
	var b bytes.Buffer
	if len(body) > 0 {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(body), body)
	}
	b.WriteString("0\r\n\r\n")
	return &b
}

// zerosAtOnce is what gzipOf and blankPNG compress (bytes); they repeat what comes
// out: to compress all anew took a minute under the race detector.
const zerosAtOnce = 1 << 20

// gzipOf is a file of as many members as it takes.
func gzipOf(bytesCount int64) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, zerosAtOnce)) // into memory
	_ = z.Close()
	return bytes.Repeat(b.Bytes(), int(bytesCount/zerosAtOnce))
}

// zlibOf is a stream of that many zeros, in blocks that repeat.
func zlibOf(bytesCount int64) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	block := func(bytesCount int64) []byte {
		from := b.Len()
		_, _ = z.Write(make([]byte, bytesCount)) // into memory
		_ = z.Flush()
		return b.Bytes()[from:]
	}
	out := bytes.Clone(block(zerosAtOnce)) // with the header
	out = append(out, bytes.Repeat(block(zerosAtOnce), int(bytesCount/zerosAtOnce)-1)...)
	out = append(out, block(bytesCount%zerosAtOnce)...)
	out = append(out, 1, 0, 0, 0xff, 0xff) // an empty block is the last
	const adlerBase = 65521                // RFC 1950: of zeros, a is 1 and b their count
	return binary.BigEndian.AppendUint32(out, uint32(bytesCount%adlerBase)<<16|1)
}

func manyNames(n int) string {
	var b strings.Builder
	b.WriteString("{")
	for i := range n {
		fmt.Fprintf(&b, `"k%d":0,`, i)
	}
	return strings.TrimSuffix(b.String(), ",") + "}"
}

// blankPNG is a whole picture of one colour with as many pixels in each direction,
// a bit a pixel: 110 KB for 30,000.
func blankPNG(side uint32) []byte {
	rows := zlibOf(int64(side) * (1 + int64(side)/8))
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, side), side)
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct {
		name string
		data []byte
	}{{"IHDR", append(header, 1, 0, 0, 0, 0)}, {"IDAT", rows}, {"IEND", nil}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk.data)))
		named := append([]byte(chunk.name), chunk.data...)
		out = binary.BigEndian.AppendUint32(append(out, named...), crc32.ChecksumIEEE(named))
	}
	return out
}

const (
	// slowConnections send a byte each slowPause (count): some a form, as many as may
	// be read at a time, some JSON, some headers.
	slowConnections = 100
	slowPause       = 250 * time.Millisecond
	// slowReadTimeout is what the node gives them.
	slowReadTimeout = 3 * time.Second
)

// A hundred connections that send a byte now and then keep nobody else from an
// answer, and are cut in their time.
func testSlowBodies(t *testing.T, w *world) {
	n := w.startNode(func(c *Config) { c.ReadTimeout = slowReadTimeout })
	ann := n.person(t)
	var forms []*person
	for range uploadsAtOnceMax / uploadsPerAccountMax {
		forms = append(forms, n.person(t))
	}
	body := "Content-Length: 60000\r\nAuthorization: Bearer "
	var slow []*slowClient
	for i := range slowConnections {
		head := "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "
		switch {
		case i < uploadsAtOnceMax:
			head = "POST /v1/assets HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n" + body + forms[i%len(forms)].token + "\r\n\r\n"
		case i%2 == 0:
			head = "POST /v1/brands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + body + ann.token + "\r\n\r\n"
		}
		slow = append(slow, openSlow(t, n, head))
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go drip(ctx, slow)
	began := time.Now()
	for n.server.uploads.all() < uploadsAtOnceMax {
		ann.get("/v1/brands")
		require.Less(t, time.Since(began), slowReadTimeout, "the uploads are all taken")
	}
	ann.brand(nil)
	require.Zero(t, ended(slow), "the answers did not wait for them")
	upload := func() int {
		return ann.upload(newForm(map[string]string{"kind": "logo"}, pngOf(8, 8, color.White)), nil).status
	}
	require.Equal(t, http.StatusServiceUnavailable, upload())
	require.Eventually(t, func() bool { return n.server.uploads.all() == 0 }, patience, 10*time.Millisecond)
	require.Equal(t, http.StatusCreated, upload(), "once they are cut")
	require.Eventually(t, func() bool { return ended(slow) == slowConnections }, patience, 10*time.Millisecond)
	for _, s := range slow {
		require.Equal(t, http.StatusRequestTimeout, s.status)
		require.Less(t, s.took, slowReadTimeout+bombLastsMax)
	}
}

func (u *places) all() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.total
}

// slowClient is a request that comes slowly. What it was answered is set once it
// has ended.
type slowClient struct {
	conn   net.Conn
	ended  atomic.Bool
	status int
	took   time.Duration
}

func openSlow(t *testing.T, n *node, head string) *slowClient {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.base, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	began, s := time.Now(), &slowClient{conn: conn}
	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	go func() {
		defer s.ended.Store(true)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return
		}
		s.status, s.took = response.StatusCode, time.Since(began)
	}()
	return s
}

// drip sends a byte of each request until ctx ends.
func drip(ctx context.Context, slow []*slowClient) {
	tick := time.NewTicker(slowPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, s := range slow {
				_, _ = io.WriteString(s.conn, "x") // it may have been cut
			}
		case <-ctx.Done():
			return
		}
	}
}

func ended(slow []*slowClient) (n int) {
	for _, s := range slow {
		if s.ended.Load() {
			n++
		}
	}
	return n
}
