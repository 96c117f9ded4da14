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

	dying := join(t, broker)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = dying.request.RequestWith(context.Background(), dying.client)
	}()
	require.Eventually(t, func() bool {
		state, ids, _ := members()
		return state == "PreparingRebalance" && len(ids) == 2
	}, patience, time.Millisecond, "it waits for the other one to join again")
	dying.client.Close()
	<-ended

	require.Eventually(t, func() bool {
		state, ids, partitions := members()
		return state == "Stable" && len(ids) == 1 && partitions == all
	}, patience, 20*time.Millisecond, "the dead member keeps its partitions")
}

// A member that waits in JoinGroup for another one, longer than its session timeout, is
// not dropped.
func TestAMemberMayWaitLongerThanItsSession(t *testing.T) {
	broker, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	require.NoError(t, makeTopic(t.Context(), broker.Addrs(), "topic", nil))
	slow, waiting, third := join(t, broker), join(t, broker), join(t, broker)
	generation := slow.joins(t)
	slow.syncs(t, generation)

	// Each that comes makes those that are there join again.
	second := waiting.joining()
	slow.isToldToJoin(t, generation)
	again := slow.joining()
	generation = receive(t, second)
	require.Equal(t, generation, receive(t, again))
	slow.syncs(t, generation) // leads
	waiting.syncs(t, generation)

	came := third.joining()
	waiting.isToldToJoin(t, generation)
	waited := waiting.joining()
	for began := time.Now(); time.Since(began) < session+3*time.Second; {
		slow.isToldToJoin(t, generation) // lives, but is not ready yet
		select {
		case <-waited:
			require.Fail(t, "answered before all had joined")
		case <-time.After(time.Second):
		}
	}
	last := slow.joining()
	generation = receive(t, last)
	require.Equal(t, generation, receive(t, waited), "dropped while it waited")
	require.Equal(t, generation, receive(t, came))
}

// session is the session timeout of the members of these tests.
const session = 6 * time.Second

// rawMember speaks the group's protocol by hand.
type rawMember struct {
	client  *kgo.Client
	request *kmsg.JoinGroupRequest
}

// join gets a member its ID; it has not joined yet.
func join(t *testing.T, broker *embedded.Broker) *rawMember {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...))
	require.NoError(t, err)
	t.Cleanup(client.Close)
	request := kmsg.NewPtrJoinGroupRequest()
	request.Group, request.ProtocolType = "group", "consumer"
	request.SessionTimeoutMillis, request.RebalanceTimeoutMillis = int32(session.Milliseconds()), 30_000
	metadata := kmsg.NewConsumerMemberMetadata()
	metadata.Version, metadata.Topics = 1, []string{"topic"}
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name, protocol.Metadata = kgo.CooperativeStickyBalancer().ProtocolName(), metadata.AppendTo(nil)
	request.Protocols = append(request.Protocols, protocol)
	first, err := request.RequestWith(t.Context(), client)
	require.NoError(t, err)
	require.Equal(t, kerr.MemberIDRequired.Code, first.ErrorCode)
	request.MemberID = first.MemberID
	return &rawMember{client, request}
}

// joining joins, and gives the generation when the broker has answered.
func (m *rawMember) joining() <-chan int32 {
	generation := make(chan int32, 1)
	request := *m.request // the client writes its version there
	go func() {
		if answer, err := request.RequestWith(context.Background(), m.client); err == nil && answer.ErrorCode == 0 {
			generation <- answer.Generation
		}
	}()
	return generation
}

func (m *rawMember) joins(t *testing.T) int32 { return receive(t, m.joining()) }

// syncs ends the joining, as its leader or not.
func (m *rawMember) syncs(t *testing.T, generation int32) {
	t.Helper()
	request := kmsg.NewPtrSyncGroupRequest()
	request.Group, request.MemberID, request.Generation = m.request.Group, m.request.MemberID, generation
	answer, err := request.RequestWith(t.Context(), m.client)
	require.NoError(t, err)
	require.Zero(t, answer.ErrorCode)
}

// isToldToJoin beats until the broker says that the others are joining.
func (m *rawMember) isToldToJoin(t *testing.T, generation int32) {
	t.Helper()
	require.Eventually(t, func() bool {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = m.request.Group, m.request.MemberID, generation
		answer, err := beat.RequestWith(t.Context(), m.client)
		return err == nil && answer.ErrorCode == kerr.RebalanceInProgress.Code
	}, patience, 20*time.Millisecond)
}

func receive(t *testing.T, generation <-chan int32) int32 {
	t.Helper()
	select {
	case g := <-generation:
		return g
	case <-time.After(patience):
		require.Fail(t, "the broker did not answer")
		return 0
	}
}
