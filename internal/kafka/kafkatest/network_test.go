package kafkatest_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"atelier/internal/kafka/kafkatest"
)

// A client with a network of its own, and the topic's end as others see it.
func onNetworks(t *testing.T, run func(t *testing.T, n *kafkatest.Network, client *kgo.Client, end func() int64)) {
	kafkatest.Each(t, func(t *testing.T, addrs []string, prefix string) {
		makeTopic(t.Context(), t, addrs, prefix+"events")
		plain, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
		require.NoError(t, err)
		t.Cleanup(plain.Close)
		n := &kafkatest.Network{}
		client, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.Dialer(n.Dial), kgo.DefaultProduceTopic(prefix+"events"),
			kgo.TransactionalID(prefix+"writer"), kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))
		require.NoError(t, err)
		t.Cleanup(client.Close)
		run(t, n, client, func() int64 {
			ends, err := kadm.NewClient(plain).ListEndOffsets(t.Context(), prefix+"events")
			require.NoError(t, err)
			end, ok := ends.Lookup(prefix+"events", 0)
			require.True(t, ok)
			return end.Offset
		})
	})
}

// once is a fault for the first request of a kind, by which the others pass.
func once(key kmsg.Key, fault kafkatest.Fault) func(kafkatest.Exchange) kafkatest.Fault {
	var done atomic.Bool
	return func(e kafkatest.Exchange) kafkatest.Fault {
		if e.Key == key.Int16() && done.CompareAndSwap(false, true) {
			return fault
		}
		return kafkatest.Pass
	}
}

// What each fault is to the client, and to the broker.
func TestFaultsOfTheEndOfATransaction(t *testing.T) {
	for name, c := range map[string]struct {
		fault  kafkatest.Fault
		heard  bool  // the client hears of the commit in the end
		before int64 // records there when the answer was withheld: one and its marker
	}{
		"the request is cut":   {kafkatest.CutRequest, true, -1},
		"the answer is cut":    {kafkatest.CutAnswer, true, 2},
		"the answer is lost":   {kafkatest.LoseAnswer, false, 2},
		"the answer is denied": {kafkatest.DenyAnswer, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			onNetworks(t, func(t *testing.T, n *kafkatest.Network, client *kgo.Client, end func() int64) {
				n.Choose = once(kmsg.EndTxn, c.fault)
				before := int64(-1)
				n.Withheld = func(e kafkatest.Exchange, _ kafkatest.Fault) {
					request, err := e.Request()
					require.NoError(t, err)
					require.True(t, request.(*kmsg.EndTxnRequest).Commit)
					answer, err := e.Answer()
					require.NoError(t, err)
					require.Zero(t, answer.(*kmsg.EndTxnResponse).ErrorCode)
					require.Eventually(t, func() bool { return end() >= c.before }, time.Minute, time.Millisecond)
					before = end()
				}
				require.NoError(t, client.BeginTransaction())
				require.NoError(t, client.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr())
				err := client.EndTransaction(t.Context(), kgo.TryCommit)
				require.Equal(t, c.heard, err == nil, "%v", err)
				require.Equal(t, c.before, before)
				require.Eventually(t, func() bool { return end() == 2 }, time.Minute, time.Millisecond, "committed once")
			})
		})
	}
}

// While the network stands still nothing arrives; then all of it does, also of a
// client that has gone meanwhile.
func TestANetworkThatStandsStill(t *testing.T) {
	onNetworks(t, func(t *testing.T, n *kafkatest.Network, client *kgo.Client, end func() int64) {
		written := make(chan struct{})
		first := once(kmsg.Produce, kafkatest.CutRequest)
		n.Choose = func(e kafkatest.Exchange) kafkatest.Fault {
			if first(e) == kafkatest.CutRequest {
				n.Freeze()
				close(written)
			}
			return kafkatest.Pass
		}
		require.NoError(t, client.BeginTransaction())
		acknowledged := make(chan error, 1)
		client.Produce(t.Context(), kgo.StringRecord("x"), func(_ *kgo.Record, err error) { acknowledged <- err })
		<-written
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, client.Ping(ctx), context.DeadlineExceeded)
		require.Zero(t, end())
		client.Close()
		require.Error(t, <-acknowledged)
		require.Zero(t, end())
		n.Thaw()
		require.Eventually(t, func() bool { return end() == 1 }, time.Minute, time.Millisecond, "it comes late")
	})
}
