package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// registered returns the registry of versions, a line each.
func (d *database) registered() []string {
	d.t.Helper()
	rows, err := d.admin.Query(d.t.Context(), `SELECT concat_ws(' ', name, version, ddl, schema, state) FROM projections.versions ORDER BY name, version`)
	require.NoError(d.t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(d.t, err)
	return lines
}

func TestCreateMayRunInManyProcessesAtOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	errs := make([]error, 4)
	var work sync.WaitGroup
	for i := range errs {
		pool := d.pool("", 1)
		work.Go(func() { errs[i] = Create(t.Context(), pool) })
	}
	work.Wait()
	require.NoError(t, errors.Join(errs...))
	once := []string{"brands 1 1 brands_v1 live", "credits 1 1 credits_v1 live", "galleries 1 3 galleries_v1 live", "outcomes 1 1 outcomes_v1 live"}
	require.Equal(t, once, d.registered())

	d.fill(d.live(credits), 0, d.records(of(ann, 1, noon, granted(1, 5, 5, nil))), all)
	before := d.hashes(d.live(credits))
	require.NoError(t, Create(t.Context(), d.admin))
	require.Equal(t, once, d.registered())
	require.Equal(t, before, d.hashes(d.live(credits)), "what is there stays")
}

// A read model that is not there, or is of a newer build, is said so at start.
func TestReadModelsThatDoNotFitAreRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.exec(`UPDATE projections.versions SET ddl = 2 WHERE name = 'brands'`)
		err := Run(t.Context(), w.config())
		require.ErrorIs(t, err, errNewerTables)
		require.ErrorContains(t, err, "brands version 1: the tables are of another build: they are of version 2, this build fills 1: rebuild with this build")
		_, err = Verify(t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), "brands")
		require.ErrorIs(t, err, errNewerTables)

		w.exec(`UPDATE projections.versions SET ddl = 1, state = 'standby' WHERE name = 'brands'`)
		err = Run(t.Context(), w.config(func(c *Config) { c.Only = []string{"brands", "credits"} }))
		require.ErrorIs(t, err, ErrNotCreated)
		require.ErrorContains(t, err, "brands: the read model does not exist: run `atelier migrate up`")
		_, err = Verify(t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), "brands")
		require.ErrorIs(t, err, ErrNotCreated)
	})
}

// In a house of its own a read model of an older build is made anew, and filled
// from the log; one of this build or of a newer one is left as it is.
func TestRenewMakesOlderReadModelsAnew(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ours := account(1, 0)
		w.write(w.grant(ours, ours)...)
		p := w.start()
		w.caughtUp(All)
		require.NoError(t, p.stop())
		w.exec(`UPDATE projections.versions SET ddl = 1 WHERE name = 'galleries'`)
		w.exec(`ALTER TABLE galleries_v1.batches RENAME COLUMN search TO missing; UPDATE projections.versions SET ddl = 9 WHERE name = 'brands'`)
		before := w.hashes(w.live(credits))

		renewed, err := Renew(t.Context(), w.admin)
		require.NoError(t, err)
		require.Equal(t, []string{"galleries"}, renewed)
		require.Equal(t, []string{"brands 1 9 brands_v1 live", "credits 1 1 credits_v1 live", "galleries 1 3 galleries_v1 live", "outcomes 1 1 outcomes_v1 live"}, w.registered())
		require.Equal(t, before, w.hashes(w.live(credits)))
		require.EqualValues(t, -1, w.next(w.live(galleries), 1), "it is filled from the beginning")
		again, err := Renew(t.Context(), w.admin)
		require.NoError(t, err)
		require.Empty(t, again)

		w.exec(`UPDATE projections.versions SET ddl = 1 WHERE name = 'brands'`)
		w.start()
		w.caughtUp(All)
		require.True(t, w.verify(galleries).Equal())
	})
}

// A second version is filled beside the live one by a projector that runs,
// swapped in while readers read, and the first is dropped.
func TestAStandbyIsFilledSwappedInAndTheOldOneDropped(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ours := account(1, 0)
		w.write(w.grant(ours, account(0, 0), account(2, 0), ours)...)
		p := w.start(func(c *Config) { c.Only = []string{"credits"} })
		w.caughtUp([]Projection{credits})

		stop := w.reading(ours, 2)
		standby := version{Name: "credits", Version: 2, DDL: 1, State: stateStandby}
		require.NoError(t, asOwner(t.Context(), w.admin, func(tx pgx.Tx) error { return createVersion(t.Context(), tx, standby) }))
		early := asOwner(t.Context(), w.admin, func(tx pgx.Tx) error { return swap(t.Context(), tx, "credits", 2) })
		require.True(t, hasCode(early, "AT004"), "an empty one is not swapped in: %v", early)
		p.eventually(func() bool {
			err := asOwner(t.Context(), w.admin, func(tx pgx.Tx) error { return swap(t.Context(), tx, "credits", 2) })
			return err == nil
		}, "it is swapped in")
		require.Equal(t, 2, w.live(credits).Version)
		require.True(t, w.verify(credits).Equal())
		require.Positive(t, stop())

		// Both go on: swapping back is the same call.
		w.write(w.grant(ours)...)
		w.caughtUp([]Projection{credits})
		p.eventually(func() bool { return w.next(version{Name: "credits", Version: 1}, 1) == 3 }, "the old one is kept up")
		require.Equal(t, w.hashes(version{Name: "credits", Version: 1}), w.hashes(version{Name: "credits", Version: 2}))
		require.True(t, hasCode(dropVersion(t.Context(), w.admin, "credits", 2), "AT005"), "the live one is not dropped")
		require.NoError(t, dropVersion(t.Context(), w.admin, "credits", 1))
		p.eventually(func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.followers) == 1
		}, "nobody follows what is gone")
		w.write(w.grant(ours)...)
		w.caughtUp([]Projection{credits})
		require.NoError(t, p.Ready())
		require.Equal(t, 4, w.reads(ours))
	})
}

// What readers would notice is a reason not to swap: the live version stays.
func TestAVersionThatDiffersIsNotSwappedIn(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	records := d.records(of(ann, 1, noon, granted(1, 5, 5, nil), granted(2, 5, 10, nil)))
	d.fill(d.live(credits), 0, records, all)
	swapIn := func(v version) error {
		return asOwner(t.Context(), d.admin, func(tx pgx.Tx) error { return swap(t.Context(), tx, v.Name, v.Version) })
	}
	for name, c := range map[string]struct {
		records int
		sql     string
		says    string
	}{
		"it is behind":         {records: 1, says: "generation 0 partition 0 stands at 2 and at 1"},
		"it has read nothing":  {records: 0, says: "generation 0 partition 0 stands at 2 and at 0"},
		"a row differs":        {2, `UPDATE {{schema}}.blocks SET remaining = 4 WHERE block_id = '` + blockID(2) + `'`, "table blocks has 2 and 2 rows, hashes"},
		"a row is missing":     {2, `DELETE FROM {{schema}}.entries WHERE seq = 1`, "table entries has 2 and 1 rows"},
		"a column is missing":  {2, `DROP VIEW {{schema}}_api.balances; CREATE VIEW {{schema}}_api.balances WITH (security_invoker = true) AS SELECT account_id, available, held FROM {{schema}}.balances; GRANT SELECT ON {{schema}}_api.balances TO atelier_api`, "view column balances.updated_at is missing"},
		"a column's type":      {2, `DROP VIEW {{schema}}_api.balances; CREATE VIEW {{schema}}_api.balances WITH (security_invoker = true) AS SELECT account_id, available::int, held, updated_at FROM {{schema}}.balances; GRANT SELECT ON {{schema}}_api.balances TO atelier_api`, "view column balances.available is missing or of another type"},
		"a right is missing":   {2, `REVOKE SELECT ON {{schema}}_api.balances FROM atelier_api`, "view balances: grant SELECT to atelier_api holds for one of them only"},
		"the schema is closed": {2, `REVOKE USAGE ON SCHEMA {{schema}}_api FROM atelier_api`, "schema of views: grant USAGE to atelier_api holds for one of them only"},
	} {
		v := d.newVersion(credits)
		d.fill(v, 0, records[:c.records], all)
		if c.sql != "" {
			schema := fmt.Sprint("credits_v", v.Version)
			require.NoError(t, asOwner(t.Context(), d.admin, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), strings.ReplaceAll(c.sql, "{{schema}}", schema))
				return err
			}))
		}
		err := swapIn(v)
		require.True(t, hasCode(err, "AT004"), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
	}
	require.True(t, hasCode(swapIn(version{Name: "credits", Version: 99}), codeNoVersion))
	require.Equal(t, 1, d.live(credits).Version)

	same := d.newVersion(credits)
	d.fill(same, 0, records, one)
	require.NoError(t, swapIn(same))
	require.Equal(t, same.Version, d.live(credits).Version)
	require.NoError(t, swapIn(version{Name: "credits", Version: 1}), "and back")
	require.Equal(t, 1, d.live(credits).Version)
}

// reads returns how many lines of the statement an account sees.
func (w *world) reads(account string) (n int) {
	w.t.Helper()
	require.NoError(w.t, Read(w.t.Context(), w.admin, account, func(tx pgx.Tx) error {
		return tx.QueryRow(w.t.Context(), `SELECT count(event_id) FROM credits_api.entries`).Scan(&n)
	}))
	return n
}

// reading reads until stop is called, which returns how often, and expects to
// see the same lines each time.
func (w *world) reading(account string, want int) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	pool, reads := w.pool("atelier_api", 2), 0
	go func() {
		for ctx.Err() == nil {
			err := Read(context.WithoutCancel(ctx), pool, account, func(tx pgx.Tx) error {
				var n int
				err := tx.QueryRow(context.WithoutCancel(ctx), `SELECT count(event_id) FROM credits_api.entries`).Scan(&n)
				if err == nil && n != want {
					err = errors.New("a reader saw other rows")
				}
				return err
			})
			if err != nil {
				ended <- err
				return
			}
			reads++
		}
		ended <- nil
	}()
	return func() int {
		w.t.Helper()
		cancel()
		require.NoError(w.t, <-ended)
		return reads
	}
}
