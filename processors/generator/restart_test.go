package generator

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was paid before a restart is found after it, wherever the restart came: the
// stand-in's ledger counts.
func TestARestartRepeatsNoPaidCall(t *testing.T) {
	placements := []string{"meta_feed_square", "google_landscape"}
	t.Run("before the answer was written", func(t *testing.T) {
		onWorlds(t, func(t *testing.T, w *world) {
			p := &faultyProducer{Producer: w.producer, refuses: math.MaxInt, refused: make(chan struct{}, 1000)}
			r := w.run(func(c *Config) { c.Producer = p })
			w.request(account(0), placements...)
			w.eventually("both were drawn", func() bool { return w.standin.count() == 2 })
			receive(w, p.refused)
			receive(w, p.refused)
			r.end()
			r = w.run()
			completed(w, 2)
			require.Equal(t, 2, w.standin.count())
			r.end()
		})
	})
	t.Run("while calls run", func(t *testing.T) {
		onWorlds(t, func(t *testing.T, w *world) {
			answers := w.upstream.holdAfter()
			r := w.run()
			w.request(account(0), placements...)
			first, second := receive(w, answers), receive(w, answers)
			w.upstream.holdNothing()
			r.stop()
			first.release()
			second.release()
			r.end()
			r = w.run()
			completed(w, 2)
			require.Equal(t, 2, w.standin.count())
			r.end()
		})
	})
}
