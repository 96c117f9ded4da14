package generator

import (
	"context"
	"time"

	"atelier/schemas"
)

// settlement is what is left to be done for a generation that has ended: the
// calls that its terminal event does not tell of are told by RecordSpend, and
// its pictures leave the journal.
type settlement struct {
	// command is nil where nothing was spent.
	command *schemas.RecordSpend
	// again is set where a call may still be under way with another owner.
	again time.Time
}

// settle looks into the journal, because calls may have been made by an owner
// before us. It may be repeated: who does not find in the log that the spend was told
// tells it, and the decider takes the first.
func (w *worker) settle(ctx context.Context, r *schemas.GenerationRequested, end ending) (settlement, error) {
	var spent []schemas.Attempt
	if end.settle {
		for number := end.carried + 1; number <= attemptsMax; number++ {
			attempt, found, ongoing, err := w.spent(ctx, r.GenerationID, number)
			switch {
			case err != nil:
				return settlement{}, err
			case ongoing:
				return settlement{again: time.Now().Add(w.tuning.journalPoll)}, nil
			case !found:
				number = attemptsMax
			default:
				spent = append(spent, attempt)
			}
		}
	}
	if err := w.journal.forget(ctx, r.GenerationID, end.carried+len(spent)); err != nil {
		return settlement{}, err
	}
	if len(spent) == 0 {
		return settlement{}, nil
	}
	return settlement{command: recordSpend(r, spent, end.reason, time.Now())}, nil
}

// spent returns the attempt that the journal tells of.
func (w *worker) spent(ctx context.Context, id string, number int) (attempt schemas.Attempt, found, ongoing bool, err error) {
	r, found, err := w.journal.summary(ctx, id, number)
	if err != nil {
		return schemas.Attempt{}, false, false, err
	}
	if found {
		judged, ongoing, err := w.journal.judgeSpend(ctx, id, number)
		r.Attempt.Tokens += judged.tokens
		r.Attempt.CostMicros += judged.costMicros
		return r.Attempt, true, ongoing, err
	}
	c, claimed, err := w.journal.claimed(ctx, id, number)
	switch {
	case err != nil || !claimed:
		return schemas.Attempt{}, false, false, err
	case time.Now().Before(c.Until):
		return schemas.Attempt{}, false, true, nil
	}
	return c.lost(number), true, false, nil
}
