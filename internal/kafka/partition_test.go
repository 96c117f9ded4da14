package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Producers let the client choose the partition, and everybody else asks
// PartitionOf: they must agree for keys of every length and byte.
func TestPartitionOfIsTheClients(t *testing.T) {
	random := rand.NewChaCha8([32]byte{1})
	client := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for length := 1; length < 100; length++ {
		for _, partitions := range []int{1, 3, 12, 48, 1024} {
			key := make([]byte, length)
			_, _ = random.Read(key)
			want := client.Partition(&kgo.Record{Key: key}, partitions)
			require.EqualValues(t, want, PartitionOf(string(key), partitions), "%x of %d", key, partitions)
		}
	}
}
