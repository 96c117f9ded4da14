// Package migrations holds the SQL of the project: roles, row-level security,
// the vault, the registry of the read models' versions with its procedures
// (functions/), and the DDL of each read model (projections/).
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed *.sql functions/*.sql projections/*.sql
var files embed.FS

const (
	// serverVersionMin is Postgres 17: security_invoker views, the 'SET' privilege
	// of pg_has_role and builtin C.UTF-8 are needed.
	serverVersionMin = 170000
	// stateSchema holds golang-migrate's table, because `public` may be shown to
	// the world by a data API.
	stateSchema = "migrations"
	// lockKey is the advisory lock of whoever migrates a database: "atelier" in
	// ASCII. It keeps the functions and the numbered files in step.
	lockKey = 0x6174656c696572
)

// ErrURL is a database address that cannot be read. The address itself is not
// in the error, because it holds a password.
var ErrURL = errors.New("database URL is no Postgres address; it may be postgres://user:password@host:5432/name")

// State is how far a database is migrated.
type State struct {
	// Version is the last one applied, 0 for none; Newest the last of this build.
	Version, Newest uint
	// Dirty says that a migration was interrupted: Up does it again.
	Dirty bool
}

// UpToDate says whether there is nothing to migrate.
func (s State) UpToDate() bool { return s.Version == s.Newest && !s.Dirty }

// Up brings the database at url to this build's version. It is idempotent, may
// run in several processes at once, and does an interrupted migration again.
func Up(ctx context.Context, url string) error {
	return open(ctx, url, func(db *sql.DB, m *migrate.Migrate, src source.Driver) error {
		if err := repair(m, src); err != nil {
			return err
		}
		if err := m.Up(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		return replaceFunctions(ctx, db)
	})
}

// Down takes everything back, rows included. The roles stay, because other
// databases of the server may use them.
func Down(ctx context.Context, url string) error {
	return open(ctx, url, func(_ *sql.DB, m *migrate.Migrate, src source.Driver) error {
		if err := repair(m, src); err != nil {
			return err
		}
		if err := m.Down(); err != nil && !errors.Is(err, migrate.ErrNoChange) {
			return err
		}
		return ctx.Err()
	})
}

// Status says how far the database at url is migrated.
func Status(ctx context.Context, url string) (State, error) {
	var state State
	err := open(ctx, url, func(_ *sql.DB, m *migrate.Migrate, src source.Driver) error {
		version, dirty, err := m.Version()
		if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
			return err
		}
		newest, err := src.First()
		for v := newest; err == nil; v, err = src.Next(v) {
			newest = v
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		state = State{Version: version, Newest: newest, Dirty: dirty}
		return nil
	})
	return state, err
}

// repair takes an interrupted migration for not done, because each file is one
// transaction.
func repair(m *migrate.Migrate, src source.Driver) error {
	version, dirty, err := m.Version()
	if errors.Is(err, migrate.ErrNilVersion) || (err == nil && !dirty) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := src.Prev(version)
	if errors.Is(err, fs.ErrNotExist) {
		return m.Force(database.NilVersion)
	}
	if err != nil {
		return err
	}
	return m.Force(int(before))
}

// open connects, takes the lock, and calls do. No error holds the password.
func open(ctx context.Context, url string, do func(*sql.DB, *migrate.Migrate, source.Driver) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return ErrURL
	}
	db := stdlib.OpenDB(*config)
	defer db.Close()
	where := fmt.Sprintf("%s:%d/%s", config.Host, config.Port, config.Database)
	if err := locked(ctx, db, do); err != nil {
		return fmt.Errorf("migrate %s: %w", where, withoutPassword(err, config.Password))
	}
	return nil
}

func locked(ctx context.Context, db *sql.DB, do func(*sql.DB, *migrate.Migrate, source.Driver) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var version int
	if err := conn.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return err
	}
	if version < serverVersionMin {
		return fmt.Errorf("the server is Postgres %d: %d or newer is needed", version/10000, serverVersionMin/10000)
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(lockKey)); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(lockKey))
		err = errors.Join(err, unlockErr)
	}()
	if _, err := conn.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS `+stateSchema); err != nil {
		return err
	}
	src, err := iofs.New(files, ".")
	if err != nil {
		return err
	}
	driver, err := migratepgx.WithInstance(db, &migratepgx.Config{
		MigrationsTable: `"` + stateSchema + `"."versions"`, MigrationsTableQuoted: true,
	})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", src, "pgx5", driver)
	if err != nil {
		return err
	}
	// The file that runs is finished, the next one is not begun.
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()
	return do(db, m, src)
}

// replaceFunctions makes the functions those of this build.
func replaceFunctions(ctx context.Context, db *sql.DB) error {
	names, err := fs.Glob(files, "functions/*.sql")
	if err != nil {
		return err
	}
	slices.Sort(names)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it is over already
	if _, err := tx.ExecContext(ctx, `SET LOCAL ROLE atelier_owner`); err != nil {
		return err
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return tx.Commit()
}

// withoutPassword keeps a password out of an error that quotes it.
func withoutPassword(err error, password string) error {
	if password == "" || !strings.Contains(err.Error(), password) {
		return err
	}
	return errors.New(strings.ReplaceAll(err.Error(), password, "xxxxx"))
}
