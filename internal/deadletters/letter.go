// Package deadletters is what an operator does about records that could not be
// read: look at them, write a command again once it can be read, or lay it aside.
//
// atelier.deadletters is append-only, so what became of a letter is a record of
// its own, a settlement, with the letter's key and in its partition. The order of
// a partition decides between two operators: see redrive.go.
package deadletters

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// What became of a letter.
const (
	Open = "open"
	// Redriving: somebody began to write it again and has not said that it is done.
	Redriving = "redriving"
	Redriven  = "redriven"
	Discarded = "discarded"
	// Repeated: the same record, from the same place, is an earlier letter too, as
	// after a reset of the deciders' offsets. The earlier one stands for both.
	Repeated = "repeated"
)

// textBytesMax bounds what is shown of a header (bytes): anybody may have written it.
const textBytesMax = 200

// Place is where a record stands in its topic, written PARTITION@OFFSET.
type Place struct {
	Partition int32
	Offset    int64
}

// String returns the place as operators write it.
func (p Place) String() string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

// MarshalText implements encoding.TextMarshaler.
func (p Place) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Place) UnmarshalText(text []byte) error {
	partition, offset, ok := strings.Cut(string(text), "@")
	id, errPartition := strconv.ParseUint(partition, 10, 31)
	at, errOffset := strconv.ParseUint(offset, 10, 63)
	if !ok || errPartition != nil || errOffset != nil {
		return fmt.Errorf("%q is no place of a dead letter; it may be PARTITION@OFFSET, such as 3@17", text)
	}
	*p = Place{Partition: int32(id), Offset: int64(at)}
	return nil
}

// Origin is where a record stood that became a letter.
type Origin struct {
	Topic string `json:"topic"`
	Place
}

// String returns it as errors and logs name records.
func (o Origin) String() string { return fmt.Sprintf("%s[%d]@%d", o.Topic, o.Partition, o.Offset) }

// MarshalText implements encoding.TextMarshaler.
func (o Origin) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Letter is a dead letter without its bytes. Texts are cut and printable.
type Letter struct {
	Place  Place     `json:"place"`
	At     time.Time `json:"at"`
	Origin Origin    `json:"origin"`
	// Type and Account are what its headers say, empty where they say nothing.
	Type    string `json:"type,omitempty"`
	Account string `json:"account,omitempty"`
	Cause   string `json:"cause"`
	// Bytes is the length of the original value; Truncated: not all of it was kept.
	Bytes     int        `json:"bytes"`
	Truncated bool       `json:"truncated,omitempty"`
	Settled   Settlement `json:"settled"`
}

// Settlement is what became of a letter, as the topic has it.
type Settlement struct {
	State string     `json:"state"`
	By    string     `json:"by,omitempty"`
	At    *time.Time `json:"at,omitempty"`
	// To is where a redriven letter went in atelier.commands, or which letter a
	// repeated one repeats.
	To     *Place `json:"to,omitempty"`
	Reason string `json:"reason,omitempty"`
	// marker is the offset of the settlement.
	marker int64
	// from is the offset of atelier.commands from which on a redriving may have
	// written.
	from int64
}

// String says it in a few words.
func (s Settlement) String() string {
	switch s.State {
	case Redriving:
		return fmt.Sprintf("redriving by %s since %s", s.By, s.At.Format(time.RFC3339))
	case Redriven:
		return fmt.Sprintf("redriven to %s by %s at %s", Origin{schemas.TopicCommands, *s.To}, s.By, s.At.Format(time.RFC3339))
	case Discarded:
		return fmt.Sprintf("discarded by %s at %s: %s", s.By, s.At.Format(time.RFC3339), s.Reason)
	case Repeated:
		return fmt.Sprintf("the same record as %s", s.To)
	default:
		return s.State
	}
}

// letterOf reads what a dead letter says of itself.
func letterOf(r *kafka.Record, settled Settlement) *Letter {
	l := &Letter{
		Place: Place{r.Partition, r.Offset}, At: r.Timestamp.UTC(), Origin: originOf(r),
		Type:    printable(kafka.HeaderValue(r, schemas.HeaderType)),
		Account: printable(kafka.HeaderValue(r, schemas.HeaderAccountID)),
		Cause:   printable(kafka.HeaderValue(r, kafka.HeaderCause)),
		Bytes:   len(r.Value), Settled: settled,
	}
	if whole := number(r, kafka.HeaderTruncated); whole > 0 {
		l.Bytes, l.Truncated = int(whole), true
	}
	return l
}

func originOf(r *kafka.Record) Origin {
	return Origin{printable(kafka.HeaderValue(r, kafka.HeaderOriginTopic)),
		Place{int32(number(r, kafka.HeaderOriginPartition)), number(r, kafka.HeaderOriginOffset)}}
}

// number is a header's number, 0 where it is none.
func number(r *kafka.Record, header string) int64 {
	n, _ := strconv.ParseInt(kafka.HeaderValue(r, header), 10, 64)
	return n
}

// recordHash tells records apart: the first half of a SHA-256.
type recordHash [sha256.Size / 2]byte

// hashOf is equal for letters of one and the same record.
func hashOf(r *kafka.Record) recordHash {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d ", originOf(r), len(r.Key))
	h.Write(r.Key)
	h.Write(r.Value)
	return recordHash(h.Sum(nil)[:len(recordHash{})])
}

// printable is a text that is safe to show on a terminal.
func printable(text string) string {
	if len(text) > textBytesMax {
		text = text[:textBytesMax]
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// isAccount says whether a key is an account's ID.
func isAccount(key []byte) bool { return len(key) == 36 && uuid.Validate(string(key)) == nil }
