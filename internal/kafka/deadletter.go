package kafka

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"atelier/schemas"
)

// The headers of a dead letter, beside those that the record came with.
const (
	HeaderCause           = "dead_cause"
	HeaderOriginTopic     = "dead_origin_topic"
	HeaderOriginPartition = "dead_origin_partition"
	HeaderOriginOffset    = "dead_origin_offset"
	// HeaderTruncated and HeaderSHA256 are there where the value was too large to
	// be kept whole: its length, and its hash in hex.
	HeaderTruncated = "dead_truncated"
	HeaderSHA256    = "dead_sha256"
	// HeaderSettled is on a record that is no dead letter but says what became of
	// one (see package deadletters).
	HeaderSettled = "dead_settled"
)

// deadHeaders begins the names of all headers that are not the original's own.
const deadHeaders = "dead_"

// IsSettlement says whether a record of atelier.deadletters tells what became of
// a dead letter, and is none itself.
func IsSettlement(r *Record) bool { return HeaderValue(r, HeaderSettled) != "" }

// OwnHeaders returns a copy of a record's headers without those of dead letters.
func OwnHeaders(r *Record) []Header {
	return slices.DeleteFunc(slices.Clone(r.Headers), func(h Header) bool { return strings.HasPrefix(h.Key, deadHeaders) })
}

// causeBytesMax bounds a dead letter's cause; errors can quote what they read.
const causeBytesMax = 500

// deadBytesMax bounds the key, the value and the headers of a dead letter, each:
// with what is added to it, a record of the largest size that brokers take would
// itself be refused, and its partition would stop for ever.
const deadBytesMax = 300_000

// DeadLetter returns the record that tells of one that could not be dealt with:
// its bytes as they were, with the cause and where it stood. Of a value above
// deadBytesMax only the beginning is kept: none of ours is as large. Headers that
// look like a dead letter's are dropped: they would speak in its place.
func DeadLetter(r *Record, cause string) *Record {
	if len(cause) > causeBytesMax {
		cause = cause[:causeBytesMax]
	}
	key, value := r.Key, r.Value
	headers := headersWithin(OwnHeaders(r), deadBytesMax)
	if len(key) > deadBytesMax {
		key = key[:deadBytesMax]
	}
	if len(value) > deadBytesMax {
		sum := sha256.Sum256(value)
		headers = append(headers,
			Header{Key: HeaderTruncated, Value: strconv.AppendInt(nil, int64(len(value)), 10)},
			Header{Key: HeaderSHA256, Value: []byte(hex.EncodeToString(sum[:]))})
		value = value[:deadBytesMax]
	}
	headers = append(headers,
		Header{Key: HeaderCause, Value: []byte(cause)},
		Header{Key: HeaderOriginTopic, Value: []byte(r.Topic)},
		Header{Key: HeaderOriginPartition, Value: strconv.AppendInt(nil, int64(r.Partition), 10)},
		Header{Key: HeaderOriginOffset, Value: strconv.AppendInt(nil, r.Offset, 10)},
	)
	return &Record{Topic: schemas.TopicDeadLetters, Partition: r.Partition, Key: key, Value: value, Headers: headers}
}

// headersWithin returns the first headers that fit.
func headersWithin(headers []Header, bytesMax int) []Header {
	for i, h := range headers {
		if bytesMax -= len(h.Key) + len(h.Value); bytesMax < 0 {
			return headers[:i:i]
		}
	}
	return headers
}
