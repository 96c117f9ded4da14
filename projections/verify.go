package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// ErrVerifying is a projection that somebody else verifies at the moment.
var ErrVerifying = errors.New("another process verifies it")

// Report is what a verification found.
type Report struct {
	Projection string     `json:"projection"`
	Version    int        `json:"version"`
	Positions  []Position `json:"positions"` // where both stood, by partition
	Events     int64      `json:"events"`    // folded
	Tables     []Table    `json:"tables"`
}

// Table compares one table with the fold of the events.
type Table struct {
	Name string `json:"name"`
	Live Rows   `json:"live"`
	Fold Rows   `json:"fold"`
}

// Rows are a count and the sum of the rows' hashes, in any order.
type Rows struct {
	Count int64  `json:"count"`
	Hash  string `json:"hash"`
}

// Equal says whether the table is the fold of the events.
func (t Table) Equal() bool { return t.Live == t.Fold }

// Equal says whether the read model is the fold of the events.
func (r Report) Equal() bool {
	return !slices.ContainsFunc(r.Tables, func(t Table) bool { return !t.Equal() })
}

// snapshot is a version as it was at one moment.
type snapshot struct {
	version version
	next    map[int32]int64
	tables  map[string]Rows
}

// Verify folds the events up to where the live version of a projection stands
// into a second, empty version, by the same code, and compares the rows of both.
// The projectors and readers of the live one are not held up. The pool's user
// must be allowed to take the role atelier_owner. Only one process can verify a
// projection at a time; the error is ErrVerifying then.
func Verify(ctx context.Context, c Config, name string) (Report, error) {
	if err := c.validate(); err != nil {
		return Report{}, err
	}
	projection, err := ByName(name)
	if err != nil {
		return Report{}, err
	}
	report, err := verify(ctx, &c, projection)
	if err != nil {
		return report, fmt.Errorf("verify projection %s: %w", name, err)
	}
	return report, nil
}

func verify(ctx context.Context, c *Config, p Projection) (_ Report, err error) {
	unlock, err := lockVerification(ctx, c.Pool, p.Name)
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	live, err := takeSnapshot(ctx, c.Pool, func(tx pgx.Tx) (version, error) { return liveVersion(ctx, tx, p.Name) }, c.TopicGeneration)
	if err != nil {
		return Report{}, err
	}
	if live.version.DDL != p.DDL {
		return Report{}, fmt.Errorf("%s: %w: they are of version %d, this build fills %d", live.version, errNewerTables, live.version.DDL, p.DDL)
	}
	scratch := version{Name: p.Name, Version: verifyVersion, DDL: p.DDL, State: stateFilling}
	drop := func() error { return dropVersion(context.WithoutCancel(ctx), c.Pool, scratch.Name, scratch.Version) }
	if err := drop(); err != nil { // left over from one that was killed
		return Report{}, err
	}
	if err := asOwner(ctx, c.Pool, func(tx pgx.Tx) error { return createVersion(ctx, tx, scratch) }); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	events, err := refold(ctx, c, p, scratch, live.next)
	if err != nil {
		return Report{}, err
	}
	folded, err := takeSnapshot(ctx, c.Pool, func(pgx.Tx) (version, error) { return scratch, nil }, c.TopicGeneration)
	if err != nil {
		return Report{}, err
	}
	if !maps.Equal(live.next, folded.next) {
		return Report{}, fmt.Errorf("folded up to %v instead of %v", folded.next, live.next)
	}
	return compare(live, folded, c.TopicGeneration, events), nil
}

// lockVerification keeps a connection for the lock until unlock is called.
func lockVerification(ctx context.Context, pool *pgxpool.Pool, name string) (unlock func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	var locked bool
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1, hashtext($2))`, int32(verifyLock), name).Scan(&locked); err != nil || !locked {
		conn.Release()
		if err == nil {
			err = ErrVerifying
		}
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
			_ = conn.Conn().Close(ctx) // the lock goes with the connection
		}
		conn.Release()
	}, nil
}

// takeSnapshot reads where a version stands and hashes its rows, as of one moment.
func takeSnapshot(ctx context.Context, pool *pgxpool.Pool, which func(pgx.Tx) (version, error), generation int) (snapshot, error) {
	s := snapshot{tables: map[string]Rows{}}
	options := pgx.TxOptions{BeginQuery: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL ROLE atelier_owner"}
	err := pgx.BeginTxFunc(ctx, pool, options, func(tx pgx.Tx) (err error) {
		if s.version, err = which(tx); err != nil {
			return err
		}
		if s.next, err = nextOffsets(ctx, tx, s.version, generation); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT o_table, o_rows, o_hash::text FROM projections.hashes($1, $2)`, s.version.Name, s.version.Version)
		if err != nil {
			return err
		}
		var table string
		var found Rows
		_, err = pgx.ForEachRow(rows, []any{&table, &found.Count, &found.Hash}, func() error { s.tables[table] = found; return nil })
		return err
	})
	return s, err
}

// nextOffsets returns the next offset to be read of each partition. Those of
// another generation of the topic are refused: its events are gone.
func nextOffsets(ctx context.Context, q Querier, v version, generation int) (map[int32]int64, error) {
	rows, err := q.Query(ctx, `SELECT generation, partition, next FROM projections.offsets WHERE name = $1 AND version = $2`, v.Name, v.Version)
	if err != nil {
		return nil, err
	}
	next := map[int32]int64{}
	var at Position
	_, err = pgx.ForEachRow(rows, []any{&at.Generation, &at.Partition, &at.Offset}, func() error {
		if at.Generation != generation {
			return fmt.Errorf("%s was filled from topic generation %d, not %d: %s", v, at.Generation, generation, adviceRebuild)
		}
		next[at.Partition] = at.Offset
		return nil
	})
	return next, err
}

// refold applies the events before `until` to an empty version and returns how
// many there were.
func refold(ctx context.Context, c *Config, p Projection, v version, until map[int32]int64) (events int64, err error) {
	if err := reachable(ctx, c, until); err != nil {
		return 0, err
	}
	ids := slices.Sorted(maps.Keys(until))
	places, err := take(ctx, c.Pool, v, c.TopicGeneration, ids)
	if err != nil {
		return 0, err
	}
	from, total := map[int32]int64{}, int64(0)
	for _, id := range ids {
		if until[id] > 0 {
			from[id] = 0
			total += until[id]
		}
	}
	if len(from) == 0 {
		return 0, nil
	}
	reader, err := kafka.NewReader(c.Kafka, schemas.TopicEvents, from)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	fold := folder{projection: p, codec: c.Codec, open: c.Open, generation: c.TopicGeneration, log: c.Log}
	for done := int64(0); len(from) > 0; {
		records, err := reader.Poll(ctx, eventsPerBatchMax)
		if err != nil {
			return events, err
		}
		for len(records) > 0 {
			id, n := records[0].Partition, 0
			for n < len(records) && records[n].Partition == id {
				n++
			}
			before := slices.IndexFunc(records[:n], func(r *kafka.Record) bool { return r.Offset >= until[id] })
			if before < 0 {
				before = n
			}
			at, folded, err := applyAll(ctx, c, fold, v, id, places[id], records[:before])
			if err != nil {
				return events, err
			}
			done += at.next - places[id].next
			events, places[id], records = events+folded, at, records[n:]
			if at.next >= until[id] {
				delete(from, id)
			}
		}
		if c.Progress != nil {
			c.Progress(done, total)
		}
	}
	return events, nil
}

// applyAll applies all of the records, or fails.
func applyAll(ctx context.Context, c *Config, f folder, v version, id int32, at place, records []*kafka.Record) (place, int64, error) {
	var events int64
	for len(records) > 0 {
		part, used, stopped := f.fold(ctx, id, at, records, eventsPerBatchMax)
		if part.to > part.from {
			if err := apply(ctx, c.Pool, v, c.TopicGeneration, part); err != nil {
				return at, events, err
			}
			at = place{next: part.to, logTime: part.logTime}
			events += int64(part.events)
		}
		records = records[used:]
		if stopped != nil {
			return at, events, fmt.Errorf("%s[%d]@%d: %w", schemas.TopicEvents, id, records[0].Offset, stopped)
		}
	}
	return at, events, nil
}

// reachable says whether the topic still has everything from its first event on.
func reachable(ctx context.Context, c *Config, until map[int32]int64) error {
	admin, err := kafka.NewAdmin(c.Kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	starts, err := admin.StartOffsets(ctx, schemas.TopicEvents)
	if err != nil {
		return err
	}
	ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return err
	}
	for id, next := range until {
		switch {
		case next > ends[id]:
			return fmt.Errorf("%s[%d] ends at %d, before the stored offset %d: %s", schemas.TopicEvents, id, ends[id], next, adviceTopic)
		case next > 0 && starts[id] > 0:
			return fmt.Errorf("%s[%d] begins at %d: older events are gone", schemas.TopicEvents, id, starts[id])
		}
	}
	return nil
}

func compare(live, folded snapshot, generation int, events int64) Report {
	report := Report{Projection: live.version.Name, Version: live.version.Version, Events: events}
	for _, id := range slices.Sorted(maps.Keys(live.next)) {
		report.Positions = append(report.Positions, Position{Generation: generation, Partition: id, Offset: live.next[id]})
	}
	for _, name := range slices.Sorted(maps.Keys(live.tables)) {
		report.Tables = append(report.Tables, Table{Name: name, Live: live.tables[name], Fold: folded.tables[name]})
	}
	return report
}
