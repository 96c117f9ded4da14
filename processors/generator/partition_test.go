package generator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"atelier/schemas"
)

// log is a small event log: what apply was given, by offset.
type testLog []schemas.Record

func batchOf(id string, generations ...string) []schemas.Record {
	events := []schemas.Record{&schemas.BatchRequested{BatchID: id, Images: len(generations)}}
	for _, g := range generations {
		events = append(events, &schemas.GenerationRequested{GenerationID: g, BatchID: id})
	}
	return events
}

// fold reads the log from an offset.
func (l testLog) fold(from int) *partition {
	p := newPartition(0, 1, int64(from), int64(len(l)))
	for offset := from; offset < len(l); offset++ {
		c := p.apply(int64(offset), l[offset])
		p.position = int64(offset) + 1
		if c.recorded != nil {
			p.close(c.recorded)
		}
	}
	return p
}

// closeEnded closes what has ended and needs no settling.
func closeEnded(p *partition) {
	for _, g := range p.generations {
		if g.end != nil && !g.end.settle {
			p.close(g)
		}
	}
}

func TestCheckpoint(t *testing.T) {
	succeeded := func(id string) schemas.Record { return &schemas.GenerationSucceeded{GenerationID: id} }
	failed := func(id, reason string) schemas.Record {
		return &schemas.GenerationFailed{GenerationID: id, Reason: reason}
	}
	canceled := func(id string) schemas.Record { return &schemas.GenerationCanceled{GenerationID: id} }
	join := func(parts ...[]schemas.Record) (l testLog) {
		for _, p := range parts {
			l = append(l, p...)
		}
		return l
	}
	one := func(e ...schemas.Record) []schemas.Record { return e }
	tests := []struct {
		name  string
		given testLog
		then  int64
		open  int
	}{
		{name: "an empty log", then: 0},
		{name: "nothing of ours", given: join(one(&schemas.AccountOpened{}, &schemas.BrandSaved{})), then: 2},
		{name: "the oldest open batch", given: join(one(&schemas.AccountOpened{}), batchOf("b", "g1", "g2")), then: 1, open: 2},
		{name: "a batch that is half done stays", given: join(batchOf("b", "g1", "g2"), one(succeeded("g1"))), then: 0, open: 1},
		{name: "a batch that is done goes", given: join(batchOf("b", "g1"), one(succeeded("g1"), &schemas.CreditsCaptured{})), then: 4, open: 0},
		{name: "a later one that is done waits for the oldest",
			given: join(batchOf("a", "a1"), batchOf("b", "b1"), one(failed("b1", "rejected"))), then: 0, open: 1},
		{name: "when the oldest is done the next open one is the oldest",
			given: join(batchOf("a", "a1"), batchOf("b", "b1"), batchOf("c", "c1"), one(succeeded("b1"), succeeded("a1"))), then: 4, open: 1},
		{name: "a batch whose generations are not all read yet stays", given: join(batchOf("b", "g1", "g2")[:2], one(succeeded("g1"))), then: 0, open: 0},
		{name: "a canceled one stays until its spend is settled", given: join(batchOf("b", "g1"), one(canceled("g1"))), then: 0, open: 1},
		{name: "one that the sweep ended, too", given: join(batchOf("b", "g1"), one(failed("g1", "deadline"))), then: 0, open: 1},
		{name: "its spend in the log settles it",
			given: join(batchOf("b", "g1"), one(canceled("g1"), &schemas.SpendRecorded{GenerationID: "g1"})), then: 4, open: 0},
		{name: "an end of something unknown changes nothing", given: join(one(succeeded("x"), canceled("y"))), then: 2},
		{name: "a second end changes nothing", given: join(batchOf("b", "g1"), one(succeeded("g1"), canceled("g1"))), then: 4, open: 0},
		{name: "a generation without its batch is open by itself",
			given: join(one(&schemas.GenerationRequested{GenerationID: "g", BatchID: "b"})), then: 0, open: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := tt.given.fold(0)
			closeEnded(p)
			require.Equal(t, tt.then, p.checkpoint())
			require.Len(t, p.generations, tt.open)
			require.True(t, p.restored())
		})
	}
}

// Reading from the checkpoint leads to the same open generations as reading all.
func TestTheLogIsTheCheckpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log testLog
		var open []string
		for b := range rapid.IntRange(1, 12).Draw(t, "batches") {
			var ids []string
			for g := range rapid.IntRange(1, 4).Draw(t, "generations") {
				ids = append(ids, fmt.Sprintf("%d-%d", b, g))
			}
			log = append(log, batchOf(fmt.Sprint("b", b), ids...)...)
			open = append(open, ids...)
			for range rapid.IntRange(0, 5).Draw(t, "ends") {
				if len(open) == 0 {
					break
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				log = append(log, rapid.SampledFrom([]schemas.Record{
					&schemas.GenerationSucceeded{GenerationID: open[i]},
					&schemas.GenerationFailed{GenerationID: open[i], Reason: "rejected"},
				}).Draw(t, "end"))
				open = append(open[:i:i], open[i+1:]...)
			}
		}
		all := log.fold(0)
		closeEnded(all)
		from := all.checkpoint()
		again := log.fold(int(from))
		closeEnded(again)
		require.Len(t, all.generations, len(open))
		for _, id := range open {
			require.Contains(t, all.generations, id)
			require.Contains(t, again.generations, id)
			require.NotNil(t, again.generations[id].batch.event, "with its brief")
		}
		require.Len(t, again.generations, len(open))
		require.Equal(t, from, again.checkpoint(), "and to the same checkpoint")
	})
}

func TestOnlyWhatComesAfterTheRestoreIsFresh(t *testing.T) {
	p := newPartition(3, 1, 10, 12)
	p.apply(10, batchOf("b", "g1", "g2")[0])
	p.position = 11
	old := p.apply(11, &schemas.GenerationRequested{GenerationID: "g1", BatchID: "b"}).opened
	p.position = 12
	fresh := p.apply(12, &schemas.GenerationRequested{GenerationID: "g2", BatchID: "b"}).opened
	require.False(t, old.fresh)
	require.True(t, fresh.fresh)
}

func TestADoneBatchKeepsNoBrief(t *testing.T) {
	l := append(batchOf("a", "a1"), append(batchOf("b", "b1"), &schemas.GenerationSucceeded{GenerationID: "b1"})...)
	p := testLog(l).fold(0)
	closeEnded(p)
	require.Nil(t, p.byID["b"].event)
	require.NotNil(t, p.byID["a"].event)
}

func TestBackoff(t *testing.T) {
	const base, most = time.Second, 30 * time.Second
	for n := 1; n < 100; n++ {
		wait := backoff("g", n, base, most)
		full := most
		if n < 6 {
			full = base << (n - 1)
		}
		require.GreaterOrEqual(t, wait, min(full, most)/2)
		require.LessOrEqual(t, wait, min(full, most))
		require.Equal(t, wait, backoff("g", n, base, most), "the same for everybody")
	}
	require.NotEqual(t, backoff("g1", 3, base, most), backoff("g2", 3, base, most))
}

func TestSeed(t *testing.T) {
	require.Equal(t, seed("g", 1), seed("g", 1))
	require.NotEqual(t, seed("g", 1), seed("g", 2))
	require.GreaterOrEqual(t, seed("g", 1), 0)
	require.LessOrEqual(t, seed("g", 1), 1<<31-1)
}

func TestClip(t *testing.T) {
	require.Equal(t, "abc", clip("abc", 3))
	require.Equal(t, "ab", clip("abc", 2))
	require.Equal(t, "a", clip("aé", 2), "between runes")
}
