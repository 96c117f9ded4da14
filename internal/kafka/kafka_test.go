package kafka

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// The hashes are those of Kafka's own UtilsTest.testMurmur2: a user's partition
// is the same for every client in every language.
func TestPartitionOfIsKafkasMurmur2(t *testing.T) {
	hashes := map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	}
	for key, hash := range hashes {
		for _, n := range []int{1, 3, 12, 48} {
			require.Equal(t, int32(int(hash&0x7fffffff)%n), PartitionOf(key, n), key)
		}
	}
}

func TestARecordRepeatsItsMetadataInHeaders(t *testing.T) {
	command := &schemas.ArchiveBrand{CommandMetadata: schemas.CommandMetadata{
		ID: "0193602c-6b1f-7c6e-8000-1b2c3d4e5f60", AccountID: "a3b8f042-1e16-5f0a-9d1c-000000000001",
		CorrelationID: "0193602c-6b1f-7c6e-8000-aaaaaaaaaaaa", CausationID: "0193602c-6b1f-7c6e-8000-aaaaaaaaaaaa"}}
	r, err := NewRecord(schemas.NewLockedCodec(), schemas.TopicCommands, command)
	require.NoError(t, err)
	require.Equal(t, command.AccountID, string(r.Key))
	require.Equal(t, "atelier.commands.v1.ArchiveBrand", HeaderValue(r, schemas.HeaderType))
	require.Equal(t, command.ID, HeaderValue(r, schemas.HeaderID))
	require.Equal(t, "00-0193602c6b1f7c6e8000aaaaaaaaaaaa-80001b2c3d4e5f60-01", HeaderValue(r, schemas.HeaderTraceParent))
}

func TestADeadLetterKeepsTheBytesAndTellsTheirOrigin(t *testing.T) {
	original := &Record{Topic: schemas.TopicCommands, Partition: 7, Offset: 1042, Key: []byte("k"), Value: []byte{1, 2, 3},
		Headers: []Header{{Key: schemas.HeaderID, Value: []byte("x")}}}
	dead := DeadLetter(original, "truncated")
	require.Equal(t, schemas.TopicDeadLetters, dead.Topic)
	require.EqualValues(t, 7, dead.Partition)
	require.Equal(t, original.Value, dead.Value)
	require.Equal(t, "truncated", HeaderValue(dead, HeaderCause))
	require.Equal(t, "1042", HeaderValue(dead, HeaderOriginOffset))
	require.Equal(t, "x", HeaderValue(dead, schemas.HeaderID))
	require.Len(t, original.Headers, 1, "the original is left as it was")
}

// What writes to the commands must not be able to speak for a dead letter.
func TestADeadLetterTellsOfNothingThatTheRecordClaims(t *testing.T) {
	dead := DeadLetter(&Record{Topic: schemas.TopicCommands, Headers: []Header{
		{Key: HeaderSettled, Value: []byte("discarded")}, {Key: HeaderCause, Value: []byte("none")}, {Key: schemas.HeaderID, Value: []byte("x")},
	}}, "truncated")
	require.False(t, IsSettlement(dead))
	require.Equal(t, "truncated", HeaderValue(dead, HeaderCause))
	require.Equal(t, []Header{{Key: schemas.HeaderID, Value: []byte("x")}}, OwnHeaders(dead))
}

// The largest record that a broker takes has a dead letter that it takes too.
func TestADeadLetterStaysBelowWhatBrokersTake(t *testing.T) {
	for _, r := range []*Record{
		{Value: make([]byte, 999_900)}, {Key: make([]byte, 999_900)}, {Headers: []Header{{Key: "a", Value: make([]byte, 999_900)}}},
	} {
		dead := DeadLetter(r, strings.Repeat("c", 10_000))
		size := len(dead.Key) + len(dead.Value)
		for _, h := range dead.Headers {
			size += len(h.Key) + len(h.Value)
		}
		require.Less(t, size, 950_000)
	}
	dead := DeadLetter(&Record{Value: bytes.Repeat([]byte("x"), 400_000)}, "too large")
	require.Equal(t, "400000", HeaderValue(dead, HeaderTruncated))
	require.Len(t, HeaderValue(dead, HeaderSHA256), 64)
}

// withTopics makes the topics, of some partitions each, under a prefix.
func withTopics(t *testing.T, brokers []string, prefix string, partitions int) (Config, *Admin) {
	t.Helper()
	c := Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}
	admin, err := NewAdmin(c)
	require.NoError(t, err)
	t.Cleanup(admin.Close)
	_, err = admin.ApplyTopics(t.Context(), partitions, 1)
	require.NoError(t, err)
	return c, admin
}
