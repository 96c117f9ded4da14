package gemini_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
)

// bench is a client on a clock that the test moves. Its judge answers without
// a picture, which costs no drawing.
type bench struct {
	t        *testing.T
	client   *gemini.Client
	upstream *standin.Server
	log      bytes.Buffer
	metrics  *prometheus.Registry
	mu       sync.Mutex
	now      time.Time
}

func newBench(t *testing.T, options standin.Options) *bench {
	b := &bench{t: t, upstream: standin.New(options), metrics: prometheus.NewRegistry(), now: noon}
	server := httptest.NewServer(b.upstream)
	t.Cleanup(server.Close)
	t.Cleanup(b.upstream.Close)
	client, err := gemini.New(t.Context(), gemini.Config{
		APIKey: key, BaseURL: server.URL, Log: zerolog.New(zerolog.SyncWriter(&b.log)), Registerer: b.metrics,
		Breaker: gemini.BreakerConfig{Failures: 3, Wait: time.Second, WaitMax: 3 * time.Second},
		Now: func() time.Time {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.now
		},
	})
	require.NoError(t, err)
	b.client = client
	return b
}

func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// ask makes a call that meets a fault, and returns its error, nil for none.
func (b *bench) ask(fault string) *gemini.Error {
	b.t.Helper()
	prompt := "Is it so?"
	if fault != "" {
		prompt += " [[fault:" + fault + "]]"
	}
	_, err := b.client.Judge(b.t.Context(), gemini.JudgeRequest{Model: judgeModel, Prompt: prompt, Schema: []byte(`{"type":"object"}`)})
	if err == nil {
		return nil
	}
	var failed *gemini.Error
	require.ErrorAs(b.t, err, &failed)
	return failed
}

func (b *bench) calls() int { return len(b.upstream.Ledger()) }

// held is an error of a call that was not made.
func (b *bench) held(code string, wait time.Duration) {
	b.t.Helper()
	before := b.calls()
	failed := b.ask("")
	require.NotNil(b.t, failed)
	assert.Equal(b.t, code, failed.Code)
	assert.Equal(b.t, wait, failed.RetryAfter)
	assert.True(b.t, failed.Open && failed.SpendCertain)
	assert.Zero(b.t, failed.CostMicros)
	assert.Equal(b.t, judgeModel, failed.Model)
	assert.Equal(b.t, before, b.calls(), "nothing is called")
}

// gauge checks which cause the metrics show, empty for a closed breaker.
func (b *bench) gauge(want string) {
	b.t.Helper()
	families, err := b.metrics.Gather()
	require.NoError(b.t, err)
	code := ""
	for _, f := range families {
		if f.GetName() == "atelier_gemini_breaker_open" {
			require.Len(b.t, f.GetMetric(), 1)
			code = f.GetMetric()[0].GetLabel()[0].GetValue()
		}
	}
	assert.Equal(b.t, want, code)
}

// Failures in a row are an outage: nothing more is called, then one call at a
// time tells, after a while that grows.
func TestOutage(t *testing.T) {
	for _, fault := range []string{
		standin.FaultOverloaded, standin.FaultInternal, standin.FaultHTML, standin.FaultEmptyObject, standin.FaultCut, standin.FaultDrop, standin.FaultDeadline,
	} {
		b := newBench(t, standin.Options{})
		first := b.ask(fault)
		assert.False(t, first.Open, "one is no outage: %s", fault)
		_ = b.ask(fault)
		require.Nil(t, b.ask(""))
		_ = b.ask(fault)
		assert.False(t, b.ask(fault).Open, "an answer between begins anew")
		b.gauge("")
		third := b.ask(fault)
		assert.True(t, third.Open, fault)
		assert.Equal(t, time.Second, third.RetryAfter)
		b.gauge(first.Code)
		b.held(first.Code, time.Second)
		for _, wait := range []time.Duration{2 * time.Second, 3 * time.Second, 3 * time.Second} {
			b.pass(b.ask("").RetryAfter)
			assert.Equal(t, wait, b.ask(fault).RetryAfter, "the probe failed")
		}
		b.held(first.Code, 3*time.Second)
		b.pass(3 * time.Second)
		require.Nil(t, b.ask(""), "the probe went through")
		require.Nil(t, b.ask(""))
		b.gauge("")
		assert.Equal(t, 1, strings.Count(b.log.String(), "calls to the model stop"), "told once")
		assert.Equal(t, 1, strings.Count(b.log.String(), "answers again"))
	}
}

// A quota closes the model for as long as it says, for everybody, and for no
// other model.
func TestQuotaOpensTheBreaker(t *testing.T) {
	b := newBench(t, standin.Options{})
	assert.Equal(t, 18312478563*time.Nanosecond, b.ask(standin.FaultQuotaMinute).RetryAfter)
	b.held(gemini.CodeQuotaMinute, 18312478563)
	b.pass(18 * time.Second)
	b.held(gemini.CodeQuotaMinute, 312478563)
	b.pass(312478563)
	require.Nil(t, b.ask(""))

	_ = b.ask(standin.FaultQuotaDay)
	b.held(gemini.CodeQuotaDay, 12*time.Hour-18312478563)
	_, err := b.client.GenerateImage(t.Context(), request("a cup [[fault:blocked]]"))
	var failed *gemini.Error
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, gemini.CodePromptBlocked, failed.Code, "it was called")
	b.pass(12 * time.Hour)
	require.Nil(t, b.ask(""))
}

// What only an operator can change is told once, and looked at again now and
// then; what is wrong with one request closes nothing.
func TestConfigurationFaultsAlertOnce(t *testing.T) {
	for fault, code := range map[string]string{
		standin.FaultLeakedKey: gemini.CodePermission, standin.FaultBadKey: gemini.CodePermission,
		standin.FaultBilling: gemini.CodeBilling, standin.FaultModelGone: gemini.CodeModelGone,
	} {
		b := newBench(t, standin.Options{})
		failed := b.ask(fault)
		assert.True(t, failed.Open, fault)
		b.held(code, time.Second)
		b.gauge(code)
		for range 5 {
			b.pass(3 * time.Second)
			_ = b.ask(fault)
		}
		assert.Equal(t, 1, strings.Count(b.log.String(), `"level":"error"`), "%s: %s", fault, b.log.String())
		assert.NotContains(t, b.log.String(), key)
		b.pass(3 * time.Second)
		require.Nil(t, b.ask(""), "somebody mended it")
	}
	b := newBench(t, standin.Options{})
	for _, fault := range []string{standin.FaultBadRequest, standin.FaultBlocked, standin.FaultSafety} {
		for range 4 {
			assert.False(t, b.ask(fault).Open, fault)
		}
	}
	assert.Empty(t, b.log.String())
}

// While one call tells, the others wait; one that is given up tells nothing; and
// what was begun before the model closed does not open it.
func TestOneProbeAtATime(t *testing.T) {
	type gate struct{ reached, free chan struct{} }
	var hold atomic.Pointer[gate]
	b := newBench(t, standin.Options{Hold: func(ctx context.Context, _ standin.Call) {
		if g := hold.Load(); g != nil {
			close(g.reached)
			select {
			case <-g.free:
			case <-ctx.Done():
			}
		}
	}})
	// slow makes a call that is held at the other side.
	slow := func(ctx context.Context) (free chan struct{}, done chan error) {
		g := &gate{make(chan struct{}), make(chan struct{})}
		hold.Store(g)
		done = make(chan error, 1)
		go func() {
			_, err := b.client.Judge(ctx, gemini.JudgeRequest{Model: judgeModel, Prompt: "Is it?", Schema: []byte(`{"type":"object"}`)})
			done <- err
		}()
		<-g.reached
		hold.Store(nil)
		return g.free, done
	}
	free, old := slow(t.Context())
	_ = b.ask(standin.FaultLeakedKey)
	close(free)
	require.NoError(t, <-old)
	b.held(gemini.CodePermission, time.Second)

	b.pass(time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	_, probe := slow(ctx)
	b.held(gemini.CodePermission, time.Second)
	cancel()
	require.ErrorIs(t, <-probe, context.Canceled)

	free, probe = slow(t.Context())
	b.held(gemini.CodePermission, time.Second)
	close(free)
	require.NoError(t, <-probe)
	require.Nil(t, b.ask(""))
}

// Many who hear at once that a key is wrong are one piece of news.
func TestManyFailuresAtOnceAreOne(t *testing.T) {
	var reached sync.WaitGroup
	reached.Add(4)
	b := newBench(t, standin.Options{
		Rules: []standin.Rule{{Fault: standin.FaultLeakedKey, Times: 4}},
		Hold: func(context.Context, standin.Call) {
			reached.Done()
			reached.Wait()
		},
	})
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() { _ = b.ask("") })
	}
	calls.Wait()
	assert.Equal(t, 4, b.calls())
	b.held(gemini.CodePermission, time.Second)
	assert.Equal(t, 1, strings.Count(b.log.String(), "\n"))
}

func TestBreakerConfiguration(t *testing.T) {
	_, err := gemini.New(t.Context(), gemini.Config{APIKey: key, Breaker: gemini.BreakerConfig{Failures: -1}})
	require.Error(t, err)
	// Calls whose errors are the caller's own fault reach no breaker.
	client, upstream := start(t, standin.Options{})
	for range 10 {
		_, err := client.Judge(t.Context(), gemini.JudgeRequest{Model: judgeModel})
		require.Error(t, err)
	}
	_, err = client.Judge(t.Context(), gemini.JudgeRequest{Model: judgeModel, Prompt: "Is it?", Schema: []byte(`{"type":"object"}`)})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, upstream.Ledger()[0].Status)
}
