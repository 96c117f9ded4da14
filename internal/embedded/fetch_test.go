package embedded_test

import (
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/internal/embedded"
)

// Half of the transactions are aborted, in partitions that are together larger
// than one Fetch may be: whoever reads committed records is shown the other half.
func TestNoFetchShowsWhatWasAborted(t *testing.T) {
	const partitions, transactions = 2, 40
	broker, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	require.NoError(t, makeTopic(t.Context(), broker.Addrs(), "topic", nil))
	writer, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.TransactionalID("writer"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	require.NoError(t, err)
	t.Cleanup(writer.Close)
	for i := range transactions {
		require.NoError(t, writer.BeginTransaction())
		value := "committed"
		if i%2 == 0 {
			value = "aborted"
		}
		for p := range int32(partitions) {
			require.NoError(t, writer.ProduceSync(t.Context(), &kgo.Record{Topic: "topic", Partition: p, Value: []byte(value + strings.Repeat(" ", 1000))}).FirstErr())
		}
		require.NoError(t, writer.EndTransaction(t.Context(), kgo.TransactionEndTry(i%2 == 1)))
	}

	reader, err := kgo.NewClient(kgo.SeedBrokers(broker.Addrs()...), kgo.ConsumeTopics("topic"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxBytes(10_000), kgo.FetchMaxPartitionBytes(8_000))
	require.NoError(t, err)
	t.Cleanup(reader.Close)
	read := 0
	for read < partitions*transactions/2 {
		fetches := reader.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			read++
			require.Equal(t, "committed", strings.TrimSpace(string(r.Value)), "%d@%d", r.Partition, r.Offset)
		})
	}
	require.Equal(t, partitions*transactions/2, read)
}
