package decider

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// expiring is an account with a block of credits for each time.
func expiring(n int, at ...time.Time) *schemas.Account {
	a := &schemas.Account{AccountID: account(n)}
	for i, t := range at {
		a.Blocks = append(a.Blocks, schemas.AccountBlock{ID: [16]byte{byte(i + 1)}, Credits: 1, ExpiresAt: &t})
	}
	return a
}

func TestPopDueTakesTheEarliestOnce(t *testing.T) {
	p := newOwned().take([]int32{0})[0]
	for i, at := range []time.Duration{3, 1, 2, 9} {
		p.set(expiring(i, noon.Add(at*time.Minute)), nil)
	}
	p.set(&schemas.Account{AccountID: account(9)}, nil) // time brings nothing about for it
	retry := noon.Add(time.Hour)
	require.Empty(t, p.popDue(noon, retry, 10))
	require.Equal(t, []string{account(1), account(2)}, p.popDue(noon.Add(3*time.Minute), retry, 2), "no more than asked for")
	require.Equal(t, []string{account(0)}, p.popDue(noon.Add(3*time.Minute), retry, 2), "a time that has come, to the moment")
	require.Empty(t, p.popDue(noon.Add(4*time.Minute), retry, 10))

	// Nothing was heard of them since: their commands may have been lost.
	require.ElementsMatch(t, []string{account(0), account(1), account(2), account(3)}, p.popDue(retry, retry.Add(time.Hour), 10))
}

func TestPopDueKnowsWhatWasDecidedSince(t *testing.T) {
	p := newOwned().take([]int32{0})[0]
	p.set(expiring(1, noon), nil)
	p.set(expiring(2, noon), nil)
	p.set(expiring(1), nil)                      // expired
	p.set(expiring(2, noon.Add(time.Hour)), nil) // put off
	require.Empty(t, p.popDue(noon.Add(time.Minute), noon.Add(2*time.Minute), 10))
	require.Equal(t, []string{account(2)}, p.popDue(noon.Add(time.Hour), noon.Add(2*time.Hour), 10))
}

// An account with credits that expire in a year has an earlier time with each
// generation and the far one again after it. What is remembered is bounded by the
// accounts, not by their history.
func TestDueTimesDoNotGrowWithHistory(t *testing.T) {
	p := newOwned().take([]int32{0})[0]
	year := noon.Add(365 * 24 * time.Hour)
	for i := range 10_000 {
		n := i % 5
		p.set(expiring(n, year, noon.Add(time.Duration(i)*time.Second)), nil)
		p.set(expiring(n, year), nil)
	}
	require.Len(t, p.dueAt, 5)
	require.Less(t, len(p.due), 100)
	require.Len(t, p.popDue(year, year.Add(time.Hour), 100), 5, "each account once")
}

// A partition that is lost and comes back while it is being restored is restored
// anew: what the first restore read is not published.
func TestOwnedPublishesOnlyWhatIsStillOurs(t *testing.T) {
	o := newOwned()
	require.False(t, o.ready(), "a decider without partitions is not ready")
	first := o.take([]int32{1, 2})
	require.Nil(t, o.get(1), "not restored yet")
	require.True(t, o.publish(first[0]))
	require.Same(t, first[0], o.get(1))
	require.False(t, o.ready())

	o.drop([]int32{2})
	require.True(t, o.ready())
	require.False(t, o.publish(first[1]), "it is somebody else's")
	second := o.take([]int32{2})
	require.False(t, o.publish(first[1]), "it is ours again, but this was read before")
	require.True(t, o.publish(second[0]))
	require.Len(t, o.all(), 2)

	again := o.retake([]int32{2, 3})
	require.Len(t, again, 1, "what is not owned cannot be restored")
	require.Nil(t, o.get(2))
	require.Empty(t, o.retake([]int32{2}), "one restore at a time")
	require.True(t, o.publish(again[0]))
	require.EqualValues(t, 2, o.count())

	did := 0
	require.True(t, o.whileOurs(again[0], func() { did++ }))
	require.False(t, o.whileOurs(second[0], func() { did++ }), "it was given anew since")
	o.drop([]int32{2})
	require.False(t, o.whileOurs(again[0], func() { did++ }))
	require.Equal(t, 1, did)
	o.clear()
	require.Zero(t, o.count())
}

// A partition that is lost while its commands are decided has nobody here who waits
// for a schema of it, and no alarm.
func TestALostPartitionIsNotWaitedFor(t *testing.T) {
	d := newDesk(t, 2, 1)
	d.begin(t)
	p := d.owned.get(1)
	d.owned.drop([]int32{1})
	d.awaitSchema(p, &kafka.Record{Partition: 1, Value: []byte{0, 0, 1, 0, 0}})
	d.work.Wait()
	registry := prometheus.NewRegistry()
	registry.MustRegister(d.metrics.unknownSchema)
	require.Zero(t, measured(t, registry, "atelier_decider_waiting_for_schema"))
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Codec: schemas.NewLockedCodec(), Instance: "a"}
	for name, change := range map[string]func(*Config){
		"no codec":            func(c *Config) { c.Codec = nil },
		"no instance":         func(c *Config) { c.Instance = "" },
		"topic generation -1": func(c *Config) { c.TopicGeneration = -1 },
	} {
		c := good
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, name)
	}
	d, err := New(good)
	require.NoError(t, err)
	require.Equal(t, unknownSchemaWait, d.config.UnknownSchemaWait)
	require.False(t, d.Ready())
}

// The ID of a command that cannot be read is the one in its headers, and follows
// from its position where they have none: it is the same each time.
func TestCommandIDOfWhatCannotBeRead(t *testing.T) {
	id := schemas.NewID()
	record := commandRecord(7, id)
	require.Equal(t, id, commandID(record))
	for _, header := range []string{"", "x", id + "x", fmt.Sprintf("{%s}", id)[:36]} {
		derived := commandID(commandRecord(7, header))
		require.NotEqual(t, header, derived)
		require.Len(t, derived, 36)
		require.Equal(t, derived, commandID(commandRecord(7, header)))
		require.NotEqual(t, derived, commandID(commandRecord(8, header)))
	}
}
