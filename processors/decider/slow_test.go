package decider

import (
	"io"
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
		const perCommand = 20 * time.Millisecond
		l := load{want: map[string]int64{}}
		cs := grants(100, 1)
		for _, c := range cs {
			l.ids = append(l.ids, c.Meta().ID)
			l.want[c.Meta().AccountID]++
		}
		w.send(cs...)
		failed := &said{message: "decider session failed"}
		var calls atomic.Int64
		aborted := make(chan struct{})
		d := w.start("a", func(c *Config) {
			c.TransactionTimeout, c.Log = time.Second, zerolog.New(io.Discard).Hook(failed)
			c.Now = func() time.Time {
				<-time.After(perCommand)
				if calls.Add(1) == 40 {
					w.aborts(t)
					close(aborted)
				}
				return time.Now()
			}
		})
		waitFor(t, aborted, "the brokers abort the transaction")
		w.holds(l)
		require.NoError(t, d.stop())
		require.Positive(t, failed.times.Load())
		require.LessOrEqual(t, d.pace.commands(), len(cs)/2)
		t.Logf("%d sessions failed, batches of %d in the end", failed.times.Load(), d.pace.commands())
	})
}

// aborts waits until the brokers have ended the transaction that is open.
func (w *world) aborts(t *testing.T) {
	require.Eventually(t, func() bool {
		ends, err := w.admin.HighWatermarks(t.Context(), schemas.TopicEvents)
		if err != nil {
			return false
		}
		stable, err := w.admin.StableOffsets(t.Context(), schemas.TopicEvents)
		if err != nil {
			return false
		}
		written := false
		for p, end := range ends {
			written = written || end > 0
			if stable[p] < end {
				return false
			}
		}
		return written
	}, time.Minute, 5*time.Millisecond, "nothing is open")
}
