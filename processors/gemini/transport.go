package gemini

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// imageAnswerBytesMax bounds an answer with a picture: one of 32 MiB in
	// base64, its drafts, and the SDK's habit of keeping four copies of what it
	// reads.
	imageAnswerBytesMax = 64 << 20
	// textAnswerBytesMax bounds an answer in words: ten times what the longest
	// verdict takes.
	textAnswerBytesMax = 1 << 20
	// idleConnectionsMax bounds kept connections (count): a generator's slots.
	idleConnectionsMax = 64
	// idleTimeout is shorter than the four minutes after which Google's front
	// ends drop a silent connection.
	idleTimeout = 90 * time.Second
	// connectTimeout bounds the dial and the handshake.
	connectTimeout = 20 * time.Second
)

var errOversized = errors.New("answer too large")

// facts are what the SDK loses of an exchange. The transport writes them, the
// call reads them when it is over.
type facts struct {
	// bytesMax bounds the answer's body. It is set before the call.
	bytesMax int64
	// sent says whether any of the request was written to a connection: before
	// that, nothing can have been billed.
	sent       atomic.Bool
	status     atomic.Int32
	retryAfter atomic.Int64 // nanoseconds
	foreign    atomic.Bool  // an answer that is not JSON
	broken     atomic.Bool  // the body broke off
	oversized  atomic.Bool
}

type factsKey struct{}

func withFacts(ctx context.Context, f *facts) context.Context {
	ctx = context.WithValue(ctx, factsKey{}, f)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { f.sent.Store(true) },
	})
}

// observer is a transport that bounds bodies and notes facts.
type observer struct{ next http.RoundTripper }

func (o observer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	f, ok := request.Context().Value(factsKey{}).(*facts)
	if !ok {
		f = &facts{bytesMax: textAnswerBytesMax}
	}
	f.status.Store(int32(response.StatusCode))
	f.retryAfter.Store(int64(retryAfter(response.Header.Get("Retry-After"), time.Now())))
	f.foreign.Store(!strings.Contains(response.Header.Get("Content-Type"), "json"))
	response.Body = &boundedBody{ReadCloser: response.Body, left: f.bytesMax, facts: f}
	return response, nil
}

// retryAfter reads both forms of the header (RFC 9110, section 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if d, err := time.ParseDuration(value + "s"); err == nil {
		return max(0, d)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// boundedBody ends with an error where a body is longer than allowed.
type boundedBody struct {
	io.ReadCloser
	left  int64
	facts *facts
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.facts.oversized.Store(true)
		return 0, errOversized
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.facts.broken.Store(true)
	}
	return n, err
}

// noRedirects keeps the key where it was sent: net/http takes headers of its
// own making along to another host.
func noRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
