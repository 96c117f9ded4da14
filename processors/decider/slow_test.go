package decider

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// A batch that takes longer than the transaction may: the brokers abort it under
// the decider, which keeps nothing of it and goes on with smaller ones.
func TestABatchThatIsSlowerThanItsTransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const timeout, perCommand = time.Second, 2 * time.Millisecond
		failed := &said{message: "decider session failed"}
		var waiting sync.Mutex
		var aborted atomic.Bool
		d := w.start("a", func(c *Config) {
			c.TransactionTimeout, c.Log = timeout, zerolog.New(io.Discard).Hook(failed)
			c.Now = func() time.Time {
				<-time.After(perCommand)
				// Partitions are decided side by side: where one is written already,
				// another one of the same batch waits here.
				if !aborted.Load() && waiting.TryLock() {
					defer waiting.Unlock()
					if began := time.Now(); w.open(t) {
						require.Eventually(t, func() bool { return !w.open(t) }, time.Minute, 5*time.Millisecond, "the brokers abort it")
						// Else it was the last one, whose markers were on their way.
						aborted.Store(time.Since(began) > timeout/4)
					}
				}
				return time.Now()
			}
		})
		l := w.keepSending(aborted.Load)
		w.holds(l)
		require.NoError(t, d.stop())
		require.Less(t, d.pace.commands(), CommandsPerTransactionMax)
		t.Logf("%d commands, %d sessions failed, batches of %d in the end", len(l.ids), failed.times.Load(), d.pace.commands())
	})
}

// open says whether a transaction that has written events is open.
func (w *world) open(t *testing.T) bool {
	ends, err := w.admin.HighWatermarks(t.Context(), schemas.TopicEvents)
	if err != nil {
		return false
	}
	stable, err := w.admin.StableOffsets(t.Context(), schemas.TopicEvents)
	if err != nil {
		return false
	}
	for p, end := range ends {
		if stable[p] < end {
			return true
		}
	}
	return false
}
