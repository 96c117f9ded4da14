package kafka

import (
	"strconv"

	"atelier/schemas"
)

// The headers of a dead letter, beside those that the record came with.
const (
	HeaderCause           = "dead_cause"
	HeaderOriginTopic     = "dead_origin_topic"
	HeaderOriginPartition = "dead_origin_partition"
	HeaderOriginOffset    = "dead_origin_offset"
)

// causeBytesMax bounds a dead letter's cause; errors can quote what they read.
const causeBytesMax = 500

// DeadLetter returns the record that tells of one that could not be dealt with:
// its bytes as they were, with the cause and where it stood.
func DeadLetter(r *Record, cause string) *Record {
	if len(cause) > causeBytesMax {
		cause = cause[:causeBytesMax]
	}
	headers := append(r.Headers[:len(r.Headers):len(r.Headers)],
		Header{Key: HeaderCause, Value: []byte(cause)},
		Header{Key: HeaderOriginTopic, Value: []byte(r.Topic)},
		Header{Key: HeaderOriginPartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		Header{Key: HeaderOriginOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
	)
	return &Record{Topic: schemas.TopicDeadLetters, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: headers}
}
