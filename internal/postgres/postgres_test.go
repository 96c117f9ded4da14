package postgres_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/internal/postgres"
	"atelier/internal/postgres/postgrestest"
)

func TestOpenWorksAsTheRoleInUTC(t *testing.T) {
	database := postgrestest.New(t)
	owner, err := postgres.Open(t.Context(), postgres.Config{URL: database})
	require.NoError(t, err)
	defer owner.Close()
	role := "odd \"role\" " + t.Name()
	_, err = owner.Exec(t.Context(), "CREATE ROLE "+quote(role)+" NOLOGIN")
	require.NoError(t, err)
	defer func() {
		_, err := owner.Exec(context.Background(), "DROP ROLE "+quote(role))
		require.NoError(t, err)
	}()

	pool, err := postgres.Open(t.Context(), postgres.Config{URL: database, Role: role, MaxConns: 2})
	require.NoError(t, err)
	defer pool.Close()
	var user, zone, name string
	row := pool.QueryRow(t.Context(), "SELECT current_user, current_setting('timezone'), current_setting('application_name')")
	require.NoError(t, row.Scan(&user, &zone, &name))
	assert.Equal(t, []string{role, "UTC", role}, []string{user, zone, name})
	assert.EqualValues(t, 2, pool.Config().MaxConns)

	_, err = postgres.Open(t.Context(), postgres.Config{URL: database, Role: "nobody_has_made_it"})
	require.ErrorContains(t, err, "nobody_has_made_it")
}

func TestPoolerModePreparesNothingAndNeverSetsARole(t *testing.T) {
	database := postgrestest.New(t)
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: database, Pooler: true, MaxConns: 1})
	require.NoError(t, err)
	defer pool.Close()
	for range 3 {
		var sum int
		require.NoError(t, pool.QueryRow(t.Context(), "SELECT $1::int + $2::int", 2, 3).Scan(&sum))
		require.Equal(t, 5, sum)
	}
	var prepared int
	require.NoError(t, pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements").Scan(&prepared))
	assert.Zero(t, prepared)

	_, err = postgres.Open(t.Context(), postgres.Config{URL: database, Pooler: true, Role: "pg_read_all_data"})
	require.ErrorContains(t, err, "must log in as the role")
	login, err := url.Parse(database)
	require.NoError(t, err)
	same, err := postgres.Open(t.Context(), postgres.Config{URL: database, Pooler: true, Role: login.User.Username()})
	require.NoError(t, err)
	same.Close()
}

func TestErrorsCarryNoPassword(t *testing.T) {
	const secret = "s3cr3t-passw0rd"
	real, err := url.Parse(postgrestest.New(t))
	require.NoError(t, err)
	wrong := *real
	wrong.User = url.UserPassword("atelier", secret)
	noDatabase := *real
	noDatabase.Path = "/missing"
	realPassword, _ := real.User.Password()
	for _, bad := range []string{
		wrong.String(),
		noDatabase.String(),
		"postgres://atelier:" + secret + "@127.0.0.1:1/db?sslmode=disable",
		"postgres://atelier:" + secret + "@127.0.0.1:port/db",
		"postgres://atelier:" + secret + "%zz@h/db",
		"host=h password=" + secret + " port=x",
		"password=" + secret + " sslmode=nonsense",
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: bad})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), secret)
		assert.NotContains(t, err.Error(), realPassword)
		err = postgres.WaitReady(t.Context(), postgres.Config{URL: bad}, time.Millisecond, zerolog.Nop())
		require.Error(t, err)
		assert.NotContains(t, err.Error(), secret)
	}
	_, err = postgres.Open(t.Context(), postgres.Config{})
	require.Error(t, err)
	_, err = postgres.Open(t.Context(), postgres.Config{URL: real.String(), MaxConns: -1})
	require.Error(t, err)
}

// A server that comes up late: a proxy that refuses until it is told to let in.
func TestWaitReadyWaitsForALateServer(t *testing.T) {
	target, err := url.Parse(postgrestest.New(t))
	require.NoError(t, err)
	late, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer late.Close()
	go proxyAfter(late, 2, target.Host)
	through := *target
	through.Host = late.Addr().String()

	var said strings.Builder
	require.NoError(t, postgres.WaitReady(t.Context(), postgres.Config{URL: through.String()}, time.Minute, zerolog.New(&said)))
	assert.Contains(t, said.String(), late.Addr().String())
	assert.Equal(t, 1, strings.Count(said.String(), "waiting for postgres"))
	assert.Contains(t, said.String(), `"tries_for":"1m0s"`)
}

// proxyAfter cuts the first connections and passes the others on.
func proxyAfter(l net.Listener, refused int, host string) {
	for n := 0; ; n++ {
		client, err := l.Accept()
		if err != nil {
			return
		}
		if n < refused {
			_ = client.Close()
			continue
		}
		server, err := net.Dial("tcp", host)
		if err != nil {
			_ = client.Close()
			return
		}
		go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
		go func() { _, _ = io.Copy(client, server); _ = client.Close() }()
	}
}

func TestWaitReadyGivesUpAtOnceOnAWrongPassword(t *testing.T) {
	wrong, err := url.Parse(postgrestest.New(t))
	require.NoError(t, err)
	wrong.User = url.UserPassword("atelier", "wrong")
	began := time.Now()
	require.Error(t, postgres.WaitReady(t.Context(), postgres.Config{URL: wrong.String()}, time.Hour, zerolog.Nop()))
	assert.Less(t, time.Since(began), time.Minute)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
