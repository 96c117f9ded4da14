package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// ringAge is how far back the rings go: the longest absence after which a
	// stream resumes without reading afresh.
	ringAge = 15 * time.Minute
	// recordsPerPollMax bounds what is handled before the next poll (count).
	recordsPerPollMax = 2000
	// offsetsTimeout bounds one question for offsets.
	offsetsTimeout = 10 * time.Second
	// registryRetryEvery is the pause between two questions to a registry that is away.
	registryRetryEvery = time.Second
	// tailBackoffMin and tailBackoffMax bound the pause after a tail that failed.
	tailBackoffMin = 100 * time.Millisecond
	tailBackoffMax = 5 * time.Second
)

// FeedConfig is how a node tails the log.
type FeedConfig struct {
	Kafka kafka.Config
	Codec *schemas.Codec
	// Partitions is the topics' partition count.
	Partitions int
	// Generation is the topic generation of atelier.events, from 0.
	Generation int
	Log        zerolog.Logger
	// Registerer takes the metrics; nil: none.
	Registerer prometheus.Registerer
	// RingAge is how far back the rings go; 0: 15 minutes.
	RingAge time.Duration
	// DailyBudgetMicros is what the models may cost a day (UTC), all accounts
	// together, in millionths of a US dollar; 0: no limit. With one, the feed reads
	// the whole day at its start.
	DailyBudgetMicros int64
}

func (c FeedConfig) validate() error {
	switch {
	case c.Codec == nil:
		return errors.New("feed: no codec given")
	case c.Partitions < 1:
		return fmt.Errorf("feed: %d partitions", c.Partitions)
	case c.Generation < 0:
		return fmt.Errorf("feed: topic generation %d", c.Generation)
	case c.RingAge < 0:
		return fmt.Errorf("feed: ring age %s", c.RingAge)
	case c.DailyBudgetMicros < 0:
		return fmt.Errorf("feed: daily budget %d", c.DailyBudgetMicros)
	}
	return nil
}

// Feed is the node's one tail of atelier.events, for outcomes and streams alike,
// and of atelier.progress for streams. It keeps the newest events of each
// partition in a ring. It is no read model: what cannot be read is logged and
// skipped. It is safe for concurrent use.
type Feed struct {
	config     FeedConfig
	partitions []*feedPartition
	outcomes   *outcomes
	budget     *budget
	metrics    feedMetrics
	ready      atomic.Bool
	// targets are the high watermarks to be reached before the feed is ready: found by
	// the first tail that can, and struck as they are reached.
	mu      sync.Mutex
	targets map[int32]int64
}

// NewFeed makes a feed. Run fills it.
func NewFeed(c FeedConfig) (*Feed, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.RingAge == 0 {
		c.RingAge = ringAge
	}
	f := &Feed{config: c, outcomes: newOutcomes(), budget: newBudget(c.DailyBudgetMicros), targets: map[int32]int64{}}
	for n := range c.Partitions {
		f.partitions = append(f.partitions, newFeedPartition(c, int32(n)))
	}
	if err := f.metrics.register(c.Registerer, f); err != nil {
		return nil, fmt.Errorf("feed: %w", err)
	}
	return f, nil
}

// Ready says whether the rings are filled up to the high watermarks that the
// topic had when Run began. It never goes back: a feed that loses its brokers
// still answers what it knows.
func (f *Feed) Ready() bool { return f.ready.Load() }

// Await returns a channel that gets the command's outcome once, at once where the
// ring has it, and a function that stops waiting (call it in any case). To miss
// nothing, call it before the command is produced. At most waitersMax can wait;
// beyond that the channel is nil and nothing comes: the caller's time runs out and
// it answers 202.
func (f *Feed) Await(commandID string) (<-chan Outcome, func()) {
	outcome, leave := f.outcomes.await(commandID)
	if outcome == nil {
		f.metrics.refused.Inc()
	}
	return outcome, leave
}

// Find returns the command's outcome where the ring still has all of its events.
func (f *Feed) Find(commandID string) (Outcome, bool) { return f.outcomes.find(commandID) }

// errPartitions is a topic with another number of partitions than configured:
// keys would be looked for in the wrong ones.
var errPartitions = errors.New("partition count is not as configured")

// Run tails the log until ctx ends, then returns nil. What fails is tried again
// from where it stood; only a wrong partition count ends it with an error.
func (f *Feed) Run(ctx context.Context) error {
	admin, err := kafka.NewAdmin(f.config.Kafka)
	if err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	defer admin.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var progress sync.WaitGroup
	progress.Go(func() {
		defer cancel()
		_ = f.keep(ctx, schemas.TopicProgress, func(ctx context.Context) error { return f.tailProgress(ctx, admin) })
	})
	err = f.keep(ctx, schemas.TopicEvents, func(ctx context.Context) error { return f.tailEvents(ctx, admin) })
	cancel()
	progress.Wait()
	return err
}

// keep runs tail again and again until ctx ends.
func (f *Feed) keep(ctx context.Context, topic string, tail func(context.Context) error) error {
	for pause := tailBackoffMin; ; pause = min(2*pause, tailBackoffMax) {
		began := time.Now()
		err := tail(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errPartitions):
			return fmt.Errorf("feed: topic %s: %w", topic, err)
		case time.Since(began) > tailBackoffMax:
			pause = tailBackoffMin
		}
		f.metrics.restarts.WithLabelValues(topic).Inc()
		f.config.Log.Warn().Err(err).Str("topic", topic).Dur("pause", pause).Msg("feed interrupted, trying again")
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// tailEvents reads from where the feed stands, at first from ringAge ago.
func (f *Feed) tailEvents(ctx context.Context, admin *kafka.Admin) error {
	from, err := f.startOffsets(ctx, admin)
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(f.config.Kafka, schemas.TopicEvents, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	ctx, fail := context.WithCancelCause(ctx)
	waiting := &waiting{feed: f, reader: reader, fail: fail, records: map[int32][]*kafka.Record{}}
	defer waiting.work.Wait()
	defer fail(nil)
	for {
		f.checkReady()
		records, err := reader.Poll(ctx, recordsPerPollMax)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		for _, r := range records {
			if waiting.add(r) {
				continue
			}
			switch err := f.handle(ctx, r); {
			case errors.Is(err, schemas.ErrRegistryAway):
				waiting.begin(ctx, r)
			case err != nil:
				return err
			}
		}
	}
}

// waiting are the partitions that wait for a registry which does not answer, each
// with what was polled of it, recordsPerPollMax at most; the others go on.
type waiting struct {
	feed   *Feed
	reader *kafka.Reader
	fail   context.CancelCauseFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	records map[int32][]*kafka.Record
}

// add takes a record of a partition that waits.
func (w *waiting) add(r *kafka.Record) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.records[r.Partition] == nil {
		return false
	}
	w.records[r.Partition] = append(w.records[r.Partition], r)
	return true
}

// begin lets a partition wait from a record on.
func (w *waiting) begin(ctx context.Context, first *kafka.Record) {
	w.reader.Pause(first.Partition)
	w.mu.Lock()
	w.records[first.Partition] = []*kafka.Record{first}
	w.mu.Unlock()
	w.feed.config.Log.Error().Str("topic", first.Topic).Int32("partition", first.Partition).Int64("offset", first.Offset).
		Msg("partition waits for a registry that is away: bring it back; the others go on")
	w.work.Go(func() {
		if err := w.wait(ctx, first.Partition); err != nil {
			w.fail(err)
		}
	})
}

// wait tries a partition's records again until all are handled.
func (w *waiting) wait(ctx context.Context, partition int32) error {
	tick := time.NewTicker(registryRetryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for {
			next := w.next(partition)
			if next == nil {
				w.feed.checkReady()
				w.reader.Resume(partition)
				return nil
			}
			err := w.feed.handle(ctx, next)
			if errors.Is(err, schemas.ErrRegistryAway) {
				break
			}
			if err != nil {
				return err
			}
			w.done(partition)
		}
	}
}

// next is the first record that is not handled; nil: the partition waits no more.
func (w *waiting) next(partition int32) *kafka.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.records[partition]) == 0 {
		delete(w.records, partition)
		return nil
	}
	return w.records[partition][0]
}

func (w *waiting) done(partition int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records[partition] = w.records[partition][1:]
}

// startOffsets is where to read on.
func (f *Feed) startOffsets(ctx context.Context, admin *kafka.Admin) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	from := make(map[int32]int64, len(f.partitions))
	for _, p := range f.partitions {
		if next := p.position(); next >= 0 {
			from[p.number] = next
		}
	}
	if len(from) == len(f.partitions) {
		return from, nil
	}
	ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	if len(ends) != len(f.partitions) {
		return nil, fmt.Errorf("%w: %d, not %d", errPartitions, len(ends), len(f.partitions))
	}
	since, err := admin.OffsetsAt(ctx, schemas.TopicEvents, f.since(time.Now()))
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.partitions {
		end := ends[p.number]
		// A record that came between the two questions may lie beyond the end.
		start, ok := since[p.number]
		if !ok || start < 0 || start > end {
			start = end
		}
		p.begin(start)
		from[p.number], f.targets[p.number] = start, end
	}
	return from, nil
}

// since is the time of the first events that are read.
func (f *Feed) since(now time.Time) time.Time {
	since := now.Add(-f.config.RingAge)
	if day := startOfDay(now); f.config.DailyBudgetMicros > 0 && day.Before(since) {
		return day
	}
	return since
}

// Admits refuses new work on a day whose budget is used up.
func (f *Feed) Admits(now time.Time) error { return f.budget.admits(now) }

// checkReady strikes the targets that are reached. Without one left the feed is
// ready.
func (f *Feed) checkReady() {
	if f.ready.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for number, target := range f.targets {
		if f.partitions[number].position() >= target {
			delete(f.targets, number)
		}
	}
	if len(f.targets) == 0 && f.ready.CompareAndSwap(false, true) {
		f.config.Log.Info().Dur("ring_age", f.config.RingAge).Msg("feed is filled")
	}
}

// errBehind is a log that goes on below where it stood: the topic was made anew
// under a running node, and without a new generation nothing is right any more.
var errBehind = errors.New("the log is shorter than it was")

// handle takes one record of atelier.events.
func (f *Feed) handle(ctx context.Context, r *kafka.Record) error {
	p := f.partitions[r.Partition]
	if r.Offset < p.position() {
		return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, errBehind)
	}
	if kafka.IsControl(r) {
		p.advance(r.Offset + 1)
		return nil
	}
	event, err := f.decode(ctx, r)
	if errors.Is(err, schemas.ErrRegistryAway) {
		return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err) // read again later
	}
	if err != nil {
		reason := "unreadable"
		if errors.Is(err, schemas.ErrUnknownSchema) {
			reason = "unknown_schema"
		}
		f.skip(r, reason, err)
		p.advance(r.Offset + 1)
		return nil
	}
	if f.Ready() {
		f.metrics.delay.Observe(time.Since(r.Timestamp).Seconds())
	}
	f.metrics.events.Inc()
	f.budget.add(event)
	if o := p.take(r, event, f.outcomes.forget); o != nil {
		f.outcomes.add(o)
	}
	return nil
}

// errNoEvent is a record that is no event, or not of the account it is keyed by.
var errNoEvent = errors.New("not an event of its key")

func (f *Feed) decode(ctx context.Context, r *kafka.Record) (schemas.Event, error) {
	record, err := f.config.Codec.Decode(ctx, schemas.TopicEvents, r.Value)
	if err != nil {
		return nil, err
	}
	event, ok := record.(schemas.Event)
	if !ok || event.Meta().AccountID != string(r.Key) {
		return nil, errNoEvent
	}
	return event, nil
}

func (f *Feed) skip(r *kafka.Record, reason string, err error) {
	f.metrics.skipped.WithLabelValues(reason).Inc()
	f.config.Log.Error().Err(err).Str("topic", r.Topic).Int32("partition", r.Partition).Int64("offset", r.Offset).
		Str("reason", reason).Msg("feed skipped a record")
}

// tailProgress passes the progress notes on, from now on.
func (f *Feed) tailProgress(ctx context.Context, admin *kafka.Admin) error {
	asking, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	from, err := admin.HighWatermarks(asking, schemas.TopicProgress)
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(f.config.Kafka, schemas.TopicProgress, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for {
		records, err := reader.Poll(ctx, recordsPerPollMax)
		if err != nil {
			return err
		}
		for _, r := range records {
			f.pass(ctx, r)
		}
	}
}

// pass decodes a progress note only where somebody follows its account.
func (f *Feed) pass(ctx context.Context, r *kafka.Record) {
	account := string(r.Key)
	p := f.partition(account)
	if kafka.IsControl(r) || !p.followed(account) {
		return
	}
	record, err := f.config.Codec.Decode(ctx, schemas.TopicProgress, r.Value)
	if err != nil {
		f.skip(r, "progress", err)
		return
	}
	if note, ok := record.(*schemas.GenerationProgress); ok && note.AccountID == account {
		p.passOn(account, Delivery{Progress: note})
	}
}

// partition returns the partition that holds all of an account.
func (f *Feed) partition(account string) *feedPartition {
	return f.partitions[kafka.PartitionOf(account, len(f.partitions))]
}

// feedMetrics are what an operator sees of the feed.
type feedMetrics struct {
	events, refused, cut prometheus.Counter
	skipped, restarts    *prometheus.CounterVec
	delay                prometheus.Histogram
}

func (m *feedMetrics) register(to prometheus.Registerer, f *Feed) error {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "atelier_feed_" + name, Help: help}
	}
	m.events = prometheus.NewCounter(counter("events_total", "Events that the feed has read."))
	m.refused = prometheus.NewCounter(counter("waiters_refused_total", "Waits for an outcome that found no room."))
	m.cut = prometheus.NewCounter(counter("subscriptions_cut_total", "Subscribers that were too slow."))
	m.skipped = prometheus.NewCounterVec(counter("skipped_total", "Records that the feed could not use, by reason."), []string{"reason"})
	m.restarts = prometheus.NewCounterVec(counter("restarts_total", "Interruptions of a tail, by topic."), []string{"topic"})
	m.delay = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "atelier_feed_delay_seconds", Help: "From an event's log time to the feed, once it is filled.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
	})
	gauge := func(name, help string, read func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "atelier_feed_" + name, Help: help}, read)
	}
	if to == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{
		m.events, m.refused, m.cut, m.skipped, m.restarts, m.delay,
		gauge("waiters", "Requests that wait for an outcome.", func() float64 { return float64(f.outcomes.waits()) }),
		gauge("ring_events", "Events in the rings.", func() float64 { return f.sum((*feedPartition).events) }),
		gauge("spend_usd", "What the models cost today (UTC), as far as the feed has read: the whole day only with a budget.", func() float64 {
			return float64(f.budget.spent(time.Now())) / 1e6
		}),
		gauge("ring_bytes", "Encoded bytes in the rings.", func() float64 { return f.sum((*feedPartition).bytes) }),
	} {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	return nil
}

func (f *Feed) sum(of func(*feedPartition) int) float64 {
	total := 0
	for _, p := range f.partitions {
		total += of(p)
	}
	return float64(total)
}
