package decider

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

func commandRecord(offset int64, id string) *kafka.Record {
	return &kafka.Record{Topic: schemas.TopicCommands, Key: []byte(account(1)), Offset: offset,
		Headers: []kafka.Header{{Key: schemas.HeaderID, Value: []byte(id)}}}
}

// topic reads a topic from its beginning until enough; markers are left out.
func (w *world) topic(topic string, enough func([]*kafka.Record) bool) []*kafka.Record {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	from := map[int32]int64{}
	for p := range int32(partitions) {
		from[p] = 0
	}
	reader, err := kafka.NewReader(w.kafka, topic, from)
	require.NoError(w.t, err)
	defer reader.Close()
	var records []*kafka.Record
	for !enough(records) {
		polled, err := reader.Poll(ctx, 10_000)
		require.NoError(w.t, err, "%s: after %d records", topic, len(records))
		for _, r := range polled {
			if !kafka.IsControl(r) {
				records = append(records, r)
			}
		}
	}
	return records
}

// committed counts the commands that the deciders are through with, -1 while
// nobody can say.
func (w *world) committed() int64 {
	next, err := w.admin.CommittedOffsets(w.t.Context(), Group, schemas.TopicCommands)
	if err != nil {
		return -1
	}
	var sum int64
	for _, offset := range next {
		sum += offset
	}
	return sum
}

// unreadable is a command with a byte too many.
func (w *world) unreadable(c schemas.Command) *kafka.Record {
	w.t.Helper()
	r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, c)
	require.NoError(w.t, err)
	r.Value = append(r.Value, 7)
	return r
}

// rejections are the events that refuse a command with a code.
func rejections(events []schemas.Event, code string) []*schemas.CommandRejected {
	var found []*schemas.CommandRejected
	for _, e := range events {
		if r, ok := e.(*schemas.CommandRejected); ok && r.Code == code {
			found = append(found, r)
		}
	}
	return found
}

// measured sums a metric of a decider over its labels; a histogram counts.
func measured(t *testing.T, registry *prometheus.Registry, name string, labels ...string) float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			if has(m, labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sum
}

// has says whether a metric has a label with one of the values, or none is asked for.
func has(m *dto.Metric, values []string) bool {
	for _, l := range m.GetLabel() {
		for _, v := range values {
			if l.GetValue() == v {
				return true
			}
		}
	}
	return len(values) == 0
}

// gate stops a decider once inside a transaction, where it logs a decision.
type gate struct {
	passed       atomic.Bool
	inside, goOn chan struct{}
}

func newGate() *gate { return &gate{inside: make(chan struct{}), goOn: make(chan struct{})} }

// Run implements zerolog.Hook.
func (g *gate) Run(_ *zerolog.Event, _ zerolog.Level, message string) {
	if message == "command decided" && g.passed.CompareAndSwap(false, true) {
		close(g.inside)
		<-g.goOn
	}
}

func (w *world) hold(g *gate) { waitFor(w.t, g.inside, "the decider is inside a transaction") }

func waitFor(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		require.Fail(t, "not within a minute", what)
	}
}

// The rejection, the dead letter and the account's new position stand or fall
// together: another transaction has another epoch (KIP-890).
func TestAnUnreadableCommandIsAnsweredInTheTransactionOfItsDeadLetter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		d := w.start("a")
		bad := grant(account(1), 5)
		sent := w.unreadable(bad)
		require.NoError(t, w.producer.Produce(t.Context(), sent))
		w.outcome(bad.ID)
		// In a transaction of its own, behind the first.
		next := grant(account(1), 3)
		w.send(next)
		events := w.outcome(bad.ID, next.ID)
		require.EqualValues(t, 3, granted(t, events)[account(1)])

		rejected := rejections(events, schemas.CodeUnreadable)
		require.Len(t, rejected, 1)
		require.Equal(t, bad.ID, rejected[0].CausationID, "the ID from the headers")
		require.Equal(t, sent.Offset, rejected[0].CommandPosition.Offset)
		require.Contains(t, rejected[0].Detail, "trailing bytes")

		letter := w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 1 })[0]
		require.Equal(t, sent.Value, letter.Value, "the bytes as they were")
		require.Equal(t, sent.Partition, letter.Partition)
		records := w.topic(schemas.TopicEvents, func(r []*kafka.Record) bool { return len(r) >= 2 })
		snapshots := w.topic(schemas.TopicAccounts, func(r []*kafka.Record) bool { return len(r) >= 2 })
		for _, r := range []*kafka.Record{records[0], snapshots[0]} {
			require.True(t, r.Attrs.IsTransactional())
			require.Equal(t, [2]int64{letter.ProducerID, int64(letter.ProducerEpoch)}, [2]int64{r.ProducerID, int64(r.ProducerEpoch)}, r.Topic)
		}

		// And when it comes again, it is neither answered nor dead a second time.
		require.NoError(t, d.stop())
		require.NoError(t, w.admin.ResetOffsets(t.Context(), Group, schemas.TopicCommands, map[int32]int64{0: 0, 1: 0, 2: 0}))
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) { c.Registerer = registry })
		last := grant(account(1), 1)
		w.send(last)
		require.Len(t, w.outcome(last.ID), 3)
		require.Zero(t, measured(t, registry, "atelier_decider_dead_letters_total"))
	})
}

// A key in the wrong partition would have two deciders: it is nobody's.
func TestACommandInTheWrongPartitionIsADeadLetter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.start("a")
		strayed := grant(account(1), 5)
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, strayed)
		require.NoError(t, err)
		right := kafka.PartitionOf(strayed.AccountID, partitions)
		r.Partition = (right + 1) % partitions
		session := w.session("elsewhere")
		require.NoError(t, session.Begin())
		session.Produce(t.Context(), r)
		committed, err := session.End(t.Context(), true)
		require.NoError(t, err)
		require.True(t, committed)

		letter := w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 1 })[0]
		require.Contains(t, kafka.HeaderValue(letter, kafka.HeaderCause), "the key belongs to partition")
		good := grant(account(1), 3)
		w.send(good)
		events := w.outcome(good.ID)
		require.Len(t, events, 1, "nothing was decided for it")
	})
}

// session is another writer in transactions, of a group of its own.
func (w *world) session(transactionalID string) *kafka.Session {
	w.t.Helper()
	s, err := kafka.OpenSession(w.t.Context(), w.kafka, kafka.SessionConfig{
		Group: "another." + transactionalID, TransactionalID: transactionalID, Topic: schemas.TopicProgress,
		Assigned: func([]int32) {}, Lost: func([]int32) {},
	})
	require.NoError(w.t, err)
	w.t.Cleanup(s.Close)
	return s
}

func TestAPanicIsAnInternalRejectionAndADeadLetter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		// An account that breaks its own invariant: a hold on a block that is not there.
		batch, generation := schemas.NewID(), schemas.NewID()
		broken := &schemas.Account{AccountID: account(5), FoldVersion: 1, LastAt: noon, Opened: true, Batches: []schemas.AccountBatch{{
			ID: schemas.ID16(batch), PerImage: 2, Deadline: time.Now().Add(time.Hour),
			Holds:       []schemas.AccountHold{{BlockID: [16]byte{1}, Credits: 2}},
			Generations: [][16]byte{schemas.ID16(generation)},
		}}}
		snapshot, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, broken)
		require.NoError(t, err)
		require.NoError(t, w.producer.Produce(t.Context(), snapshot))

		w.start("a")
		cancel := &schemas.CancelGeneration{CommandMetadata: meta(account(5)), BatchID: batch, GenerationID: generation}
		after := grant(account(5), 3)
		sent := w.send(cancel, after)
		events := w.outcome(cancel.ID, after.ID)
		rejected := rejections(events, schemas.CodeInternal)
		require.Len(t, rejected, 1)
		require.Equal(t, cancel.ID, rejected[0].CausationID)
		require.NotContains(t, rejected[0].Detail, "index", "what it panicked with is for operators")
		require.EqualValues(t, 3, granted(t, events)[account(5)], "the next command goes on")

		letter := w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 1 })[0]
		require.Contains(t, kafka.HeaderValue(letter, kafka.HeaderCause), "panic: ")
		require.Equal(t, sent[0].Value, letter.Value)
	})
}

// A rebalance while a transaction is open: it aborts, what was staged is
// forgotten, and each command has one outcome.
func TestAPartitionIsLostInsideATransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stop, registry := newGate(), prometheus.NewRegistry()
		first := w.start("a", func(c *Config) {
			c.Log, c.Registerer = zerolog.New(io.Discard).Hook(stop), registry
		})
		require.Eventually(t, first.Ready, time.Minute, time.Millisecond)
		bad, cs := grant(account(1), 5), grants(20, 3)
		require.NoError(t, w.producer.Produce(t.Context(), w.unreadable(bad)))
		w.send(cs...)
		w.hold(stop)
		others := prometheus.NewRegistry()
		w.start("b", func(c *Config) { c.Registerer = others })
		require.Eventually(t, func() bool { return first.owned.count() < partitions }, time.Minute, time.Millisecond, "a partition moves")
		close(stop.goOn)

		events := w.outcome(append(ids(cs), bad.ID)...)
		got := granted(t, events)
		for a := range 20 {
			require.EqualValues(t, 3, got[account(a)])
		}
		require.Len(t, rejections(events, schemas.CodeUnreadable), 1)
		require.NotZero(t, measured(t, registry, "atelier_decider_transaction_seconds", "aborted"))
		require.Len(t, w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 1 }), 1)
		counted := func() float64 {
			return measured(t, registry, "atelier_decider_dead_letters_total") + measured(t, others, "atelier_decider_dead_letters_total")
		}
		require.Eventually(t, func() bool { return counted() >= 1 }, time.Minute, time.Millisecond)
		require.EqualValues(t, 1, counted(), "one that was aborted is not counted")
	})
}

// A transaction that the broker refuses at its end: somebody took the
// transactional ID. The session ends, nothing of it is seen, and the next one
// reads everything anew.
func TestATransactionIsRefusedAtItsEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		stop, registry := newGate(), prometheus.NewRegistry()
		d := w.start("same", func(c *Config) {
			c.Log, c.Registerer = zerolog.New(io.Discard).Hook(stop), registry
		})
		require.Eventually(t, d.Ready, time.Minute, time.Millisecond)
		require.EqualValues(t, 1, measured(t, registry, "atelier_decider_restore_seconds"))
		bad, cs := grant(account(1), 5), grants(20, 3)
		require.NoError(t, w.producer.Produce(t.Context(), w.unreadable(bad)))
		w.send(cs...)
		w.hold(stop)
		usurper := w.session("atelier.decider.same")
		require.NoError(t, usurper.Begin())
		usurper.Produce(t.Context(), &kafka.Record{Topic: schemas.TopicProgress, Value: []byte("x")})
		_, err := usurper.End(t.Context(), true)
		require.NoError(t, err)
		close(stop.goOn)

		events := w.outcome(append(ids(cs), bad.ID)...)
		got := granted(t, events)
		for a := range 20 {
			require.EqualValues(t, 3, got[account(a)])
		}
		require.Len(t, rejections(events, schemas.CodeUnreadable), 1)
		require.GreaterOrEqual(t, measured(t, registry, "atelier_decider_restore_seconds"), 2.0, "a new session restored")
	})
}

// A schema that nobody ever learns of holds its partition for a while, and no longer.
func TestASchemaThatStaysUnknownIsADeadLetterInTheEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		codec, err := schemas.NewCodec(t.Context(), &latecomer{known: make(chan struct{})})
		require.NoError(t, err)
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) {
			c.Codec, c.UnknownSchemaWait, c.Registerer = codec, 50*time.Millisecond, registry
		})
		strange := grant(account(0), 7)
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, strange)
		require.NoError(t, err)
		copy(r.Value[1:5], []byte{0, 0, 0x23, 0x29}) // id 9001
		require.NoError(t, w.producer.Produce(t.Context(), r))
		next := grant(account(0), 2)
		w.send(next)
		events := w.outcome(strange.ID, next.ID)
		rejected := rejections(events, schemas.CodeUnreadable)
		require.Len(t, rejected, 1)
		require.Equal(t, strange.ID, rejected[0].CausationID)
		require.EqualValues(t, 2, granted(t, events)[account(0)], "the next command goes on")
		require.Len(t, w.topic(schemas.TopicDeadLetters, func(r []*kafka.Record) bool { return len(r) >= 1 }), 1)
		require.Eventually(t, func() bool { return measured(t, registry, "atelier_decider_waiting_for_schema") == 0 },
			time.Minute, time.Millisecond, "the alarm ends")
	})
}
