package kafka

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// RemoveAll takes everything under its prefix and nothing else, and refuses none.
func TestRemoveAllIsOfAPrefix(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		_, mine := withTopics(t, brokers, prefix+"mine.", 1)
		_, others := withTopics(t, brokers, prefix+"others.", 1)
		for _, admin := range []*Admin{mine, others} {
			require.NoError(t, admin.ResetOffsets(t.Context(), "g", schemas.TopicCommands, map[int32]int64{0: 0}))
		}
		require.NoError(t, mine.RemoveAll(t.Context()))
		require.Eventually(t, func() bool {
			_, err := mine.Partitions(t.Context(), schemas.TopicCommands)
			return err != nil
		}, 10*time.Second, 10*time.Millisecond)
		committed, err := mine.CommittedOffsets(t.Context(), "g", schemas.TopicCommands)
		require.True(t, err != nil || len(committed) == 0, "its group too: %v", committed)
		n, err := others.Partitions(t.Context(), schemas.TopicCommands)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		committed, err = others.CommittedOffsets(t.Context(), "g", schemas.TopicCommands)
		require.NoError(t, err)
		require.Len(t, committed, 1)
		everything, err := NewAdmin(Config{Brokers: brokers, Log: zerolog.Nop()})
		require.NoError(t, err)
		defer everything.Close()
		require.Error(t, everything.RemoveAll(t.Context()))

		cluster, err := mine.Cluster(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, cluster.Brokers)
		require.NotEmpty(t, cluster.Version)
	})
}
