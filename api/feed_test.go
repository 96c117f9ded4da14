package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/projections"
	"atelier/schemas"
)

const feedPartitions = 4

// feedPatience bounds what a test waits for.
const feedPatience = 30 * time.Second

// feedWorld is a broker with the topics, and somebody who writes events.
type feedWorld struct {
	kafka    kafka.Config
	codec    *schemas.Codec
	producer *kafka.Producer
}

func newFeedWorld(t *testing.T, brokers []string, prefix string) *feedWorld {
	t.Helper()
	w := &feedWorld{
		kafka: kafka.Config{Brokers: brokers, Prefix: prefix + schemas.NewID() + ".", ClientID: "feed-test", Log: zerolog.Nop()},
		codec: schemas.NewLockedCodec(),
	}
	admin, err := kafka.NewAdmin(w.kafka)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.ApplyTopics(context.Background(), feedPartitions, 1)
	require.NoError(t, err)
	w.producer, err = kafka.NewProducer(w.kafka)
	require.NoError(t, err)
	t.Cleanup(w.producer.Close)
	return w
}

func (w *feedWorld) records(t *testing.T, events ...schemas.Event) []*kafka.Record {
	t.Helper()
	var records []*kafka.Record
	for _, e := range events {
		r, err := kafka.NewRecord(w.codec, schemas.TopicEvents, e)
		require.NoError(t, err)
		r.Partition = kafka.PartitionOf(e.Meta().AccountID, feedPartitions)
		records = append(records, r)
	}
	return records
}

// produce writes events outside of transactions and returns where they are.
func (w *feedWorld) produce(t *testing.T, events ...schemas.Event) []projections.Position {
	t.Helper()
	records := w.records(t, events...)
	require.NoError(t, w.producer.Produce(context.Background(), records...))
	var at []projections.Position
	for _, r := range records {
		at = append(at, projections.Position{Partition: r.Partition, Offset: r.Offset})
	}
	return at
}

// run starts a feed; it is stopped at the end of the test.
func (w *feedWorld) run(t *testing.T, change func(*FeedConfig)) *Feed {
	t.Helper()
	c := FeedConfig{Kafka: w.kafka, Codec: w.codec, Partitions: feedPartitions, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&c)
	}
	f, err := NewFeed(c)
	require.NoError(t, err)
	require.False(t, f.Ready())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, f.Ready, feedPatience, time.Millisecond)
	return f
}

// counted returns what a counter or gauge shows.
func counted(m prometheus.Metric) float64 {
	var shown dto.Metric
	if err := m.Write(&shown); err != nil {
		panic(err)
	}
	return shown.GetCounter().GetValue() + shown.GetGauge().GetValue()
}

func await(t *testing.T, outcome <-chan Outcome) Outcome {
	t.Helper()
	select {
	case o := <-outcome:
		return o
	case <-time.After(feedPatience):
		require.FailNow(t, "no outcome came")
		return Outcome{}
	}
}

// next takes n facts of a subscription.
func next(t *testing.T, s *Subscription, n int) []Delivery {
	t.Helper()
	var all []Delivery
	for len(all) < n {
		select {
		case <-s.Wake():
			taken, err := s.Take()
			require.NoError(t, err)
			for _, d := range taken {
				if d.Event != nil {
					all = append(all, d)
				}
			}
		case <-time.After(feedPatience):
			require.FailNow(t, "too little came", "%d of %d", len(all), n)
		}
	}
	return all
}

func ids(deliveries []Delivery) (ids []string) {
	for _, d := range deliveries {
		ids = append(ids, d.Event.Meta().ID)
	}
	return ids
}

func idsOf(events []schemas.Event) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.Meta().ID)
	}
	return ids
}

func TestFeedGivesOutcomes(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		f := w.run(t, nil)
		account, command := schemas.NewID(), schemas.NewID()
		outcome, leave := f.Await(command)
		defer leave()
		_, ok := f.Find(command)
		require.False(t, ok)

		events := batchEvents(account, command, 12, 4)
		at := w.produce(t, events...)
		got := await(t, outcome)
		require.Equal(t, command, got.CommandID)
		require.Equal(t, account, got.AccountID)
		require.Nil(t, got.Rejected)
		require.Equal(t, idsOf(events), idsOf(got.Events))
		require.Equal(t, at[len(at)-1], got.Last)
		found, ok := f.Find(command)
		require.True(t, ok)
		require.Equal(t, got, found)

		rejected := schemas.NewID()
		outcome, leave = f.Await(rejected)
		defer leave()
		w.produce(t, commandEvents(account, rejected, 13, &schemas.CommandRejected{
			Code: schemas.CodeInsufficientCredits, Figures: map[string]int64{"shortfall": 3}})...)
		require.Equal(t, int64(3), await(t, outcome).Rejected.Figures["shortfall"])

		// Another node has both from its start, and so has a stream.
		other := w.run(t, nil)
		found, ok = other.Find(command)
		require.True(t, ok)
		require.Equal(t, got.Last, found.Last)
		require.Equal(t, got.Events, found.Events)
		s, err := other.Subscribe(context.Background(), account, &at[1])
		require.NoError(t, err)
		defer s.Close()
		require.Equal(t, append(idsOf(events[2:]), schemas.DeriveID(rejected, "a")), ids(next(t, s, 5)))
	})
}

// transact writes events in one transaction, and commits or aborts it.
func transact(t *testing.T, w *feedWorld, session *kafka.Session, commit bool, records []*kafka.Record) {
	t.Helper()
	require.NoError(t, session.Begin())
	for _, r := range records {
		session.Produce(context.Background(), r)
	}
	committed, err := session.End(context.Background(), commit)
	require.NoError(t, err)
	require.Equal(t, commit, committed)
}

func TestFeedReadsTransactions(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		assigned := make(chan struct{}, feedPartitions)
		session, err := kafka.OpenSession(t.Context(), w.kafka, kafka.SessionConfig{
			Group: "feed-test", TransactionalID: "feed-test", Topic: schemas.TopicCommands,
			Assigned: func([]int32) { assigned <- struct{}{} }, Lost: func([]int32) {},
		})
		require.NoError(t, err)
		defer session.Close()
		polling, stop := context.WithCancel(context.Background())
		polled := make(chan struct{})
		go func() { // there is nothing to poll; it joins the group
			defer close(polled)
			_, _ = session.Poll(polling, 1)
		}()
		select {
		case <-assigned:
		case <-time.After(feedPatience):
			require.FailNow(t, "not assigned")
		}
		stop()
		<-polled

		account := schemas.NewID()
		partition := kafka.PartitionOf(account, feedPartitions)
		f := w.run(t, nil)
		s, err := f.Subscribe(context.Background(), account, nil)
		require.NoError(t, err)
		defer s.Close()

		aborted, first, second := schemas.NewID(), schemas.NewID(), schemas.NewID()
		never, leave := f.Await(aborted)
		defer leave()
		transact(t, w, session, false, w.records(t, batchEvents(account, aborted, 1, 3)...))
		one, two := batchEvents(account, first, 2, 2), batchEvents(account, second, 3, 1)
		outcome, leaveFirst := f.Await(first)
		defer leaveFirst()
		transact(t, w, session, true, w.records(t, append(append([]schemas.Event{}, one...), two...)...))

		got := await(t, outcome)
		require.Equal(t, idsOf(one), idsOf(got.Events))
		require.Equal(t, append(idsOf(one), idsOf(two)...), ids(next(t, s, 7)), "nothing of the aborted one")
		found, ok := f.Find(second)
		require.True(t, ok)
		require.Equal(t, idsOf(two), idsOf(found.Events))
		require.Empty(t, never)
		_, ok = f.Find(aborted)
		require.False(t, ok)

		// A feed that starts after a marker is full at it, and resumes from it.
		ended := found.Last.Offset + 1
		require.Eventually(t, func() bool { return f.partitions[partition].position() == ended+1 }, feedPatience, time.Millisecond,
			"the marker occupies an offset")
		other := w.run(t, nil)
		require.Equal(t, ended+1, other.partitions[partition].position())
		now, err := other.Subscribe(context.Background(), account, nil)
		require.NoError(t, err)
		defer now.Close()
		require.Equal(t, ended, now.Start().Offset)
		start := now.Start()
		third := batchEvents(account, schemas.NewID(), 4, 1)
		transact(t, w, session, true, w.records(t, third...))
		require.Equal(t, idsOf(third), ids(next(t, now, 3)))
		resumed, err := f.Subscribe(context.Background(), account, &start)
		require.NoError(t, err)
		defer resumed.Close()
		require.Equal(t, idsOf(third), ids(next(t, resumed, 3)))
	})
}

func TestFeedSkipsWhatItCannotRead(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		account, broken, whole := schemas.NewID(), schemas.NewID(), schemas.NewID()
		records := w.records(t, batchEvents(account, broken, 1, 2)...)
		records[2].Value = records[2].Value[:20] // truncated
		unknown := w.records(t, batchEvents(account, schemas.NewID(), 2, 1)[0])[0]
		unknown.Value[1] = 0x7f // a schema id that nobody has
		foreign := w.records(t, batchEvents(schemas.NewID(), schemas.NewID(), 3, 1)[0])[0]
		foreign.Key = []byte(account)
		command := &kafka.Record{Topic: schemas.TopicEvents, Key: []byte(account), Value: []byte{}}
		require.NoError(t, w.producer.Produce(context.Background(), append(records, unknown, foreign, command)...))
		events := batchEvents(account, whole, 4, 1)
		at := w.produce(t, events...)

		f := w.run(t, nil)
		_, ok := f.Find(broken)
		require.False(t, ok, "an outcome without all of its events is none")
		outcome, ok := f.Find(whole)
		require.True(t, ok)
		require.Equal(t, idsOf(events), idsOf(outcome.Events))
		require.Equal(t, at[2], outcome.Last)
		require.EqualValues(t, 3, counted(f.metrics.skipped.WithLabelValues("unreadable")))
		require.EqualValues(t, 1, counted(f.metrics.skipped.WithLabelValues("unknown_schema")))
	})
}

// A registry that is away holds the partition of an event whose schema it alone knows;
// the others go on, and when it is back, nothing is missing.
func TestFeedWaitsForARegistryThatIsAway(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		held, free := schemas.NewID(), schemas.NewID()
		for kafka.PartitionOf(held, feedPartitions) == kafka.PartitionOf(free, feedPartitions) {
			free = schemas.NewID()
		}
		first, second, third := schemas.NewID(), schemas.NewID(), schemas.NewID()
		newer := w.records(t, batchEvents(held, first, 1, 1)...)
		registry := &awayRegistry{text: schemaOf(t, newer[0]), back: make(chan struct{})}
		binary.BigEndian.PutUint32(newer[0].Value[1:], newerSchema)
		codec, err := schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		f := w.run(t, func(c *FeedConfig) { c.Codec = codec })

		told := map[string]<-chan Outcome{}
		for _, command := range []string{first, second, third} {
			outcome, leave := f.Await(command)
			defer leave()
			told[command] = outcome
		}
		require.NoError(t, w.producer.Produce(t.Context(), newer...))
		w.produce(t, batchEvents(held, second, 4, 1)...)
		w.produce(t, batchEvents(free, third, 1, 1)...)
		await(t, told[third])
		require.Empty(t, told[first])
		require.Empty(t, told[second], "it stands behind the first")
		require.Zero(t, counted(f.metrics.restarts.WithLabelValues(schemas.TopicEvents)))

		close(registry.back)
		await(t, told[first])
		await(t, told[second])
		last := schemas.NewID()
		outcome, leave := f.Await(last)
		defer leave()
		w.produce(t, batchEvents(held, last, 7, 1)...)
		await(t, outcome)
	})
}

// newerSchema is an id that only awayRegistry knows.
const newerSchema = 9001

// schemaOf returns the schema of an encoded record.
func schemaOf(t *testing.T, r *kafka.Record) string {
	t.Helper()
	for _, known := range schemas.Lock() {
		if known.ID == int(binary.BigEndian.Uint32(r.Value[1:])) {
			return string(known.Schema)
		}
	}
	require.FailNow(t, "no schema of the lock")
	return ""
}

// awayRegistry does not answer about newerSchema until back is closed.
type awayRegistry struct {
	text string
	back chan struct{}
}

func (*awayRegistry) ID(_ context.Context, subject, schema string) (int, error) {
	for _, r := range schemas.Lock() {
		if r.Subject == subject && string(r.Schema) == schema {
			return r.ID, nil
		}
	}
	return 0, schemas.ErrUnknownSchema
}

func (r *awayRegistry) Schema(context.Context, int) (string, error) {
	select {
	case <-r.back:
		return r.text, nil
	default:
		return "", errors.New("connection refused")
	}
}

func TestFeedPassesProgressOn(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		f := w.run(t, nil)
		account := schemas.NewID()
		s, err := f.Subscribe(context.Background(), account, nil)
		require.NoError(t, err)
		defer s.Close()
		// It reads from the topic's end, once it has asked for that: try until one is seen.
		require.Eventually(t, func() bool {
			for _, of := range []string{schemas.NewID(), account} {
				note, err := kafka.NewRecord(w.codec, schemas.TopicProgress, &schemas.GenerationProgress{
					Metadata: schemas.Metadata{ID: schemas.NewID(), AccountID: of}, Stage: "generating"})
				require.NoError(t, err)
				require.NoError(t, w.producer.Produce(context.Background(), note))
			}
			select {
			case <-s.Wake():
			default:
				return false
			}
			taken, err := s.Take()
			require.NoError(t, err)
			for _, d := range taken {
				require.Nil(t, d.Event)
				require.Equal(t, account, d.Progress.AccountID)
			}
			return len(taken) > 0
		}, feedPatience, 10*time.Millisecond)
	})
}

func TestFeedRefusesAnotherPartitionCount(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newFeedWorld(t, brokers, prefix)
		f, err := NewFeed(FeedConfig{Kafka: w.kafka, Codec: w.codec, Partitions: feedPartitions + 1, Log: zerolog.Nop()})
		require.NoError(t, err)
		require.ErrorIs(t, f.Run(context.Background()), errPartitions)
		require.False(t, f.Ready())
	})
}

func TestFeedEndsWithoutABroker(t *testing.T) {
	f, err := NewFeed(FeedConfig{
		Kafka: kafka.Config{Brokers: []string{"127.0.0.1:1"}, Log: zerolog.Nop()}, Codec: schemas.NewLockedCodec(), Partitions: 1, Log: zerolog.Nop(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	require.NoError(t, f.Run(ctx))
	require.False(t, f.Ready())
	_, err = f.Subscribe(context.Background(), schemas.NewID(), nil)
	require.ErrorIs(t, err, ErrFeedNotReady)
}

func TestFeedConfigIsRefused(t *testing.T) {
	good := FeedConfig{Codec: schemas.NewLockedCodec(), Partitions: 1, Registerer: prometheus.NewRegistry()}
	_, err := NewFeed(good)
	require.NoError(t, err)
	_, err = NewFeed(good)
	require.Error(t, err, "its metrics are registered already")
	for name, c := range map[string]FeedConfig{
		"no codec":      {Partitions: 1},
		"no partitions": {Codec: good.Codec},
		"generation":    {Codec: good.Codec, Partitions: 1, Generation: -1},
		"age":           {Codec: good.Codec, Partitions: 1, RingAge: -1},
	} {
		_, err := NewFeed(c)
		require.Error(t, err, name)
	}
}

// handFeed is a feed that a test fills by hand.
type handFeed struct {
	*Feed
	t    testing.TB
	mu   sync.Mutex
	next map[int32]int64
}

func newHandFeed(t testing.TB, change func(*FeedConfig)) *handFeed {
	t.Helper()
	c := FeedConfig{Codec: schemas.NewLockedCodec(), Partitions: feedPartitions, Generation: 2, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&c)
	}
	f, err := NewFeed(c)
	require.NoError(t, err)
	for _, p := range f.partitions {
		p.begin(100)
	}
	f.ready.Store(true)
	return &handFeed{Feed: f, t: t, next: map[int32]int64{}}
}

// put gives the feed events as if they had been polled.
func (h *handFeed) put(events ...schemas.Event) (last projections.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		r, err := kafka.NewRecord(h.config.Codec, schemas.TopicEvents, e)
		require.NoError(h.t, err)
		r.Partition = kafka.PartitionOf(e.Meta().AccountID, feedPartitions)
		r.Offset = 100 + h.next[r.Partition]
		r.Timestamp = e.Meta().OccurredAt
		h.next[r.Partition]++
		require.NoError(h.t, h.handle(context.Background(), r))
		last = projections.Position{Generation: 2, Partition: r.Partition, Offset: r.Offset}
	}
	return last
}

func TestSubscribeRefusesWhatItCannotResume(t *testing.T) {
	f := newHandFeed(t, func(c *FeedConfig) { c.RingAge = time.Minute })
	account := schemas.NewID()
	partition := kafka.PartitionOf(account, feedPartitions)
	old := batchEvents(account, schemas.NewID(), 1, 1)
	for _, e := range old {
		e.Meta().OccurredAt = time.Now().Add(-time.Hour)
	}
	lost := f.put(old...)
	young := batchEvents(account, schemas.NewID(), 2, 1)
	newest := f.put(young...)

	resync := func(from projections.Position) {
		t.Helper()
		_, err := f.Subscribe(context.Background(), account, &from)
		require.ErrorIs(t, err, ErrResync, from)
	}
	at := func(generation int, partition int32, offset int64) projections.Position {
		return projections.Position{Generation: generation, Partition: partition, Offset: offset}
	}
	resync(at(2, partition, lost.Offset-1))
	resync(at(1, partition, newest.Offset))
	resync(at(3, partition, newest.Offset))
	resync(at(2, (partition+1)%feedPartitions, newest.Offset))
	resync(at(2, partition, newest.Offset+1)) // after the wait
	resync(at(2, partition, -5))
	resync(at(2, partition, 0))

	s, err := f.Subscribe(context.Background(), account, &lost)
	require.NoError(t, err)
	require.Equal(t, lost, s.Start())
	require.Equal(t, idsOf(young), ids(next(t, s, 3)))
	s.Close()
	s.Close()
	require.Empty(t, f.partitions[partition].followers)
}

func TestSubscribeWaitsForWhatAnotherNodeHasShown(t *testing.T) {
	f := newHandFeed(t, nil)
	account := schemas.NewID()
	from := f.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	from.Offset += 2
	type result struct {
		s   *Subscription
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, err := f.Subscribe(context.Background(), account, &from)
		done <- result{s, err}
	}()
	p := f.partition(account)
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.advanced != nil
	}, feedPatience, time.Millisecond)
	events := batchEvents(account, schemas.NewID(), 2, 1)
	f.put(events...)
	got := <-done
	require.NoError(t, got.err)
	defer got.s.Close()
	require.Equal(t, idsOf(events[2:]), ids(next(t, got.s, 1)))

	gone, cancel := context.WithCancel(context.Background())
	cancel()
	from.Offset += 100
	_, err := f.Subscribe(gone, account, &from)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSlowSubscriberIsCutAndHoldsNobodyUp(t *testing.T) {
	f := newHandFeed(t, nil)
	account := schemas.NewID()
	slow, err := f.Subscribe(context.Background(), account, nil)
	require.NoError(t, err)
	defer slow.Close()
	quick, err := f.Subscribe(context.Background(), account, nil)
	require.NoError(t, err)
	defer quick.Close()
	var all []string
	for n := range subscriptionEventsMax {
		e := commandEvents(account, schemas.NewID(), int64(n), &schemas.BrandArchived{})
		f.put(e...)
		all = append(all, e[0].Meta().ID)
		require.Equal(t, idsOf(e), ids(next(t, quick, 1)))
	}
	more := batchEvents(account, schemas.NewID(), 9999, 1)
	f.put(more...)
	require.Equal(t, idsOf(more), ids(next(t, quick, 3)))

	taken, err := slow.Take()
	require.ErrorIs(t, err, ErrSlow)
	require.Equal(t, all, ids(taken), "what fitted, without a hole")
	last := taken[len(taken)-1].Position
	require.EqualValues(t, 1, counted(f.metrics.cut))

	// It resumes where it was cut.
	again, err := f.Subscribe(context.Background(), account, &last)
	require.NoError(t, err)
	defer again.Close()
	require.Equal(t, idsOf(more), ids(next(t, again, 3)))
}

func TestProgressNotesGiveWay(t *testing.T) {
	f := newHandFeed(t, nil)
	account := schemas.NewID()
	s, err := f.Subscribe(context.Background(), account, nil)
	require.NoError(t, err)
	defer s.Close()
	note, err := kafka.NewRecord(f.config.Codec, schemas.TopicProgress, &schemas.GenerationProgress{Metadata: schemas.Metadata{AccountID: account}})
	require.NoError(t, err)
	for range 3 * subscriptionEventsMax {
		f.pass(context.Background(), note)
	}
	f.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	taken, err := s.Take()
	require.NoError(t, err)
	require.Len(t, taken, subscriptionNotesMax+3)
}

func TestFeedNoticesALogThatWasMadeAnew(t *testing.T) {
	f := newHandFeed(t, nil)
	account := schemas.NewID()
	f.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	r, err := kafka.NewRecord(f.config.Codec, schemas.TopicEvents, batchEvents(account, schemas.NewID(), 1, 1)[0])
	require.NoError(t, err)
	r.Partition = kafka.PartitionOf(account, feedPartitions)
	require.ErrorIs(t, f.handle(context.Background(), r), errBehind)
}

// TestFeedServesManyAtOnce is for the race detector: writers, waiters and
// subscribers that come and go, and each subscriber sees all of its events in order.
func TestFeedServesManyAtOnce(t *testing.T) {
	f := newHandFeed(t, nil)
	const accounts, commands = 8, 60
	var all sync.WaitGroup
	for range accounts {
		account := schemas.NewID()
		start, err := f.Subscribe(context.Background(), account, nil)
		require.NoError(t, err)
		from := start.Start()
		start.Close()
		all.Go(func() {
			for n := range commands {
				command := schemas.NewID()
				outcome, leave := f.Await(command)
				f.put(batchEvents(account, command, int64(n), 2)...)
				select {
				case o := <-outcome:
					if len(o.Events) != 4 {
						t.Errorf("%d events", len(o.Events))
					}
				default:
					t.Error("no outcome")
				}
				leave()
			}
		})
		all.Go(func() {
			if err := follow(f.Feed, account, from, 4*commands); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Zero(t, f.outcomes.waits())
	require.Zero(t, counted(f.metrics.cut))
}

// follow reads n events with a subscription that it makes anew every few events.
func follow(f *Feed, account string, from projections.Position, n int) error {
	for index := 0; n > 0; {
		s, err := f.Subscribe(context.Background(), account, &from)
		if err != nil {
			return err
		}
		for taken := 0; taken < 7 && n > 0; {
			select {
			case <-s.Wake():
			case <-time.After(feedPatience):
				return errors.New("nothing came")
			}
			deliveries, err := s.Take()
			if err != nil {
				return err
			}
			for _, d := range deliveries {
				if d.Event.Meta().AccountID != account || d.Event.Meta().Index != index || d.Position.Offset <= from.Offset {
					return fmt.Errorf("%s: event %d where %d should be", d.Position, d.Event.Meta().Index, index)
				}
				index, from = (index+1)%4, d.Position
				taken++
				n--
			}
		}
		s.Close()
	}
	return nil
}
