package projections

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// of stamps the events that one command of an account led to, as the decider
// does. The command is the n-th of the log.
func of(account string, n int, at time.Time, events ...schemas.Event) []schemas.Event {
	for i, e := range events {
		*e.Meta() = schemas.EventMetadata{
			ID: id("e0", 100*n+i), AccountID: account, OccurredAt: at, CorrelationID: commandID(n), CausationID: commandID(n),
			Actor:           schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "web"},
			CommandPosition: schemas.CommandPosition{Offset: int64(n)}, Index: i, Count: len(events),
		}
	}
	return events
}

// line is credits of a block; givenBack is credits that went back to one.
func line(n int, credits int64) schemas.BlockCredits {
	return schemas.BlockCredits{BlockID: blockID(n), Credits: credits}
}

func givenBack(n int, credits int64, expiresAt *time.Time) schemas.ReleasedCredits {
	return schemas.ReleasedCredits{BlockID: blockID(n), Credits: credits, ExpiresAt: expiresAt}
}

func picture(n int) schemas.Media {
	return schemas.Media{Key: "m/" + generationID(n), SHA256: []byte{0xab, byte(n)}, Bytes: 1000, Width: 1080, Height: 1350, MIMEType: "image/png"}
}

// records are events as they stand in a partition, from offset 0 on.
func (d *database) records(events []schemas.Event) []*kafka.Record {
	d.t.Helper()
	records := make([]*kafka.Record, len(events))
	for i, e := range events {
		r, err := kafka.NewRecord(d.codec, schemas.TopicEvents, e)
		require.NoError(d.t, err)
		r.Offset = int64(i)
		records[i] = r
	}
	return records
}

// fill applies a whole partition to a version, in batches of at most as many
// events as size says.
func (d *database) fill(v version, partition int32, records []*kafka.Record, size func() int) {
	d.t.Helper()
	p, err := ByName(v.Name)
	require.NoError(d.t, err)
	places, err := take(d.t.Context(), d.projector, v, 0, []int32{partition})
	require.NoError(d.t, err)
	at := places[partition]
	for len(records) > 0 {
		c, used, err := d.folder(p).fold(d.t.Context(), partition, at, records, size())
		require.NoError(d.t, err)
		require.NoError(d.t, apply(d.t.Context(), d.projector, v, 0, c))
		at, records = place{next: c.to, logTime: c.logTime}, records[used:]
	}
}

func all() int { return eventsPerBatchMax }
func one() int { return 1 }

// scenario is a row of the tables: the events of each command, and the rows of
// each table that they lead to. Tables that are not named are empty.
type scenario struct {
	name  string
	given [][]schemas.Event
	then  map[string][]string
}

// folds runs scenarios on a projection whose tables have these columns. The rows
// must not depend on how the events were cut into batches.
func (d *database) folds(t *testing.T, p Projection, columns map[string]string, scenarios []scenario) {
	t.Helper()
	cuts := map[string]func() int{"one batch": all, "batches of one": one, "batches of three": func() int { return 3 }}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			records := d.records(slices.Concat(s.given...))
			hashes := map[string]map[string]Rows{}
			for cut, size := range cuts {
				v := d.newVersion(p)
				d.fill(v, 0, records, size)
				hashes[cut] = d.hashes(v)
				require.EqualValues(t, len(records), d.next(v, 0), cut)
				require.ElementsMatch(t, slices.Collect(maps.Keys(columns)), slices.Collect(maps.Keys(hashes[cut])), "the scenario shows every table")
				for name, shown := range columns {
					require.Equal(t, s.then[name], d.rows(v, name, shown), "%s, in %s", name, cut)
				}
			}
			for cut := range cuts {
				require.Equal(t, hashes["one batch"], hashes[cut], cut)
			}
		})
	}
}
