package kafkatest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/internal/kafka/kafkatest"
)

func TestEachBrokerTakesATransaction(t *testing.T) {
	var prefixes []string
	var brokers []string
	kafkatest.Each(t, func(t *testing.T, addrs []string, prefix string) {
		prefixes, brokers = append(prefixes, prefix), addrs
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		makeTopic(ctx, t, addrs, prefix+"events")
		p, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID(prefix+"decider"), kgo.DefaultProduceTopic(prefix+"events"))
		require.NoError(t, err)
		defer p.Close()
		for _, value := range []string{"aborted", "committed"} {
			require.NoError(t, p.BeginTransaction())
			require.NoError(t, p.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
			require.NoError(t, p.EndTransaction(ctx, value == "committed"))
		}
		assert.Equal(t, "committed", first(ctx, t, addrs, prefix+"events"))
	})
	if len(prefixes) == 1 {
		return // the embedded broker alone
	}
	assert.NotEqual(t, prefixes[0], prefixes[1])
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	require.NoError(t, err)
	defer c.Close()
	topics, err := kadm.NewClient(c).ListTopics(t.Context())
	require.NoError(t, err)
	assert.False(t, topics.Has(prefixes[1]+"events"), "topics of a finished test are removed")
}

func TestARealKafkaOfOnesOwnComesBackAfterAKill(t *testing.T) {
	if kafkatest.EmbeddedOnly(t) {
		return
	}
	k := kafkatest.Real(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	makeTopic(ctx, t, k.Brokers, "events")
	p, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers...), kgo.DefaultProduceTopic("events"))
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, p.ProduceSync(ctx, kgo.StringRecord("kept")).FirstErr())
	k.Kill()
	k.Restart()
	assert.Equal(t, "kept", first(ctx, t, k.Brokers, "events"))
}

func makeTopic(ctx context.Context, t *testing.T, addrs []string, topic string) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, 1, 1, nil, topic)
	require.NoError(t, err)
}

func first(ctx context.Context, t *testing.T, addrs []string, topic string) string {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	require.NoError(t, err)
	defer c.Close()
	for {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err0())
		for _, r := range fetches.Records() {
			return string(r.Value)
		}
	}
}
