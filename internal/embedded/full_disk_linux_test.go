package embedded_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill lets nothing more be written to a path of a broker's directory that is not open yet.
func fill(t *testing.T, path string) {
	t.Helper()
	_ = os.Remove(path)
	require.NoError(t, os.Symlink("/dev/full", path))
}

// untilDone ends with the broker's first fault.
func untilDone(t *testing.T, done <-chan struct{}) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-done; cancel() }()
	return ctx
}

// Who commits on a full disk hears nothing, and finds at the next start all of the transaction or
// none of it. Its offsets are as before: what was committed is read again, never passed over.
func TestAFullDiskCommitsNothingInSecret(t *testing.T) {
	for name, c := range map[string]struct {
		full []int32 // partitions that take no marker
		want [][]string
	}{
		"no marker":  {[]int32{0, 1}, [][]string{{"first"}}},
		"one marker": {[]int32{1}, [][]string{{"first"}, {"first", "second"}}}, // by which comes first
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := start(t, dir)
			eachBatch := "1" // has a segment of its own
			require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", map[string]*string{"segment.bytes": &eachBatch}))
			p, err := transactional(b.Addrs())
			require.NoError(t, err)
			moveOffset(t, p, 1)
			require.NoError(t, transact(t.Context(), p, "events", "first", kgo.TryCommit))
			require.NoError(t, p.BeginTransaction())
			require.NoError(t, write(t.Context(), p, "events", "second"))
			moveOffsetIn(t, p, 2)
			var full []string
			for _, partition := range c.full {
				path := filepath.Join(dir, "partitions", fmt.Sprintf("events-%d", partition), "3.dat")
				fill(t, path)
				full = append(full, path)
			}

			require.ErrorIs(t, p.EndTransaction(untilDone(t, b.Done()), kgo.TryCommit), context.Canceled)
			require.ErrorContains(t, b.Err(), "no space left on device")
			p.CloseAllowingRebalance()
			b.Close()

			for _, path := range full {
				require.NoError(t, os.Remove(path))
			}
			b = start(t, dir)
			require.NoError(t, b.Err())
			got := committed(t, b.Addrs(), "events")
			require.Contains(t, c.want, got[0])
			require.Equal(t, got[0], got[1])
			require.EqualValues(t, 1, offset(t, b.Addrs()), "as before the transaction")
		})
	}
}

// moveOffsetIn moves "readers" within the transaction that is open.
func moveOffsetIn(t *testing.T, p *kgo.Client, to int64) {
	t.Helper()
	id, epoch, err := p.ProducerID(t.Context())
	require.NoError(t, err)
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset = to
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "events", []kmsg.TxnOffsetCommitRequestTopicPartition{partition}
	request := kmsg.NewPtrTxnOffsetCommitRequest()
	request.TransactionalID, request.Group, request.ProducerID, request.ProducerEpoch = "decider-0", "readers", id, epoch
	request.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
	answer, err := request.RequestWith(t.Context(), p)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode))
}

// Whatever it is that cannot be written, nobody hears that it was.
func TestWhatCannotBeWrittenIsToldToNobody(t *testing.T) {
	for file, act := range map[string]func(ctx context.Context, c *kgo.Client) error{
		"groups.log": func(ctx context.Context, c *kgo.Client) error { return commitOffset(ctx, c, 1) },
		"pids.log": func(ctx context.Context, c *kgo.Client) error {
			_, err := kmsg.NewPtrInitProducerIDRequest().RequestWith(ctx, c)
			return err
		},
		"topics.json.tmp": func(ctx context.Context, c *kgo.Client) error {
			_, err := kadm.NewClient(c).CreateTopic(ctx, 1, 1, nil, "another")
			return err
		},
		"partitions/events-0/0.dat": func(ctx context.Context, c *kgo.Client) error {
			return c.ProduceSync(ctx, &kgo.Record{Topic: "events", Partition: 0}).FirstErr()
		},
	} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			b := start(t, dir)
			require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
			path := filepath.Join(dir, file)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			fill(t, path)
			c, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite())
			require.NoError(t, err)
			defer c.Close()
			require.ErrorIs(t, act(untilDone(t, b.Done()), c), context.Canceled)
			require.ErrorContains(t, b.Err(), "no space left on device")
		})
	}
}

// An end that could not be written down is none in order.
func TestAnEndOnAFullDiskIsUnclean(t *testing.T) {
	for file, open := range map[string]bool{"meta.json.tmp": false, "session_state.json.tmp": true} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			b := start(t, dir)
			require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
			p, err := transactional(b.Addrs())
			require.NoError(t, err)
			defer p.Close()
			if open {
				require.NoError(t, p.BeginTransaction())
				require.NoError(t, write(t.Context(), p, "events", "open"))
			}
			fill(t, filepath.Join(dir, file))
			b.Close()
			require.ErrorContains(t, b.Err(), "no space left on device")
			require.FileExists(t, filepath.Join(dir, "running.json"))
		})
	}
}
