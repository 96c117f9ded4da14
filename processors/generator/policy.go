package generator

import (
	"context"
	"hash/fnv"
	"strconv"
	"time"

	"atelier/schemas"
)

// tuning are the times that only tests set otherwise.
type tuning struct {
	// backoffBase and backoffMax bound the wait before another attempt, and
	// before another try of what costs no attempt. Gemini recovers from overload
	// in seconds to a minute.
	backoffBase, backoffMax time.Duration
	// journalPoll is how often another owner's call is looked for.
	journalPoll time.Duration
	// keepTimeout bounds the storing of one paid result.
	keepTimeout time.Duration
	// drain is how long running calls may finish after the end was asked for.
	// The whole process has 30 s.
	drain time.Duration
	// commitEvery is how often checkpoints are committed: what is newer is read
	// again after a crash, and changes nothing.
	commitEvery time.Duration
	// schemaRetry is how often a record with an unknown schema is read again.
	schemaRetry time.Duration
}

func defaults() tuning {
	return tuning{
		backoffBase: time.Second, backoffMax: 30 * time.Second,
		journalPoll: time.Second, keepTimeout: 30 * time.Second, drain: 25 * time.Second,
		commitEvery: time.Second, schemaRetry: 5 * time.Second,
	}
}

// backoff returns the wait before try n (from 1): base doubled each time, up to
// most, of which between half and all is waited. The jitter follows from the
// generation, so that a test and its repetition wait alike.
func backoff(id string, n int, base, most time.Duration) time.Duration {
	wait := most
	if n < 16 {
		wait = min(base<<(max(n, 1)-1), most)
	}
	h := fnv.New64a()
	h.Write([]byte(id))
	h.Write([]byte(strconv.Itoa(n)))
	return wait/2 + time.Duration(h.Sum64()%uint64(wait/2+1))
}

// seed returns the seed of an attempt: another one each time, the same for
// everybody who makes it. It is positive, as the model's API wants it.
func seed(id string, number int) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	h.Write([]byte(strconv.Itoa(number)))
	return int(h.Sum32() >> 1)
}

// failed ends the generation.
func (w *worker) failed(t task, f failure) next {
	return next{work: t.work, answer: fail(t.request, t.work, f, time.Now())}
}

// refused counts a call that brought no picture, and says what follows.
func (w *worker) refused(t task, r result) next {
	t.work.count(r.Attempt)
	w.metrics.attempts.WithLabelValues(r.Attempt.Outcome).Inc()
	number := len(t.work.attempts)
	again := time.Now().Add(backoff(t.request.GenerationID, number, w.tuning.backoffBase, w.tuning.backoffMax))
	if !r.Failure.Retriable || number >= attemptsMax || again.After(t.request.Deadline) {
		return w.failed(t, *r.Failure)
	}
	return next{work: t.work, again: again, stage: stageRetrying, reason: r.Failure.Code}
}

// throttled waits as the model's breaker tells, or until an overloaded model may
// have recovered, without an attempt and without a slot.
func (w *worker) throttled(t task, o order, a answer) *next {
	t.work.throttles++
	wait := a.retryAfter
	if wait <= 0 {
		wait = backoff(t.request.GenerationID, t.work.throttles, w.tuning.backoffBase, w.tuning.backoffMax)
	}
	n := next{work: t.work, stage: stageQueued}
	again := time.Now().Add(wait)
	if again.After(t.request.Deadline) {
		// Nobody waits for what cannot come in time.
		n = w.failed(t, *a.failure)
	}
	n.again, n.reason = again, heldReason(a.failure.Code)
	if a.closed {
		n.model = o.model
	}
	return &n
}

// trouble is what stands in the way of a try and is nobody's fault in the
// generation: a store or a key service that is away. It costs no attempt.
func (w *worker) trouble(call context.Context, t task, err error) next {
	if call.Err() != nil {
		return next{work: t.work, stopped: true}
	}
	t.work.troubles++
	wait := backoff(t.request.GenerationID, t.work.troubles, w.tuning.backoffBase, w.tuning.backoffMax)
	w.config.Log.Warn().Err(err).Str("generation_id", t.request.GenerationID).Str("correlation_id", t.request.CorrelationID).
		Dur("again_in", wait).Msg("generation is held up")
	return next{work: t.work, again: time.Now().Add(wait), stage: stageQueued, reason: reasonStorage}
}

// deadlinePassed says whether a generation may no longer be started.
func deadlinePassed(r *schemas.GenerationRequested, now time.Time) bool {
	return !now.Before(r.Deadline)
}
