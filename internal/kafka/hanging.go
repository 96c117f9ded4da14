package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	offsetsTopic = "__consumer_offsets"
	// forgottenAfter is how old a transaction of our topics must be that no coordinator
	// knows: that of brokers' transaction.max.timeout.ms, as long as one may live.
	forgottenAfter = 15 * time.Minute
	// markerScanBack is how far before a transaction's last record its markers are looked
	// for on other partitions: more than a transaction lives.
	markerScanBack = time.Minute
)

// Hanging is a transaction that is over for its coordinator and open on a partition.
type Hanging struct {
	Topic     string
	Partition int32
	Producer  int64
	Epoch     int16
	Start     int64 // offset of its first record
	// Committed says how it was ended: true where another of its partitions has the marker
	// of a commit.
	Committed bool
}

// EndHanging ends hanging transactions on the topics, and those on the groups' offsets of
// transactional IDs that begin with ids. It returns what it ended.
//
// Such a transaction ends its partitions to every read_committed reader, for good: the
// coordinator holds it for ended, and nobody else writes markers (KIP-664). Kafka 4.3.1 may leave
// one when a killed broker comes back and times a transaction out before it listens itself:
// the markers do not reach it, and the transaction counts as aborted all the same.
//
// It is told from one that is on its way by asking the partitions, then the coordinator, then the
// partitions again: markers are written before the coordinator forgets, so that what was open
// before and is open after has none coming. It is committed where another partition has a commit
// marker of the same transaction, which with KIP-890 has an epoch of its own (Kafka 4.0); else it
// is aborted, and nobody has read any of it. To write markers twice does no harm.
//
// It needs the right to describe topics and transactional IDs, and to act for the cluster
// (ALTER or CLUSTER_ACTION) where there is something to end.
func (a *Admin) EndHanging(ctx context.Context, ids string, topics ...string) ([]Hanging, error) {
	before, err := a.producers(ctx, topics)
	if err != nil || len(before.open()) == 0 {
		return nil, err
	}
	known, err := a.transactionsOf(ctx, before.open())
	if err != nil {
		return nil, err
	}
	after, err := a.producers(ctx, topics)
	if err != nil {
		return nil, err
	}
	var ended []Hanging
	for _, p := range after.open() {
		was, ok := before.of(p)
		if !ok || was.CurrentTxnStartOffset != p.CurrentTxnStartOffset || was.ProducerEpoch != p.ProducerEpoch || !a.over(p, known[p.ProducerID], ids) {
			continue
		}
		committed, err := a.committed(ctx, p, after)
		if err == nil {
			err = a.mark(ctx, p, committed)
		}
		if err != nil {
			return ended, fmt.Errorf("a transaction hangs on %s[%d] from offset %d on and could not be ended "+
				"(kafka-transactions.sh abort --topic %[1]s --partition %d --start-offset %d does): %w", p.Topic, p.Partition, p.CurrentTxnStartOffset, err)
		}
		ended = append(ended, Hanging{
			Topic: strings.TrimPrefix(p.Topic, a.config.Prefix), Partition: p.Partition,
			Producer: p.ProducerID, Epoch: p.ProducerEpoch, Start: p.CurrentTxnStartOffset, Committed: committed,
		})
	}
	return ended, nil
}

// producers are the producers of some partitions, as the partitions know them.
type producers struct{ described kadm.DescribedProducersTopics }

func (a *Admin) producers(ctx context.Context, topics []string) (producers, error) {
	asked := kadm.TopicsSet{offsetsTopic: nil}
	for _, topic := range topics {
		asked[a.config.topic(topic)] = nil
	}
	described, err := a.client.DescribeProducers(ctx, asked)
	if err != nil {
		return producers{}, fmt.Errorf("describe producers: %w", err)
	}
	for _, p := range described.SortedPartitions() {
		if p.Err != nil {
			return producers{}, fmt.Errorf("describe producers of %s[%d]: %w", p.Topic, p.Partition, p.Err)
		}
	}
	return producers{described}, nil
}

// open are those with an open transaction, in order of their partitions.
func (p producers) open() []kadm.DescribedProducer {
	return slices.DeleteFunc(p.described.SortedProducers(), func(p kadm.DescribedProducer) bool { return p.CurrentTxnStartOffset < 0 })
}

// of is what the same partition says of the same producer.
func (p producers) of(o kadm.DescribedProducer) (kadm.DescribedProducer, bool) {
	found, ok := p.described[o.Topic].Partitions[o.Partition].ActiveProducers[o.ProducerID]
	return found, ok
}

// transactionsOf asks the coordinators for the transactions of producers, by producer.
func (a *Admin) transactionsOf(ctx context.Context, of []kadm.DescribedProducer) (map[int64]kadm.DescribedTransaction, error) {
	var ids []int64
	for _, p := range of {
		ids = append(ids, p.ProducerID)
	}
	slices.Sort(ids)
	listed, err := a.client.ListTransactions(ctx, slices.Compact(ids), nil)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	known := map[int64]kadm.DescribedTransaction{}
	if len(listed) == 0 {
		return known, nil
	}
	described, err := a.client.DescribeTransactions(ctx, listed.TransactionalIDs()...)
	if err != nil {
		return nil, fmt.Errorf("describe transactions: %w", err)
	}
	for _, d := range described {
		if d.Err != nil {
			return nil, fmt.Errorf("describe transaction of %s: %w", d.TxnID, d.Err)
		}
		known[d.ProducerID] = d
	}
	return known, nil
}

// over says whether the transaction that a partition has open is ours and no coordinator's
// business any more.
func (a *Admin) over(p kadm.DescribedProducer, coordinated kadm.DescribedTransaction, ids string) bool {
	switch {
	case coordinated.TxnID == "":
		return p.Topic != offsetsTopic && time.Since(time.UnixMilli(p.LastTimestamp)) > forgottenAfter
	case p.Topic == offsetsTopic && !strings.HasPrefix(coordinated.TxnID, a.config.Prefix+ids):
		return false
	case coordinated.State == "Empty" || coordinated.State == "CompleteCommit" || coordinated.State == "CompleteAbort":
		return coordinated.ProducerEpoch > p.ProducerEpoch
	default: // its end has the next epoch
		return coordinated.ProducerEpoch > p.ProducerEpoch+1
	}
}

// committed looks for a commit marker of a transaction on the partitions that its producer has
// written since.
func (a *Admin) committed(ctx context.Context, t kadm.DescribedProducer, all producers) (bool, error) {
	var places kadm.TopicsSet
	all.described.EachProducer(func(p kadm.DescribedProducer) {
		if p.ProducerID == t.ProducerID && p.ProducerEpoch > t.ProducerEpoch {
			places.Add(p.Topic, p.Partition)
		}
	})
	if len(places) == 0 {
		return false, nil
	}
	back := time.UnixMilli(t.LastTimestamp).Add(-markerScanBack)
	starts, err := a.client.ListOffsetsAfterMilli(ctx, back.UnixMilli(), places.Topics()...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return false, fmt.Errorf("list offsets: %w", err)
	}
	ends, err := a.client.ListEndOffsets(ctx, places.Topics()...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return false, fmt.Errorf("list offsets: %w", err)
	}
	from, left := map[string]map[int32]kgo.Offset{}, kadm.TopicsSet{}
	places.Each(func(topic string, partition int32) {
		start, _ := starts.Lookup(topic, partition)
		if end, _ := ends.Lookup(topic, partition); start.Offset < end.Offset {
			if from[topic] == nil {
				from[topic] = map[int32]kgo.Offset{}
			}
			from[topic][partition] = kgo.NewOffset().At(start.Offset)
			left.Add(topic, partition)
		}
	})
	if len(left) == 0 {
		return false, nil
	}
	reader, err := a.config.client(kgo.ConsumePartitions(from), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	if err != nil {
		return false, err
	}
	defer reader.Close()
	for len(left) > 0 {
		records, err := poll(ctx, reader, "", readPollMax)
		if err != nil {
			return false, err
		}
		for _, r := range records {
			if r.ProducerID == t.ProducerID && r.ProducerEpoch == t.ProducerEpoch+1 && isCommit(r) {
				return true, nil
			}
			if end, _ := ends.Lookup(r.Topic, r.Partition); r.Offset+1 >= end.Offset {
				left.Delete(r.Topic, r.Partition)
			}
		}
	}
	return false, nil
}

// mark writes the marker that the coordinator owes, with the epoch that it would have.
func (a *Admin) mark(ctx context.Context, p kadm.DescribedProducer, commit bool) error {
	var at kadm.TopicsSet
	at.Add(p.Topic, p.Partition)
	answers, err := a.client.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: p.ProducerID, ProducerEpoch: p.ProducerEpoch + 1, Commit: commit, CoordinatorEpoch: max(p.CoordinatorEpoch, 0), Topics: at,
	})
	if err != nil {
		return fmt.Errorf("write transaction marker: %w", err)
	}
	answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
		if p.Err != nil {
			err = errors.Join(err, fmt.Errorf("write transaction marker: %w", p.Err))
		}
	})
	return err
}

func isCommit(r *Record) bool {
	var key kmsg.ControlRecordKey
	return IsControl(r) && key.ReadFrom(r.Key) == nil && key.Type == kmsg.ControlRecordKeyTypeCommit
}
