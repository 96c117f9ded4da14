package projections

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// differs returns the tables that are not the fold of the events.
func differs(r Report) []string {
	var names []string
	for _, t := range r.Tables {
		if !t.Equal() {
			names = append(names, t.Name)
		}
	}
	return names
}

func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		nothing := w.verify(credits)
		require.True(t, nothing.Equal())
		require.Zero(t, nothing.Events)

		p := w.start()
		w.write(of(account(1, 0), 90, noon, &schemas.BrandSaved{BrandID: brandID(1), Version: 1, Kit: w.seal(account(1, 0), `{"a":1}`)})...)
		w.write(w.grant(account(0, 0), account(0, 1), account(1, 0), account(1, 0), account(2, 0))...)
		w.caughtUp(All)
		require.NoError(t, p.stop())
		require.EqualValues(t, 6, w.equal())
		report := w.verify(credits)
		require.Equal(t, []Position{{Partition: 0, Offset: 2}, {Partition: 1, Offset: 3}, {Partition: 2, Offset: 1}}, report.Positions)
		require.Equal(t, "credits", report.Projection)
		require.Equal(t, 1, report.Version)
		rows := map[string]int64{}
		for _, table := range report.Tables {
			rows[table.Name] = table.Live.Count
		}
		require.Equal(t, map[string]int64{"balances": 4, "blocks": 5, "entries": 5}, rows)

		// A row that is changed, one too many and one too few, each in one table alone.
		for table, tampering := range map[string][2]string{
			"balances": {`UPDATE credits_v1.balances SET available = available + 1`, `UPDATE credits_v1.balances SET available = available - 1`},
			"blocks": {`INSERT INTO credits_v1.blocks SELECT account_id, account_id, source, priority, granted, remaining, expires_at, granted_at FROM credits_v1.blocks LIMIT 1`,
				`DELETE FROM credits_v1.blocks WHERE block_id = account_id`},
			"entries": {`CREATE TABLE kept AS SELECT * FROM credits_v1.entries LIMIT 1; DELETE FROM credits_v1.entries e USING kept k WHERE e.event_id = k.event_id`,
				`INSERT INTO credits_v1.entries SELECT * FROM kept`},
		} {
			w.exec(tampering[0])
			report := w.verify(credits)
			require.False(t, report.Equal())
			require.Equal(t, []string{table}, differs(report))
			w.exec(tampering[1])
			require.True(t, w.verify(credits).Equal())
		}
		require.Empty(t, differs(w.verify(brands)))
		w.exec(`UPDATE brands_v1.brands SET kit = '{"a":2}'`)
		require.Equal(t, []string{"brands"}, differs(w.verify(brands)))

		// An offset that is too low: the fold is of fewer events than the rows are.
		w.exec(`UPDATE projections.offsets SET next = next - 1 WHERE name = 'credits' AND partition = 1`)
		behind := w.verify(credits)
		require.EqualValues(t, 5, behind.Events, "of the 6 events one is not folded")
		require.Equal(t, Position{Partition: 1, Offset: 2}, behind.Positions[1])
		require.Equal(t, []string{"blocks", "entries"}, differs(behind))

		// It leaves nothing behind, and takes what a killed one left for nothing.
		var left int
		require.NoError(t, w.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE '%verify%'`).Scan(&left))
		require.Zero(t, left)
		require.NoError(t, asOwner(t.Context(), w.admin, func(tx pgx.Tx) error {
			return createVersion(t.Context(), tx, version{Name: "outcomes", Version: verifyVersion, DDL: 1, State: stateFilling})
		}))
		require.True(t, w.verify(outcomes).Equal())
	})
}

// Two cannot verify one projection at once; another one they can.
func TestVerifyIsOneAtATime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		unlock, err := lockVerification(t.Context(), w.admin, "credits")
		require.NoError(t, err)
		_, err = Verify(t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), "credits")
		require.ErrorIs(t, err, ErrVerifying)
		require.ErrorContains(t, err, "verify projection credits")
		require.True(t, w.verify(brands).Equal())
		unlock()
		require.True(t, w.verify(credits).Equal())
		_, err = Verify(t.Context(), w.config(), "invoices")
		require.ErrorContains(t, err, `no projection "invoices": there are credits, brands, galleries, outcomes`)
	})
}

// What is unreadable is named, and the live read model goes on as before.
func TestVerifyNamesWhatItCannotRead(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write(w.grant(account(1, 0))...)
		w.writeRaw(1, []byte("garbage"))
		_, err := take(t.Context(), w.admin, w.live(credits), 0, []int32{1})
		require.NoError(t, err)
		w.exec(`UPDATE projections.offsets SET next = 2 WHERE name = 'credits' AND partition = 1`)
		_, err = Verify(t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), "credits")
		require.ErrorContains(t, err, "atelier.events[1]@1: unreadable record")
		require.EqualValues(t, 2, w.next(w.live(credits), 1))
	})
}
