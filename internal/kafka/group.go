package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// GroupConfig is how a part reads a topic together with others of its kind.
type GroupConfig struct {
	Group string
	Topic string
	// Start says where newly assigned partitions are read from; committed are
	// the group's offsets, -1 where there is none. It runs before any record of
	// theirs is returned, and should take less than the rebalance timeout (30 s).
	// A partition that it leaves out is read from the committed offset.
	Start func(ctx context.Context, committed map[int32]int64) (map[int32]int64, error)
	// Lost hears of partitions that are somebody else's now, before the next
	// owner starts. Poll may return records of theirs that came before.
	Lost func(partitions []int32)
}

// Group reads a topic's partitions, shared with the group's other members.
type Group struct {
	client *kgo.Client
	prefix string
	topic  string
}

// JoinGroup joins; partitions come later, through Start.
func JoinGroup(c Config, g GroupConfig) (*Group, error) {
	topic := c.topic(g.Topic)
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if p := partitions[topic]; g.Lost != nil && len(p) > 0 {
			g.Lost(p)
		}
	}
	client, err := c.client(append(c.group(g.Group, topic),
		kgo.KeepControlRecords(),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
		kgo.AdjustFetchOffsetsFn(g.adjust(topic)),
	)...)
	if err != nil {
		return nil, err
	}
	return &Group{client: client, prefix: c.Prefix, topic: topic}, nil
}

// group are the options of everyone who shares partitions.
func (c Config) group(name, topic string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(c.Prefix + name),
		kgo.ConsumeTopics(topic),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
}

func (g GroupConfig) adjust(topic string) func(context.Context, map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	return func(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
		assigned := offsets[topic]
		if g.Start == nil || len(assigned) == 0 {
			return offsets, nil
		}
		committed := make(map[int32]int64, len(assigned))
		for partition, offset := range assigned {
			committed[partition] = max(offset.EpochOffset().Offset, -1)
		}
		start, err := g.Start(ctx, committed)
		if err != nil {
			return nil, fmt.Errorf("start %s: %w", g.Group, err)
		}
		for partition, offset := range start {
			assigned[partition] = kgo.NewOffset().At(offset)
		}
		return offsets, nil
	}
}

// Poll returns what is there, at most max records in the order of each
// partition, transaction markers among them (see IsControl). It waits while
// there is nothing. Not for concurrent use.
func (g *Group) Poll(ctx context.Context, max int) ([]*Record, error) {
	return poll(ctx, g.client, g.prefix, max)
}

// Commit stores the group's offsets: of each partition the next to be read.
func (g *Group) Commit(ctx context.Context, next map[int32]int64) error {
	offsets := make(map[int32]kgo.EpochOffset, len(next))
	for partition, offset := range next {
		offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	committed := make(chan error, 1)
	g.client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{g.topic: offsets}, commitDone(committed))
	if err := <-committed; err != nil {
		return fmt.Errorf("commit offsets of %s: %w", g.topic, err)
	}
	return nil
}

// Seek makes the next Poll go on at the given offsets.
func (g *Group) Seek(next map[int32]int64) {
	offsets := make(map[int32]kgo.EpochOffset, len(next))
	for partition, offset := range next {
		offsets[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	g.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{g.topic: offsets})
}

// Pause stops fetching partitions until Resume; heartbeats go on.
func (g *Group) Pause(partitions ...int32) {
	g.client.PauseFetchPartitions(map[string][]int32{g.topic: partitions})
}

// Resume goes on after Pause.
func (g *Group) Resume(partitions ...int32) {
	g.client.ResumeFetchPartitions(map[string][]int32{g.topic: partitions})
}

// Close leaves the group, so that others take over at once.
func (g *Group) Close() { leave(g.client) }

// leave ends a member. A broker that does not answer is not waited for.
func leave(client *kgo.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	_ = client.LeaveGroupContext(ctx) // who is not heard is missed after sessionTimeout
	client.Close()
}
