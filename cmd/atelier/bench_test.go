package main

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/bench"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
	"atelier/schemas"
)

// tinyBench is over in seconds and measures nothing that is worth knowing.
var tinyBench = []string{"bench", "decide", "--json", "--runs=1", "--accounts=20", "--rounds=1", "--idle=20", "--singles=5", "--seconds=1"}

// The names that others read.
var decideFigures = map[string]string{
	"decide.commands_per_s": "commands/s", "decide.bare_per_s": "commands/s", "decide.ratio_to_bare": "ratio",
	"visible.p50_ms": "ms", "visible.p99_ms": "ms", "outcome.p50_ms": "ms", "outcome.bare_p50_ms": "ms",
	"restore.accounts_per_s": "accounts/s", "ready.warm_s": "s",
}

// benchDecide runs it and returns what it printed.
func benchDecide(t *testing.T) bench.Report {
	t.Helper()
	temporary := t.TempDir()
	require.NoError(t, os.Chmod(temporary, 0o755)) // Postgres runs as another user
	t.Setenv("TMPDIR", temporary)
	var out, errs bytes.Buffer
	require.NoError(t, run(t.Context(), tinyBench, &out, &errs))
	var report bench.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), "%s", out.String())
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	require.Empty(t, left)
	return report
}

func requireAllFigures(t *testing.T, report bench.Report) {
	t.Helper()
	units := map[string]string{}
	for _, f := range report.Figures {
		units[f.Name] = f.Unit
		require.Len(t, f.Runs, 1, f.Name)
		require.Equal(t, f.Runs[0], f.Value, f.Name)
		require.Positive(t, f.Value, f.Name)
	}
	require.Equal(t, decideFigures, units)
	require.Equal(t, "decide", report.Bench)
	require.Positive(t, report.Machine.Cores)
	require.NotEmpty(t, report.Machine.BrokerVersion)
}

func TestBenchDecideOnEmbeddedParts(t *testing.T) {
	report := benchDecide(t)
	requireAllFigures(t, report)
	require.Equal(t, "embedded", report.Broker)
}

// On a cluster and a server that are somebody's, nothing is left behind.
func TestBenchDecideOnGivenParts(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		server := postgrestest.New(t)
		before := databases(t, server)
		t.Setenv("ATELIER_BROKERS", brokers[0])
		t.Setenv("ATELIER_TOPIC_PREFIX", prefix)
		t.Setenv("DATABASE_URL", server)
		t.Setenv("ATELIER_PARTITIONS", "3")
		report := benchDecide(t)
		requireAllFigures(t, report)
		require.Equal(t, "kafka", report.Broker)
		require.Equal(t, before, databases(t, server))
		admin, err := kafka.NewAdmin(kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()})
		require.NoError(t, err)
		defer admin.Close()
		topics, err := admin.Topics(t.Context())
		require.NoError(t, err)
		require.Empty(t, topics)
	})
}

// databases counts those that a measurement made.
func databases(t *testing.T, server string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname LIKE 'atelier_bench_%'`).Scan(&n))
	return n
}

// Who may not make a database hears it at once, in one line that says what to do.
func TestBenchNeedsADatabaseOfItsOwn(t *testing.T) {
	server := postgrestest.New(t)
	conn, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	name := "poor_" + schemas.NewID()[24:]
	_, err = conn.Exec(t.Context(), `CREATE ROLE `+name+` LOGIN PASSWORD 'secret-of-the-poor'`)
	require.NoError(t, err)
	defer func() { _, _ = conn.Exec(t.Context(), `DROP ROLE `+name) }()
	at, err := url.Parse(server)
	require.NoError(t, err)
	at.User = url.UserPassword(name, "secret-of-the-poor")
	t.Setenv("DATABASE_URL", at.String())
	t.Setenv("TMPDIR", t.TempDir())
	_, err = atelier(t, tinyBench...)
	require.ErrorContains(t, err, "DATABASE_URL")
	require.ErrorContains(t, err, "CREATEDB")
	require.NotContains(t, err.Error(), "secret-of-the-poor")
}

func TestBenchImagesRefusesCountsThatMeasureNothing(t *testing.T) {
	for _, flag := range []string{"--runs=0", "--images=0", "--runs=1000001", "--images=-1"} {
		_, err := atelier(t, "bench", "images", flag)
		require.ErrorIs(t, err, errUsage, flag)
	}
}
