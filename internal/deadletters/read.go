package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// lettersMax bounds the letters that a list returns (count), some 1 KB each.
	lettersMax = 100_000
	// quietMax is how many offsets are read without a word (count).
	quietMax = 1_000
)

// ErrTooMany is more letters than a list returns: ask for fewer.
var ErrTooMany = errors.New("too many dead letters match")

// Config is what a Client works with.
type Config struct {
	Kafka kafka.Config
	// Codec reads commands that are to be redriven; nil where none is.
	Codec *schemas.Codec
	// Actor says in settlements who made them.
	Actor string
	// Now is the wall clock; time.Now where it is nil.
	Now func() time.Time
	// Progress hears how far a long reading is (more than quietMax offsets); may be nil.
	Progress func(done, total int64)
}

func (c *Config) validate() error {
	if c.Actor == "" {
		return errors.New("dead letters: nobody is named who acts")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	return nil
}

// Client reads and settles dead letters. It is for one goroutine.
type Client struct {
	config   Config
	admin    *kafka.Admin
	producer *kafka.Producer
	close    sync.Once
	// known are the partitions that were read from their beginning.
	known map[int32]*partition
	// lettersMax is the constant, less in tests.
	lettersMax int
}

// New makes a client. It does not connect yet.
func New(c Config) (*Client, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	admin, err := kafka.NewAdmin(c.Kafka)
	if err != nil {
		return nil, err
	}
	producer, err := kafka.NewPlacedProducer(c.Kafka)
	if err != nil {
		admin.Close()
		return nil, err
	}
	return &Client{config: c, admin: admin, producer: producer, known: map[int32]*partition{}, lettersMax: lettersMax}, nil
}

// Close closes the connections.
func (c *Client) Close() {
	c.admin.Close()
	c.closeProducer()
}

func (c *Client) closeProducer() { c.close.Do(c.producer.Close) }

// partition is the fold of a partition of atelier.deadletters: what became of its
// letters. It keeps none of them, only what tells their records apart (some 60 bytes a
// letter, 200 a settled one), so that a flood does not stand in the way of a single one.
type partition struct {
	next    int64                // offset of the next record
	first   map[recordHash]int64 // offset of the first letter of a record
	settled map[int64]Settlement // by the letter's offset; open ones need not be there
}

func newPartition(from int64) *partition {
	return &partition{next: from, first: map[recordHash]int64{}, settled: map[int64]Settlement{}}
}

// settlement returns what became of the letter at an offset.
func (p *partition) settlement(letter int64) Settlement {
	if s, ok := p.settled[letter]; ok {
		return s
	}
	return Settlement{State: Open, marker: none}
}

// apply folds a letter, or a settlement of one before it.
func (p *partition) apply(r *kafka.Record) {
	p.next = r.Offset + 1
	if kafka.IsSettlement(r) {
		if s, ok := settlementOf(r); ok && s.letter < r.Offset {
			p.settled[s.letter] = p.settlement(s.letter).then(s)
		}
		return
	}
	same := hashOf(r)
	if first, ok := p.first[same]; ok {
		p.settled[r.Offset] = Settlement{State: Repeated, To: &Place{r.Partition, first}, marker: none}
	} else {
		p.first[same] = r.Offset
	}
}

// Filter says which letters to list.
type Filter struct {
	// Since leaves out what became a dead letter before; the zero time: nothing.
	Since time.Time
	// Cause is a part of the cause, Topic the origin's; empty: any.
	Cause, Topic string
	// All also lists what is settled.
	All bool
}

func (f Filter) has(l *Letter) bool {
	return (f.All || l.Settled.State == Open || l.Settled.State == Redriving) &&
		strings.Contains(l.Cause, f.Cause) && (f.Topic == "" || l.Origin.Topic == f.Topic)
}

// List returns the letters that there are now, oldest first; more than lettersMax
// are ErrTooMany. It reads twice: whether a letter is wanted depends on what follows.
func (c *Client) List(ctx context.Context, f Filter) ([]Letter, error) {
	from, err := c.begin(ctx, f.Since)
	if err != nil {
		return nil, err
	}
	ends, err := c.admin.HighWatermarks(ctx, schemas.TopicDeadLetters)
	if err != nil {
		return nil, err
	}
	folds := map[int32]*partition{}
	for id, offset := range from {
		folds[id] = newPartition(offset)
	}
	if err := c.read(ctx, folds, ends); err != nil {
		return nil, err
	}
	if f.Since.IsZero() {
		c.known = folds
	}
	var letters []Letter
	err = kafka.ReadTo(ctx, c.config.Kafka, schemas.TopicDeadLetters, from, ends, func(r *kafka.Record) error {
		if kafka.IsSettlement(r) {
			return nil
		}
		l := letterOf(r, folds[r.Partition].settlement(r.Offset))
		if !f.has(l) {
			return nil
		}
		if len(letters) == c.lettersMax {
			return fmt.Errorf("%w: more than %d", ErrTooMany, c.lettersMax)
		}
		letters = append(letters, *l)
		return nil
	}, c.progress)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(letters, func(a, b Letter) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Place.Partition, b.Place.Partition), cmp.Compare(a.Place.Offset, b.Place.Offset))
	})
	return letters, nil
}

func (c *Client) begin(ctx context.Context, since time.Time) (map[int32]int64, error) {
	if since.IsZero() {
		return c.admin.StartOffsets(ctx, schemas.TopicDeadLetters)
	}
	return c.admin.OffsetsAt(ctx, schemas.TopicDeadLetters, since)
}

func (c *Client) progress(done, total int64) {
	if total > quietMax {
		c.config.Progress(done, total)
	}
}

// read folds each partition up to its end.
func (c *Client) read(ctx context.Context, folds map[int32]*partition, ends map[int32]int64) error {
	from := map[int32]int64{}
	for id, p := range folds {
		from[id] = p.next
	}
	err := kafka.ReadTo(ctx, c.config.Kafka, schemas.TopicDeadLetters, from, ends, func(r *kafka.Record) error {
		folds[r.Partition].apply(r)
		return nil
	}, c.progress)
	if err != nil {
		return err
	}
	for id, p := range folds {
		p.next = max(p.next, ends[id])
	}
	return nil
}

// advance reads a partition from where it was read up to before, its beginning at
// first, to where it ends now.
func (c *Client) advance(ctx context.Context, id int32) (*partition, error) {
	ends, err := c.admin.HighWatermarks(ctx, schemas.TopicDeadLetters)
	if err != nil {
		return nil, err
	}
	if _, ok := ends[id]; !ok {
		return nil, fmt.Errorf("%s has no partition %d", schemas.TopicDeadLetters, id)
	}
	if c.known[id] == nil {
		starts, err := c.admin.StartOffsets(ctx, schemas.TopicDeadLetters)
		if err != nil {
			return nil, err
		}
		c.known[id] = newPartition(starts[id])
	}
	p := c.known[id]
	return p, c.read(ctx, map[int32]*partition{id: p}, ends)
}

// Show returns a letter as it stands now, and its record.
func (c *Client) Show(ctx context.Context, at Place) (*Letter, *kafka.Record, error) {
	p, err := c.advance(ctx, at.Partition)
	if err != nil {
		return nil, nil, err
	}
	record, err := c.record(ctx, at, p.next)
	if err != nil {
		return nil, nil, err
	}
	if record == nil || kafka.IsSettlement(record) {
		return nil, nil, fmt.Errorf("no dead letter at %s: `atelier deadletters list --all` names them", at)
	}
	return letterOf(record, p.settlement(at.Offset)), record, nil
}

// record reads the record at a place, nil where there is none before next.
func (c *Client) record(ctx context.Context, at Place, next int64) (record *kafka.Record, err error) {
	starts, err := c.admin.StartOffsets(ctx, schemas.TopicDeadLetters)
	if err != nil || at.Offset < starts[at.Partition] || at.Offset >= next {
		return nil, err
	}
	from, end := map[int32]int64{at.Partition: at.Offset}, map[int32]int64{at.Partition: at.Offset + 1}
	err = kafka.ReadTo(ctx, c.config.Kafka, schemas.TopicDeadLetters, from, end, func(r *kafka.Record) error {
		record = r
		return nil
	}, nil)
	return record, err
}
