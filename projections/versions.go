package projections

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"atelier/migrations"
)

// The states of a version (projections.versions.state).
const (
	stateFilling = "filling" // whoever made it fills it alone
	stateStandby = "standby" // kept beside the live one
	stateLive    = "live"    // what readers see
)

const (
	// verifyVersion is the number of the version that Verify fills.
	verifyVersion = 0
	// createLock is the advisory lock of whoever makes a version: two processes
	// that start at once make one.
	createLock = 0x6174656c70726f // "atelpro" in ASCII
	// verifyLock is the first half of the advisory lock of whoever verifies a
	// projection; the second is its name's hash.
	verifyLock = 0x76657279 // "very" in ASCII
	// dropTries bounds how often a drop is tried against readers that hold on to
	// the tables (count); each waits a second at most.
	dropTries = 30
)

// version is one row of the registry.
type version struct {
	Name    string
	Version int
	DDL     int
	State   string
}

func (v version) String() string { return fmt.Sprintf("%s version %d", v.Name, v.Version) }

// ErrNotCreated is a projection that has no live version.
var ErrNotCreated = errors.New("the read model does not exist: run `atelier migrate up`")

// Create makes version 1 of every projection that has no live version, and lets
// readers see it. It is idempotent and may run in several processes at once. The
// pool's user must be allowed to take the role atelier_owner.
func Create(ctx context.Context, pool *pgxpool.Pool) error {
	for _, p := range All {
		if err := asOwner(ctx, pool, func(tx pgx.Tx) error { return createLive(ctx, tx, p) }); err != nil {
			return fmt.Errorf("create projection %s: %w", p.Name, err)
		}
	}
	return nil
}

func createLive(ctx context.Context, tx pgx.Tx, p Projection) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(createLock)); err != nil {
		return err
	}
	var live bool
	var last int
	err := tx.QueryRow(ctx, `SELECT count(*) FILTER (WHERE state = 'live') > 0, coalesce(max(version), 0) FROM projections.versions WHERE name = $1`,
		p.Name).Scan(&live, &last)
	if err != nil || live {
		return err
	}
	v := version{Name: p.Name, Version: last + 1, DDL: p.DDL, State: stateStandby}
	if err := createVersion(ctx, tx, v); err != nil {
		return err
	}
	return swap(ctx, tx, v.Name, v.Version)
}

// Renew drops the live versions whose tables are of an older build than this one,
// and makes them anew, empty: projectors fill them from the log. It returns their
// names. Readers see what is filled so far, so that it is for a house where one
// process does everything; elsewhere a version is filled beside the live one.
func Renew(ctx context.Context, pool *pgxpool.Pool) (renewed []string, err error) {
	for _, p := range All {
		err := asOwner(ctx, pool, func(tx pgx.Tx) error {
			old, err := liveVersion(ctx, tx, p.Name)
			if errors.Is(err, ErrNotCreated) || err == nil && old.DDL >= p.DDL {
				return nil
			}
			if err != nil {
				return err
			}
			if err := dropLive(ctx, tx, old); err != nil {
				return err
			}
			renewed = append(renewed, p.Name)
			return createLive(ctx, tx, p)
		})
		if err != nil {
			return nil, fmt.Errorf("renew projection %s: %w", p.Name, err)
		}
	}
	return renewed, nil
}

// dropLive takes a version from its readers and drops it.
func dropLive(ctx context.Context, tx pgx.Tx, v version) error {
	live, own := pgx.Identifier{v.Name + "_api"}, pgx.Identifier{fmt.Sprintf("%s_v%d_api", v.Name, v.Version)}
	if _, err := tx.Exec(ctx, `ALTER SCHEMA `+live.Sanitize()+` RENAME TO `+own.Sanitize()); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `UPDATE projections.versions SET state = $3 WHERE name = $1 AND version = $2`, v.Name, v.Version, stateStandby)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `SELECT projections.drop_version($1, $2)`, v.Name, v.Version)
	return err
}

// createVersion makes the empty tables of a version and closes them.
func createVersion(ctx context.Context, tx pgx.Tx, v version) error {
	var schema string
	if err := tx.QueryRow(ctx, `SELECT projections.create_version($1, $2, $3, $4)`, v.Name, v.Version, v.DDL, v.State).Scan(&schema); err != nil {
		return err
	}
	ddl, err := migrations.ProjectionDDL(v.Name, v.DDL, schema)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, ddl); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT projections.protect($1, $2)`, v.Name, v.Version); err != nil {
		return err
	}
	// A statement of its own: a stable function sees what was before its statement.
	_, err = tx.Exec(ctx, `SELECT projections.check_security($1, $2)`, v.Name, v.Version)
	return err
}

// swap puts a version before the readers. See functions/versions.sql for its rules.
func swap(ctx context.Context, tx pgx.Tx, name string, number int) error {
	_, err := tx.Exec(ctx, `SELECT projections.swap($1, $2)`, name, number)
	return err
}

// dropVersion removes a version that is not live. It waits for the readers that
// still hold its tables, dropTries seconds at most.
func dropVersion(ctx context.Context, pool *pgxpool.Pool, name string, number int) error {
	for try := 1; ; try++ {
		err := asOwner(ctx, pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SELECT projections.drop_version($1, $2)`, name, number)
			return err
		})
		if err == nil || try == dropTries || !hasCode(err, codeLockNotAvailable) {
			return err
		}
	}
}

// asOwner calls do in a transaction under the role that owns the read models.
func asOwner(ctx context.Context, pool *pgxpool.Pool, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL ROLE atelier_owner"}, do)
}

// followed returns the versions that projectors keep up: the live and the standby.
func followed(ctx context.Context, pool *pgxpool.Pool) ([]version, error) {
	rows, err := pool.Query(ctx, `SELECT name, version, ddl, state FROM projections.versions WHERE state <> $1 ORDER BY name, version`, stateFilling)
	if err != nil {
		return nil, fmt.Errorf("read the registry of projections: %w", err)
	}
	versions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[version])
	if err != nil {
		return nil, fmt.Errorf("read the registry of projections: %w", err)
	}
	return versions, nil
}

// liveVersion returns the version that readers see.
func liveVersion(ctx context.Context, q Querier, name string) (version, error) {
	rows, err := q.Query(ctx, `SELECT name, version, ddl, state FROM projections.versions WHERE name = $1 AND state = $2`, name, stateLive)
	if err != nil {
		return version{}, err
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[version])
	if errors.Is(err, pgx.ErrNoRows) {
		return version{}, ErrNotCreated
	}
	return v, err
}

// place is where a version stands in one partition.
type place struct {
	next    int64
	logTime time.Time // newest time among the events before next; zero: none
}

// take reads where a version stands in the partitions, and begins new ones at 0.
func take(ctx context.Context, pool *pgxpool.Pool, v version, generation int, partitions []int32) (map[int32]place, error) {
	rows, err := pool.Query(ctx, `SELECT o_partition, o_next, coalesce(o_log_time, '-infinity') = '-infinity', coalesce(o_log_time, 'epoch')
		FROM projections.take($1, $2, $3, $4)`, v.Name, v.Version, generation, partitions)
	if err != nil {
		return nil, err
	}
	places := map[int32]place{}
	var (
		id   int32
		at   place
		none bool
	)
	_, err = pgx.ForEachRow(rows, []any{&id, &at.next, &none, &at.logTime}, func() error {
		if none {
			at.logTime = time.Time{}
		}
		places[id] = at
		return nil
	})
	return places, err
}

// Codes of Postgres, and our own (class AT, functions/*.sql).
const (
	codeLockNotAvailable = "55P03"
	codeNoVersion        = "AT001"
	codeOtherGeneration  = "AT002"
)

func hasCode(err error, code string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == code
}

// unfit says whether the values themselves are refused (data exceptions, broken
// constraints, two changes of one row): trying again changes nothing.
func unfit(err error) bool {
	if errors.Is(err, errEncode) {
		return true
	}
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	for _, class := range []string{"21", "22", "23"} {
		if strings.HasPrefix(refused.Code, class) {
			return true
		}
	}
	return false
}
