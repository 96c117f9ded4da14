// Package projections is the only place that writes read models. A projection
// folds batches of events into set-wise changes, which a stored procedure of its
// own schema applies in one transaction with the offset up to which it has read:
// every event counts exactly once, whoever fails in between.
//
// The offset is compared before it is moved, so that a projector that lost its
// partition and does not know it yet (a zombie) changes nothing.
package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"atelier/schemas"
)

// Projection is one read model. Its tables are in migrations/projections.
type Projection struct {
	// Name is also the first part of its schemas: credits, credits_v1, credits_api.
	Name string
	// DDL is the version of its tables that this build fills, counted from 1.
	// A version of the read model (credits_v2) may have any of them.
	DDL int

	fold func(*opener) fold
}

// fold turns the events of one batch into changes. It is for one goroutine.
type fold interface {
	// add takes the next event of a partition. An error of the opener is returned
	// as it is; there is no other.
	add(ctx context.Context, e schemas.Event, at Position) error
	// changes returns what the schema's apply function takes, encoded as JSON;
	// nil where no event concerned this projection.
	changes() any
}

// All are the projections that there are.
var All = []Projection{credits, brands, galleries, outcomes}

// ByName returns the projection called name.
func ByName(name string) (Projection, error) {
	known := make([]string, 0, len(All))
	for _, p := range All {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return Projection{}, fmt.Errorf("no projection %q: there are %s", name, strings.Join(known, ", "))
}

// Position is a place in atelier.events.
type Position struct {
	// Generation counts how often the topic was made anew, from 0.
	Generation int
	Partition  int32
	// Offset of a record; where it says how far somebody has read, of the next one.
	Offset int64
}

// String returns generation.partition.offset, such as 0.7.1042.
func (p Position) String() string {
	return strconv.Itoa(p.Generation) + "." + strconv.Itoa(int(p.Partition)) + "." + strconv.FormatInt(p.Offset, 10)
}

// ParsePosition reads what String writes.
func ParsePosition(s string) (Position, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return Position{}, fmt.Errorf("position %q: not generation.partition.offset", s)
	}
	generation, err1 := strconv.ParseUint(parts[0], 10, 31)
	partition, err2 := strconv.ParseUint(parts[1], 10, 31)
	offset, err3 := strconv.ParseUint(parts[2], 10, 63)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Position{}, fmt.Errorf("position %q: not three numbers", s)
	}
	return Position{Generation: int(generation), Partition: int32(partition), Offset: int64(offset)}, nil
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Positions returns where the live version of a projection stands, by partition:
// the next offset to be read. Partitions that it never read are missing. Read it
// before the rows, so that they are at least as new.
func Positions(ctx context.Context, q Querier, name string) (map[int32]Position, error) {
	rows, err := q.Query(ctx, `SELECT o.generation, o.partition, o.next FROM projections.offsets o
		JOIN projections.versions v ON v.name = o.name AND v.version = o.version AND v.state = 'live' WHERE o.name = $1`, name)
	if err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", name, err)
	}
	positions := map[int32]Position{}
	var p Position
	if _, err := pgx.ForEachRow(rows, []any{&p.Generation, &p.Partition, &p.Offset}, func() error {
		positions[p.Partition] = p
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read positions of %s: %w", name, err)
	}
	return positions, nil
}

// featureNotSupported is what a cached statement meets once after a swap that
// changed a view's columns ("cached plan must not change result type").
const featureNotSupported = "0A000"

// Read calls do in a read-only transaction that sees the rows of one account
// and no others. It takes the role of the api even where the pool has another,
// because row-level security does not bind superusers. do runs once more where
// a swap came in between. It must name its columns, and should be short: a
// transaction that is older than a rebuild may see an empty table.
func Read(ctx context.Context, pool *pgxpool.Pool, accountID string, do func(pgx.Tx) error) error {
	account, err := uuid.Parse(accountID)
	if err != nil {
		return fmt.Errorf("read as account: %w", err)
	}
	// One round trip. A UUID needs no quoting.
	options := pgx.TxOptions{BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL ROLE atelier_api; " +
		"SET LOCAL atelier.account_id = '" + account.String() + "'"}
	err = pgx.BeginTxFunc(ctx, pool, options, do)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == featureNotSupported {
		err = pgx.BeginTxFunc(ctx, pool, options, do)
	}
	return err
}
