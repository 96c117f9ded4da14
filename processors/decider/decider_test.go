package decider

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

const partitions = 3

// world is a cluster with topics, a producer of commands and a reader of events.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	codec    *schemas.Codec
	admin    *kafka.Admin
	producer *kafka.Producer
}

func newWorld(t *testing.T, brokers []string, prefix string) *world {
	t.Helper()
	w := &world{t: t, codec: schemas.NewLockedCodec(),
		kafka: kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}}
	var err error
	w.admin, err = kafka.NewAdmin(w.kafka)
	require.NoError(t, err)
	t.Cleanup(w.admin.Close)
	_, err = w.admin.ApplyTopics(t.Context(), partitions, 1)
	require.NoError(t, err)
	w.producer, err = kafka.NewProducer(w.kafka)
	require.NoError(t, err)
	t.Cleanup(w.producer.Close)
	return w
}

// running is a decider that was started.
type running struct {
	*Decider
	stop func() error
}

func (w *world) start(instance string, change ...func(*Config)) *running {
	w.t.Helper()
	c := Config{Kafka: w.kafka, Codec: w.codec, Instance: instance, Log: zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.WarnLevel),
		Registerer: prometheus.NewRegistry()}
	for _, f := range change {
		f(&c)
	}
	d, err := New(c)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	r := &running{Decider: d}
	var result error
	stopped := false
	r.stop = func() error {
		if !stopped {
			stopped = true
			cancel()
			result = <-ended
		}
		return result
	}
	w.t.Cleanup(func() { _ = r.stop() })
	return r
}

// send writes commands and returns where they stand.
func (w *world) send(cs ...schemas.Command) []*kafka.Record {
	w.t.Helper()
	var records []*kafka.Record
	for _, c := range cs {
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, c)
		require.NoError(w.t, err)
		records = append(records, r)
	}
	require.NoError(w.t, w.producer.Produce(w.t.Context(), records...))
	return records
}

// outcome waits until each of the commands has its whole outcome, and returns
// every event there is then, in the order of each partition.
func (w *world) outcome(ids ...string) []schemas.Event {
	w.t.Helper()
	missing := map[string]int{}
	for _, id := range ids {
		missing[id] = -1
	}
	return w.read(func(events []schemas.Event) bool {
		seen := map[string]int{}
		for _, e := range events {
			seen[e.Meta().CausationID]++
			if _, ok := missing[e.Meta().CausationID]; ok {
				missing[e.Meta().CausationID] = e.Meta().Count
			}
		}
		for id, count := range missing {
			if count < 0 || seen[id] < count {
				return false
			}
		}
		return true
	})
}

// read reads the events from the beginning until done.
func (w *world) read(done func([]schemas.Event) bool) (events []schemas.Event) {
	w.t.Helper()
	w.topic(schemas.TopicEvents, func(records []*kafka.Record) bool {
		for _, r := range records[len(events):] {
			event, err := w.codec.Decode(w.t.Context(), schemas.TopicEvents, r.Value)
			require.NoError(w.t, err)
			events = append(events, event.(schemas.Event))
		}
		return done(events)
	})
	return events
}

func account(n int) string { return schemas.DeriveID("test", fmt.Sprint("account ", n)) }

func meta(accountID string) schemas.CommandMetadata {
	id := schemas.NewID()
	return schemas.CommandMetadata{ID: id, AccountID: accountID, OccurredAt: time.Now().UTC().Truncate(time.Microsecond),
		CorrelationID: id, CausationID: id, Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "test", Via: "test"}}
}

func grant(accountID string, credits int64) *schemas.GrantCredits {
	return &schemas.GrantCredits{CommandMetadata: meta(accountID), BlockID: schemas.NewID(), Credits: credits, Source: "operator", Reason: "test"}
}

// granted returns each account's available credits after its last event, and
// checks that every command position has one outcome.
func granted(t *testing.T, events []schemas.Event) map[string]int64 {
	t.Helper()
	available := map[string]int64{}
	outcomes := map[string]int{}
	for _, e := range events {
		at := e.Meta().CommandPosition
		outcomes[fmt.Sprintf("%d.%d", at.Partition, at.Offset)]++
		if g, ok := e.(*schemas.CreditsGranted); ok {
			available[g.AccountID] = g.AvailableAfter
		}
	}
	for at, n := range outcomes {
		require.Equal(t, 1, n, "command %s has %d events; a grant has one", at, n)
	}
	return available
}

func ids(cs []schemas.Command) []string {
	var out []string
	for _, c := range cs {
		out = append(out, c.Meta().ID)
	}
	return out
}

func grants(accounts, each int) []schemas.Command {
	var cs []schemas.Command
	for range each {
		for a := range accounts {
			cs = append(cs, grant(account(a), 1))
		}
	}
	return cs
}

// each runs a test on the embedded broker and on a real Kafka.
func each(t *testing.T, run func(t *testing.T, w *world)) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) { run(t, newWorld(t, brokers, prefix)) })
}

func TestCommandsLeadToEvents(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.start("a")
		cs := grants(20, 5)
		w.send(cs...)
		got := granted(t, w.outcome(ids(cs)...))
		for a := range 20 {
			require.EqualValues(t, 5, got[account(a)])
		}
	})
}

func TestAfterARestartTheStateIsThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := grants(20, 3)
		d := w.start("a")
		w.send(first...)
		w.outcome(ids(first)...)
		require.NoError(t, d.stop())

		w.start("a")
		second := grants(20, 2)
		w.send(second...)
		got := granted(t, w.outcome(ids(second)...))
		for a := range 20 {
			require.EqualValues(t, 5, got[account(a)], "the balance goes on from where it was")
		}
	})
}

// Offsets of an idle group expire, and operators reset them: not one new event.
func TestCommandsThatComeAgainDecideNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := grants(20, 3)
		d := w.start("a")
		w.send(first...)
		before := w.outcome(ids(first)...)
		require.NoError(t, d.stop())
		zero := map[int32]int64{}
		for p := range int32(partitions) {
			zero[p] = 0
		}
		require.NoError(t, w.admin.ResetOffsets(t.Context(), Group, schemas.TopicCommands, zero))

		w.start("a")
		last := grants(20, 1) // behind all redeliveries, so their outcome shows that those are through
		w.send(last...)
		after := w.outcome(ids(last)...)
		require.Len(t, after, len(before)+len(last))
		for a := range 20 {
			require.EqualValues(t, 4, granted(t, after)[account(a)])
		}
	})
}

// Other deciders join and leave while commands flow: partitions move in the
// middle of batches, transactions abort, and every command has one outcome.
func TestARebalanceInTheMiddle(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const accounts, grantsPerAccountMax = 30, 90 // below the limit of blocks
		w.start("a")
		enough, sent := make(chan struct{}), make(chan map[string]int64, 1)
		var all []string
		go func() {
			want := map[string]int64{}
			for round := 0; ; round++ {
				var cs []schemas.Command
				for a := range accounts {
					id := account(a + accounts*(round/grantsPerAccountMax))
					cs = append(cs, grant(id, 1))
					want[id]++
				}
				all = append(all, ids(cs)...)
				w.send(cs...)
				select {
				case <-enough:
					sent <- want
					return
				default:
				}
			}
		}()
		for _, name := range []string{"b", "c", "d"} {
			other := w.start(name)
			require.Eventually(t, other.Ready, time.Minute, time.Millisecond, "%s gets a partition", name)
			require.NoError(t, other.stop())
		}
		close(enough)
		want := <-sent
		require.Equal(t, want, granted(t, w.outcome(all...)))
		t.Logf("%d commands across three joins and three leaves", len(all))
	})
}

// The transaction of the first batch is refused by the broker's own rule for
// zombies: another instance took the transactional ID. What was staged in it is
// forgotten, and the session begins anew.
func TestATransactionThatAborts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.start("same")
		first := grants(20, 2)
		w.send(first...)
		w.outcome(ids(first)...)
		usurper := w.start("same") // fences the first
		second := grants(20, 2)
		w.send(second...)
		w.outcome(ids(second)...)
		require.NoError(t, usurper.stop())
		third := grants(20, 2)
		w.send(third...)
		got := granted(t, w.outcome(ids(third)...))
		for a := range 20 {
			require.EqualValues(t, 6, got[account(a)])
		}
	})
}

func TestWhatCannotBeReadIsADeadLetterAndTheRestGoesOn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.start("a")
		good := grants(20, 2)
		var bad []*kafka.Record
		for i, c := range good[:20] {
			r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, c)
			require.NoError(t, err)
			r.Headers[1].Value = []byte(schemas.DeriveID("bad", fmt.Sprint(i)))
			if i == 19 { // as large as brokers take
				r.Value = make([]byte, 999_000)
			}
			switch i % 5 {
			case 0:
				r.Value = r.Value[:len(r.Value)-3] // truncated
			case 1:
				r.Value = append(r.Value, 7) // trailing
			case 2:
				r.Value = nil // empty
			case 3:
				r.Key = []byte("no account at all")
			case 4:
				if i != 19 {
					r.Value = []byte("{}")
				}
			}
			bad = append(bad, r)
		}
		require.NoError(t, w.producer.Produce(t.Context(), bad...))
		w.send(good...)
		events := w.outcome(ids(good)...)
		rejected := 0
		for _, e := range events {
			if r, ok := e.(*schemas.CommandRejected); ok {
				require.Equal(t, schemas.CodeUnreadable, r.Code)
				rejected++
			}
		}
		require.Equal(t, 16, rejected, "all but the four without an account are answered")
		letters := w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 20 })
		for _, l := range letters {
			require.NotEmpty(t, kafka.HeaderValue(l, kafka.HeaderCause))
			require.Equal(t, schemas.TopicCommands, kafka.HeaderValue(l, kafka.HeaderOriginTopic))
		}
	})
}

// A schema that a newer build writes holds its partition until it is known; the
// other partitions go on.
func TestAnUnknownSchemaWaitsAndIsThenDecided(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		registry := &latecomer{known: make(chan struct{})}
		codec, err := schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		w.start("a", func(c *Config) { c.Codec = codec })
		early := grant(account(0), 7)
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, early)
		require.NoError(t, err)
		copy(r.Value[1:5], []byte{0, 0, 0x23, 0x29}) // id 9001
		require.NoError(t, w.producer.Produce(t.Context(), r))
		others := grants(20, 1)
		w.send(others...)
		var elsewhere []string
		for _, c := range others {
			if kafka.PartitionOf(c.Meta().AccountID, partitions) != r.Partition {
				elsewhere = append(elsewhere, c.Meta().ID)
			}
		}
		require.NotEmpty(t, elsewhere)
		for _, e := range w.outcome(elsewhere...) {
			require.NotEqual(t, early.ID, e.Meta().CausationID)
		}
		close(registry.known)
		got := granted(t, w.outcome(append(ids(others), early.ID)...))
		require.EqualValues(t, 8, got[account(0)])
	})
}

// latecomer is a registry that learns of id 9001 when known is closed.
type latecomer struct{ known chan struct{} }

func (*latecomer) ID(_ context.Context, subject, schema string) (int, error) {
	for _, r := range schemas.Lock() {
		if r.Subject == subject && string(r.Schema) == schema {
			return r.ID, nil
		}
	}
	return 0, schemas.ErrUnknownSchema
}

func (l *latecomer) Schema(_ context.Context, id int) (string, error) {
	select {
	case <-l.known:
	default:
		if id == 9001 {
			return "", schemas.ErrUnknownSchema
		}
	}
	for _, r := range schemas.Newest() {
		if r.ID == id || id == 9001 && strings.HasSuffix(r.Subject, ".GrantCredits") {
			return string(r.Schema), nil
		}
	}
	return "", schemas.ErrUnknownSchema
}

// What time alone brings about is a command like any other.
func TestTheSweepExpiresCredits(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := grant(account(1), 9)
		soon := time.Now().Add(time.Second).UTC().Truncate(time.Microsecond)
		c.ExpiresAt = &soon
		w.start("a")
		w.send(c)
		events := w.read(func(events []schemas.Event) bool {
			_, ok := last(events).(*schemas.CreditsExpired)
			return ok
		})
		expired := last(events).(*schemas.CreditsExpired)
		require.EqualValues(t, 9, expired.Credits)
		require.EqualValues(t, 0, expired.AvailableAfter)
		require.False(t, expired.OccurredAt.Before(soon), "not before its time")
		require.Equal(t, schemas.ActorSystem, expired.Actor.Kind)
	})
}

func last(events []schemas.Event) schemas.Event {
	if len(events) == 0 {
		return nil
	}
	return events[len(events)-1]
}

// A state that a newer fold made is not decided on.
func TestANewerFoldStopsTheDecider(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		newer := &schemas.Account{AccountID: account(3), FoldVersion: commands.FoldVersion + 1, LastAt: time.Now().UTC()}
		r, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, newer)
		require.NoError(t, err)
		require.NoError(t, w.producer.Produce(t.Context(), r))
		d, err := New(Config{Kafka: w.kafka, Codec: w.codec, Instance: "a", Log: zerolog.Nop()})
		require.NoError(t, err)
		err = d.Run(t.Context())
		require.ErrorIs(t, err, errFatal)
		require.ErrorContains(t, err, "deploy the newer build")
	})
}
