package decider

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// clock is a wall clock that a test moves.
type clock struct{ at atomic.Int64 }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.at.Store(at.UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.at.Load()).UTC() }
func (c *clock) move(by time.Duration)   { c.at.Add(by.Microseconds()) }
func (c *clock) set(config *Config)      { config.Now = c.now }
func occurred(e schemas.Event) time.Time { return e.Meta().OccurredAt }

// A host whose clock is behind does not turn an account's time back.
func TestTimeDoesNotRunBackwards(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		wall := newClock(time.Now().Truncate(time.Microsecond))
		d := w.start("a", wall.set)
		first, second, third := grant(account(1), 1), grant(account(1), 1), grant(account(1), 1)
		w.send(first)
		began := occurred(w.outcome(first.ID)[0])
		require.True(t, began.Equal(wall.now()))
		require.NoError(t, d.stop())

		wall.move(-time.Hour)
		w.start("b", wall.set)
		w.send(second)
		events := w.outcome(first.ID, second.ID)
		require.True(t, occurred(events[1]).Equal(began), "not before the account's last time")
		wall.move(2 * time.Hour)
		w.send(third)
		events = w.outcome(first.ID, second.ID, third.ID)
		require.True(t, occurred(events[2]).Equal(wall.now()))
	})
}

// A generation that nobody answers for is failed at its deadline, once, and its
// credits come back.
func TestTheSweepFailsWhatIsPastItsDeadline(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		wall := newClock(time.Now().Truncate(time.Microsecond))
		d := w.start("a", wall.set)
		brand, batch, hash := schemas.NewID(), schemas.NewID(), make([]byte, 16)
		request := &schemas.RequestGeneration{
			CommandMetadata: meta(account(1)), BatchID: batch, BrandID: brand, BrandVersion: 1, Kit: []byte("kit"), KitHash: hash, KitSchema: 1,
			Brief: []byte("brief"), Workflow: "create", Tier: "standard", Placements: []string{"meta_story", "meta_reel"},
			PlacementTable: 1, Variants: 1, MaxCredits: 100, OpenMax: 10, DeadlineMs: 60_000,
		}
		w.send(grant(account(1), 10),
			&schemas.SaveBrand{CommandMetadata: meta(account(1)), BrandID: brand, Kit: []byte("kit"), KitHash: hash, KitSchema: 1}, request)
		w.outcome(request.ID)
		wall.move(59 * time.Second)
		probe := grant(account(2), 1) // decided after a round of the sweep or before: either way nothing is due
		w.send(probe)
		for _, e := range w.outcome(probe.ID) {
			_, early := e.(*schemas.GenerationFailed)
			require.False(t, early, "nothing is due yet")
		}
		require.NoError(t, d.stop())

		// Whoever takes over knows what is due.
		wall.move(2 * time.Second)
		w.start("b", wall.set)
		var failed []*schemas.GenerationFailed
		var released int64
		w.read(func(events []schemas.Event) bool {
			failed, released = nil, 0
			for _, e := range events {
				switch e := e.(type) {
				case *schemas.GenerationFailed:
					failed = append(failed, e)
				case *schemas.CreditsReleased:
					released += e.Credits
				}
			}
			return len(failed) == 2 && released == 4
		})
		for _, f := range failed {
			require.Equal(t, []string{batch, "deadline", "ours", "sweep"}, []string{f.BatchID, f.Reason, f.Fault, f.Actor.Via})
		}
		require.NotEqual(t, failed[0].GenerationID, failed[1].GenerationID)
	})
}
