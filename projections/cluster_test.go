package projections

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

const (
	partitions = 3
	// patience bounds every wait for a condition; none is near it when all is well.
	patience = 30 * time.Second
	// often is how soon a condition is looked at again.
	often = 2 * time.Millisecond
)

// world is a cluster with topics beside a database with read models.
type world struct {
	*database
	t        *testing.T
	kafka    kafka.Config
	brokers  *kafka.Admin
	producer *kafka.Producer
	commands int // so far, for their numbers
}

// each runs a test on the embedded broker and on a real Kafka.
func each(t *testing.T, run func(t *testing.T, w *world)) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := &world{database: newReadModels(t), t: t,
			kafka: kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}}
		var err error
		w.brokers, err = kafka.NewAdmin(w.kafka)
		require.NoError(t, err)
		t.Cleanup(w.brokers.Close)
		_, err = w.brokers.ApplyTopics(t.Context(), partitions, 1)
		require.NoError(t, err)
		w.producer, err = kafka.NewProducer(w.kafka)
		require.NoError(t, err)
		t.Cleanup(w.producer.Close)
		run(t, w)
	})
}

// account returns the n-th account of a partition.
func account(partition int32, n int) string {
	for i := 0; ; i++ {
		id := schemas.DeriveID("test", fmt.Sprint("account ", i))
		if kafka.PartitionOf(id, partitions) != partition {
			continue
		}
		if n--; n < 0 {
			return id
		}
	}
}

// config is what a projector of this world works with.
func (w *world) config(change ...func(*Config)) Config {
	c := Config{Kafka: w.kafka, Pool: w.projector, Codec: w.codec, Open: w.vault.Open, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()}
	for _, f := range change {
		f(&c)
	}
	return c
}

// running is a projector that was started.
type running struct {
	*Projector
	t    *testing.T
	stop func() error
}

func (w *world) start(change ...func(*Config)) *running {
	w.t.Helper()
	p, err := New(w.config(change...))
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	r := &running{Projector: p, t: w.t}
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

// owns returns how many partitions of a projection it has.
func (r *running) owns(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for v, f := range r.followers {
		if v.Name == name {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.partitions)
		}
	}
	return 0
}

// counted reads a counter of version 1 of a projection.
func (r *running) counted(counter *prometheus.CounterVec, p Projection) float64 {
	r.t.Helper()
	var m dto.Metric
	require.NoError(r.t, counter.With(labels(version{Name: p.Name, Version: 1})).Write(&m))
	return m.GetCounter().GetValue()
}

// halted waits until the projector is not ready for n reasons of the kind, and returns them.
func (r *running) halted(n int) []*HaltError {
	r.t.Helper()
	var halts []*HaltError
	r.eventually(func() bool {
		halts = nil
		joined, _ := r.Ready().(interface{ Unwrap() []error })
		if joined == nil {
			return false
		}
		for _, err := range joined.Unwrap() {
			var halt *HaltError
			if errors.As(err, &halt) {
				halts = append(halts, halt)
			}
		}
		return len(halts) >= n
	}, "%d partitions stand still", n)
	require.Len(r.t, halts, n)
	return halts
}

func (r *running) eventually(condition func() bool, message string, args ...any) {
	r.t.Helper()
	require.Eventually(r.t, condition, patience, often, append([]any{message}, args...)...)
}

// grant makes events of a command: a block of credits for each account.
func (w *world) grant(accounts ...string) []schemas.Event {
	var events []schemas.Event
	for _, account := range accounts {
		w.commands++
		events = append(events, of(account, w.commands, noon, granted(w.commands, 1, 1, nil))...)
	}
	return events
}

// encode returns events as records, not yet written.
func (w *world) encode(events ...schemas.Event) []*kafka.Record {
	w.t.Helper()
	var records []*kafka.Record
	for _, e := range events {
		r, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
		require.NoError(w.t, err)
		records = append(records, r)
	}
	return records
}

// write writes events and returns where they stand.
func (w *world) write(events ...schemas.Event) []*kafka.Record {
	w.t.Helper()
	records := w.encode(events...)
	require.NoError(w.t, w.producer.Produce(w.t.Context(), records...))
	return records
}

// writeRaw writes a record of these bytes to the partition of account 0.
func (w *world) writeRaw(partition int32, value []byte) *kafka.Record {
	w.t.Helper()
	r := &kafka.Record{Topic: schemas.TopicEvents, Key: []byte(account(partition, 0)), Value: value}
	require.NoError(w.t, w.producer.Produce(w.t.Context(), r))
	require.Equal(w.t, partition, r.Partition)
	return r
}

// caughtUp waits until the live version of each projection has read all that can
// be read of the partitions, all of them where none is named.
func (w *world) caughtUp(projections []Projection, ids ...int32) {
	w.t.Helper()
	ends, err := w.brokers.StableOffsets(w.t.Context(), schemas.TopicEvents)
	require.NoError(w.t, err)
	if len(ids) == 0 {
		ids = []int32{0, 1, 2}
	}
	for _, p := range projections {
		for _, id := range ids {
			w.reaches(p, id, ends[id])
		}
	}
}

// reaches waits until the live version of a projection stands at an offset.
func (w *world) reaches(p Projection, partition int32, next int64) {
	w.t.Helper()
	stood := int64(0)
	require.Eventually(w.t, func() bool {
		positions, err := Positions(w.t.Context(), w.admin, p.Name)
		stood = positions[partition].Offset
		return err == nil && stood >= next
	}, patience, often, "%s reaches %d in partition %d", p.Name, next, partition)
	require.Equal(w.t, next, stood)
}

// verify folds the events again and returns the report.
func (w *world) verify(p Projection) Report {
	w.t.Helper()
	report, err := Verify(w.t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), p.Name)
	require.NoError(w.t, err)
	return report
}

// equal checks that every read model is the fold of the events, and returns how
// many there are.
func (w *world) equal() int64 {
	w.t.Helper()
	var events int64
	for _, p := range All {
		report := w.verify(p)
		require.True(w.t, report.Equal(), "%+v", report)
		events = report.Events
	}
	return events
}

// count returns the rows of a table of the live version of a projection.
func (w *world) count(p Projection, name string) int {
	w.t.Helper()
	var n int
	require.NoError(w.t, w.admin.QueryRow(w.t.Context(), "SELECT count(*) FROM "+table(w.live(p), name)).Scan(&n))
	return n
}
