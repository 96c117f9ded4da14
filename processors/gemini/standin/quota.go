package standin

import (
	"slices"
	"sync"
	"time"

	"atelier/processors/gemini"
)

// quota counts the calls of each model. Only calls within it count, as at the
// real API.
type quota struct {
	mu     sync.Mutex
	minute map[string][]time.Time
	day    map[string]dayCount
}

type dayCount struct {
	ends  time.Time
	calls int
}

// take counts a call, or refuses it with the wait until there is room.
func (q *quota) take(model string, now time.Time, perMinute, perDay int) *refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	today := q.day[model]
	if ends := gemini.QuotaReset(now); !today.ends.Equal(ends) {
		today = dayCount{ends: ends}
	}
	if perDay > 0 && today.calls >= perDay {
		return quotaRefusal(quotaPerDay, time.Minute, perDay)
	}
	if perMinute > 0 {
		recent := slices.DeleteFunc(q.minute[model], func(at time.Time) bool { return now.Sub(at) >= time.Minute })
		if len(recent) >= perMinute {
			q.minute[model] = recent
			wait := time.Minute - now.Sub(recent[len(recent)-perMinute])
			return quotaRefusal(quotaPerMinute, wait, perMinute)
		}
		q.minute[model] = append(recent, now)
	}
	today.calls++
	q.day[model] = today
	return nil
}
