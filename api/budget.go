package api

import (
	"fmt"
	"sync"
	"time"

	"atelier/schemas"
)

// budget adds up what the models cost on each day (UTC, by the events' own time),
// over all accounts, and closes the door to new work on a day that has used its
// share up. What was accepted before is still made: a day costs at most its budget
// and what was open when the door closed. Every node counts the same events and
// comes to the same answer. It is safe for concurrent use.
type budget struct {
	limitMicros int64 // millionths of a US dollar a day; 0: no limit

	mu sync.Mutex
	// days are the newest two that anything was spent on: partitions do not pass
	// midnight together.
	days map[int64]int64 // millionths of a US dollar by days since 1970
}

// budgetDaysKept is today and the day before.
const budgetDaysKept = 2

func newBudget(limitMicros int64) *budget {
	return &budget{limitMicros: limitMicros, days: map[int64]int64{}}
}

// add counts what an event says that the models cost.
func (b *budget) add(e schemas.Event) {
	var micros int64
	switch e := e.(type) {
	case *schemas.GenerationSucceeded:
		micros = e.CostMicros
	case *schemas.GenerationFailed:
		micros = e.CostMicros
	case *schemas.SpendRecorded:
		micros = e.CostMicros
	}
	if micros == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.days[dayOf(e.Meta().OccurredAt)] += micros
	for len(b.days) > budgetDaysKept {
		oldest := dayOf(e.Meta().OccurredAt)
		for day := range b.days {
			oldest = min(oldest, day)
		}
		delete(b.days, oldest)
	}
}

// spent is what the day of now has cost so far, millionths of a US dollar.
func (b *budget) spent(now time.Time) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.days[dayOf(now)]
}

// admits refuses new work where the day's budget is used up.
func (b *budget) admits(now time.Time) error {
	if b.limitMicros == 0 || b.spent(now) < b.limitMicros {
		return nil
	}
	opens := startOfDay(now).AddDate(0, 0, 1)
	return &refusal{
		code:       codeQuotaClosed,
		detail:     fmt.Sprintf("no new images are taken on until %s; those under way are still made", opens.Format("15:04 MST")),
		retryAfter: opens.Sub(now),
	}
}

func dayOf(at time.Time) int64 { return at.Unix() / int64((24 * time.Hour).Seconds()) }

func startOfDay(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }
