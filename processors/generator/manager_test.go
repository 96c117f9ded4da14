package generator

import (
	"context"
	"encoding/binary"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/registry/registrytest"
	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/processors/gemini"
	"atelier/schemas"
)

func TestCaps(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		heavy, light := account(0), account(1)
		var big []string
		for range 6 {
			big = append(big, "google_landscape")
		}
		first := w.request(heavy, big...)
		w.request(light, "google_landscape", "google_landscape")
		calls := w.upstream.holdBefore()
		r := w.run(func(c *Config) { c.Slots, c.SlotsPerAccount = 3, 2 })
		product := string(first.event.Brief[strings.LastIndex(string(first.event.Brief), "cold brew"):][:40])
		mine := func(h *held) bool { return strings.Contains(h.body, product) }
		left := map[bool]int{true: len(big), false: 2} // not answered yet, by whether they are the heavy one's
		var waiting []*held
		for left[true]+left[false] > 0 {
			for len(waiting) < min(3, min(2, left[true])+min(2, left[false])) {
				waiting = append(waiting, receive(w, calls))
			}
			heavies := 0
			for _, h := range waiting {
				if mine(h) {
					heavies++
				}
			}
			require.LessOrEqual(t, heavies, 2, "one account has two slots at most")
			left[mine(waiting[0])]--
			waiting[0].release()
			waiting = waiting[1:]
		}
		completed(w, 8)
		_, most := w.upstream.count()
		require.LessOrEqual(t, most, 3)
		r.end()
	})
}

func TestProgress(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.answer(overloaded)
		r := w.run()
		b := w.request(account(0), "google_landscape")
		command[*schemas.CompleteGeneration](w)
		r.end()
		var stages []string
		for len(stages) < 6 {
			p := receive(w, w.progress)
			require.Equal(t, b.generations[0].GenerationID, p.GenerationID)
			require.Equal(t, b.generations[0].AccountID, p.AccountID)
			require.Equal(t, attemptsMax, p.AttemptsMax)
			stage := p.Stage
			if p.Reason != "" {
				stage += " " + p.Reason
			}
			stages = append(stages, stage)
		}
		require.Equal(t, []string{"queued", "generating", "queued overloaded", "generating", "checking", "storing"}, stages)
	})
}

// What was canceled before its turn is not started, and costs nothing.
func TestCancelWhileQueued(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		calls := w.upstream.holdBefore()
		r := w.run(func(c *Config) { c.Slots = 1 })
		b := w.request(account(0), "google_landscape", "google_landscape")
		running := receive(w, calls)
		w.cancel(b.generations[1])
		marker := w.request(account(0), "google_landscape") // read after the cancellation
		w.eventually("it is read", func() bool { return w.saw(stageQueued, "", marker.generations[0].GenerationID) })
		running.release()
		receive(w, calls).release()
		made := completed(w, 2)
		require.NotContains(t, made, b.generations[1].GenerationID)
		for _, c := range made {
			w.accept(c)
		}
		w.eventually("nothing is left open", func() bool { return w.caughtUp(0) })
		r.end()
		w.quiet()
	})
}

// A running call is stopped, and what it may have cost is told once.
func TestCancelWhileRunning(t *testing.T) {
	for _, end := range []string{reasonCanceled, reasonDeadline} {
		t.Run(end, func(t *testing.T) {
			onWorlds(t, func(t *testing.T, w *world) {
				calls := w.upstream.holdBefore()
				r := w.run()
				b := w.request(account(0), "google_landscape")
				g := b.generations[0]
				receive(w, calls)
				if end == reasonCanceled {
					w.cancel(g)
				} else {
					w.event(&schemas.GenerationFailed{EventMetadata: eventMeta(g), GenerationID: g.GenerationID, BatchID: g.BatchID, Reason: reasonDeadline, Fault: faultOurs})
				}
				spend := command[*schemas.RecordSpend](w)
				require.Equal(t, g.GenerationID, spend.GenerationID)
				require.Equal(t, end, spend.Reason)
				require.Equal(t, []string{outcomeLost}, outcomes(spend.Attempts))
				require.EqualValues(t, 33_600, spend.CostMicros, "the list price, because nobody knows")
				w.accept(spend)
				w.eventually("nothing is left open", func() bool { return w.caughtUp(0) })
				r.end()
				w.quiet()
				again := w.run()
				w.ready(again)
				again.end()
				w.quiet()
			})
		})
	}
}

// The answer lost the race against a cancellation: its cost is told all the same.
func TestCancelAfterTheAnswer(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		b := w.request(account(0), "google_landscape")
		c := command[*schemas.CompleteGeneration](w)
		w.cancel(b.generations[0])
		spend := command[*schemas.RecordSpend](w)
		require.Equal(t, c.CostMicros, spend.CostMicros)
		require.Equal(t, []string{outcomeOK}, outcomes(spend.Attempts))
		r.end()
		w.quiet()
	})
}

func TestPastItsDeadlineNothingStarts(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		w.write(w.requested(account(0), func(b *batch_) { b.generations[0].Deadline = time.Now().Add(-time.Second) }, "google_landscape"))
		w.request(account(0), "google_landscape")
		command[*schemas.CompleteGeneration](w)
		calls, _ := w.upstream.count()
		require.Equal(t, 1, calls)
		r.end()
		w.quiet()
	})
}

// What the log says has ended is not run again, wherever its end stands.
func TestRestore(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		b := w.request(account(0), "google_landscape", "google_landscape", "google_landscape", "google_landscape")
		g := b.generations
		w.event(&schemas.GenerationSucceeded{EventMetadata: eventMeta(g[0]), GenerationID: g[0].GenerationID, BatchID: g[0].BatchID})
		w.event(&schemas.GenerationFailed{EventMetadata: eventMeta(g[1]), GenerationID: g[1].GenerationID, BatchID: g[1].BatchID, Reason: "rejected"})
		w.cancel(g[2])
		r := w.run()
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, g[3].GenerationID, c.GenerationID)
		w.accept(c)
		w.eventually("the checkpoint is the log's end", func() bool { return w.caughtUp(0) })
		calls, _ := w.upstream.count()
		require.Equal(t, 1, calls)
		r.end()
		w.quiet()
	})
}

// The checkpoint stays at the oldest open batch, and a new owner goes on there.
func TestCheckpointIsTheOldestOpenBatch(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		calls := w.upstream.holdBefore()
		old := w.request(account(0), "google_landscape")
		r := w.run()
		receive(w, calls)
		w.upstream.holdNothing()
		young := w.request(account(0), "google_landscape")
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, young.generations[0].GenerationID, c.GenerationID)
		w.accept(c)
		w.eventually("the checkpoint is committed", func() bool {
			committed, err := w.admin.CommittedOffsets(w.t.Context(), Group, schemas.TopicEvents)
			require.NoError(w.t, err)
			offset, ok := committed[0]
			return ok && offset == 0
		})
		w.cancel(old.generations[0])
		w.accept(command[*schemas.RecordSpend](w))
		w.eventually("the checkpoint is the log's end", func() bool { return w.caughtUp(0) })
		r.end()
	})
}

// Events come in transactions: markers and what was aborted occupy offsets.
func TestTransactions(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		session, err := kafka.OpenSession(t.Context(), w.kafka, kafka.SessionConfig{
			Group: "test.decider", TransactionalID: "test", Topic: schemas.TopicCommands,
			Assigned: func([]int32) {}, Lost: func([]int32) {},
		})
		require.NoError(t, err)
		defer session.Close()
		write := func(commit bool, b *batch_) {
			require.NoError(t, session.Begin())
			for _, e := range append([]schemas.Record{b.event}, b.generations[0]) {
				record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
				require.NoError(t, err)
				record.Partition = 0
				session.Produce(t.Context(), record)
			}
			committed, err := session.End(t.Context(), commit)
			require.NoError(t, err)
			require.Equal(t, commit, committed)
		}
		one := func() *batch_ { return w.requested(account(0), nil, "google_landscape") }
		write(false, one())
		first := one()
		write(true, first)
		write(false, one())
		r := w.run()
		w.ready(r)
		require.Equal(t, first.generations[0].GenerationID, command[*schemas.CompleteGeneration](w).GenerationID)
		write(false, one())
		second := one()
		write(true, second)
		require.Equal(t, second.generations[0].GenerationID, command[*schemas.CompleteGeneration](w).GenerationID)
		r.end()
		w.quiet()
	})
}

func TestAnUnreadableEventHaltsItsPartitionAlone(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		good, err := kafka.NewRecord(w.codec, schemas.TopicEvents, w.requested(account(0), nil, "google_landscape").event)
		require.NoError(t, err)
		good.Value = good.Value[:len(good.Value)-3]
		said := make(alarms, 10)
		r := w.run(func(c *Config) { c.Log = zerolog.New(io.Discard).Hook(said) })
		w.ready(r)
		require.NoError(t, w.producer.Produce(t.Context(), good))
		w.request(good_(good), "google_landscape") // behind it
		other := w.request(account(1), "google_landscape")
		require.Equal(t, other.generations[0].GenerationID, command[*schemas.CompleteGeneration](w).GenerationID)
		w.eventually("it is not ready", func() bool { return !r.Ready() })
		require.Regexp(t, "^partition halted: an event cannot be read.* restart the generator with a build that reads it$", receive(w, (<-chan string)(said)))
		w.eventually("the metric says so", func() bool {
			var halted dto.Metric
			return r.metrics.halted.Write(&halted) == nil && halted.GetGauge().GetValue() == 1
		})
		r.end()
		w.quiet()
		committed, err := w.admin.CommittedOffsets(t.Context(), Group, schemas.TopicEvents)
		require.NoError(t, err)
		require.LessOrEqual(t, committed[0], good.Offset, "a build that reads it begins there")
		require.Empty(t, said, "said once")
	})
}

// alarms hands over what a log says that a person should act on.
type alarms chan string

// Run implements zerolog.Hook.
func (a alarms) Run(_ *zerolog.Event, level zerolog.Level, message string) {
	if level >= zerolog.ErrorLevel {
		a <- message
	}
}

func good_(r *kafka.Record) string { return string(r.Key) }

// lateRegistry learns the schemas when it is told to.
type lateRegistry struct{ learned atomic.Bool }

const lateID = 4711

func (*lateRegistry) ID(_ context.Context, subject, schema string) (int, error) {
	for _, r := range schemas.Lock() {
		if r.Subject == subject && string(r.Schema) == schema {
			return r.ID, nil
		}
	}
	return 0, schemas.ErrUnknownSchema
}

func (r *lateRegistry) Schema(_ context.Context, id int) (string, error) {
	if id == lateID && r.learned.Load() {
		for _, s := range schemas.Lock() {
			if strings.HasSuffix(s.Subject, ".BatchRequested") {
				return string(s.Schema), nil
			}
		}
	}
	for _, s := range schemas.Lock() {
		if s.ID == id {
			return string(s.Schema), nil
		}
	}
	return "", schemas.ErrUnknownSchema
}

// A registry that hangs holds up the partitions that wait for it, however many
// records they have; the others go on, and it is asked no more than now and then.
func TestARegistryThatHangsHoldsUpItsPartitionsAlone(t *testing.T) {
	const newerID, behind = 9001, 20
	var subjects []embedded.SeedSubject
	for _, r := range schemas.Lock() {
		subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
	}
	for _, r := range schemas.Newest() {
		if strings.HasSuffix(r.Subject, ".BatchRequested") { // as a newer build would have registered it
			subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject + "New", Version: 1, ID: newerID, Schema: string(r.Schema)})
		}
	}
	onWorlds(t, func(t *testing.T, w *world) {
		gate := registrytest.StartGate(t, subjects)
		registry, err := schemas.OpenRegistry(gate.URL)
		require.NoError(t, err)
		codec, err := schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		r := w.run(func(c *Config) { c.Codec = codec })
		w.ready(r)
		gate.Shut()
		before := gate.Questions()
		waiting := map[string]bool{}
		var records []*kafka.Record
		for n := range behind {
			for p := range int32(2) {
				b := w.requested(account(p), nil, "meta_feed_square")
				events := []schemas.Record{b.event}
				if n == 0 {
					events = append(events, b.generations[0])
					waiting[b.generations[0].GenerationID] = true
				}
				for _, e := range events {
					record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
					require.NoError(t, err)
					if e == schemas.Record(b.event) {
						binary.BigEndian.PutUint32(record.Value[1:], newerID)
					}
					records = append(records, record)
				}
			}
		}
		require.NoError(t, w.producer.Produce(t.Context(), records...))
		w.eventually("a partition waits", func() bool { return gate.Questions() > before })
		for range 2 {
			other := w.request(account(2), "meta_feed_square")
			c := command[*schemas.CompleteGeneration](w)
			require.Equal(t, other.generations[0].GenerationID, c.GenerationID)
		}
		require.Less(t, gate.Questions()-before, behind)
		gate.Open()
		for id := range completed(w, 2) {
			require.True(t, waiting[id])
		}
		r.end()
	})
}

func TestAnUnknownSchemaIsWaitedFor(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		registry := &lateRegistry{}
		codec, err := schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		r := w.run(func(c *Config) { c.Codec = codec })
		b := w.requested(account(0), nil, "google_landscape")
		record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, b.event)
		require.NoError(t, err)
		binary.BigEndian.PutUint32(record.Value[1:], lateID)
		require.NoError(t, w.producer.Produce(t.Context(), record))
		w.event(b.generations[0])
		other := w.request(account(1), "google_landscape")
		require.Equal(t, other.generations[0].GenerationID, command[*schemas.CompleteGeneration](w).GenerationID)
		registry.learned.Store(true)
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, b.generations[0].GenerationID, c.GenerationID)
		w.eventually("it is ready", r.Ready)
		r.end()
		w.quiet()
	})
}

func TestAnErasedAccount(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.erased.Store(true)
		r := w.run()
		w.request(account(0), "google_landscape")
		c := command[*schemas.FailGeneration](w)
		require.Equal(t, "account_erased", c.Reason)
		require.Empty(t, c.Attempts)
		calls, _ := w.upstream.count()
		require.Zero(t, calls)
		r.end()
	})
}

func TestWhatCannotBeDone(t *testing.T) {
	tests := []struct {
		name   string
		change func(*batch_)
		reason string
	}{
		{"a workflow of a later build", func(b *batch_) { b.event.Workflow = "dream" }, reasonWorkflow},
		{"a factor of a later build", func(b *batch_) {
			b.event.Workflow, b.event.Params = "vary", map[string]string{schemas.ParamFactor: "mood"}
			b.event.References = []schemas.Reference{{Role: schemas.RoleSource}}
		}, reasonWorkflow},
		{"a placement of a later build", func(b *batch_) { b.generations[0].Placement = "moon" }, reasonPlacement},
		{"a brief that is no document", func(b *batch_) { b.event.Brief = seal(b.event.AccountID, "[]") }, reasonBrief},
		{"a logo that is gone", func(b *batch_) {
			b.event.References = []schemas.Reference{{Role: "logo", MediaKey: "media/" + b.event.AccountID + "/asset/" + strings.Repeat("0", 64) + ".png"}}
		}, reasonReference},
		{"a generation without its batch", func(b *batch_) { b.event.BatchID = schemas.NewID() }, reasonInternal},
	}
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w := w.in(t)
				w.write(w.requested(account(0), tt.change, "google_landscape"))
				c := command[*schemas.FailGeneration](w)
				require.Equal(t, tt.reason, c.Reason)
				require.NotEmpty(t, c.Detail)
				require.NotEmpty(t, c.Fault)
				w.accept(c)
			})
		}
		calls, _ := w.upstream.count()
		require.Zero(t, calls)
		r.end()
	})
}

// Two generators share the partitions: everything is made once, whoever owns it.
func TestRebalance(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		calls := w.upstream.holdBefore()
		first := w.run()
		batches := map[string]*schemas.GenerationRequested{}
		for p := range int32(partitions) {
			g := w.request(account(p), "google_landscape").generations[0]
			batches[g.GenerationID] = g
		}
		var running []*held
		for range partitions {
			running = append(running, receive(w, calls))
		}
		second := w.run()
		w.ready(second)
		w.upstream.holdNothing()
		for _, h := range running {
			h.release()
		}
		// An orphan's answer and its new owner's are one command; both may come.
		seen := map[string]bool{}
		for len(seen) < partitions {
			c := command[*schemas.CompleteGeneration](w)
			require.Equal(t, []string{outcomeOK}, outcomes(c.Attempts))
			if !seen[c.GenerationID] {
				w.accept(c)
			}
			seen[c.GenerationID] = true
		}
		require.Equal(t, partitions, w.standin.count(), "no call was made twice")
		first.end()
		w.eventually("the rest has it all", func() bool { return w.caughtUp(0) && w.caughtUp(1) && w.caughtUp(2) })
		w.ready(second)
		second.end()
		require.Equal(t, partitions, w.standin.count())
	})
}

func TestConfigIsChecked(t *testing.T) {
	_, err := New(Config{})
	require.ErrorContains(t, err, "codec")
	good := Config{
		Codec: schemas.NewLockedCodec(), Producer: &faultyProducer{}, Gemini: panicking{}, Media: &faultyMedia{},
		Open: func(context.Context, string, []byte) ([]byte, error) { return nil, nil },
	}
	g, err := New(good)
	require.NoError(t, err)
	require.Equal(t, 8, g.config.Slots)
	require.Equal(t, 4, g.config.SlotsPerAccount)
	require.Equal(t, gemini.Size1K, g.config.Models["standard"].Sizes[0])
	require.False(t, g.Ready())
	bad := good
	bad.Slots, bad.SlotsPerAccount = 2, 3
	_, err = New(bad)
	require.ErrorContains(t, err, "slots per account")
}
