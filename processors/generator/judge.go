package generator

import (
	"context"
	"errors"
	"strconv"
	"time"

	"atelier/internal/picture"
	"atelier/processors/gemini"
	"atelier/processors/quality"
)

const (
	// judgeAnswersMax is how many answers that cannot be used a picture gets
	// before its generation fails.
	judgeAnswersMax = 3
	// judgeCallsMax bounds the judge's calls for one picture (count): those whose
	// cost is uncertain while it is away. Those that cost nothing are not counted;
	// the deadline ends them.
	judgeCallsMax = 24
	// judgeTimeoutMax bounds one call of the judge, as Config.CallTimeout does where
	// it is shorter; a usual one takes some seconds.
	judgeTimeoutMax = 2 * time.Minute
	// judgeOutputTokensMax bounds an answer with its thoughts: some 60 questions
	// of 60 tokens each, and as much again to think.
	judgeOutputTokensMax = 16_384
	// judgeEstimateMicros is what a call counts of which nobody knows what came,
	// millionths of a US dollar: 5,000 tokens in and 4,000 out.
	judgeEstimateMicros = 19_000
)

// Outcomes of a call of the judge beside the faults' codes.
const outcomeUnusable = "unusable"

const (
	reasonJudgeAway = "judge_away"
	reasonUnjudged  = "unjudged"
)

// judgement is what came of one call of the judge, as the journal keeps it.
type judgement struct {
	Version      int    `json:"version"`
	Outcome      string `json:"outcome"`
	Model        string `json:"model"`
	ModelVersion string `json:"model_version,omitempty"`
	Tokens       int64  `json:"tokens"`
	// CostMicros is what the call cost at most, millionths of a US dollar.
	CostMicros int64 `json:"cost_micros"`
	// Unusable is set for an answer that is no judgement, or none in time: it
	// counts towards judgeAnswersMax. A judge that is away does not.
	Unusable bool `json:"unusable,omitempty"`
	// Results are the verdicts of a usable answer. They hold no personal text.
	Results []quality.Result `json:"results,omitempty"`
}

// unkeptJudgement is a paid call of the judge that the journal does not have yet.
type unkeptJudgement struct {
	key string
	judgement
}

// judged is what the judge's calls for one picture brought together.
type judged struct {
	tokens, costMicros int64
	// results are empty where no call brought a usable answer: that is no pass.
	results []quality.Result
}

func (s *judged) add(j judgement) {
	s.tokens += j.Tokens
	s.costMicros += j.CostMicros
	s.results = j.Results
}

// judgeKey names a call of the judge in the journal, counted from 1.
func judgeKey(generation string, number, call int) string {
	return attemptKey(generation, number) + "-judge-" + strconv.Itoa(call)
}

func (w *worker) judgeTimeout() time.Duration { return min(judgeTimeoutMax, w.config.CallTimeout) }

// judge asks the judge about the picture of an attempt, or takes up what it has
// said before. pending is what follows while it is away, or while another owner
// asks it: the picture waits in the journal, because it was paid.
func (w *worker) judge(call, keep context.Context, t task, o order, image []byte) (judged, *next, error) {
	var sum judged
	unusable := 0
	for n := 1; n <= judgeCallsMax && unusable < judgeAnswersMax; n++ {
		j, pending, err := w.judgement(call, keep, t, o, image, judgeKey(t.request.GenerationID, len(t.work.attempts)+1, n))
		if err != nil || pending != nil {
			return sum, pending, err
		}
		sum.add(j)
		if j.Outcome == outcomeOK {
			return sum, nil, nil
		}
		if j.Unusable {
			unusable++
		}
	}
	return sum, nil, nil
}

// judgement returns what came of one call: it makes it, or finds what is kept.
func (w *worker) judgement(call, keep context.Context, t task, o order, image []byte, key string) (judgement, *next, error) {
	if u := t.work.unjudged; u != nil && u.key == key {
		return w.keepJudgement(keep, t, key, u.judgement)
	}
	now := time.Now()
	mine, err := w.journal.claimJudge(call, key, claim{
		Owner: t.owner, Model: w.config.JudgeModel, EstimateMicros: judgeEstimateMicros,
		StartedAt: now, Until: now.Add(w.judgeTimeout() + w.tuning.keepTimeout),
	})
	switch {
	case err != nil:
		return judgement{}, nil, err
	case mine:
		return w.askJudge(call, keep, t, o, image, key)
	}
	j, err := w.foundJudgement(call, key, t.owner)
	switch {
	case errors.Is(err, errOwn):
		return w.askJudge(call, keep, t, o, image, key)
	case errors.Is(err, errOngoing), errors.Is(err, errReleased):
		return j, &next{work: t.work, again: time.Now().Add(w.tuning.journalPoll), stage: stageChecking, reason: reasonOngoing}, nil
	}
	return j, nil, err
}

// foundJudgement is found for a call of the judge.
func (w *worker) foundJudgement(ctx context.Context, key, owner string) (judgement, error) {
	j, err := w.journal.judgement(ctx, key)
	if !isNotFound(err) {
		return j, err
	}
	var c claim
	err = w.journal.load(ctx, key, &c)
	switch {
	case isNotFound(err):
		return judgement{}, errReleased
	case err != nil:
		return judgement{}, err
	case c.Owner == owner:
		return judgement{}, errOwn
	case time.Now().Before(c.Until):
		return judgement{}, errOngoing
	}
	return w.journal.finishJudge(ctx, key, judgement{Outcome: outcomeLost, Model: c.Model, CostMicros: c.EstimateMicros})
}

// askJudge makes the paid call and keeps what comes of it before anything else.
func (w *worker) askJudge(call, keep context.Context, t task, o order, image []byte, key string) (judgement, *next, error) {
	if call.Err() != nil {
		return judgement{}, &next{work: t.work, stopped: true}, w.releaseKey(keep, t, key)
	}
	inquiry := quality.Inquire(o.standards.briefing)
	request, err := w.judgeRequest(o, inquiry, image)
	if err != nil {
		return judgement{}, nil, errors.Join(err, w.releaseKey(keep, t, key))
	}
	timed, cancel := context.WithTimeout(call, w.judgeTimeout())
	answer, err := w.config.Gemini.Judge(timed, request)
	cancel()
	j, away, retryAfter := w.judgementOf(inquiry, answer, err)
	w.metrics.judged.WithLabelValues(j.Outcome).Inc()
	stopped := call.Err() != nil
	if (away || stopped) && j.CostMicros == 0 && j.Outcome != outcomeOK {
		if err := w.releaseKey(keep, t, key); err != nil {
			return judgement{}, nil, err
		}
		if stopped {
			return judgement{}, &next{work: t.work, stopped: true}, nil
		}
		return judgement{}, w.judgeAway(t, retryAfter), nil
	}
	if stopped && j.Outcome != outcomeOK {
		j.Outcome, j.Unusable = outcomeLost, false // by us, who stopped it
	}
	kept, pending, err := w.keepJudgement(keep, t, key, j)
	switch {
	case err != nil || pending != nil:
		return kept, pending, err
	case stopped:
		return judgement{}, &next{work: t.work, stopped: true}, nil
	case away:
		return judgement{}, w.judgeAway(t, retryAfter), nil
	}
	return kept, nil, nil
}

func (w *worker) judgeRequest(o order, i quality.Inquiry, image []byte) (gemini.JudgeRequest, error) {
	if len(image) > referenceBytesMax {
		var err error
		if image, err = shrink(image); err != nil {
			return gemini.JudgeRequest{}, err
		}
	}
	request := gemini.JudgeRequest{
		Model: w.config.JudgeModel, System: i.System, Prompt: i.Prompt, Schema: i.Schema, MaxOutputTokens: judgeOutputTokensMax,
		Pictures: []gemini.Reference{{MIMEType: picture.MIMEType(picture.Sniff(image)), Data: image}},
	}
	if product := o.product(); product != nil {
		request.Pictures = append(request.Pictures, gemini.Reference{MIMEType: product.mimeType, Data: product.data})
	}
	return request, nil
}

// judgementOf reads an answer, or an error: away says that the judge could not be
// asked, which is no word about the picture.
func (w *worker) judgementOf(i quality.Inquiry, answer gemini.JudgeResult, err error) (j judgement, away bool, retryAfter time.Duration) {
	j.Model = w.config.JudgeModel
	if err == nil {
		j.Outcome, j.ModelVersion = outcomeOK, answer.ModelVersion
		j.Tokens, j.CostMicros = answer.Usage.TotalTokens, answer.CostMicros
		if j.Results, err = i.Read(answer.JSON); err != nil {
			j.Outcome, j.Unusable = outcomeUnusable, true
			w.config.Log.Warn().Err(err).Msg("the judge's answer cannot be used")
		}
		return j, false, 0
	}
	var refused *gemini.Error
	if !errors.As(err, &refused) {
		refused = &gemini.Error{Code: gemini.CodeInternal, Fault: gemini.FaultOurs, CostMicros: judgeEstimateMicros}
	}
	if refused.Remedy == gemini.RemedyAlert {
		w.config.Log.Error().Str("code", refused.Code).Str("model", j.Model).Str("reason", refused.Reason).Str("detail", refused.Detail).
			Msg("the judge refuses to work for us; every picture waits until somebody changes the configuration")
	}
	j.Outcome, j.Tokens, j.CostMicros = refused.Code, refused.Usage.TotalTokens, refused.CostMicros
	j.Unusable = !judgeIsAway(refused.Code)
	return j, !j.Unusable, refused.RetryAfter
}

// judgeIsAway tells a judge that could not be asked from one that gave no usable
// answer, or none in time.
func judgeIsAway(code string) bool {
	switch code {
	case gemini.CodeQuotaMinute, gemini.CodeQuotaDay, gemini.CodeOverloaded, gemini.CodeInternal, gemini.CodeGateway,
		gemini.CodeNetwork, gemini.CodeDeadline, gemini.CodeBadRequest, gemini.CodeBilling, gemini.CodePermission, gemini.CodeModelGone:
		return true
	default:
		return false
	}
}

// judgeAway waits for the judge, until the deadline if need be.
func (w *worker) judgeAway(t task, wait time.Duration) *next {
	t.work.throttles++
	if wait <= 0 {
		wait = backoff(t.request.GenerationID, t.work.throttles, w.tuning.backoffBase, w.tuning.backoffMax)
	}
	return &next{work: t.work, again: time.Now().Add(wait), stage: stageChecking, reason: reasonJudgeAway}
}

// keepJudgement is keep for a call of the judge.
func (w *worker) keepJudgement(ctx context.Context, t task, key string, j judgement) (judgement, *next, error) {
	ctx, cancel := context.WithTimeout(ctx, w.tuning.keepTimeout)
	defer cancel()
	for try := 1; ; try++ {
		kept, err := w.journal.finishJudge(ctx, key, j)
		if err == nil {
			return kept, nil, nil
		}
		select {
		case <-ctx.Done():
			w.config.Log.Error().Err(err).Str("generation_id", t.request.GenerationID).Msg("a judgement cannot be kept")
			t.work.unjudged = &unkeptJudgement{key, j}
			held := w.trouble(context.WithoutCancel(ctx), t, err)
			return judgement{}, &held, nil
		case <-time.After(backoff(t.request.GenerationID, try, w.tuning.backoffBase, w.tuning.backoffMax)):
		}
	}
}
