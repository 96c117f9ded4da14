package embedded_test

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"atelier/internal/embedded"
)

// patience bounds each wait.
const patience = time.Minute

// A member that dies while it waits in JoinGroup: the one that lives gets all
// partitions in the end.
func TestAMemberThatDiesWhileItJoinsKeepsNothing(t *testing.T) {
	broker, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	require.NoError(t, makeTopic(t.Context(), broker.Addrs(), "topic", nil))
	living, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumerGroup("group"), kgo.ConsumeTopics("topic"),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(2*time.Second), kgo.SessionTimeout(6*time.Second))
	require.NoError(t, err)
	t.Cleanup(living.Close)
	admin := kadm.NewClient(living)
	members := func() (state string, ids []string, partitions int) {
		groups, err := admin.DescribeGroups(t.Context(), "group")
		require.NoError(t, err)
		for _, m := range groups["group"].Members {
			ids = append(ids, m.MemberID)
			if a, ok := m.Assigned.AsConsumer(); ok {
				for _, topic := range a.Topics {
					partitions += len(topic.Partitions)
				}
			}
		}
		return groups["group"].State, ids, partitions
	}
	require.Eventually(t, func() bool {
		state, ids, partitions := members()
		return state == "Stable" && len(ids) == 1 && partitions > 0
	}, patience, 5*time.Millisecond)
	_, _, all := members()

	dying, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	require.NoError(t, err)
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis, join.ProtocolType = "group", 6000, 30_000, "consumer"
	metadata := kmsg.NewConsumerMemberMetadata()
	metadata.Version, metadata.Topics = 1, []string{"topic"}
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = kgo.CooperativeStickyBalancer().ProtocolName(), metadata.AppendTo(nil)
	join.Protocols = append(join.Protocols, protocol)
	first, err := join.RequestWith(t.Context(), dying)
	require.NoError(t, err)
	require.Equal(t, kerr.MemberIDRequired.Code, first.ErrorCode)
	join.MemberID = first.MemberID
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = join.RequestWith(context.Background(), dying)
	}()
	require.Eventually(t, func() bool {
		state, ids, _ := members()
		return state == "PreparingRebalance" && len(ids) == 2
	}, patience, time.Millisecond, "it waits for the other one to join again")
	dying.Close()
	<-ended

	require.Eventually(t, func() bool {
		state, ids, partitions := members()
		return state == "Stable" && len(ids) == 1 && partitions == all
	}, patience, 20*time.Millisecond, "the dead member keeps its partitions")
}
