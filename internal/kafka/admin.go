package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"atelier/schemas"
)

// commitDone turns kgo's callback into one error.
func commitDone(done chan<- error) func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	return func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err == nil && resp != nil {
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					err = errors.Join(err, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		}
		done <- err
	}
}

// Admin asks about topics and makes them. It is safe for concurrent use.
type Admin struct {
	client *kadm.Client
	config Config
}

// NewAdmin makes an admin client. It does not connect yet.
func NewAdmin(c Config) (*Admin, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	return &Admin{client: kadm.NewClient(client), config: c}, nil
}

// Close closes the connections.
func (a *Admin) Close() { a.client.Close() }

// Ping asks any broker whether it is there.
func (a *Admin) Ping(ctx context.Context) error {
	if _, err := a.client.BrokerMetadata(ctx); err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	return nil
}

// Partitions returns how many partitions a topic has.
func (a *Admin) Partitions(ctx context.Context, topic string) (int, error) {
	topics, err := a.client.ListTopics(ctx, a.config.Prefix+topic)
	if err != nil {
		return 0, fmt.Errorf("list topic %s: %w", topic, err)
	}
	detail := topics[a.config.Prefix+topic]
	if detail.Err != nil {
		return 0, fmt.Errorf("list topic %s: %w", topic, detail.Err)
	}
	return len(detail.Partitions), nil
}

// StartOffsets returns the earliest offset of each partition.
func (a *Admin) StartOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := a.client.ListStartOffsets(ctx, a.config.Prefix+topic)
	return a.offsets(topic, listed, err)
}

// HighWatermarks returns the offset after the last record of each partition,
// written in a transaction that is still open or not (read_uncommitted).
func (a *Admin) HighWatermarks(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := a.client.ListEndOffsets(ctx, a.config.Prefix+topic)
	return a.offsets(topic, listed, err)
}

// StableOffsets returns the last stable offset of each partition: how far
// read_committed can read now.
func (a *Admin) StableOffsets(ctx context.Context, topic string) (map[int32]int64, error) {
	listed, err := a.client.ListCommittedOffsets(ctx, a.config.Prefix+topic)
	return a.offsets(topic, listed, err)
}

// OffsetsAt returns the offset of the first record of each partition at or
// after a time, the end where there is none.
func (a *Admin) OffsetsAt(ctx context.Context, topic string, at time.Time) (map[int32]int64, error) {
	listed, err := a.client.ListOffsetsAfterMilli(ctx, at.UnixMilli(), a.config.Prefix+topic)
	return a.offsets(topic, listed, err)
}

func (a *Admin) offsets(topic string, listed kadm.ListedOffsets, err error) (map[int32]int64, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	offsets := make(map[int32]int64, len(listed[a.config.Prefix+topic]))
	for partition, o := range listed[a.config.Prefix+topic] {
		offsets[partition] = o.Offset
	}
	return offsets, nil
}

// CommittedOffsets returns a group's offsets; partitions without one are left out.
func (a *Admin) CommittedOffsets(ctx context.Context, group, topic string) (map[int32]int64, error) {
	fetched, err := a.client.FetchOffsetsForTopics(ctx, a.config.Prefix+group, a.config.Prefix+topic)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("fetch offsets of %s: %w", group, err)
	}
	offsets := map[int32]int64{}
	for partition, o := range fetched[a.config.Prefix+topic] {
		if o.At >= 0 {
			offsets[partition] = o.At
		}
	}
	return offsets, nil
}

// ResetOffsets sets a group's offsets. The group must have no members.
func (a *Admin) ResetOffsets(ctx context.Context, group, topic string, next map[int32]int64) error {
	var offsets kadm.Offsets
	for partition, offset := range next {
		offsets.AddOffset(a.config.Prefix+topic, partition, offset, -1)
	}
	if err := a.client.CommitAllOffsets(ctx, a.config.Prefix+group, offsets); err != nil {
		return fmt.Errorf("reset offsets of %s: %w", group, err)
	}
	return nil
}

// Change is what a topic is and what it should be.
type Change struct {
	Topic string `json:"topic"`
	// Action is made, altered, as it should be, or differs.
	Action string `json:"action"`
	Detail string `json:"detail,omitempty"`
}

// The actions of a Change.
const (
	Made     = "made"
	Altered  = "altered"
	Kept     = "as it should be"
	Deviates = "differs"
)

// ApplyTopics makes the topics of schemas.Topics so, with min.insync.replicas 2
// where there are three replicas. It is idempotent. The number of partitions is
// fixed for life: another one is an error, because keys would move. It returns
// when the brokers show what was made, applyWait at most: who comes next asks.
func (a *Admin) ApplyTopics(ctx context.Context, partitions, replication int) ([]Change, error) {
	changes, err := a.eachTopic(ctx, partitions, replication, true)
	if err != nil {
		return changes, err
	}
	ctx, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	tick := time.NewTicker(applyPoll)
	defer tick.Stop()
	for {
		missing, err := a.missing(ctx)
		if err == nil && missing == "" {
			return changes, nil
		}
		select {
		case <-ctx.Done():
			return changes, fmt.Errorf("topic %s was made and is not shown after %s: %w", missing, applyWait, errors.Join(err, ctx.Err()))
		case <-tick.C:
		}
	}
}

const (
	// applyWait bounds how long a topic may take to be shown by the brokers after
	// it was made: their metadata follows the controller's.
	applyWait = 20 * time.Second
	applyPoll = 50 * time.Millisecond
)

// missing names a topic that the brokers do not show yet, or without a leader in
// each partition; empty where there is none.
func (a *Admin) missing(ctx context.Context) (string, error) {
	existing, err := a.client.ListTopics(ctx)
	if err != nil {
		return "", err
	}
	for _, t := range schemas.Topics {
		detail, ok := existing[a.config.Prefix+t.Name]
		if !ok || detail.Err != nil || len(detail.Partitions) == 0 {
			return t.Name, nil
		}
		for _, p := range detail.Partitions {
			if p.Err != nil || p.Leader < 0 {
				return t.Name, nil
			}
		}
	}
	return "", nil
}

// CheckTopics says how the topics differ from schemas.Topics, and changes nothing.
func (a *Admin) CheckTopics(ctx context.Context, partitions, replication int) ([]Change, error) {
	return a.eachTopic(ctx, partitions, replication, false)
}

func (a *Admin) eachTopic(ctx context.Context, partitions, replication int, apply bool) ([]Change, error) {
	existing, err := a.client.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var changes []Change
	for _, t := range schemas.Topics {
		detail, ok := existing[a.config.Prefix+t.Name]
		var change Change
		switch {
		case ok && len(detail.Partitions) != partitions && partitions > 0:
			return changes, fmt.Errorf("topic %s has %d partitions, not %d: the count is fixed for life", t.Name, len(detail.Partitions), partitions)
		case ok:
			change, err = a.alterTopic(ctx, t, detail, replication, apply)
		case apply:
			change, err = a.makeTopic(ctx, t, partitions, replication)
		default:
			change = Change{Topic: t.Name, Action: Deviates, Detail: "does not exist"}
		}
		if err != nil {
			return changes, err
		}
		changes = append(changes, change)
	}
	return changes, nil
}

func wanted(t schemas.Topic, replication int) map[string]string {
	config := t.Config()
	if replication >= 3 {
		config["min.insync.replicas"] = "2"
	}
	return config
}

func (a *Admin) makeTopic(ctx context.Context, t schemas.Topic, partitions, replication int) (Change, error) {
	config := map[string]*string{}
	for k, v := range wanted(t, replication) {
		config[k] = &v
	}
	_, err := a.client.CreateTopic(ctx, int32(partitions), int16(replication), config, a.config.Prefix+t.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return Change{}, fmt.Errorf("make topic %s: %w", t.Name, err)
	}
	return Change{Topic: t.Name, Action: Made, Detail: strconv.Itoa(partitions) + " partitions"}, nil
}

func (a *Admin) alterTopic(ctx context.Context, t schemas.Topic, detail kadm.TopicDetail, replication int, apply bool) (Change, error) {
	change := Change{Topic: t.Name, Action: Kept}
	var differs []string
	if got := detail.Partitions.NumReplicas(); got < replication {
		differs = append(differs, fmt.Sprintf("replication factor %d, want %d", got, replication))
	}
	described, err := a.client.DescribeTopicConfigs(ctx, a.config.Prefix+t.Name)
	if err != nil {
		return change, fmt.Errorf("describe topic %s: %w", t.Name, err)
	}
	resource, err := described.On(a.config.Prefix+t.Name, nil)
	if err != nil {
		return change, fmt.Errorf("describe topic %s: %w", t.Name, err)
	}
	var alter []kadm.AlterConfig
	want := wanted(t, replication)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		got := ""
		for _, c := range resource.Configs {
			if c.Key == key {
				got = c.MaybeValue()
			}
		}
		if value := want[key]; got != value {
			alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value})
			differs = append(differs, fmt.Sprintf("%s %q, want %q", key, got, value))
		}
	}
	if len(differs) == 0 {
		return change, nil
	}
	change.Action, change.Detail = Deviates, strings.Join(differs, "; ")
	if !apply || len(alter) == 0 {
		return change, nil
	}
	altered, err := a.client.AlterTopicConfigs(ctx, alter, a.config.Prefix+t.Name)
	if err != nil {
		return change, fmt.Errorf("alter topic %s: %w", t.Name, err)
	}
	if _, err := altered.On(a.config.Prefix+t.Name, func(r *kadm.AlterConfigsResponse) error { return r.Err }); err != nil {
		return change, fmt.Errorf("alter topic %s: %w", t.Name, err)
	}
	change.Action = Altered
	return change, nil
}
