package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// The end may fall into a transaction: what it holds is waited for, read if it
// commits and passed over if it aborts. What stands behind the end is not read.
func TestReadToTheEnd(t *testing.T) {
	for name, end := range map[string]kgo.TransactionEndTry{"commits": kgo.TryCommit, "aborts": kgo.TryAbort} {
		t.Run(name, func(t *testing.T) {
			kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
				const each = 10
				c, admin := withTopics(t, brokers, prefix, 3)
				producer, err := NewPlacedProducer(c)
				require.NoError(t, err)
				t.Cleanup(producer.Close)
				open, err := c.client(append(producing(), kgo.TransactionalID(prefix+"t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
				require.NoError(t, err)
				t.Cleanup(open.Close)

				var plain, within []string
				require.NoError(t, open.BeginTransaction())
				for partition := range int32(2) { // the third stays empty
					for i := range each {
						text := fmt.Sprintf("%d: %d", partition, i)
						require.NoError(t, producer.Produce(t.Context(), &Record{Topic: schemas.TopicEvents, Partition: partition, Value: []byte(text)}))
						plain = append(plain, text)
					}
					text := fmt.Sprintf("%d: in a transaction", partition)
					last := &Record{Topic: c.topic(schemas.TopicEvents), Partition: partition, Value: []byte(text)}
					require.NoError(t, open.ProduceSync(t.Context(), last).FirstErr())
					within = append(within, text)
				}
				ends, err := admin.HighWatermarks(t.Context(), schemas.TopicEvents)
				require.NoError(t, err)
				require.Equal(t, map[int32]int64{0: each + 1, 1: each + 1, 2: 0}, ends)
				require.NoError(t, open.EndTransaction(t.Context(), end))
				require.NoError(t, producer.Produce(t.Context(), &Record{Topic: schemas.TopicEvents, Value: []byte("written since")}))

				want := plain
				if end == kgo.TryCommit {
					want = slices.Concat(plain[:each], within[:1], plain[each:], within[1:])
				}
				var read []string
				var done, total int64
				take := func(r *Record) error { read = append(read, string(r.Value)); return nil }
				from := map[int32]int64{0: 0, 1: 0, 2: 0}
				require.NoError(t, ReadTo(t.Context(), c, schemas.TopicEvents, from, ends, take, func(d, of int64) { done, total = d, of }))
				slices.SortStableFunc(read, func(a, b string) int { return int(a[0]) - int(b[0]) })
				require.Equal(t, want, read)
				require.EqualValues(t, 2*(each+1), total)
				require.Equal(t, total, done)

				enough := errors.New("enough")
				require.ErrorIs(t, ReadTo(t.Context(), c, schemas.TopicEvents, from, ends, func(*Record) error { return enough }, nil), enough)
				require.NoError(t, ReadTo(t.Context(), c, schemas.TopicEvents, ends, ends, func(*Record) error { return enough }, nil), "nothing is there")
			})
		})
	}
}

// A poll that is over in the moment in which records come hands them over: they would
// not come again.
func TestNothingThatWasPolledIsDropped(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		const records, most = 1000, 200 * time.Microsecond
		c, _ := withTopics(t, brokers, prefix, 1)
		producer, err := NewProducer(c)
		require.NoError(t, err)
		t.Cleanup(producer.Close)
		reader, err := NewReader(c, schemas.TopicCommands, map[int32]int64{0: 0})
		require.NoError(t, err)
		t.Cleanup(reader.Close)
		produced := make(chan error, 1)
		go func() {
			var err error
			for range records {
				err = errors.Join(err, producer.Produce(t.Context(), &Record{Topic: schemas.TopicCommands, Key: []byte("k"), Value: []byte("v")}))
			}
			produced <- err
		}()
		for next, until := int64(0), time.Now().Add(time.Minute); next < records; {
			require.True(t, time.Now().Before(until), "%d of %d", next, records)
			ctx, cancel := context.WithTimeout(t.Context(), most)
			polled, err := reader.Poll(ctx, records)
			cancel()
			require.True(t, err == nil || errors.Is(err, context.DeadlineExceeded), "%v", err)
			for _, r := range polled {
				require.Equal(t, next, r.Offset)
				next++
			}
		}
		require.NoError(t, <-produced)
	})
}
