package generator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/media"
	"atelier/internal/vault"
	"atelier/schemas"
)

const (
	// patience bounds each wait of a test; nothing usually takes a second.
	patience   = 30 * time.Second
	partitions = 3
)

func TestMain(m *testing.M) {
	// The Kafka that all tests share ends with the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("atelier/internal/embedded/child.Start.func1"))
}

// world is what a generator works with: a broker, a media store, the real client
// and the stand-in behind it. Tests write events and read commands.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	codec    *schemas.Codec
	admin    *kafka.Admin
	producer *kafka.Producer
	store    *media.Store
	upstream *upstream
	standin  *ledger
	commands chan schemas.Command
	progress chan *schemas.GenerationProgress
	// erased makes every personal text open as such.
	erased atomic.Bool
	tuning tuning
	config Config
}

// onWorlds runs a test on every broker there is.
func onWorlds(t *testing.T, run func(t *testing.T, w *world)) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		run(t, newWorld(t, kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}))
	})
}

func newWorld(t *testing.T, k kafka.Config) *world {
	t.Helper()
	w := &world{
		t: t, kafka: k, codec: schemas.NewLockedCodec(), store: openMedia(t),
		commands: make(chan schemas.Command, 1000), progress: make(chan *schemas.GenerationProgress, 10_000),
		tuning: tuning{
			backoffBase: 10 * time.Millisecond, backoffMax: 50 * time.Millisecond,
			journalPoll: 10 * time.Millisecond, keepTimeout: time.Second, drain: 10 * time.Second,
			commitEvery: 20 * time.Millisecond, schemaRetry: 20 * time.Millisecond,
		},
	}
	var err error
	w.admin, err = kafka.NewAdmin(k)
	require.NoError(t, err)
	t.Cleanup(w.admin.Close)
	_, err = w.admin.ApplyTopics(t.Context(), partitions, 1)
	require.NoError(t, err)
	w.producer, err = kafka.NewProducer(k)
	require.NoError(t, err)
	t.Cleanup(w.producer.Close)
	var next = newStandin(t)
	w.standin = next.ledger
	w.upstream = newUpstream(t, next.handler)
	w.config = Config{
		Kafka: k, Codec: w.codec, Producer: w.producer, Gemini: w.upstream.client, Media: w.store,
		Open: w.open, CallTimeout: 20 * time.Second, Log: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel),
	}
	follow(w, schemas.TopicCommands, w.commands)
	follow(w, schemas.TopicProgress, w.progress)
	return w
}

// open unseals what seal has sealed.
func (w *world) open(_ context.Context, account string, sealed []byte) ([]byte, error) {
	if w.erased.Load() {
		return []byte(vault.Erased), nil
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	prefix := "sealed for " + account + ":"
	if len(sealed) < len(prefix) || string(sealed[:len(prefix)]) != prefix {
		return nil, errors.New("not sealed for this account")
	}
	return sealed[len(prefix):], nil
}

func seal(account, text string) []byte { return []byte("sealed for " + account + ":" + text) }

// follow hands over every record of a topic.
func follow[R schemas.Record](w *world, topic string, into chan R) {
	from := map[int32]int64{}
	for p := range int32(partitions) {
		from[p] = 0
	}
	reader, err := kafka.NewReader(w.kafka, topic, from)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			records, err := reader.Poll(ctx, 100)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				w.t.Error(err)
				return
			}
			for _, r := range records {
				if kafka.IsControl(r) {
					continue
				}
				record, err := w.codec.Decode(ctx, topic, r.Value)
				if err != nil {
					w.t.Error(err)
					return
				}
				into <- record.(R)
			}
		}
	}()
	w.t.Cleanup(func() {
		cancel()
		reader.Close()
		<-done
	})
}

// running is a generator at work.
type running struct {
	t *testing.T
	*Generator
	stop func()
	done chan error
}

// run starts a generator, with changes to its configuration.
func (w *world) run(change ...func(*Config)) *running {
	w.t.Helper()
	c := w.config
	c.Registerer = prometheus.NewRegistry()
	for _, f := range change {
		f(&c)
	}
	g, err := New(c)
	require.NoError(w.t, err)
	g.tuning = w.tuning
	ctx, stop := context.WithCancel(context.Background())
	r := &running{t: w.t, Generator: g, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- g.Run(ctx) }()
	w.t.Cleanup(r.end)
	return r
}

// end stops the generator and waits for it.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
		r.done <- nil // for the cleanup
	case <-time.After(patience):
		r.t.Fatal("the generator does not stop")
	}
}

// batch is a requested batch as a test made it.
type batch_ struct {
	event       *schemas.BatchRequested
	generations []*schemas.GenerationRequested
}

// account returns an account of a partition.
func account(partition int32) string {
	for {
		if id := schemas.NewID(); kafka.PartitionOf(id, partitions) == partition {
			return id
		}
	}
}

// requested makes the events of a batch, one generation for each placement.
func (w *world) requested(account string, change func(*batch_), placements ...string) *batch_ {
	now := time.Now().UTC()
	meta := func() schemas.EventMetadata {
		return schemas.EventMetadata{
			ID: schemas.NewID(), AccountID: account, OccurredAt: now,
			CorrelationID: schemas.NewID(), CausationID: schemas.NewID(), Actor: schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "web"},
		}
	}
	b := &batch_{event: &schemas.BatchRequested{
		EventMetadata: meta(), BatchID: schemas.NewID(), BrandID: schemas.NewID(), BrandVersion: 1, KitSchema: 1,
		Kit:      seal(account, `{"name":"Nordlicht","colors":["#0B1F3A","#F2A900"]}`),
		Brief:    seal(account, `{"product":"cold brew `+schemas.NewID()+`","headline":"NEVER DRAWN"}`),
		Workflow: "create", Tier: "standard", PlacementTable: schemas.PlacementsVersion, PriceList: schemas.PriceListVersion,
		PerImage: 2, Images: len(placements), Deadline: now.Add(30 * time.Minute),
	}}
	for i, p := range placements {
		g := &schemas.GenerationRequested{
			EventMetadata: meta(), GenerationID: schemas.DeriveID(b.event.BatchID, fmt.Sprint(i)), BatchID: b.event.BatchID,
			Placement: p, Number: 1, Deadline: b.event.Deadline,
		}
		g.CorrelationID = b.event.CorrelationID
		b.generations = append(b.generations, g)
	}
	if change != nil {
		change(b)
	}
	return b
}

// request writes the events of a batch to the log.
func (w *world) request(account string, placements ...string) *batch_ {
	w.t.Helper()
	b := w.requested(account, nil, placements...)
	w.write(b)
	return b
}

func (w *world) write(b *batch_) {
	w.t.Helper()
	events := []schemas.Record{b.event}
	for _, g := range b.generations {
		events = append(events, g)
	}
	w.event(events...)
}

// event writes events to the log.
func (w *world) event(events ...schemas.Record) {
	w.t.Helper()
	records := make([]*kafka.Record, len(events))
	for i, e := range events {
		record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
		require.NoError(w.t, err)
		records[i] = record
	}
	require.NoError(w.t, w.producer.Produce(w.t.Context(), records...))
}

func eventMeta(g *schemas.GenerationRequested) schemas.EventMetadata {
	m := g.EventMetadata
	m.ID = schemas.NewID()
	return m
}

func (w *world) cancel(g *schemas.GenerationRequested) {
	w.t.Helper()
	w.event(&schemas.GenerationCanceled{EventMetadata: eventMeta(g), GenerationID: g.GenerationID, BatchID: g.BatchID})
}

// accept writes the event that the decider would make of an answer.
func (w *world) accept(c schemas.Command) {
	w.t.Helper()
	m := schemas.EventMetadata{ID: schemas.NewID(), AccountID: c.Meta().AccountID, CorrelationID: c.Meta().CorrelationID, CausationID: c.Meta().ID}
	switch c := c.(type) {
	case *schemas.CompleteGeneration:
		w.event(&schemas.GenerationSucceeded{EventMetadata: m, GenerationID: c.GenerationID, BatchID: c.BatchID, Attempts: c.Attempts, Media: c.Media})
	case *schemas.FailGeneration:
		w.event(&schemas.GenerationFailed{EventMetadata: m, GenerationID: c.GenerationID, BatchID: c.BatchID, Attempts: c.Attempts, Reason: c.Reason})
	case *schemas.RecordSpend:
		w.event(&schemas.SpendRecorded{EventMetadata: m, GenerationID: c.GenerationID, BatchID: c.BatchID, Attempts: c.Attempts, Reason: c.Reason})
	default:
		w.t.Fatalf("no event for %T", c)
	}
}

// command waits for the next command and checks what every one has.
func command[C schemas.Command](w *world) C {
	w.t.Helper()
	c, ok := receive(w, w.commands).(C)
	require.Truef(w.t, ok, "another command: %#v", c)
	require.Equal(w.t, schemas.Actor{Kind: schemas.ActorSystem, ID: "generator", Via: "generator"}, c.Meta().Actor)
	return c
}

// completed waits for n CompleteGeneration, by generation.
func completed(w *world, n int) map[string]*schemas.CompleteGeneration {
	w.t.Helper()
	got := map[string]*schemas.CompleteGeneration{}
	for range n {
		c := command[*schemas.CompleteGeneration](w)
		got[c.GenerationID] = c
	}
	require.Len(w.t, got, n)
	return got
}

func receive[T any](w *world, from <-chan T) T {
	w.t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		w.t.Fatal("nothing came")
		panic("unreachable")
	}
}

// quiet says that no command is on its way: a marker that is written after
// everything else arrives first.
func (w *world) quiet() {
	w.t.Helper()
	markers := map[string]bool{}
	for p := range int32(partitions) {
		id := schemas.NewID()
		markers[id] = true
		marker := &schemas.OpenAccount{CommandMetadata: schemas.CommandMetadata{ID: id, AccountID: account(p), OccurredAt: time.Now()}}
		record, err := kafka.NewRecord(w.codec, schemas.TopicCommands, marker)
		require.NoError(w.t, err)
		require.NoError(w.t, w.producer.Produce(w.t.Context(), record))
	}
	for len(markers) > 0 {
		c := receive(w, w.commands)
		require.Truef(w.t, markers[c.Meta().ID], "a command that should not be: %#v", c)
		delete(markers, c.Meta().ID)
	}
}

// eventually waits for a condition that nothing signals.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	require.Eventually(w.t, holds, patience, 5*time.Millisecond, what)
}

func (w *world) ready(r *running) {
	w.t.Helper()
	w.eventually("the generator is ready", r.Ready)
}
