package api

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// spentAt is an event of a call that cost something.
func spentAt(at time.Time, micros int64) schemas.Event {
	e := &schemas.SpendRecorded{CostMicros: micros}
	e.OccurredAt = at
	return e
}

// A day's spend is its own, whatever the order in which partitions pass midnight.
func TestABudgetCountsByDays(t *testing.T) {
	evening := time.Date(2026, 11, 27, 23, 59, 59, 0, time.UTC)
	morning := evening.Add(2 * time.Second)
	b := newBudget(100)
	b.add(spentAt(evening.AddDate(0, 0, -1), 50))
	b.add(spentAt(evening, 60))
	b.add(spentAt(morning, 99))
	b.add(spentAt(evening, 40))
	b.add(&schemas.CreditsCaptured{})
	require.Equal(t, int64(100), b.spent(evening))
	require.Equal(t, int64(99), b.spent(morning))
	require.Zero(t, b.spent(evening.AddDate(0, 0, -1)), "only two days are kept")
	require.NoError(t, b.admits(morning))
	var closed *refusal
	require.ErrorAs(t, b.admits(evening), &closed)
	require.Equal(t, codeQuotaClosed, closed.code)
	require.Equal(t, time.Second, closed.retryAfter)
	b.add(spentAt(morning, 1))
	require.Error(t, b.admits(morning))
	require.NoError(t, newBudget(0).admits(morning))
}

// A day that has used its budget up takes no new work on, at a node that was
// started after it was spent too; what was accepted before is answered as before.
func testBudget(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(map[string]any{"name": "Thrift"})
	body, key := request(brand, "meta_feed_square"), withKey("first")
	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, key).text("batch_id")
	require.Equal(t, 1, ann.settled(batch).number("counts.succeeded"))

	feed, err := NewFeed(FeedConfig{
		Kafka: w.kafka, Codec: w.codec, Partitions: feedPartitions, Log: w.log(), DailyBudgetMicros: 1,
		RingAge: time.Nanosecond, // what it counts, it read for the day's sake
	})
	require.NoError(t, err)
	ann = ann.at(w.startNode(func(c *Config) { c.Feed = feed }))
	repeated := ann.send(http.MethodPost, "/v1/generations", body, key)
	require.Equal(t, http.StatusCreated, repeated.status, repeated)
	require.Equal(t, batch, repeated.text("batch_id"))
	closed := ann.send(http.MethodPost, "/v1/generations", body, nil).refused(http.StatusServiceUnavailable, "quota_closed")
	wait, err := strconv.Atoi(closed.headers.Get("Retry-After"))
	require.NoError(t, err)
	require.LessOrEqual(t, wait, int((24 * time.Hour).Seconds()))
	require.Equal(t, 8, ann.get("/v1/credits").number("available"))
	require.Equal(t, http.StatusOK, ann.send(http.MethodPost, "/v1/quotes", body, nil).status, "asking is free")
}
