package deadletters

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// lettersMax bounds the letters that are kept in memory at once (count), some
	// 1 KB each.
	lettersMax = 100_000
	// pollMax bounds the records taken from the client at once (count).
	pollMax = 1_000
)

// errTooMany is more letters than are kept at once.
var errTooMany = fmt.Errorf("more than %d dead letters: ask for fewer with --since, --cause or --topic", lettersMax)

// Config is what a Client works with.
type Config struct {
	Kafka kafka.Config
	Codec *schemas.Codec
	// Actor says in settlements who made them.
	Actor string
	// Now is the wall clock; time.Now where it is nil.
	Now func() time.Time
	// Progress hears how far a long reading is (more than pollMax records); may be nil.
	Progress func(done, total int64)
}

func (c *Config) validate() error {
	if c.Codec == nil {
		return errors.New("dead letters: no codec")
	}
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
	return &Client{config: c, admin: admin, producer: producer, known: map[int32]*partition{}}, nil
}

// Close closes the connections.
func (c *Client) Close() {
	c.admin.Close()
	c.closeProducer()
}

func (c *Client) closeProducer() { c.close.Do(c.producer.Close) }

// partition is the fold of a partition of atelier.deadletters.
type partition struct {
	next    int64 // offset of the next record
	letters map[int64]*Letter
	first   map[[32]byte]int64 // letters by what they are of
}

func newPartition(from int64) *partition {
	return &partition{next: from, letters: map[int64]*Letter{}, first: map[[32]byte]int64{}}
}

// apply folds a record, if it is a letter that is to be kept or the settlement of one.
func (p *partition) apply(r *kafka.Record, keep func(*Letter) bool) {
	p.next = r.Offset + 1
	if kafka.IsControl(r) {
		return
	}
	if kafka.IsSettlement(r) {
		s, ok := settlementOf(r)
		if l := p.letters[s.letter]; ok && l != nil {
			l.settle(s)
		}
		return
	}
	l := letterOf(r)
	if !keep(l) {
		return
	}
	if first, ok := p.first[l.same]; ok {
		l.Settled = Settlement{State: Repeated, To: &Place{r.Partition, first}, marker: none}
	} else {
		p.first[l.same] = r.Offset
	}
	p.letters[r.Offset] = l
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
	return strings.Contains(l.Cause, f.Cause) && (f.Topic == "" || l.Origin.Topic == f.Topic)
}

// List returns the letters that there are now, oldest first, at most lettersMax.
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
	if err := c.read(ctx, folds, ends, f.has); err != nil {
		return nil, err
	}
	var letters []Letter
	for _, p := range folds {
		for _, l := range p.letters {
			if f.All || l.Settled.State == Open || l.Settled.State == Redriving {
				letters = append(letters, *l)
			}
		}
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

// read folds each partition up to its end. The ends are high watermarks: what is
// written in a transaction that is still open is waited for.
func (c *Client) read(ctx context.Context, folds map[int32]*partition, ends map[int32]int64, keep func(*Letter) bool) error {
	from := map[int32]int64{}
	var done, total int64
	for id, p := range folds {
		if p.next < ends[id] {
			from[id] = p.next
			total += ends[id] - p.next
		}
	}
	return c.each(ctx, schemas.TopicDeadLetters, from, ends, func(r *kafka.Record) (bool, error) {
		p := folds[r.Partition]
		done += r.Offset + 1 - p.next
		p.apply(r, keep)
		if total > pollMax {
			c.config.Progress(done, total)
		}
		if len(p.letters) > lettersMax {
			return false, errTooMany
		}
		return true, nil
	})
}

// each hands over the records of a topic between from and ends, markers too, until
// visit returns false.
func (c *Client) each(ctx context.Context, topic string, from, ends map[int32]int64, visit func(*kafka.Record) (bool, error)) error {
	if len(from) == 0 {
		return nil
	}
	reader, err := kafka.NewReader(c.config.Kafka, topic, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for left := maps.Clone(from); len(left) > 0; {
		records, err := reader.Poll(ctx, pollMax)
		if err != nil {
			return err
		}
		for _, r := range records {
			if _, ok := left[r.Partition]; !ok {
				continue // written since
			}
			if r.Offset < ends[r.Partition] {
				if more, err := visit(r); err != nil || !more {
					return err
				}
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(left, r.Partition)
			}
		}
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
	return p, c.read(ctx, map[int32]*partition{id: p}, ends, func(*Letter) bool { return true })
}

// letter returns a letter as it stands now.
func (c *Client) letter(ctx context.Context, at Place) (*Letter, error) {
	p, err := c.advance(ctx, at.Partition)
	if err != nil {
		return nil, err
	}
	if l := p.letters[at.Offset]; l != nil {
		return l, nil
	}
	return nil, fmt.Errorf("no dead letter at %s: `atelier deadletters list --all` names them", at)
}

// Show returns a letter and its record.
func (c *Client) Show(ctx context.Context, at Place) (Letter, *kafka.Record, error) {
	l, err := c.letter(ctx, at)
	if err != nil {
		return Letter{}, nil, err
	}
	r, err := c.record(ctx, at)
	return *l, r, err
}

// record reads the record of a letter that is there.
func (c *Client) record(ctx context.Context, at Place) (record *kafka.Record, err error) {
	from, end := map[int32]int64{at.Partition: at.Offset}, map[int32]int64{at.Partition: at.Offset + 1}
	err = c.each(ctx, schemas.TopicDeadLetters, from, end, func(r *kafka.Record) (bool, error) {
		record = r
		return false, nil
	})
	if err == nil && record == nil {
		err = fmt.Errorf("the dead letter at %s is no longer kept", at)
	}
	return record, err
}
