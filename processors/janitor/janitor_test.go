package janitor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/media"
	"atelier/schemas"
)

const (
	// patience bounds each wait of a test; nothing usually takes a second.
	patience   = 30 * time.Second
	partitions = 2
	day        = 24 * time.Hour
)

func TestMain(m *testing.M) {
	// The Kafka that all tests share ends with the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("atelier/internal/embedded/child.Start.func1"))
}

// front stands before a real store and lets it fail.
type front struct {
	*media.Store
	away atomic.Bool
	// deletes counts, and deleted, which may be nil, hears of each before it is made.
	deletes atomic.Int64
	deleted func(n int64)
}

var errAway = errors.New("the store is away")

func (f *front) List(ctx context.Context, prefix string) ([]string, bool, error) {
	if f.away.Load() {
		return nil, false, errAway
	}
	return f.Store.List(ctx, prefix)
}

func (f *front) Objects(ctx context.Context, prefix string) iter.Seq2[media.Object, error] {
	if f.away.Load() {
		return func(yield func(media.Object, error) bool) { yield(media.Object{}, errAway) }
	}
	return f.Store.Objects(ctx, prefix)
}

func (f *front) Delete(ctx context.Context, key string) error {
	if n := f.deletes.Add(1); f.deleted != nil {
		f.deleted(n)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key)
}

// world is what a janitor works with. Tests write events and look into the store.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	admin    *kafka.Admin
	producer *kafka.Producer
	codec    *schemas.Codec
	dir      string
	store    *media.Store
	written  map[int32]int64 // records by partition
}

func newWorld(t *testing.T, k kafka.Config) *world {
	t.Helper()
	w := &world{t: t, kafka: k, codec: schemas.NewLockedCodec(), dir: t.TempDir(), written: map[int32]int64{}}
	var err error
	w.store, err = media.Open(t.Context(), w.dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.admin, err = kafka.NewAdmin(k)
	require.NoError(t, err)
	t.Cleanup(w.admin.Close)
	_, err = w.admin.ApplyTopics(t.Context(), partitions, 1)
	require.NoError(t, err)
	w.producer, err = kafka.NewProducer(k)
	require.NoError(t, err)
	t.Cleanup(w.producer.Close)
	return w
}

// running is a janitor at work.
type running struct {
	*Janitor
	t    *testing.T
	stop func()
	done chan error
}

func (w *world) run(f *front, change ...func(*tuning)) *running {
	w.t.Helper()
	j, err := New(Config{Kafka: w.kafka, Codec: w.codec, Media: f, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	require.NoError(w.t, err)
	j.tuning = tuning{lookEvery: 20 * time.Millisecond, commitEvery: 10 * time.Millisecond, retry: 20 * time.Millisecond, binMax: binMax}
	for _, c := range change {
		c(&j.tuning)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Janitor: j, t: w.t, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- j.Run(ctx) }()
	w.t.Cleanup(r.end)
	return r
}

// end stops the janitor and waits for it.
func (r *running) end() {
	r.t.Helper()
	r.stop()
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
		r.done <- nil // for the cleanup
	case <-time.After(patience):
		r.t.Fatal("the janitor does not stop")
	}
}

func account(partition int32) string {
	for {
		if id := schemas.NewID(); kafka.PartitionOf(id, partitions) == partition {
			return id
		}
	}
}

// image is one with its files in the store.
type image struct {
	w           *world
	account, id string
	files       int
}

// image stores an image: all that are made have the same bytes.
func (w *world) image(account string, files int) image {
	w.t.Helper()
	i := image{w: w, account: account, id: schemas.DeriveID(schemas.NewID(), "image"), files: files}
	for n := range files {
		key := media.ImageKey(account, i.id, "export", sha256.Sum256([]byte{byte(n)}), "jpg")
		require.NoError(w.t, w.store.Put(w.t.Context(), key, []byte("pixels"), "image/jpeg"))
	}
	return i
}

func (i image) left() int {
	keys, _, err := i.w.store.List(i.w.t.Context(), media.ImagePrefix(i.account, i.id))
	require.NoError(i.w.t, err)
	return len(keys)
}

// deleted writes that the image was put into the bin so long ago. It returns where
// that stands.
func (i image) deleted(ago time.Duration) int64 {
	return i.w.event(&schemas.ImageDeleted{EventMetadata: i.meta(ago), GenerationID: i.id, BatchID: i.id})
}

func (i image) restored(ago time.Duration) {
	i.w.event(&schemas.ImageRestored{EventMetadata: i.meta(ago), GenerationID: i.id, BatchID: i.id})
}

func (i image) meta(ago time.Duration) schemas.EventMetadata {
	return schemas.EventMetadata{ID: schemas.NewID(), AccountID: i.account, OccurredAt: time.Now().Add(-ago), CorrelationID: schemas.NewID(), CausationID: schemas.NewID()}
}

func (w *world) event(e schemas.Record) int64 {
	w.t.Helper()
	record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
	require.NoError(w.t, err)
	return w.produce(record)
}

// produce writes a record and returns its offset: nobody else writes.
func (w *world) produce(record *kafka.Record) int64 {
	w.t.Helper()
	require.NoError(w.t, w.producer.Produce(w.t.Context(), record))
	partition := kafka.PartitionOf(string(record.Key), partitions)
	w.written[partition]++
	return w.written[partition] - 1
}

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	require.Eventually(w.t, holds, patience, 5*time.Millisecond, what)
}

// committed waits until a partition is to be read again from there.
func (w *world) committed(partition int32, offset int64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("partition %d is committed at %d", partition, offset), func() bool {
		offsets, err := w.admin.CommittedOffsets(w.t.Context(), Group, schemas.TopicEvents)
		return err == nil && offsets[partition] == offset
	})
}

// away waits until a janitor has found its store away once more.
func (w *world) away(r *running) {
	w.t.Helper()
	before := value(r.metrics.failures)
	w.eventually("the store is missed", func() bool { return value(r.metrics.failures) > before })
}

// value is that of a counter or a gauge.
func value(m prometheus.Metric) float64 {
	var written dto.Metric
	_ = m.Write(&written) // writes into memory
	return written.GetCounter().GetValue() + written.GetGauge().GetValue()
}

func TestJanitor(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newWorld(t, kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()})
		for _, test := range []struct {
			name string
			run  func(t *testing.T, w *world)
		}{
			{"where nothing was ever written it is ready", testNothingThere},
			{"what lay in the bin for a month and a day is erased, and nothing else", testWhatIsErased},
			{"killed before any of its deletes, the next one goes on", testKilled},
			{"read again it changes nothing", testRedelivery},
			{"a store that is away is waited for, and a restore meanwhile counts", testStoreAway},
			{"more in the bin than is remembered", testBeyondTheBound},
			{"the journal is cleaned by age", testJournal},
			{"nothing is erased beyond an event that cannot be read", testUnreadable}, // leaves it behind
		} {
			t.Run(test.name, func(t *testing.T) {
				in := *w
				in.t = t
				test.run(t, &in)
			})
		}
	})
}

// seldom looks at the start alone.
func seldom(t *tuning) { t.lookEvery = time.Hour }

func testNothingThere(_ *testing.T, w *world) {
	r := w.run(&front{Store: w.store}, seldom)
	w.eventually("it is ready", r.Ready)
}

func testWhatIsErased(t *testing.T, w *world) {
	ann := account(0)
	old, waiting, taken, again, live := w.image(ann, 5), w.image(ann, 2), w.image(ann, 2), w.image(ann, 2), w.image(ann, 2)
	other := w.image(account(1), 1)
	taken.deleted(40 * day)
	old.deleted(32 * day)
	again.deleted(40 * day)
	first := waiting.deleted(30*day + 12*time.Hour)
	taken.restored(39 * day)
	again.restored(20 * day)
	again.deleted(day)
	other.deleted(media.EraseAfter)

	r := w.run(&front{Store: w.store}, seldom)
	w.eventually("both are gone", func() bool { return old.left() == 0 && other.left() == 0 })
	w.committed(0, first)
	w.committed(1, w.written[1])
	w.eventually("it is ready", r.Ready)
	require.Equal(t, []int{2, 2, 2, 2}, []int{waiting.left(), taken.left(), again.left(), live.left()})
	require.Equal(t, []float64{2, 6, 2}, []float64{
		value(r.metrics.images), value(r.metrics.objects), value(r.metrics.binned),
	})
	_, err := os.Stat(filepath.Join(w.dir, media.ImagePrefix(ann, old.id)))
	require.ErrorIs(t, err, os.ErrNotExist, "its directory too")

	// Taken out at the last moment: what was written goes before what is due.
	r.end()
	require.False(t, r.Ready())
	waiting.restored(0)
	again.restored(0)
	w.run(&front{Store: w.store})
	w.committed(0, w.written[0])
	require.Equal(t, 2, waiting.left())
}

func testKilled(t *testing.T, w *world) {
	const files = 4
	gone, live := w.image(account(0), files), w.image(account(0), 1)
	at := gone.deleted(32 * day)
	for life := 1; life <= files; life++ {
		f, killed := &front{Store: w.store}, make(chan struct{})
		kill := make(chan func(), 1)
		f.deleted = func(n int64) {
			if n == min(int64(life), 2) { // the first life ends before its first delete, others after it
				(<-kill)()
				close(killed)
			}
		}
		r := w.run(f)
		kill <- r.stop
		select {
		case <-killed:
		case <-time.After(patience):
			t.Fatal("it deletes nothing")
		}
		r.end()
		require.Equal(t, files-life+1, gone.left())
		w.committed(0, at)
	}
	w.run(&front{Store: w.store})
	w.eventually("the last one ends it", func() bool { return gone.left() == 0 })
	w.committed(0, w.written[0])
	require.Equal(t, 1, live.left())
}

func testRedelivery(t *testing.T, w *world) {
	gone, live := w.image(account(0), 2), w.image(account(0), 1)
	gone.deleted(32 * day)
	r := w.run(&front{Store: w.store})
	w.eventually("it is gone", func() bool { return gone.left() == 0 })
	w.committed(0, w.written[0])
	r.end()
	require.NoError(t, w.admin.ResetOffsets(t.Context(), Group, schemas.TopicEvents, map[int32]int64{0: 0, 1: 0}))
	f := &front{Store: w.store}
	r = w.run(f)
	w.committed(0, w.written[0])
	w.committed(1, w.written[1])
	require.Zero(t, f.deletes.Load(), "there is nothing left of them")
	require.Positive(t, value(r.metrics.images))
	require.Equal(t, 1, live.left())
}

func testStoreAway(t *testing.T, w *world) {
	gone, taken := w.image(account(0), 2), w.image(account(0), 2)
	at := gone.deleted(32 * day)
	taken.deleted(32 * day)
	f := &front{Store: w.store}
	f.away.Store(true)
	r := w.run(f)
	w.away(r)
	w.committed(0, at)
	taken.restored(0)
	w.away(r) // a look that began behind the restore, or before it: it fails either way
	require.Equal(t, []int{2, 2}, []int{gone.left(), taken.left()})
	f.away.Store(false)
	w.eventually("it goes on", func() bool { return gone.left() == 0 })
	w.committed(0, w.written[0])
	require.Equal(t, 2, taken.left())
}

func testBeyondTheBound(t *testing.T, w *world) {
	ann := account(0)
	var all []image
	for range 7 {
		i := w.image(ann, 1)
		i.deleted(32 * day)
		all = append(all, i)
	}
	w.run(&front{Store: w.store}, func(t *tuning) { t.binMax = 2 })
	w.committed(0, w.written[0])
	for _, i := range all {
		require.Zero(t, i.left())
	}
}

func testJournal(t *testing.T, w *world) {
	old, young := schemas.NewID(), schemas.NewID()
	for generation, age := range map[string]time.Duration{old: journalKept + time.Minute, young: journalKept - time.Minute} {
		for _, name := range []string{"1", "1.result", "2", "spend"} {
			key := "journal/" + generation + "/" + name
			_, err := w.store.PutIfAbsent(t.Context(), key, []byte("{}"))
			require.NoError(t, err)
			at := time.Now().Add(-age)
			require.NoError(t, os.Chtimes(filepath.Join(w.dir, key), at, at))
		}
	}
	r := w.run(&front{Store: w.store})
	w.eventually("it is clean", func() bool { return value(r.metrics.journal) == 4 })
	keys, _, err := w.store.List(t.Context(), "journal/")
	require.NoError(t, err)
	require.Equal(t, []string{"journal/" + young + "/1", "journal/" + young + "/1.result", "journal/" + young + "/2", "journal/" + young + "/spend"}, keys)
}

func testUnreadable(t *testing.T, w *world) {
	before, behind, other := w.image(account(0), 1), w.image(account(0), 1), w.image(account(1), 1)
	at := before.deleted(32 * day)
	w.produce(&kafka.Record{Topic: schemas.TopicEvents, Key: []byte(before.account), Value: []byte("not an event")})
	behind.deleted(32 * day)
	r := w.run(&front{Store: w.store})
	other.deleted(32 * day)
	w.eventually("the other partition goes on", func() bool { return other.left() == 0 })
	w.eventually("it is seen", func() bool { return value(r.metrics.standing) == 1 })
	w.committed(0, at)
	require.Equal(t, []int{1, 1}, []int{before.left(), behind.left()})
	require.False(t, r.Ready())
}
