package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader reads whole partitions of a topic by itself, without a group.
type Reader struct {
	client        *kgo.Client
	prefix, topic string
}

// NewReader reads the partitions from the given offsets on. An offset that the
// topic no longer has is read from the earliest that it has.
func NewReader(c Config, topic string, from map[int32]int64) (*Reader, error) {
	offsets := make(map[int32]kgo.Offset, len(from))
	for partition, offset := range from {
		offsets[partition] = kgo.NewOffset().At(offset)
	}
	client, err := c.client(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{c.topic(topic): offsets}),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.KeepControlRecords(),
	)
	if err != nil {
		return nil, err
	}
	return &Reader{client: client, prefix: c.Prefix, topic: c.topic(topic)}, nil
}

// Pause lets Poll return nothing of a partition until Resume; what it has returned
// already is the caller's. Both are safe for concurrent use.
func (r *Reader) Pause(partition int32) {
	r.client.PauseFetchPartitions(map[string][]int32{r.topic: {partition}})
}

// Resume goes on with a partition that was paused.
func (r *Reader) Resume(partition int32) {
	r.client.ResumeFetchPartitions(map[string][]int32{r.topic: {partition}})
}

// Poll returns what is there, at most max records in the order of each
// partition, transaction markers among them (see IsControl). It waits while
// there is nothing. Not for concurrent use.
func (r *Reader) Poll(ctx context.Context, max int) ([]*Record, error) {
	return poll(ctx, r.client, r.prefix, max)
}

// Close stops reading.
func (r *Reader) Close() { r.client.Close() }
