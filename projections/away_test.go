package projections

import (
	"context"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/postgres"
	"atelier/internal/vault"
)

// What a vault says when Postgres or the way to it is gone is tried again; what
// it says of the sealed bytes or of its key is not.
func TestOnlySealedBytesThemselvesHaltAPartition(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	sealed := d.seal(ann, "text")
	through, cut := d.proxy()
	keys, err := postgres.Open(t.Context(), postgres.Config{URL: through, Role: "atelier_vault", MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	open := func() error {
		_, err := vault.Open(keys, masterKey).Open(t.Context(), ann, sealed)
		return err
	}
	require.NoError(t, open())

	// The table is locked, so that the query is under way when the connection goes.
	underWay := func(end func()) error {
		tx, err := d.admin.Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		_, err = tx.Exec(t.Context(), `LOCK TABLE vault.keys`)
		require.NoError(t, err)
		failed := make(chan error, 1)
		go func() { failed <- open() }()
		require.Eventually(t, func() bool {
			var waits bool
			err := d.admin.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock'`).Scan(&waits)
			return err == nil && waits
		}, patience, often)
		end()
		return <-failed
	}
	for name, err := range map[string]error{
		"ended by the server": underWay(func() {
			d.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}),
		"canceled by the server": underWay(func() {
			d.exec(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		}),
		"cut off": underWay(cut),
		"refused": open(), // the proxy is gone by now
	} {
		require.Error(t, err, name)
		require.True(t, temporary(err), "%s: %v", name, err)
	}

	_, err = d.vault.Open(t.Context(), ann, sealed[:len(sealed)-1])
	require.ErrorIs(t, err, vault.ErrTampered)
	require.False(t, temporary(err))
	_, err = vault.Open(d.vaultPool, make([]byte, vault.MasterKeyBytes)).Open(t.Context(), ann, sealed)
	require.ErrorIs(t, err, vault.ErrMasterKey)
	require.False(t, temporary(err))
}

// Projections commit without waiting for the disk, so a crash of Postgres may take
// back what was applied last, offsets and rows alike. Its events are applied again
// also where no new event comes to show that they are missing.
func TestTransactionsThatACrashLostAreAppliedAgain(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		r := w.start()
		ann, bob := account(0, 1), account(1, 1)
		w.write(w.grant(ann, bob)...)
		w.caughtUp([]Projection{credits})
		v := w.live(credits)
		before := w.hashes(v)

		// As the crash leaves it: nothing of partition 1 was ever applied.
		tx, err := w.admin.Begin(t.Context())
		require.NoError(t, err)
		for _, name := range []string{"balances", "blocks", "entries"} {
			_, err = tx.Exec(t.Context(), "DELETE FROM "+table(v, name)+" WHERE account_id = $1", bob)
			require.NoError(t, err)
		}
		_, err = tx.Exec(t.Context(), "UPDATE projections.offsets SET next = 0, log_time = DEFAULT WHERE name = $1 AND partition = 1", v.Name)
		require.NoError(t, err)
		require.NoError(t, tx.Commit(t.Context()))

		w.caughtUp([]Projection{credits})
		require.Equal(t, before, w.hashes(v))
		require.True(t, w.verify(credits).Equal())
		require.EqualValues(t, 1, r.counted(r.metrics.fencedTotal, credits), "partitions that did not change were left alone")
	})
}

// proxy returns a way to the database that can be cut.
func (d *database) proxy() (through string, cut func()) {
	d.t.Helper()
	at, err := url.Parse(d.url)
	require.NoError(d.t, err)
	server := at.Host
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(d.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	d.t.Cleanup(cancel)
	context.AfterFunc(ctx, func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			context.AfterFunc(ctx, func() { _, _ = client.Close(), onward.Close() })
			go func() { _, _ = io.Copy(onward, client) }()
			go func() { _, _ = io.Copy(client, onward); _ = client.Close() }()
		}
	}()
	at.Host = l.Addr().String()
	return at.String(), cancel
}
