package generator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
)

// upstream stands between the real client and the stand-in. A test can hold
// calls there, before the stand-in sees them or after it has answered (and
// billed), and can answer in its place.
type upstream struct {
	next    http.Handler
	address string
	client  *gemini.Client
	// before and after take each call while they are set, and hold it until it is
	// let go.
	mu      sync.Mutex
	before  chan *held
	after   chan *held
	scripts []http.HandlerFunc // the next calls' answers; nil: the stand-in's
	// judge and judgeBefore are scripts and before for the judge's calls, which
	// are not counted with the others.
	judge       []http.HandlerFunc
	judgeBefore chan *held
	calls       int
	running     int
	most        int
}

// held is a call that waits.
type held struct {
	body string
	free chan struct{}
}

func (h *held) release() { close(h.free) }

func newUpstream(t *testing.T, next http.Handler) *upstream {
	t.Helper()
	u := &upstream{next: next}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.address = server.URL
	u.client = u.connect(t)
	return u
}

// connect makes a client, as another process would.
func (u *upstream) connect(t *testing.T) *gemini.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := gemini.New(t.Context(), gemini.Config{
		APIKey: "test", BaseURL: u.address, HTTPClient: &http.Client{Transport: transport},
		Breaker: gemini.BreakerConfig{Wait: 20 * time.Millisecond, WaitMax: 50 * time.Millisecond},
	})
	require.NoError(t, err)
	return client
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	u.mu.Lock()
	before, after, scripts := u.before, u.after, &u.scripts
	if strings.Contains(r.URL.Path, judgeModelDefault) {
		before, after, scripts = u.judgeBefore, nil, &u.judge
	} else {
		u.calls++
		u.running++
		u.most = max(u.most, u.running)
		defer func() {
			u.mu.Lock()
			u.running--
			u.mu.Unlock()
		}()
	}
	script := http.HandlerFunc(u.next.ServeHTTP)
	if len(*scripts) > 0 {
		if (*scripts)[0] != nil {
			script = (*scripts)[0]
		}
		*scripts = (*scripts)[1:]
	}
	u.mu.Unlock()
	wait := func(at chan *held) bool {
		if at == nil {
			return true
		}
		h := &held{body: string(body), free: make(chan struct{})}
		select {
		case at <- h:
		case <-r.Context().Done():
			return false
		}
		select {
		case <-h.free:
			return true
		case <-r.Context().Done():
			return false
		}
	}
	if !wait(before) {
		return
	}
	recorded := httptest.NewRecorder()
	script(recorded, r)
	if !wait(after) {
		return
	}
	for key, values := range recorded.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes())
}

// holdBefore holds every call from now on before the stand-in sees it.
func (u *upstream) holdBefore() chan *held {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before = make(chan *held)
	return u.before
}

// holdAfter holds every answer from now on.
func (u *upstream) holdAfter() chan *held {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.after = make(chan *held)
	return u.after
}

func (u *upstream) holdNothing() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.before, u.after = nil, nil
}

// serve puts another stand-in behind it.
func (u *upstream) serve(next http.Handler) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.next = next
}

// holdJudge holds every call of the judge from now on, nil none.
func (u *upstream) holdJudge(at chan *held) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.judgeBefore = at
}

// judges scripts the judge's next calls; nil is the stand-in's own answer.
func (u *upstream) judges(scripts ...http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.judge = append(u.judge, scripts...)
}

// answer scripts the next calls; nil is the stand-in's own answer.
func (u *upstream) answer(scripts ...http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.scripts = append(u.scripts, scripts...)
}

func (u *upstream) count() (calls, most int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls, u.most
}

// says answers with a status and a JSON body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func quotaExceeded(delay string) http.HandlerFunc {
	return says(http.StatusTooManyRequests, `{"error":{"code":429,"message":"You exceeded your current quota.","status":"RESOURCE_EXHAUSTED","details":[`+
		`{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel"}]},`+
		`{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`+delay+`"}]}}`)
}

var (
	broken     = says(http.StatusInternalServerError, `{"error":{"code":500,"message":"Internal error.","status":"INTERNAL"}}`)
	overloaded = says(http.StatusServiceUnavailable, `{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}`)
	blocked    = says(http.StatusOK, `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":80,"totalTokenCount":80}}`)
	inWords    = says(http.StatusOK, `{"candidates":[{"content":{"parts":[{"text":"no"}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":80,"totalTokenCount":90}}`)
)
