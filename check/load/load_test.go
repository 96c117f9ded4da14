package load

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/check"
)

func right() Config {
	return Config{Address: func() string { return "http://127.0.0.1:8080" }, Users: 1, Rate: 1, Duration: time.Second, History: check.NewHistory(nil)}
}

func TestALoadIsBoundedAndStaysHere(t *testing.T) {
	_, err := New(right())
	require.NoError(t, err)
	for says, spoil := range map[string]func(*Config){
		"1 to 2000":                  func(c *Config) { c.Users = UsersMax + 1 },
		"above 0, at most 2000":      func(c *Config) { c.Rate = RateMax + 1 },
		"above 0, at most 6h":        func(c *Config) { c.Duration = DurationMax + 1 },
		"0 to 5000000":               func(c *Config) { c.Calls = CallsMax + 1 },
		"a weight of the mix":        func(c *Config) { c.Mix.Read = -1 },
		"it may be http://127.0.0.1": func(c *Config) { c.Address = func() string { return "https://127.0.0.1" } },
		"a history":                  func(c *Config) { c.History = nil },
	} {
		c := right()
		spoil(&c)
		_, err := New(c)
		require.ErrorContains(t, err, says)
	}
	for address, here := range map[string]bool{
		"http://localhost:1": true, "http://[::1]:1": true, "http://127.8.9.10": true,
		"http://127.0.0.1.example.com": false, "http://example.com": false, "http://0.0.0.0": false, "http://10.0.0.1": false, "http://[::]:1": false,
	} {
		c := right()
		c.Address = func() string { return address }
		_, err := New(c)
		require.Equal(t, here, err == nil, "%s: %v", address, err)
	}
}

func TestWhatAnAnswerTells(t *testing.T) {
	for status, told := range map[int]string{
		200: check.Acknowledged, 201: check.Acknowledged, 202: check.Acknowledged, 402: check.Refused, 409: check.Refused, 422: check.Refused,
		0: check.Unknown, 500: check.Unknown, 502: check.Unknown, 503: check.Unknown,
	} {
		require.Equal(t, told, answer{status: status}.told(), "%d", status)
	}
}

// An API that takes everything: also what has to be refused.
type lenient struct {
	calls atomic.Int64
	hangs chan struct{} // nil: it answers
}

func (l *lenient) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.calls.Add(1)
	if l.hangs != nil {
		<-l.hangs
	}
	w.Header().Set(positionHeader, "0.1.2")
	switch {
	case r.URL.Path == "/v1/stream":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case r.Method == http.MethodPost && r.URL.Path == "/v1/generations":
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "t", "account_id": "a", "id": "b", "version": 1, "batch_id": "c", "items": []any{}})
}

// What is taken that had to be refused is noted, and every call is.
func TestALenientAPIIsSeen(t *testing.T) {
	api := &lenient{}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	var lines sync.Mutex
	var file strings.Builder
	c := right()
	c.Address, c.Rate, c.Calls, c.Duration = func() string { return server.URL }, RateMax, 100, time.Minute
	c.Mix = Mix{Refuse: 1, Read: 1}
	c.History = check.NewHistory(writer(func(p []byte) (int, error) {
		lines.Lock()
		defer lines.Unlock()
		return file.Write(p)
	}))
	c.Rest = func(context.Context) error { return nil }
	l, err := New(c)
	require.NoError(t, err)
	require.NoError(t, l.Run(t.Context()))
	require.GreaterOrEqual(t, l.Calls(), c.Calls)
	require.Contains(t, file.String(), `"missing":"a refusal"`)
	require.Contains(t, file.String(), `"does":"GET /v1/me"`)
	require.Contains(t, file.String(), `"stream":{"account":"a"`)
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Who interrupts a load is not told of streams that were not waited for.
func TestAnInterruptedLoadNotesNoStream(t *testing.T) {
	api := &lenient{}
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	ctx, interrupt := context.WithCancel(t.Context())
	c := right()
	var file strings.Builder
	c.Address, c.Duration, c.History = func() string { return server.URL }, time.Minute, check.NewHistory(&file)
	l, err := New(c)
	require.NoError(t, err)
	go func() {
		<-l.Begun()
		interrupt()
	}()
	require.ErrorIs(t, l.Run(ctx), context.Canceled)
	require.NotContains(t, file.String(), `"stream"`)
}

// A call that was begun is waited for, or the API would go on with it after the end.
func TestACallThatWasBegunIsWaitedFor(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		end()
		(&lenient{}).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	c := right()
	c.Address = func() string { return server.URL }
	l, err := New(c)
	require.NoError(t, err)
	asks := request{method: http.MethodPost, path: "/v1/generations"}
	require.Equal(t, http.StatusCreated, l.users[0].exchange(ctx, asks).status)
	require.Zero(t, l.users[0].exchange(ctx, asks).status, "nothing is begun after the end")
}

// The first user that cannot begin ends it for all.
func TestAnAPIThatIsNotThereEndsTheBegin(t *testing.T) {
	c := right()
	c.Users, c.Address = 50, func() string { return "http://127.0.0.1:1" }
	l, err := New(c)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	require.Eventually(t, func() bool { return l.Calls() > 10 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorContains(t, <-done, "cannot begin")
}
