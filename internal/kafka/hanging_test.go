package kafka_test

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
)

const hangingTopic = "events"

// Records of a transaction that the coordinator never heard of are what is left where markers
// were lost. A real Kafka alone lets one make them, when it is told not to ask.
func TestHangingTransactionsAreEnded(t *testing.T) {
	if kafkatest.EmbeddedOnly(t) {
		t.Skip("the embedded broker ends every transaction when it starts")
	}
	broker := kafkatest.Real(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Brokers...), kgo.MaxVersions(kversion.V3_7_0()))
	require.NoError(t, err)
	defer client.Close()
	brokers := kadm.NewClient(client)
	off := "false"
	altered, err := brokers.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "transaction.partition.verification.enable", Value: &off}})
	require.NoError(t, err)
	require.NoError(t, altered[0].Err)
	_, err = brokers.CreateTopic(ctx, 3, 1, nil, hangingTopic)
	require.NoError(t, err)
	config := kafka.Config{Brokers: broker.Brokers, Log: zerolog.Nop()}
	admin, err := kafka.NewAdmin(config)
	require.NoError(t, err)
	defer admin.Close()
	end := func() []kafka.Hanging {
		ended, err := admin.EndHanging(ctx, "ours.", hangingTopic)
		require.NoError(t, err)
		return ended
	}
	read := func() (values []string) {
		require.NoError(t, kafka.Scan(ctx, config, admin, hangingTopic, func(r *kafka.Record) error {
			values = append(values, string(r.Value))
			return nil
		}, nil))
		return values
	}
	require.Empty(t, end(), "nothing was written")

	// One that is under way is nobody's business.
	live, err := kgo.NewClient(kgo.SeedBrokers(broker.Brokers...), kgo.TransactionalID("ours.live"), kgo.DefaultProduceTopic(hangingTopic))
	require.NoError(t, err)
	defer live.Close()
	require.NoError(t, live.BeginTransaction())
	require.NoError(t, live.ProduceSync(ctx, kgo.StringRecord("live")).FirstErr())
	require.Empty(t, end())
	require.NoError(t, live.EndTransaction(ctx, kgo.TryCommit))
	require.Equal(t, []string{"live"}, read())

	// Nothing of it was committed: it never was.
	id, epoch := producerID(ctx, t, broker.Brokers, "ours.aborted")
	stray(ctx, t, client, "ours.aborted", id, epoch, 0)
	stray(ctx, t, client, "ours.aborted", id, epoch, 1)
	require.Empty(t, end(), "it may be under way still: nobody has the ID anew")
	_, next := producerID(ctx, t, broker.Brokers, "ours.aborted")
	require.Greater(t, next, epoch)
	ended := end()
	require.Len(t, ended, 2)
	require.Equal(t, id, ended[0].Producer)
	require.False(t, ended[0].Committed)
	require.Empty(t, end())
	require.Equal(t, []string{"live"}, read())

	// One of its partitions has the commit: the other one gets it.
	id, epoch = producerID(ctx, t, broker.Brokers, "ours.committed")
	stray(ctx, t, client, "ours.committed", id, epoch, 0)
	stray(ctx, t, client, "ours.committed", id, epoch, 2)
	var at kadm.TopicsSet
	at.Add(hangingTopic, 2)
	answers, err := brokers.WriteTxnMarkers(ctx, kadm.TxnMarkers{ProducerID: id, ProducerEpoch: epoch + 1, Commit: true, Topics: at})
	require.NoError(t, err)
	answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) { require.NoError(t, p.Err) })
	producerID(ctx, t, broker.Brokers, "ours.committed")
	ended = end()
	require.Len(t, ended, 1)
	require.True(t, ended[0].Committed)
	require.ElementsMatch(t, []string{"live", "stray", "stray"}, read())
}

// producerID takes a transactional ID, as a client that starts does.
func producerID(ctx context.Context, t *testing.T, brokers []string, transactionalID string) (int64, int16) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(transactionalID))
	require.NoError(t, err)
	defer client.Close()
	id, epoch, err := client.ProducerID(ctx)
	require.NoError(t, err)
	return id, epoch
}

// stray writes a record of a transaction without the coordinator.
func stray(ctx context.Context, t *testing.T, client *kgo.Client, transactionalID string, id int64, epoch int16, partition int32) {
	t.Helper()
	const (
		transactional   = 0x10
		lengthFrom      = 12 // of a batch, what its length does not count
		checksumFrom    = 21
		checksumAt      = 17
		allReplicas     = -1
		produceMillis   = 10_000
		recordBatchV2   = 2
		noLeaderEpoch   = -1
		lengthOfALength = 1
	)
	record := kmsg.Record{Value: []byte("stray")}
	record.Length = int32(len(record.AppendTo(nil)) - lengthOfALength)
	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: noLeaderEpoch, Magic: recordBatchV2, Attributes: transactional, FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: id, ProducerEpoch: epoch, NumRecords: 1, Records: record.AppendTo(nil),
	}
	batch.Length = int32(len(batch.AppendTo(nil)) - lengthFrom)
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[checksumAt:], crc32.Checksum(raw[checksumFrom:], crc32.MakeTable(crc32.Castagnoli)))
	request := kmsg.NewPtrProduceRequest()
	request.TransactionID, request.Acks, request.TimeoutMillis = &transactionalID, allReplicas, produceMillis
	request.Topics = []kmsg.ProduceRequestTopic{{Topic: hangingTopic, Partitions: []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: raw}}}}
	answer, err := request.RequestWith(ctx, client)
	require.NoError(t, err)
	require.Zero(t, answer.Topics[0].Partitions[0].ErrorCode, "%v", answer.Topics[0].Partitions[0].ErrorMessage)
}
