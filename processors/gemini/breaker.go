package gemini

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// BreakerConfig says when calls to a model stop and how long. The zero value is
// usable.
type BreakerConfig struct {
	// Failures in a row open the breaker (count); 0 means 5. One that says what
	// holds for every call, such as a quota or a wrong key, opens it at once.
	Failures int
	// Wait is how long it stays open where nobody says how long; it doubles with
	// every probe that fails, up to WaitMax. 0 means 5 seconds and 5 minutes.
	Wait, WaitMax time.Duration
}

func (c *BreakerConfig) setDefaults() {
	if c.Failures == 0 {
		c.Failures = 5
	}
	if c.Wait == 0 {
		c.Wait = 5 * time.Second
	}
	if c.WaitMax == 0 {
		c.WaitMax = 60 * c.Wait
	}
	c.WaitMax = max(c.WaitMax, c.Wait)
}

// breaker keeps calls from models that are known to refuse them: closed, calls
// go; open, none go until a time; then half-open, one goes, and what comes of it
// closes or opens it again. Each model has its own. It is safe for concurrent use.
type breaker struct {
	config  BreakerConfig
	now     func() time.Time
	log     zerolog.Logger
	metrics breakerMetrics

	mu     sync.Mutex
	models map[string]*circuit
}

// circuit is the breaker of one model.
type circuit struct {
	// cause is why it is open, nil while it is closed.
	cause *Error
	until time.Time
	// probing says that a call is out that will tell.
	probing bool
	// inRow counts failures, waits the openings without a success between.
	inRow, waits int
	// opened counts openings: what a call says that began before the last one is
	// older than what is known.
	opened int
}

// ticket is a call that was let go.
type ticket struct {
	model  string
	opened int
	probe  bool
}

type breakerMetrics struct {
	open *prometheus.GaugeVec
	held *prometheus.CounterVec
}

func newBreaker(config Config, now func() time.Time) *breaker {
	m := breakerMetrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "atelier_gemini_breaker_open",
			Help: "1 for a model that is not called until its quota is back, its outage over, or its configuration mended; by the cause's code."}, []string{"model", "code"}),
		held: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_gemini_calls_held_total",
			Help: "Calls that were not made because the model's breaker was open."}, []string{"model"}),
	}
	if config.Registerer != nil {
		config.Registerer.MustRegister(m.open, m.held)
	}
	config.Breaker.setDefaults()
	return &breaker{config: config.Breaker, now: now, log: config.Log, metrics: m, models: map[string]*circuit{}}
}

// enter lets a call go, or says why not and when to come again.
func (b *breaker) enter(model string) (ticket, *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.models[model]
	if c == nil {
		c = &circuit{}
		b.models[model] = c
	}
	t := ticket{model: model, opened: c.opened}
	now := b.now()
	switch {
	case c.cause == nil:
		return t, nil
	case now.Before(c.until):
		return t, b.hold(c, c.until.Sub(now))
	case c.probing:
		return t, b.hold(c, b.config.Wait)
	}
	c.probing, t.probe = true, true
	return t, nil
}

// hold is the error of a call that is not made: its cause's, at no cost.
func (b *breaker) hold(c *circuit, wait time.Duration) *Error {
	b.metrics.held.WithLabelValues(c.cause.Model).Inc()
	held := newError(c.cause.Code, "")
	held.Model, held.Reason = c.cause.Model, c.cause.Reason
	held.Open, held.RetryAfter, held.SpendCertain = true, wait, true
	return held
}

// leave takes up what came of a call; failed is nil for a good answer. Where the
// breaker is open from then on, failed says so, and until when.
func (b *breaker) leave(t ticket, failed *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.models[t.model]
	if t.probe {
		c.probing = false
	}
	opens := opensNever
	if failed != nil {
		opens = traits[failed.Code].opens
	}
	switch {
	case failed != nil && failed.Code == CodeCanceled: // it says nothing
	case t.opened != c.opened && opens != opensAtOnce: // it is older than what is known
	case opens == opensNever:
		b.close(c, t.model)
	default:
		if c.inRow++; opens == opensAtOnce || t.probe || c.inRow >= b.config.Failures {
			b.open(c, t, failed)
		}
	}
	if failed != nil && opens != opensNever && c.cause != nil {
		failed.Open = true
		failed.RetryAfter = max(failed.RetryAfter, c.until.Sub(b.now()))
	}
}

func (b *breaker) close(c *circuit, model string) {
	if c.cause != nil {
		b.metrics.open.DeleteLabelValues(model, c.cause.Code)
		b.log.Info().Str("model", model).Msg("the model answers again")
	}
	c.cause, c.inRow, c.waits = nil, 0, 0
}

// open stops the calls: as long as the error says, or else a growing while. An
// operator is called once, not with every probe.
func (b *breaker) open(c *circuit, t ticket, failed *Error) {
	now := b.now()
	if c.cause != nil && !t.probe { // a call beside the one that opened it
		if until := now.Add(failed.RetryAfter); until.After(c.until) {
			c.until = until
		}
		return
	}
	wait := failed.RetryAfter
	if wait <= 0 {
		wait = b.config.WaitMax
		if c.waits < 16 {
			wait = min(b.config.Wait<<c.waits, b.config.WaitMax)
		}
	}
	news := c.cause == nil || c.cause.Code != failed.Code
	if c.cause != nil {
		b.metrics.open.DeleteLabelValues(t.model, c.cause.Code)
	}
	cause := *failed
	c.cause, c.until, c.waits, c.opened = &cause, now.Add(wait), c.waits+1, c.opened+1
	b.metrics.open.WithLabelValues(t.model, failed.Code).Set(1)
	if !news {
		return
	}
	level, message := zerolog.WarnLevel, "calls to the model stop for a while"
	if failed.Remedy == RemedyAlert {
		level, message = zerolog.ErrorLevel, "the model refuses to work for us: change key, billing or model; images wait until then, or until their deadline"
	}
	b.log.WithLevel(level).Str("model", t.model).Str("code", failed.Code).Str("reason", failed.Reason).Str("detail", failed.Detail).
		Time("until", c.until).Msg(message)
}
