package migrations_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"atelier/internal/postgres/postgrestest"
	"atelier/migrations"
)

func connect(t *testing.T, at string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), at)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestUpIsIdempotentAndDownTakesItBack(t *testing.T) {
	at := postgrestest.New(t)
	state, err := migrations.Status(t.Context(), at)
	require.NoError(t, err)
	require.Zero(t, state.Version)
	require.False(t, state.UpToDate())

	for range 2 {
		require.NoError(t, migrations.Up(t.Context(), at))
		state, err = migrations.Status(t.Context(), at)
		require.NoError(t, err)
		require.True(t, state.UpToDate(), "%+v", state)
	}
	require.NoError(t, migrations.Down(t.Context(), at))
	var schemas int
	require.NoError(t, connect(t, at).QueryRow(t.Context(),
		`SELECT count(*) FROM pg_namespace WHERE nspname IN ('projections', 'vault')`).Scan(&schemas))
	require.Zero(t, schemas)
	require.NoError(t, migrations.Up(t.Context(), at))
}

// The databases of a server share its roles, and one database may be migrated
// by several processes that start at once.
func TestUpManyTimesAtOnce(t *testing.T) {
	databases := []string{postgrestest.New(t), postgrestest.New(t), postgrestest.New(t)}
	admin := connect(t, databases[0])
	for _, role := range []string{"atelier_owner", "atelier_projector", "atelier_api", "atelier_vault"} {
		// Others of the server may need them: then they stay, and less is shown.
		_, _ = admin.Exec(t.Context(), `DROP ROLE IF EXISTS `+role)
	}
	var all sync.WaitGroup
	errs := make(chan error, 3*len(databases))
	for range 3 {
		for _, at := range databases {
			all.Go(func() { errs <- migrations.Up(t.Context(), at) })
		}
	}
	all.Wait()
	for range 3 * len(databases) {
		require.NoError(t, <-errs)
	}
}

// A user that is no superuser, as managed servers give one.
func TestUpAsAnOrdinaryOwner(t *testing.T) {
	at := postgrestest.New(t)
	require.NoError(t, migrations.Up(t.Context(), postgrestest.New(t))) // the roles exist, made by another user
	u, err := url.Parse(at)
	require.NoError(t, err)
	user := "owner_of_" + strings.TrimPrefix(u.Path, "/")
	admin := connect(t, at)
	for _, statement := range []string{
		`CREATE ROLE ` + user + ` LOGIN CREATEROLE PASSWORD 'word'`,
		`ALTER DATABASE ` + strings.TrimPrefix(u.Path, "/") + ` OWNER TO ` + user,
		`GRANT atelier_owner, atelier_projector, atelier_api, atelier_vault TO ` + user,
	} {
		_, err := admin.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		for _, statement := range []string{`REASSIGN OWNED BY ` + user + ` TO CURRENT_USER`, `DROP OWNED BY ` + user, `DROP ROLE ` + user} {
			_, err := admin.Exec(context.Background(), statement)
			require.NoError(t, err)
		}
	})
	u.User = url.UserPassword(user, "word")
	require.NoError(t, migrations.Up(t.Context(), u.String()))
	require.NoError(t, migrations.Up(t.Context(), u.String()))
}

func TestInterruptedMigrationIsDoneAgain(t *testing.T) {
	at := postgrestest.New(t)
	require.NoError(t, migrations.Up(t.Context(), at))
	conn := connect(t, at)
	_, err := conn.Exec(t.Context(), `UPDATE migrations.versions SET dirty = true`)
	require.NoError(t, err)
	state, err := migrations.Status(t.Context(), at)
	require.NoError(t, err)
	require.True(t, state.Dirty)
	require.NoError(t, migrations.Up(t.Context(), at))
	state, err = migrations.Status(t.Context(), at)
	require.NoError(t, err)
	require.True(t, state.UpToDate())
}

func TestErrorsHoldNoPassword(t *testing.T) {
	for _, at := range []string{
		"postgres://someone:hunter2secret@127.0.0.1:1/nothing",
		"postgres://someone:hunter2secret@[::1/broken",
		"postgres://someone:hunter2 secret@host:notaport/x",
		"host=127.0.0.1 port=1 user=someone password=hunter2secret dbname=x",
	} {
		for name, err := range map[string]error{
			"up": migrations.Up(t.Context(), at), "down": migrations.Down(t.Context(), at),
		} {
			require.Error(t, err, name)
			require.NotContains(t, err.Error(), "hunter2", name)
		}
		_, err := migrations.Status(t.Context(), at)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestProjectionDDL(t *testing.T) {
	names, err := filepath.Glob("projections/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, file := range names {
		name, number, ok := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".sql"), "_v")
		require.True(t, ok, file)
		version, err := strconv.Atoi(number)
		require.NoError(t, err, file)
		ddl, err := migrations.ProjectionDDL(name, version, name+"_v7")
		require.NoError(t, err)
		require.NotContains(t, ddl, "{{")
		require.Contains(t, ddl, name+"_v7_api.")
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(source), "now()", "columns follow from the events alone")
	}
	_, err = migrations.ProjectionDDL("credits", 99, "credits_v1")
	require.ErrorContains(t, err, "no version 99")
	_, err = migrations.ProjectionDDL("credits", 1, `x"; DROP SCHEMA y; --`)
	require.ErrorContains(t, err, "schema name")
}
