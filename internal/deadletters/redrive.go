package deadletters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// A letter is redriven once, in three steps, each of which survives the end of the
// process behind it:
//
//  1. Claim writes `redriving` and reads the partition to that record: only the
//     first one that has not ended goes on.
//  2. Send writes the command with the letter's place in a header.
//  3. Conclude writes `redriven` with the command's place.
//
// Who finds a `redriving` without an end looks for the header in atelier.commands,
// from where that topic ended before the first `redriving`. What is there is only
// concluded. Where nothing is there, the first may still be about to write: it has
// redriveWithin for that, and is taken over, by name, after takeoverAfter.
//
// No transaction fences the first one, since atelier.commands is never written in
// one: a command would hold back every reader behind it. What remains is a process
// that stands still between its last look at the clock and the write, for longer
// than takeoverAfter, while another takes over. The domain is no second guard for
// every command: an account remembers 64 idempotency keys, and a request without a
// key whose batch has ended is a new one (docs/decisions/13).

const (
	// redriveWithin bounds the time from the beginning of a claim to the end of
	// its write.
	redriveWithin = 30 * time.Second
	// takeoverAfter is the age at which a redriving counts as given up. What it is
	// longer than redriveWithin is how much two operators' clocks may differ.
	takeoverAfter = 2 * time.Minute
)

// ErrUnconfirmed is a write that failed, or of which nobody knows. The client then
// writes nothing any more.
var ErrUnconfirmed = errors.New("the brokers did not confirm it")

var (
	errSettled = errors.New("is settled")
	errBusy    = errors.New("is in other hands")
	errRefused = errors.New("is not redriven")
	errFound   = errors.New("what is looked for is found")
	// errGone is a redrive without an end of which nobody can tell any more
	// whether it wrote.
	errGone = errors.New("is not redriven: a redrive of it did not end, and the commands of that time are no longer there to look whether it was written; " +
		"look for its outcome with `atelier events --account`, then discard it")
	// errUnclear asks for the same again: what was begun is looked for first.
	errUnclear = errors.New("it is not known whether it was written: do the same again, it looks before it writes")
	errNoCodec = errors.New("dead letters: no codec to read commands with")
)

// Redrive is a letter that is being written again.
type Redrive struct {
	Letter Letter
	key    []byte
	// command is what is to be written, sent where it already stands.
	command *kafka.Record
	sent    *Place
	began   time.Time
}

// Redrive writes a letter of atelier.commands again, once, and returns where. A
// command that cannot be read is refused unless force is set.
func (c *Client) Redrive(ctx context.Context, at Place, force bool) (Place, error) {
	r, err := c.Claim(ctx, at, force)
	if err != nil {
		return Place{}, err
	}
	to, err := c.Send(ctx, r)
	if err != nil {
		return Place{}, err
	}
	return to, c.Conclude(ctx, r, to)
}

// Claim is the first step: nobody else redrives the letter now.
func (c *Client) Claim(ctx context.Context, at Place, force bool) (*Redrive, error) {
	began := c.config.Now()
	l, record, err := c.Show(ctx, at)
	if err != nil {
		return nil, err
	}
	if l.Settled.State != Open && l.Settled.State != Redriving {
		return nil, settledError(at, l.Settled)
	}
	if err := c.redrivable(ctx, l, record, force); err != nil {
		return nil, err
	}
	r := &Redrive{Letter: *l, key: record.Key, command: commandOf(record, at), began: began}
	partitions, err := c.admin.Partitions(ctx, schemas.TopicCommands)
	if err != nil {
		return nil, err
	}
	r.command.Partition = kafka.PartitionOf(string(record.Key), partitions)
	unfinished := l.Settled
	if unfinished.State == Redriving {
		if r.sent, err = c.takeover(ctx, l, r.command.Partition); err != nil || r.sent != nil {
			return r, err
		}
	}
	if err := c.claim(ctx, r); err != nil {
		return nil, err
	}
	if unfinished.State == Redriving { // what the one before wrote since
		r.sent, err = c.find(ctx, at, r.command.Partition, unfinished.from)
	}
	return r, err
}

// commandOf returns the command that a letter was, to be written again.
func commandOf(letter *kafka.Record, at Place) *kafka.Record {
	return &kafka.Record{Topic: schemas.TopicCommands, Key: letter.Key, Value: letter.Value,
		Headers: append(kafka.OwnHeaders(letter), kafka.Header{Key: headerRedrivenFrom, Value: []byte(at.String())})}
}

// redrivable says why a letter must not be written again.
func (c *Client) redrivable(ctx context.Context, l *Letter, r *kafka.Record, force bool) error {
	switch {
	case l.Origin.Topic != schemas.TopicCommands:
		return fmt.Errorf("%s %w: it was a record of %s, and only commands are redriven", l.Place, errRefused, l.Origin.Topic)
	case l.Truncated:
		return fmt.Errorf("%s %w: only the beginning of its %d bytes was kept", l.Place, errRefused, l.Bytes)
	case !isAccount(r.Key):
		return fmt.Errorf("%s %w: its key is no account ID", l.Place, errRefused)
	}
	if c.config.Codec == nil {
		return errNoCodec
	}
	record, err := c.config.Codec.Decode(ctx, schemas.TopicCommands, r.Value)
	switch {
	case errors.Is(err, schemas.ErrRegistryAway): // nor is it known whether --force is needed
		return fmt.Errorf("%s %w: bring the registry back and do the same again: %w", l.Place, errRefused, err)
	case err != nil && force:
		return nil
	case err != nil:
		return fmt.Errorf("%s %w: this build cannot read it either (--force writes it all the same): %w", l.Place, errRefused, err)
	}
	if command, ok := record.(schemas.Command); !ok || command.Meta().AccountID != string(r.Key) {
		return fmt.Errorf("%s %w: its key is not its account", l.Place, errRefused)
	}
	return nil
}

// takeover returns what an unfinished redriving has written, and an error where it
// may still write.
func (c *Client) takeover(ctx context.Context, l *Letter, partition int32) (*Place, error) {
	sent, err := c.find(ctx, l.Place, partition, l.Settled.from)
	if err != nil || sent != nil {
		return sent, err
	}
	return nil, c.givenUp(l)
}

// givenUp is an error while an unfinished redriving may still write.
func (c *Client) givenUp(l *Letter) error {
	age := c.config.Now().Sub(*l.Settled.At)
	if age >= takeoverAfter {
		return nil
	}
	return fmt.Errorf("%s %w: %s, which may still run; do the same again in %s", l.Place, errBusy, l.Settled, (takeoverAfter - age).Round(time.Second))
}

// find looks for the command that was written for a letter, from an offset of a
// partition of atelier.commands to its end; nil where there is none.
func (c *Client) find(ctx context.Context, letter Place, partition int32, from int64) (found *Place, err error) {
	starts, err := c.admin.StartOffsets(ctx, schemas.TopicCommands)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.HighWatermarks(ctx, schemas.TopicCommands)
	if err != nil {
		return nil, err
	}
	if from < starts[partition] || from > ends[partition] {
		return nil, fmt.Errorf("%s %w", letter, errGone)
	}
	err = kafka.ReadTo(ctx, c.config.Kafka, schemas.TopicCommands, map[int32]int64{partition: from}, ends, func(r *kafka.Record) error {
		if kafka.HeaderValue(r, headerRedrivenFrom) == letter.String() {
			found = &Place{r.Partition, r.Offset}
			return errFound
		}
		return nil
	}, nil)
	if found != nil {
		return found, nil
	}
	return nil, err
}

// claim writes `redriving` and goes on only if it is the one that counts.
func (c *Client) claim(ctx context.Context, r *Redrive) error {
	s := settlement{letter: r.Letter.Place.Offset, Settlement: Settlement{State: Redriving}, takesOver: none}
	if r.Letter.Settled.State == Redriving {
		s.from, s.takesOver = r.Letter.Settled.from, r.Letter.Settled.marker
	} else {
		ends, err := c.admin.HighWatermarks(ctx, schemas.TopicCommands)
		if err != nil {
			return err
		}
		s.from = ends[r.command.Partition]
	}
	return c.settle(ctx, r.Letter.Place, r.key, s)
}

// write writes a record in time or never. A producer goes on with what may have
// reached the broker, also when nobody waits any more, so it ends with the time, and
// with it the client's writing.
func (c *Client) write(ctx context.Context, within time.Duration, r *kafka.Record) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	stop := context.AfterFunc(ctx, c.closeProducer)
	defer stop()
	if err := c.producer.Produce(ctx, r); err != nil {
		return fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	return nil
}

// settle writes a settlement, and reads on until it is seen whether it counts.
func (c *Client) settle(ctx context.Context, at Place, key []byte, s settlement) error {
	now := c.config.Now()
	s.At, s.By = &now, c.config.Actor
	record := s.record(at.Partition, key)
	if err := c.write(ctx, redriveWithin, record); err != nil {
		return fmt.Errorf("%s: %w: %w", at, errUnclear, err)
	}
	p, err := c.advance(ctx, at.Partition)
	if err != nil {
		return err
	}
	if now := p.settlement(at.Offset); now.marker != record.Offset {
		return settledError(at, now)
	}
	return nil
}

func settledError(at Place, s Settlement) error {
	if s.State == Redriving {
		return fmt.Errorf("%s %w: %s", at, errBusy, s)
	}
	return fmt.Errorf("%s %w: %s", at, errSettled, s)
}

// Send is the second step: it writes the command, or finds that it is written.
func (c *Client) Send(ctx context.Context, r *Redrive) (Place, error) {
	if r.sent != nil {
		return *r.sent, nil
	}
	left := redriveWithin - c.config.Now().Sub(r.began)
	if left <= 0 {
		return Place{}, fmt.Errorf("%s %w: that took longer than %s, and somebody else may go on with it; do the same again in %s",
			r.Letter.Place, errRefused, redriveWithin, takeoverAfter)
	}
	if err := c.write(ctx, left, r.command); err != nil {
		return Place{}, fmt.Errorf("%s: %w: %w", r.Letter.Place, errUnclear, err)
	}
	return Place{r.command.Partition, r.command.Offset}, nil
}

// Conclude is the last step: it says where the command stands.
func (c *Client) Conclude(ctx context.Context, r *Redrive, to Place) error {
	now := c.config.Now()
	s := settlement{letter: r.Letter.Place.Offset, takesOver: none,
		Settlement: Settlement{State: Redriven, By: c.config.Actor, At: &now, To: &to}}
	if err := c.write(ctx, redriveWithin, s.record(r.Letter.Place.Partition, r.key)); err != nil {
		return fmt.Errorf("%s was written to %s, which could not be noted; do the same again, it writes no second one: %w",
			r.Letter.Place, Origin{schemas.TopicCommands, to}, err)
	}
	return nil
}

// Discard lays a letter aside for good, with the reason.
func (c *Client) Discard(ctx context.Context, at Place, reason string) error {
	l, record, err := c.Show(ctx, at)
	if err != nil {
		return err
	}
	s := settlement{letter: at.Offset, Settlement: Settlement{State: Discarded, Reason: reason}, takesOver: none}
	switch l.Settled.State {
	case Open:
	case Redriving:
		if err := c.unwritten(ctx, l, record.Key); err != nil {
			return err
		}
		s.takesOver = l.Settled.marker
	default:
		return settledError(at, l.Settled)
	}
	return c.settle(ctx, at, record.Key, s)
}

// unwritten is an error unless an unfinished redriving of the letter is given up
// and wrote nothing, or nobody can tell any more.
func (c *Client) unwritten(ctx context.Context, l *Letter, key []byte) error {
	partitions, err := c.admin.Partitions(ctx, schemas.TopicCommands)
	if err != nil {
		return err
	}
	sent, err := c.find(ctx, l.Place, kafka.PartitionOf(string(key), partitions), l.Settled.from)
	switch {
	case sent != nil:
		return fmt.Errorf("%s %w: it was written to %s; redrive it, which notes that and writes no second one",
			l.Place, errBusy, Origin{schemas.TopicCommands, *sent})
	case err != nil && !errors.Is(err, errGone):
		return err
	}
	return c.givenUp(l)
}
