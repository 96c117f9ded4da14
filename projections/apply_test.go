package projections

import (
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// chunkOf folds the records of a partition, the first at offset `from`.
func (d *database) chunkOf(p Projection, from int64, events ...schemas.Event) chunk {
	d.t.Helper()
	records := d.records(events)
	for _, r := range records {
		r.Offset += from
	}
	c, used, err := d.folder(p).fold(d.t.Context(), 0, place{next: from}, records, eventsPerBatchMax)
	require.NoError(d.t, err)
	require.Equal(d.t, len(records), used)
	return c
}

func TestOffsetsMoveInTheRowsOwnTransaction(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	v := d.newVersion(credits)
	_, err := take(t.Context(), d.projector, v, 0, []int32{0})
	require.NoError(t, err)
	require.NoError(t, apply(t.Context(), d.projector, v, 0, d.chunkOf(credits, 0, of(ann, 1, noon, granted(1, 5, 5, nil))...)))
	require.EqualValues(t, 1, d.next(v, 0))
	before := d.hashes(v)

	// The second event has no block ID: Postgres refuses it, after the first was inserted.
	bad := of(ann, 2, noon, granted(2, 5, 10, nil), &schemas.CreditsGranted{BlockID: "none", Credits: 1})
	err = apply(t.Context(), d.projector, v, 0, d.chunkOf(credits, 1, bad...))
	require.True(t, unfit(err), "%v", err)
	require.EqualValues(t, 1, d.next(v, 0), "the offset did not move")
	require.Equal(t, before, d.hashes(v), "nor did a row come")

	// Whoever dies between the rows and the offset leaves neither.
	d.exec(`CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the power went''; END'`)
	d.exec(`CREATE CONSTRAINT TRIGGER stop AFTER INSERT ON ` + table(v, "entries") + ` DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stop()`)
	good := d.chunkOf(credits, 1, bad[0])
	require.ErrorContains(t, apply(t.Context(), d.projector, v, 0, good), "the power went")
	require.EqualValues(t, 1, d.next(v, 0))
	require.Equal(t, before, d.hashes(v))
	d.exec(`DROP TRIGGER stop ON ` + table(v, "entries"))
	require.NoError(t, apply(t.Context(), d.projector, v, 0, good))
	require.EqualValues(t, 2, d.next(v, 0))
}

// Many believe that the partition is theirs: one of them applies a batch, and the
// others change nothing.
func TestAZombieChangesNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for _, p := range All {
		v := d.newVersion(p)
		_, err := take(t.Context(), d.projector, v, 0, []int32{0})
		require.NoError(t, err)
		mine := d.chunkOf(p, 0, slices.Concat(d.batch(1, 1, 2, noon), of(ann, 2, noon, &schemas.BrandArchived{BrandID: brandID(1)}))...)
		results := make([]error, 8)
		var work sync.WaitGroup
		start := make(chan struct{})
		for i := range results {
			work.Go(func() {
				<-start
				results[i] = apply(t.Context(), d.projector, v, 0, mine)
			})
		}
		close(start)
		work.Wait()
		applied := 0
		for _, err := range results {
			if err == nil {
				applied++
				continue
			}
			require.ErrorIs(t, err, ErrFenced)
		}
		require.Equal(t, 1, applied, p.Name)
		require.EqualValues(t, 5, d.next(v, 0))
		before := d.hashes(v)

		// Neither who is behind nor who is ahead.
		for _, from := range []int64{0, 4, 6} {
			late := d.chunkOf(p, from, of(ann, 3, noon, completed(1, 1)...)...)
			require.ErrorIs(t, apply(t.Context(), d.projector, v, 0, late), ErrFenced)
		}
		require.EqualValues(t, 5, d.next(v, 0))
		require.Equal(t, before, d.hashes(v))
		require.ErrorIs(t, apply(t.Context(), d.projector, v, 1, d.chunkOf(p, 5, of(ann, 3, noon, completed(1, 1)...)...)), ErrFenced,
			"another generation of the topic")
	}
}

// A projector whose partition was moved by another goes on where that one stands.
func TestAFencedProjectorGoesOnWhereTheOtherStands(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ours := account(1, 0)
		p := w.start(func(c *Config) { c.Only = []string{"credits"} })
		w.write(w.grant(ours, ours)...)
		w.caughtUp([]Projection{credits})

		// The other one has read three events that this one is only about to read.
		events := w.grant(ours, ours, ours, ours)
		records := w.encode(events...)
		for i, r := range records {
			r.Offset = int64(2 + i)
		}
		c, _, err := w.folder(credits).fold(t.Context(), 1, place{next: 2}, records[:3], eventsPerBatchMax)
		require.NoError(t, err)
		require.NoError(t, apply(t.Context(), w.projector, w.live(credits), 0, c))

		w.write(events...)
		w.caughtUp([]Projection{credits})
		require.EqualValues(t, 1, p.counted(p.metrics.fencedTotal, credits))
		require.NoError(t, p.Ready())
		require.Equal(t, 6, w.count(credits, "entries"))
		w.write(w.grant(ours)...)
		w.caughtUp([]Projection{credits})
		require.NoError(t, p.stop())
		require.True(t, w.verify(credits).Equal())
	})
}
