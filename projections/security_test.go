package projections

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// openTables finds tables without row-level security that binds everyone, or
// without a policy. golang-migrate's own table is left out: it says nothing of
// anybody, and nobody but its owner has a right to it.
const openTables = `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$|migrations$)'
	AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)) ORDER BY 1`

func TestNoTableIsOpen(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	d.newVersion(credits) // one that is being filled, too
	found := func() []string {
		rows, err := d.admin.Query(t.Context(), openTables)
		require.NoError(t, err)
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return names
	}
	require.Empty(t, found())
	var tables int
	require.NoError(t, d.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname ~ '^(credits|brands|galleries|outcomes)_v|^projections$|^vault$'`).Scan(&tables))
	require.Equal(t, 3+2+2+1+3+2+2, tables, "these were looked at")

	// The query finds each way of leaving one open.
	d.exec(`CREATE TABLE credits_v1.added (account_id uuid)`)
	d.exec(`ALTER TABLE credits_v1.entries NO FORCE ROW LEVEL SECURITY`)
	d.exec(`ALTER TABLE brands_v1.assets DISABLE ROW LEVEL SECURITY`)
	d.exec(`DROP POLICY reads_own ON outcomes_v1.outcomes; DROP POLICY projects ON outcomes_v1.outcomes`)
	d.exec(`CREATE MATERIALIZED VIEW galleries_v1_open AS SELECT * FROM galleries_v1.batches`)
	require.Equal(t, []string{"brands_v1.assets", "credits_v1.added", "credits_v1.entries", "galleries_v1_open", "outcomes_v1.outcomes"}, found())
}

// A version that is open to anyone whom it should not be open to is refused
// before readers see it, whatever was forgotten.
func TestAVersionThatIsNotClosedIsNotSwappedIn(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	for name, c := range map[string]struct{ sql, says string }{
		"a table without security":         {`CREATE TABLE %[1]s.more (account_id uuid)`, "row-level security is not forced on more"},
		"security off":                     {`ALTER TABLE %[1]s.blocks DISABLE ROW LEVEL SECURITY`, "not forced on blocks"},
		"security not forced":              {`ALTER TABLE %[1]s.blocks NO FORCE ROW LEVEL SECURITY`, "not forced on blocks"},
		"no policy":                        {`DROP POLICY reads_own ON %[1]s.blocks`, "no policy for atelier_api on blocks"},
		"a policy that lets all in":        {`ALTER POLICY reads_own ON %[1]s.blocks USING (true)`, "no policy for atelier_api on blocks"},
		"a second policy":                  {`CREATE POLICY more ON %[1]s.blocks FOR SELECT TO atelier_api USING (true)`, "policy more on blocks lets others in"},
		"a policy for everyone":            {`CREATE POLICY more ON %[1]s.blocks USING (true)`, "policy more on blocks lets others in"},
		"a view with its owner's eyes":     {`ALTER VIEW %[1]s_api.blocks RESET (security_invoker)`, "security_invoker is off on view blocks"},
		"a right to write":                 {`GRANT UPDATE ON %[1]s.blocks TO atelier_api`, "atelier_api may UPDATE blocks"},
		"a right of everyone":              {`GRANT SELECT ON %[1]s_api.blocks TO PUBLIC`, "public may SELECT blocks"},
		"a materialised view":              {`CREATE MATERIALIZED VIEW %[1]s.copy AS SELECT * FROM %[1]s.blocks`, "relation copy is neither"},
		"a table among the views":          {`CREATE TABLE %[1]s_api.copy AS SELECT * FROM %[1]s.blocks`, "relation copy is neither"},
		"a function without a search path": {`CREATE FUNCTION %[1]s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`, "function f has no pinned search_path"},
	} {
		v := d.newVersion(credits)
		d.exec(fmt.Sprintf(c.sql, fmt.Sprint("credits_v", v.Version)))
		err := asOwner(t.Context(), d.admin, func(tx pgx.Tx) error { return swap(t.Context(), tx, v.Name, v.Version) })
		require.True(t, hasCode(err, "AT003"), "%s: %v", name, err)
		require.ErrorContains(t, err, c.says, name)
	}
	require.Equal(t, 1, d.live(credits).Version)
}

// tenants gives n accounts credits, the i-th i+1 of them.
func (d *database) tenants(n int) []string {
	d.t.Helper()
	var ids []string
	var events []schemas.Event
	for i := range n {
		ids = append(ids, schemas.DeriveID("tenant", fmt.Sprint(i)))
		events = append(events, of(ids[i], i, noon, granted(i, int64(i+1), int64(i+1), nil))...)
	}
	for _, p := range []Projection{credits, outcomes} {
		d.fill(d.live(p), 0, d.records(events), all)
	}
	return ids
}

// Thousands of reads for many accounts over few connections, some of which fail
// or are canceled: each sees its own rows, and without an account there are none.
func TestReadsSeeOneAccountAlone(t *testing.T) {
	t.Parallel()
	const readers = 16
	d := newReadModels(t)
	ids := d.tenants(40)
	for role, each := range map[string]int{"atelier_api": 250, "": 50} { // "": a superuser, whom no policy binds
		pool := d.pool(role, 4)
		var work sync.WaitGroup
		var wrong, done atomic.Int64
		for r := range readers {
			work.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(r)))
				for range each {
					i := random.IntN(len(ids))
					ctx, cancel := context.WithCancel(t.Context())
					fails := errors.New("fails")
					err := Read(ctx, pool, ids[i], func(tx pgx.Tx) error {
						var accounts, available, outcomes int64
						err := tx.QueryRow(ctx, `SELECT (SELECT count(DISTINCT account_id) FROM credits_api.balances), (SELECT sum(available) FROM credits_api.balances),
							(SELECT count(*) FROM outcomes_api.outcomes)`).Scan(&accounts, &available, &outcomes)
						if err != nil {
							return err
						}
						if accounts != 1 || available != int64(i+1) || outcomes != 1 {
							wrong.Add(1)
						}
						switch random.IntN(20) {
						case 0:
							return fails
						case 1:
							cancel()
							_, err := tx.Exec(ctx, `SELECT 1`)
							return err
						}
						done.Add(1)
						return nil
					})
					cancel()
					if err != nil && !errors.Is(err, fails) && !errors.Is(err, context.Canceled) {
						wrong.Add(1)
						t.Error(err)
					}
					if role == "" {
						continue
					}
					var rows int64
					if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM credits_api.balances`).Scan(&rows); err != nil || rows != 0 {
						wrong.Add(1)
						t.Errorf("%d rows without an account, %v", rows, err)
					}
				}
			})
		}
		work.Wait()
		require.Zero(t, wrong.Load())
		require.Greater(t, done.Load(), int64(readers*each/2))
	}
}

func TestReadTakesNothingButAnAccount(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	d.tenants(2)
	for _, bad := range []string{"", "ann", "'; SET ROLE postgres; --", ann + "'"} {
		require.ErrorContains(t, Read(t.Context(), d.admin, bad, func(pgx.Tx) error {
			t.Error("read as nobody")
			return nil
		}), "read as account")
	}
	err := Read(t.Context(), d.admin, ann, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `CREATE TABLE x (a int)`)
		return err
	})
	require.True(t, hasCode(err, "25006"), "it is read-only: %v", err)
}

// A swap that changes a column's type fails a cached statement once; the reader
// does not notice.
func TestReadIsDoneAgainAfterASwapThatChangedAColumn(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	id := d.tenants(1)[0]
	pool := d.pool("atelier_api", 1)
	tries := 0
	read := func() (available string) {
		tries = 0
		require.NoError(t, Read(t.Context(), pool, id, func(tx pgx.Tx) error {
			tries++
			return tx.QueryRow(t.Context(), `SELECT available FROM credits_api.balances`).Scan(&available)
		}))
		return available
	}
	require.Equal(t, "1", read())
	d.exec(`DROP VIEW credits_api.balances; CREATE VIEW credits_api.balances WITH (security_invoker = true) AS
		SELECT account_id, available::text FROM credits_v1.balances; GRANT SELECT ON credits_api.balances TO atelier_api`)
	require.Equal(t, "1", read())
	require.Equal(t, 2, tries)
}

// Nobody but a projector writes, and not even that one makes or swaps versions.
func TestRolesMayDoNoMoreThanTheyMust(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	d.tenants(1)
	rows, err := d.admin.Query(t.Context(), `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'v') AND n.nspname ~ '^(credits|brands|galleries|outcomes|projections|vault)'`)
	require.NoError(t, err)
	relations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Len(t, relations, 8+8+2+2)
	denied := func(role, sql string, args ...any) {
		t.Helper()
		err := pgx.BeginTxFunc(t.Context(), d.admin, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL ROLE " + role}, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), sql, args...)
			return err
		})
		require.True(t, hasCode(err, "42501"), "%s: %s: %v", role, sql, err)
	}
	for _, name := range relations {
		denied("atelier_api", `DELETE FROM `+name)
		denied("atelier_api", `INSERT INTO `+name+` DEFAULT VALUES`)
	}
	for _, role := range []string{"atelier_api", "atelier_projector"} {
		denied(role, `SELECT projections.swap('credits', 1)`)
		denied(role, `SELECT projections.drop_version('credits', 2)`)
		denied(role, `SELECT projections.create_version('credits', 2, 1, 'standby')`)
		denied(role, `UPDATE projections.versions SET state = 'standby'`)
		denied(role, `CREATE TABLE credits_v1.mine (a int)`)
		denied(role, `CREATE SCHEMA mine`)
		denied(role, `ALTER TABLE credits_v1.balances DISABLE ROW LEVEL SECURITY`)
	}
	denied("atelier_api", `SELECT projections.apply('credits', 1, 0, 0, 1, 2, NULL, NULL)`)
	denied("atelier_api", `SELECT projections.take('credits', 1, 0, '{0}')`)
	denied("atelier_api", `SELECT credits_v1.apply('{}', 0, NULL)`)
	denied("atelier_api", `SELECT count(*) FROM credits_v1.balances`)
	denied("atelier_api", `TRUNCATE credits_v1.balances`)
}
