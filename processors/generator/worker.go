package generator

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"atelier/schemas"
)

// attemptsMax is how many calls a generation may cost. Events carry no more.
const attemptsMax = 3

// Outcomes of an attempt beside the faults' codes.
const (
	outcomeOK       = "ok"
	outcomeRejected = "rejected"
	// outcomeLost is a call of which nobody knows what came; its cost is the
	// price list's, not the model's word.
	outcomeLost = "lost"
)

// Whose fault a failure is.
const (
	faultUser  = "user"
	faultOurs  = "ours"
	faultModel = "model"
)

// The reasons of a failed generation that are not a fault's code.
const (
	reasonErased    = "account_erased"
	reasonInternal  = "internal"
	reasonReference = "reference_unavailable"
	reasonWorkflow  = "unknown_workflow"
	reasonPlacement = "unknown_placement"
	reasonBrief     = "unusable_brief"
	reasonQuota     = "quota"
	reasonStorage   = "storage"
	reasonOngoing   = "call_under_way"
)

// The reasons for which a generation is held beside a quota: the model does not
// answer, or not us, until an operator has changed something.
const (
	reasonOutage      = "model_outage"
	reasonUnavailable = "model_unavailable"
)

// worker makes attempts. It keeps nothing between them and is safe for
// concurrent use.
type worker struct {
	config  Config
	tuning  tuning
	journal journal
	notes   *notes
	metrics *metrics
}

// task is what an attempt needs to know.
type task struct {
	request *schemas.GenerationRequested
	batch   *schemas.BatchRequested // nil where the log does not have it
	// pictures are those that the batch has already.
	pictures *pictures
	// owner names this ownership of the generation: no two calls for it are
	// under way under one name.
	owner string
	work  work
}

// work is what has been done for a generation so far.
type work struct {
	attempts []schemas.Attempt
	// firstCall is when the first call began; zero: none yet.
	firstCall time.Time
	checking  time.Duration
	// throttles and troubles count what cost no attempt, for the back-off.
	throttles int
	troubles  int
	// unkept is a paid result that the journal does not have yet.
	unkept *result
	// unjudged is the same for a call of the judge.
	unjudged *unkeptJudgement
}

// count adds an attempt. The slice is copied, because earlier holders keep theirs.
func (k *work) count(a schemas.Attempt) {
	k.attempts = append(k.attempts[:len(k.attempts):len(k.attempts)], a)
	k.throttles, k.troubles = 0, 0
}

// next is what follows an attempt: an answer, another try at a time, or nothing
// where it was stopped.
type next struct {
	work   work
	answer schemas.Command
	// again is when to try again, with why; the zero time: now.
	again  time.Time
	stage  string
	reason string
	// model is closed to everybody until again.
	model   string
	stopped bool
}

// attempt makes the next attempt of a generation, or takes up its result where
// it was made before. It ends early when call ends; what must be kept of a call
// that was made is kept under keep, which lives longer.
func (w *worker) attempt(call, keep context.Context, t task) (n next) {
	defer func() {
		if p := recover(); p != nil {
			w.config.Log.Error().Str("generation_id", t.request.GenerationID).Str("correlation_id", t.request.CorrelationID).
				Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("attempt panicked")
			n = w.failed(t, failure{Code: reasonInternal, Fault: faultOurs, Detail: "Something went wrong on our side."})
		}
	}()
	order, refusal, err := w.prepare(call, t)
	switch {
	case err != nil:
		return w.trouble(call, t, err)
	case refusal != nil:
		return w.failed(t, *refusal)
	}
	r, pending, err := w.obtain(call, keep, t, order)
	switch {
	case err != nil:
		return w.trouble(call, t, err)
	case pending != nil:
		return *pending
	}
	t.work.unkept = nil
	if t.work.firstCall.IsZero() {
		t.work.firstCall = r.StartedAt
	}
	if r.Failure != nil {
		return w.refused(t, r)
	}
	return w.check(call, keep, t, order, r)
}

// obtain returns what came of the attempt's call: it makes it, or finds what
// another owner of it has kept. pending is what follows where there is no result yet.
func (w *worker) obtain(call, keep context.Context, t task, o order) (result, *next, error) {
	id, number := t.request.GenerationID, len(t.work.attempts)+1
	if t.work.unkept != nil {
		return w.keep(keep, t, *t.work.unkept)
	}
	now := time.Now()
	c := claim{
		Owner: t.owner, Model: o.model, Seed: o.seed, EstimateMicros: o.estimateMicros,
		StartedAt: now, Until: now.Add(w.config.CallTimeout + w.tuning.keepTimeout),
	}
	mine, err := w.journal.begin(call, id, number, c)
	switch {
	case err != nil:
		return result{}, nil, err
	case mine:
		return w.make(call, keep, t, o, now)
	}
	r, err := w.found(call, id, number, t.owner)
	if errors.Is(err, errOwn) {
		return w.make(call, keep, t, o, now)
	}
	if errors.Is(err, errOngoing) || errors.Is(err, errReleased) {
		again := time.Now().Add(w.tuning.journalPoll)
		return result{}, &next{work: t.work, again: again, stage: stageGenerating, reason: reasonOngoing}, nil
	}
	return r, nil, err
}

var (
	// errOngoing is a call that another owner may still be waiting for.
	errOngoing = errors.New("another owner's call is under way")
	// errOwn is a claim of our own whose creation was not told us.
	errOwn = errors.New("the claim is our own")
)

// found returns what is kept of somebody's call. One that is past its time
// without a result counts as lost from then on, for everybody.
func (w *worker) found(ctx context.Context, id string, number int, owner string) (result, error) {
	r, err := w.journal.read(ctx, id, number)
	if !isNotFound(err) {
		return orLost(r, err)
	}
	c, exists, err := w.journal.claimed(ctx, id, number)
	switch {
	case err != nil:
		return result{}, err
	case !exists:
		return result{}, errReleased
	case c.Owner == owner:
		return result{}, errOwn
	case time.Now().Before(c.Until):
		return result{}, errOngoing
	}
	return orLost(w.journal.finish(ctx, id, number, result{Attempt: c.lost(number), StartedAt: c.StartedAt, Failure: lost()}))
}

// lost is the failure of a call whose answer nobody has.
func lost() *failure {
	return &failure{Code: outcomeLost, Fault: faultOurs, Detail: "The answer of the image model was lost.", Retriable: true}
}

// orLost counts a call whose picture is gone as lost, at what it cost.
func orLost(r result, err error) (result, error) {
	if errors.Is(err, errGone) {
		r.Attempt.Outcome, r.Failure, err = outcomeLost, lost(), nil
	}
	return r, err
}

// make makes the paid call and keeps what comes of it before anything else.
func (w *worker) make(call, keep context.Context, t task, o order, began time.Time) (result, *next, error) {
	id, number := t.request.GenerationID, len(t.work.attempts)+1
	if call.Err() != nil {
		return result{}, &next{work: t.work, stopped: true}, w.release(keep, id, number)
	}
	w.notes.say(t.request, stageGenerating, number, "", began)
	timed, cancel := context.WithTimeout(call, w.config.CallTimeout)
	answer := w.generate(timed, o)
	cancel()
	took := time.Since(began)
	if answer.throttled {
		w.metrics.throttled.Inc()
		w.metrics.callSeconds.WithLabelValues(reasonQuota).Observe(took.Seconds())
		return result{}, w.throttled(t, o, answer), w.release(keep, id, number)
	}
	if answer.failure != nil && call.Err() != nil && answer.costMicros == 0 {
		return result{}, &next{work: t.work, stopped: true}, w.release(keep, id, number) // it never left
	}
	r := result{
		Attempt: schemas.Attempt{
			Number: number, Model: o.model, Seed: o.seed, Outcome: outcomeOK,
			Tokens: answer.tokens, CostMicros: answer.costMicros, DurationMs: took.Milliseconds(),
		},
		StartedAt: began, ModelVersion: answer.modelVersion, Template: o.prompt.Template, TemplateVersion: o.prompt.Version,
		Failure: answer.failure, image: answer.image,
	}
	if answer.failure != nil && call.Err() != nil {
		r.Failure = lost() // by us, who stopped it
	}
	if r.Failure != nil {
		r.Attempt.Outcome = r.Failure.Code
	}
	w.metrics.callSeconds.WithLabelValues(r.Attempt.Outcome).Observe(took.Seconds())
	kept, pending, err := w.keep(keep, t, r)
	if err == nil && pending == nil && call.Err() != nil {
		return result{}, &next{work: t.work, stopped: true}, nil
	}
	return kept, pending, err
}

// keep stores a result before anything else is done with it, and goes on trying
// for a while, because it was paid. What cannot be stored is held for the next try.
func (w *worker) keep(ctx context.Context, t task, r result) (result, *next, error) {
	ctx, cancel := context.WithTimeout(ctx, w.tuning.keepTimeout)
	defer cancel()
	for try := 1; ; try++ {
		kept, err := orLost(w.journal.finish(ctx, t.request.GenerationID, r.Attempt.Number, r))
		if err == nil {
			return kept, nil, nil
		}
		select {
		case <-ctx.Done():
			w.config.Log.Error().Err(err).Str("generation_id", t.request.GenerationID).Int("attempt", r.Attempt.Number).
				Msg("the result of a paid call cannot be kept")
			t.work.unkept = &r
			held := w.trouble(context.WithoutCancel(ctx), t, err)
			return result{}, &held, nil
		case <-time.After(backoff(t.request.GenerationID, try, w.tuning.backoffBase, w.tuning.backoffMax)):
		}
	}
}

// releaseKey is release for a call of the judge.
func (w *worker) releaseKey(ctx context.Context, t task, key string) error {
	ctx, cancel := context.WithTimeout(ctx, w.tuning.keepTimeout)
	defer cancel()
	if err := w.journal.media.Delete(ctx, key); err != nil {
		w.config.Log.Warn().Err(err).Str("generation_id", t.request.GenerationID).Msg("the judge's claim could not be released")
	}
	return nil
}

// release frees an attempt whose call was not made or refused unseen. When that
// fails, the claim ends by itself and the attempt counts as lost.
func (w *worker) release(ctx context.Context, id string, number int) error {
	ctx, cancel := context.WithTimeout(ctx, w.tuning.keepTimeout)
	defer cancel()
	if err := w.journal.release(ctx, id, number); err != nil {
		w.config.Log.Warn().Err(err).Str("generation_id", id).Int("attempt", number).Msg("claim could not be released")
	}
	return nil
}
