package kafka

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// Every other produce is cut, before or after the broker has written it: each
// record is in the log once, and in its order.
func TestARecordWhoseAcknowledgementIsCutIsWrittenOnce(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		const records = 40
		c, admin := withTopics(t, brokers, prefix, 1)

		var produced atomic.Int64
		var withheld atomic.Int64
		network := &kafkatest.Network{
			Choose: func(e kafkatest.Exchange) kafkatest.Fault {
				if e.Key != kmsg.Produce.Int16() {
					return kafkatest.Pass
				}
				return []kafkatest.Fault{kafkatest.CutAnswer, kafkatest.Pass, kafkatest.CutRequest, kafkatest.Pass}[produced.Add(1)%4]
			},
			Withheld: func(kafkatest.Exchange, kafkatest.Fault) { withheld.Add(1) },
		}
		cut := c
		cut.Dial = network.Dial
		producer, err := NewProducer(cut)
		require.NoError(t, err)
		t.Cleanup(producer.Close)
		for i := range records {
			r := &Record{Topic: schemas.TopicCommands, Key: []byte("k"), Value: strconv.AppendInt(nil, int64(i), 10)}
			require.NoError(t, producer.Produce(t.Context(), r))
			require.EqualValues(t, i, r.Offset)
		}
		require.GreaterOrEqual(t, withheld.Load(), int64(records/4), "written, and asked for again")

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ends, err := admin.HighWatermarks(ctx, schemas.TopicCommands)
		require.NoError(t, err)
		require.EqualValues(t, records, ends[0])
		reader, err := NewReader(c, schemas.TopicCommands, map[int32]int64{0: 0})
		require.NoError(t, err)
		t.Cleanup(reader.Close)
		for i := 0; i < records; {
			polled, err := reader.Poll(ctx, records)
			require.NoError(t, err)
			for _, r := range polled {
				require.Equal(t, strconv.Itoa(i), string(r.Value))
				i++
			}
		}
	})
}

// Who waits out an outage that is longer than the delivery timeout produces the same
// records again.
func TestARecordThatFailedIsProducedAgain(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		c, _ := withTopics(t, brokers, prefix, 1)
		producer, err := NewProducer(c)
		require.NoError(t, err)
		t.Cleanup(producer.Close)
		r := &Record{Topic: schemas.TopicCommands, Key: []byte("k"), Value: []byte("v")}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, producer.Produce(ended, r), context.Canceled)
		require.NotZero(t, r.Timestamp)
		r.Timestamp = r.Timestamp.Add(-2 * deliveryTimeout) // the outage
		require.NoError(t, producer.Produce(t.Context(), r))
		require.WithinDuration(t, time.Now(), r.Timestamp, deliveryTimeout)
	})
}
