package kafka

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// A transaction begins when the markers of the last one are written, or after
// settleWaitMax. On a real Kafka most would begin too early without the wait.
func TestATransactionBeginsWhenTheLastIsSettled(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		const partitions, transactions = 12, 30
		c, _ := withTopics(t, brokers, prefix, partitions)
		producer, err := NewProducer(c)
		require.NoError(t, err)
		defer producer.Close()
		for range transactions {
			require.NoError(t, producer.Produce(t.Context(), &Record{Topic: schemas.TopicCommands, Key: []byte("k")}))
		}
		opened := make(chan struct{})
		var session *Session
		session, err = OpenSession(t.Context(), c, SessionConfig{Group: "g", TransactionalID: "t", Topic: schemas.TopicCommands,
			Assigned: func(assigned []int32) { go func() { <-opened; session.Resume(assigned...) }() }, Lost: func([]int32) {}})
		require.NoError(t, err)
		close(opened)
		defer session.Close()
		asks := kadm.NewClient(session.session.Client())
		for range transactions {
			_, err := session.Poll(t.Context(), 1)
			require.NoError(t, err)
			require.NoError(t, session.Begin())
			waited := time.Since(session.ended)
			described, err := asks.DescribeTransactions(t.Context(), session.transactionalID)
			require.NoError(t, err)
			if state := described[session.transactionalID].State; strings.HasPrefix(state, "Prepare") {
				require.Greater(t, waited, settleWaitMax, "state %s", state)
			}
			for partition := range int32(partitions) {
				session.Produce(t.Context(), &Record{Topic: schemas.TopicEvents, Partition: partition, Value: []byte("x")})
			}
			committed, err := session.End(context.Background(), true)
			require.NoError(t, err)
			require.True(t, committed)
		}
	})
}
