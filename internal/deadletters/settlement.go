package deadletters

import (
	"strconv"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// The headers of a settlement, beside kafka.HeaderSettled with the state.
const (
	headerLetter    = "dead_settled_offset"  // the letter's offset
	headerBy        = "dead_settled_by"      // who did it
	headerAt        = "dead_settled_at"      // when, by that one's clock, RFC 3339
	headerReason    = "dead_settled_reason"  // why it was discarded
	headerTo        = "dead_settled_to"      // PARTITION@OFFSET in atelier.commands
	headerFrom      = "dead_settled_from"    // offset in atelier.commands before a redrive
	headerTakesOver = "dead_settled_instead" // offset of the redriving that this one takes the place of
)

// headerRedrivenFrom is on a command that was a dead letter: the letter's place.
const headerRedrivenFrom = "dead_redriven_from"

// none is an offset that is not there.
const none = -1

// settlement is a record that says what became of the letter at an offset.
type settlement struct {
	letter int64
	Settlement
	// takesOver is the marker of the redriving that did not end, none where there
	// was none.
	takesOver int64
}

// record makes the record of the settlement of a letter with a key.
func (s *settlement) record(partition int32, key []byte) *kafka.Record {
	r := &kafka.Record{Topic: schemas.TopicDeadLetters, Partition: partition, Key: key}
	add := func(header, value string) {
		r.Headers = append(r.Headers, kafka.Header{Key: header, Value: []byte(value)})
	}
	add(kafka.HeaderSettled, s.State)
	add(headerLetter, strconv.FormatInt(s.letter, 10))
	add(headerBy, s.By)
	add(headerAt, s.At.UTC().Format(time.RFC3339Nano))
	if s.State == Redriving {
		add(headerFrom, strconv.FormatInt(s.from, 10))
	}
	if s.takesOver != none {
		add(headerTakesOver, strconv.FormatInt(s.takesOver, 10))
	}
	if s.To != nil {
		add(headerTo, s.To.String())
	}
	if s.Reason != "" {
		add(headerReason, s.Reason)
	}
	return r
}

// settlementOf reads a settlement; false where it is none that can be understood.
func settlementOf(r *kafka.Record) (settlement, bool) {
	at, err := time.Parse(time.RFC3339Nano, kafka.HeaderValue(r, headerAt))
	s := settlement{Settlement: Settlement{
		State: kafka.HeaderValue(r, kafka.HeaderSettled), By: printable(kafka.HeaderValue(r, headerBy)), At: &at,
		Reason: printable(kafka.HeaderValue(r, headerReason)), marker: r.Offset, from: none,
	}, takesOver: none}
	ok := err == nil
	number := func(header string, into *int64) {
		if text := kafka.HeaderValue(r, header); text != "" {
			n, err := strconv.ParseInt(text, 10, 64)
			*into, ok = n, ok && err == nil
		}
	}
	number(headerLetter, &s.letter)
	number(headerFrom, &s.from)
	number(headerTakesOver, &s.takesOver)
	if text := kafka.HeaderValue(r, headerTo); text != "" {
		s.To = new(Place)
		ok = ok && s.To.UnmarshalText([]byte(text)) == nil
	}
	switch s.State {
	case Redriving:
		ok = ok && s.from >= 0
	case Redriven:
		ok = ok && s.To != nil
	case Discarded:
	default:
		ok = false
	}
	return s, ok
}

// then folds a settlement into what became of its letter before. Of several the
// first in the partition counts; while a letter is being redriven, only the end of
// that, or who takes it over from exactly that one.
func (now Settlement) then(s settlement) Settlement {
	switch {
	case now.State == Open && s.State != Redriven,
		now.State == Redriving && (s.State == Redriven || s.takesOver == now.marker):
		return s.Settlement
	}
	return now
}
