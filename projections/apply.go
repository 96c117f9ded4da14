package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// ErrFenced is a version that does not stand where its projector left it: another
// projector has moved it. Nothing was changed.
var ErrFenced = errors.New("another projector has moved the partition")

// applyTimeout bounds the transaction of one batch. A batch of 5,000 takes some
// 200 ms; what takes longer waits for a lock or for the disk.
const applyTimeout = 30 * time.Second

// chunk is what one transaction applies: the events from one offset of a
// partition to another, all of one log day.
type chunk struct {
	partition int32
	from, to  int64
	last      int64 // offset of the last event, where there are events
	logTime   time.Time
	events    int
	changes   any // nil: only the position moves
}

// folder turns a partition's records into chunks.
type folder struct {
	projection Projection
	codec      *schemas.Codec
	open       OpenFunc
	generation int
	log        zerolog.Logger
}

// fold makes a chunk of the first records, at most eventsMax of them, and says
// how many it used. It stops before a record that it cannot take and returns
// why: the chunk holds what came before. A chunk does not span two days of the
// partition's log, because rows age by whole days.
func (f folder) fold(ctx context.Context, partition int32, at place, records []*kafka.Record, eventsMax int) (c chunk, used int, err error) {
	c = chunk{partition: partition, from: at.next, to: at.next, logTime: at.logTime}
	folded := f.projection.fold(newOpener(f.open))
	defer func() { c.changes = folded.changes() }()
	for _, r := range records {
		if r.Offset < c.to { // fetched before a seek
			used++
			continue
		}
		if !kafka.IsControl(r) {
			if c.events == eventsMax {
				return c, used, nil
			}
			event, err := f.decode(ctx, r)
			if err != nil {
				return c, used, err
			}
			occurred := event.Meta().OccurredAt
			if c.events > 0 && day(occurred).After(day(c.logTime)) {
				return c, used, nil
			}
			m := event.Meta()
			f.log.Debug().Str("projection", f.projection.Name).Str("topic", schemas.TopicEvents).Int32("partition", partition).
				Int64("offset", r.Offset).Str("event_id", m.ID).Str("account_id", m.AccountID).
				Str("correlation_id", m.CorrelationID).Msg("event folded")
			if err := folded.add(ctx, event, Position{Generation: f.generation, Partition: partition, Offset: r.Offset}); err != nil {
				return c, used, err
			}
			if occurred.After(c.logTime) {
				c.logTime = occurred
			}
			c.last = r.Offset
			c.events++
		}
		c.to = r.Offset + 1
		used++
	}
	return c, used, nil
}

func (f folder) decode(ctx context.Context, r *kafka.Record) (schemas.Event, error) {
	record, err := f.codec.Decode(ctx, schemas.TopicEvents, r.Value)
	if err != nil {
		return nil, err
	}
	event, ok := record.(schemas.Event)
	if !ok {
		return nil, fmt.Errorf("%w: %s is no event", schemas.ErrUnreadable, record.SchemaName())
	}
	return event, nil
}

func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

// apply applies a chunk to a version, rows and position in one transaction. The
// error is ErrFenced where the version does not stand at the chunk's beginning.
func apply(ctx context.Context, pool *pgxpool.Pool, v version, generation int, c chunk) error {
	// As text, which every way of talking to Postgres takes for jsonb.
	var changes *string
	if c.changes != nil {
		text, err := encode(c.changes)
		if err != nil {
			return err
		}
		changes = &text
	}
	var logTime *time.Time
	if !c.logTime.IsZero() {
		logTime = &c.logTime
	}
	// What has begun is finished, also while the process is being stopped.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	var late *string
	if movesFirst {
		late, changes = changes, nil
	}
	var moved bool
	err := pool.QueryRow(ctx, `SELECT projections.apply($1, $2, $3, $4, $5, $6, $7, $8)`,
		v.Name, v.Version, generation, c.partition, c.from, c.to, logTime, changes).Scan(&moved)
	if err != nil {
		return fmt.Errorf("apply %s[%d]@%d: %w", v.Name, c.partition, c.from, err)
	}
	if !moved {
		return ErrFenced
	}
	if late != nil {
		_, err = pool.Exec(ctx, fmt.Sprintf(`SELECT %s_v%d.apply($1, $2, $3)`, v.Name, v.Version), late, c.partition, logTime)
		return err
	}
	return nil
}
