package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"atelier/projections"
	"atelier/schemas"
)

// commandEvents stamps the events of one command as the decider does.
func commandEvents(account, command string, offset int64, events ...schemas.Event) []schemas.Event {
	for i, e := range events {
		*e.Meta() = schemas.EventMetadata{
			ID: schemas.DeriveID(command, string(rune('a'+i))), AccountID: account, OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
			CorrelationID: command, CausationID: command, CommandPosition: schemas.CommandPosition{Offset: offset},
			Index: i, Count: len(events),
		}
	}
	return events
}

// batchEvents are what a batch leads to.
func batchEvents(account, command string, offset int64, images int) []schemas.Event {
	batch := schemas.DeriveID(command, "batch")
	events := []schemas.Event{
		&schemas.CreditsReserved{BatchID: batch, Credits: int64(2 * images), PerImage: 2},
		&schemas.BatchRequested{BatchID: batch, Images: images, Brief: []byte("sealed brief"), Kit: []byte("sealed kit")},
	}
	for n := range images {
		events = append(events, &schemas.GenerationRequested{BatchID: batch, GenerationID: schemas.DeriveID(batch, string(rune('0'+n))), Number: n + 1})
	}
	return commandEvents(account, command, offset, events...)
}

func TestRingKeepsItsBoundsAndKnowsItsFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := ring{
			ageMax:    time.Duration(rapid.IntRange(1, 100).Draw(t, "age")) * time.Second,
			eventsMax: rapid.IntRange(1, 600).Draw(t, "events"), bytesMax: rapid.IntRange(100, 20_000).Draw(t, "bytes"),
		}
		at, offset, seen := time.Unix(1_700_000_000, 0), int64(0), []int64{}
		for range rapid.IntRange(1, 2000).Draw(t, "appends") {
			at = at.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "pause")) * time.Millisecond)
			offset += int64(rapid.IntRange(1, 3).Draw(t, "markers"))
			seen = append(seen, offset)
			r.append(entry{offset: offset, at: at, bytes: rapid.IntRange(1, 90).Draw(t, "size")}, nil)
		}
		require.LessOrEqual(t, r.len(), r.eventsMax)
		require.LessOrEqual(t, r.bytes, r.bytesMax)
		require.LessOrEqual(t, len(r.entries), 2*r.len()+compactAfter+1, "forgotten entries are given back")
		var kept []int64
		r.after(r.floor-1, func(e *entry) {
			require.LessOrEqual(t, at.Sub(e.at), r.ageMax)
			kept = append(kept, e.offset)
		})
		require.Equal(t, r.len(), len(kept))
		require.Equal(t, seen[len(seen)-len(kept):], kept, "the newest, in order")
		from := rapid.Int64Range(r.floor-1, offset).Draw(t, "from")
		for _, o := range kept {
			if o > from {
				break
			}
			kept = kept[1:]
		}
		var after []int64
		r.after(from, func(e *entry) { after = append(after, e.offset) })
		require.Equal(t, len(kept), len(after))
	})
}

func TestGatherNeedsEveryEventOfTheCommand(t *testing.T) {
	first, second := schemas.NewID(), schemas.NewID()
	a, b := batchEvents(schemas.NewID(), first, 7, 3), batchEvents(schemas.NewID(), second, 8, 2)
	position := projections.Position{Partition: 3, Offset: 40}

	var g *gathering
	for i, e := range a {
		g = gather(g, e)
		require.NotNil(t, g)
		outcome := g.finish(position)
		if i < len(a)-1 {
			require.Nil(t, outcome, "event %d of %d", i, len(a))
			continue
		}
		require.Equal(t, &Outcome{CommandID: first, AccountID: a[0].Meta().AccountID, Events: a, Last: position}, outcome)
	}
	g = gather(g, b[0])
	require.Nil(t, g.finish(position), "another command's events do not join")
	require.Nil(t, gather(g, b[2]), "one event is missing")
	require.Nil(t, gather(nil, a[1]), "the beginning was not seen")

	b[0].Meta().Count = outcomeEventsMax + 1
	require.Nil(t, gather(nil, b[0]))
	b[0].Meta().Count = 0
	require.Nil(t, gather(nil, b[0]))

	// The same command at another position is another decision.
	again := commandEvents(a[0].Meta().AccountID, first, 9, &schemas.CommandRejected{Code: schemas.CodeDuplicate}, &schemas.BrandArchived{})
	g = gather(gather(nil, again[0]), a[1])
	require.Nil(t, g)
	rejected := gather(nil, commandEvents(schemas.NewID(), first, 9, &schemas.CommandRejected{Code: schemas.CodeDuplicate})[0]).finish(position)
	require.Equal(t, schemas.CodeDuplicate, rejected.Rejected.Code)
}

func outcomeOf(command string, offset int64) *gathering {
	g := gather(nil, commandEvents(schemas.NewID(), command, offset, &schemas.BrandArchived{})[0])
	g.finish(projections.Position{Offset: offset})
	return g
}

func TestOutcomesReachEveryWaiterOnce(t *testing.T) {
	o := newOutcomes()
	command := schemas.NewID()
	one, leaveOne := o.await(command)
	two, leaveTwo := o.await(command)
	gone, leave := o.await(command)
	leave()
	leave()
	require.Equal(t, 2, o.waits())

	o.add(outcomeOf(command, 5))
	o.add(outcomeOf(command, 9)) // sent twice: the first decision counts
	require.Equal(t, int64(5), (<-one).Last.Offset)
	require.Equal(t, int64(5), (<-two).Last.Offset)
	require.Empty(t, one)
	require.Empty(t, gone)
	leaveOne()
	leaveTwo()
	require.Zero(t, o.waits())
	require.Empty(t, o.waiting)

	late, _ := o.await(command)
	require.Equal(t, int64(5), (<-late).Last.Offset)
	found, ok := o.find(command)
	require.True(t, ok)
	require.Equal(t, int64(5), found.Last.Offset)
}

func TestOutcomesForgetWhatTheRingHasLost(t *testing.T) {
	o := newOutcomes()
	first, second, late := outcomeOf("a", 1), outcomeOf("a", 2), outcomeOf("b", 3)
	o.add(first)
	o.add(second)
	o.forget(second)
	_, ok := o.find("a")
	require.True(t, ok)
	o.forget(first)
	_, ok = o.find("a")
	require.False(t, ok)
	o.forget(late) // its first event left the ring before its last one came
	o.add(late)
	_, ok = o.find("b")
	require.False(t, ok)
}

func TestOutcomesBoundWhoWaits(t *testing.T) {
	o := newOutcomes()
	for range waitersMax {
		w, _ := o.await(schemas.NewID())
		require.NotNil(t, w)
	}
	w, leave := o.await(schemas.NewID())
	require.Nil(t, w)
	leave()
	require.Equal(t, waitersMax, o.waits())
}
