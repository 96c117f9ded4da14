package embedded

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// repairPollRecords bounds one poll of the scan (count).
	repairPollRecords = 10_000
	// markersPerRequest bounds one WriteTxnMarkers request (count).
	markersPerRequest = 500
	// keeperProducer and keeperEpoch sign the markers that keep an expired
	// partition from becoming empty. kfake makes producer ids at random from 63
	// bits, so this one is as good as nobody's.
	keeperProducer = int64(1)
	keeperEpoch    = int16(0)
)

// repairClient is the broker's own client. It uses kgo directly because a
// repair needs what no role may use: uncommitted reads and markers by hand.
type repairClient struct {
	kgo   *kgo.Client
	admin *kadm.Client
	gate  *gate
}

func newRepairClient(g *gate) (*repairClient, error) {
	client, err := kgo.NewClient(clientOptions(g)...)
	if err != nil {
		return nil, fmt.Errorf("broker client: %w", err)
	}
	return &repairClient{kgo: client, admin: kadm.NewClient(client), gate: g}, nil
}

func clientOptions(g *gate) []kgo.Opt {
	return []kgo.Opt{
		kgo.SeedBrokers(g.Addr().String()),
		kgo.Dialer(g.dial),
		kgo.ClientID("atelier-embedded-broker"),
	}
}

func (c *repairClient) close() { c.kgo.Close() }

// place is one partition.
type place struct {
	topic     string
	partition int32
}

// transaction is one transaction of one producer: with KIP-890 the epoch rises
// with every transaction. A client that speaks the older protocol keeps its
// epoch; if its EndTxn was cut, an earlier commit of the same epoch within the
// scanned stretch is taken for this one's.
type transaction struct {
	producer int64
	epoch    int16
}

// repaired says what a repair did.
type repaired struct {
	scanned, committed, aborted int // records; transactions
}

// repair reads what lies above the last known stable offsets, and ends every
// transaction that has data and no marker after it on some partition: as
// committed if it has a commit marker on any partition (the kill came in the
// middle of EndTxn, after the decision), else as aborted.
func (c *repairClient) repair(ctx context.Context, last running) (repaired, error) {
	from, until, err := c.stretch(ctx, last)
	if err != nil {
		return repaired{}, err
	}
	s := scan{open: map[place]map[int64]transaction{}, committed: map[transaction]bool{}}
	if err := c.read(ctx, from, until, &s); err != nil {
		return repaired{}, fmt.Errorf("scan: %w", err)
	}
	markers := s.markers()
	if err := c.write(ctx, markers); err != nil {
		return repaired{}, err
	}
	r := repaired{scanned: s.records}
	for _, m := range markers {
		if m.Commit {
			r.committed++
		} else {
			r.aborted++
		}
	}
	return r, nil
}

// stretch is where to read from and up to where, for partitions with
// something to read.
func (c *repairClient) stretch(ctx context.Context, last running) (from map[string]map[int32]kgo.Offset, until map[place]int64, err error) {
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("list topics: %w", err)
	}
	starts, err := c.admin.ListStartOffsets(ctx)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := c.admin.ListEndOffsets(ctx)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list end offsets: %w", err)
	}
	from, until = map[string]map[int32]kgo.Offset{}, map[place]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		begin := max(start.Offset, last.Stable[topics[end.Topic].ID.String()][end.Partition])
		if begin >= end.Offset {
			return
		}
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(begin)
		until[place{end.Topic, end.Partition}] = end.Offset
	})
	return from, until, nil
}

// read feeds s with every record up to until, markers and uncommitted ones
// included.
func (c *repairClient) read(ctx context.Context, from map[string]map[int32]kgo.Offset, until map[place]int64, s *scan) error {
	if len(until) == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(clientOptions(c.gate),
		kgo.ConsumePartitions(from),
		kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()))...)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(until) > 0 {
		fetches := reader.PollRecords(ctx, repairPollRecords)
		if err := fetches.Err0(); err != nil {
			return err
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("%s[%d]: %w", e.Topic, e.Partition, e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			s.see(at, r)
			if end, ok := until[at]; ok && r.Offset+1 >= end {
				delete(until, at)
			}
		})
	}
	return nil
}

// scan is what was seen of transactions.
type scan struct {
	records   int
	open      map[place]map[int64]transaction // by producer: data without a marker after it
	committed map[transaction]bool            // a commit marker was seen somewhere
}

func (s *scan) see(at place, r *kgo.Record) {
	s.records++
	switch t := (transaction{r.ProducerID, r.ProducerEpoch}); {
	case r.Attrs.IsControl():
		s.end(at, t, isCommit(r))
	case r.Attrs.IsTransactional():
		if s.open[at] == nil {
			s.open[at] = map[int64]transaction{}
		}
		s.open[at][t.producer] = t
	}
}

func (s *scan) end(at place, t transaction, commit bool) {
	delete(s.open[at], t.producer)
	if len(s.open[at]) == 0 {
		delete(s.open, at)
	}
	if commit {
		s.committed[t] = true
	}
}

// isCommit reads a control record's key. What cannot be read is no commit.
func isCommit(r *kgo.Record) bool {
	var key kmsg.ControlRecordKey
	return key.ReadFrom(r.Key) == nil && key.Type == kmsg.ControlRecordKeyTypeCommit
}

// markers lists the ends that are missing, one entry a transaction.
func (s *scan) markers() []kadm.TxnMarkers {
	missing := map[transaction]*kadm.TopicsSet{}
	for at, byProducer := range s.open {
		for _, t := range byProducer {
			if missing[t] == nil {
				missing[t] = &kadm.TopicsSet{}
			}
			missing[t].Add(at.topic, at.partition)
		}
	}
	var all []kadm.TxnMarkers
	for t, topics := range missing {
		all = append(all, kadm.TxnMarkers{ProducerID: t.producer, ProducerEpoch: t.epoch, Commit: s.committed[t], Topics: *topics})
	}
	return all
}

func (c *repairClient) write(ctx context.Context, markers []kadm.TxnMarkers) error {
	for chunk := range slices.Chunk(markers, markersPerRequest) {
		answers, err := c.admin.WriteTxnMarkers(ctx, chunk...)
		if err != nil {
			return fmt.Errorf("write transaction markers: %w", err)
		}
		answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
			if p.Err != nil {
				err = errors.Join(err, fmt.Errorf("write transaction marker to %s[%d]: %w", p.Topic, p.Partition, p.Err))
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepOffsets writes one marker into every partition whose records are all past
// their retention. kfake keeps a partition's offsets only with its records: one
// that retention empties begins again at 0 after a restart, and the decider
// would take new commands for old ones.
func (c *repairClient) keepOffsets(ctx context.Context) error {
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	if len(topics) == 0 {
		return nil
	}
	configs, err := c.admin.DescribeTopicConfigs(ctx, topics.Names()...)
	if err != nil {
		return fmt.Errorf("describe topics: %w", err)
	}
	var keep kadm.TopicsSet
	for _, config := range configs {
		if config.Err != nil {
			return fmt.Errorf("describe topic %s: %w", config.Name, config.Err)
		}
		retention, ok := retentionOf(config)
		if !ok {
			continue
		}
		if err := c.addExpired(ctx, config.Name, retention, &keep); err != nil {
			return err
		}
	}
	if len(keep) == 0 {
		return nil
	}
	return c.write(ctx, []kadm.TxnMarkers{{ProducerID: keeperProducer, ProducerEpoch: keeperEpoch, Topics: keep}})
}

// retentionOf reads a topic's retention.ms; false when it keeps all.
func retentionOf(config kadm.ResourceConfig) (time.Duration, bool) {
	for _, entry := range config.Configs {
		if entry.Key != "retention.ms" {
			continue
		}
		ms, err := strconv.ParseInt(strings.TrimSpace(entry.MaybeValue()), 10, 64)
		return time.Duration(ms) * time.Millisecond, err == nil && ms >= 0
	}
	return 0, false
}

// addExpired adds topic's partitions that have records, all of them older than
// retention allows.
func (c *repairClient) addExpired(ctx context.Context, topic string, retention time.Duration, keep *kadm.TopicsSet) error {
	starts, err := c.admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("list start offsets of %s: %w", topic, err)
	}
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("list end offsets of %s: %w", topic, err)
	}
	// A minute more than the rest: what expires between this question and the
	// compaction counts as expired.
	young, err := c.admin.ListOffsetsAfterMilli(ctx, time.Now().Add(time.Minute-retention).UnixMilli(), topic)
	if err == nil {
		err = young.Error()
	}
	if err != nil {
		return fmt.Errorf("list young offsets of %s: %w", topic, err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		first, _ := young.Lookup(topic, end.Partition)
		if start.Offset < end.Offset && first.Offset >= end.Offset {
			keep.Add(topic, end.Partition)
		}
	})
	return nil
}

// stableOffsets lists every partition's last stable offset by topic id.
func (c *repairClient) stableOffsets(ctx context.Context) (map[string]map[int32]int64, error) {
	topics, err := c.admin.ListTopics(ctx)
	if err != nil {
		return nil, err
	}
	stable := map[string]map[int32]int64{}
	if len(topics) == 0 {
		return stable, nil
	}
	offsets, err := c.admin.ListCommittedOffsets(ctx, topics.Names()...)
	if err != nil {
		return nil, err
	}
	offsets.Each(func(o kadm.ListedOffset) {
		id := topics[o.Topic].ID.String()
		if stable[id] == nil {
			stable[id] = map[int32]int64{}
		}
		if o.Err == nil {
			stable[id][o.Partition] = o.Offset
		}
	})
	return stable, nil
}

// openTransactions counts transactions that nobody has ended.
func (c *repairClient) openTransactions(ctx context.Context) (int, error) {
	open, err := c.admin.ListTransactions(ctx, nil, []string{"Ongoing"})
	if err != nil {
		return 0, fmt.Errorf("list open transactions: %w", err)
	}
	return len(open), nil
}
