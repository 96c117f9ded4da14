package janitor

import (
	"slices"
	"time"

	"atelier/internal/media"
	"atelier/schemas"
)

// binMax bounds the images of one partition that are remembered (count), some
// 200 bytes each. Where more lie in the bin, those behind are read again once half
// of them are gone.
const binMax = 20_000

// binned is an image in the bin.
type binned struct {
	account, image string
	since          time.Time
	// offset is that of the ImageDeleted which put it there.
	offset int64
}

// due says whether its bytes are to be erased at a time.
func (b *binned) due(now time.Time) bool { return !now.Before(b.since.Add(media.EraseAfter)) }

// partition is the fold of one partition of atelier.events as far as it was read:
// what lies in the bin. It is pure, and for one goroutine.
type partition struct {
	number int32
	// epoch tells this ownership of the partition, or this reading of it, from others.
	epoch uint64
	// position is the offset of the next record.
	position int64
	// target is the high watermark of asOf. Nothing is erased before the position has
	// reached it: what stands there may take an image out of the bin.
	target int64
	// asOf is when the bin is looked through as of; zero: it was.
	asOf time.Time
	// ready is true once the first target was reached.
	ready bool
	// retryAt is when a record that cannot be read is tried again; zero: there is
	// none. stuck is its offset, -1 before the first.
	retryAt time.Time
	stuck   int64

	max  int
	bin  map[string]*binned // by image
	line []*binned          // by offset, with some that have left the bin
	// beyond is the offset of the first ImageDeleted for which there was no room; -1:
	// there was none.
	beyond int64
}

func newPartition(number int32, epoch uint64, from, target int64, asOf time.Time) *partition {
	return &partition{
		number: number, epoch: epoch, position: from, target: target, asOf: asOf, stuck: -1,
		max: binMax, bin: map[string]*binned{}, beyond: -1,
	}
}

// apply folds the event at offset.
func (p *partition) apply(offset int64, event schemas.Record) {
	switch e := event.(type) {
	case *schemas.ImageDeleted:
		delete(p.bin, e.GenerationID) // it is there since this event
		if len(p.bin) >= p.max {
			if p.beyond < 0 {
				p.beyond = offset
			}
			return
		}
		b := &binned{account: e.AccountID, image: e.GenerationID, since: e.OccurredAt, offset: offset}
		p.bin[b.image] = b
		if p.line = append(p.line, b); len(p.line) > 2*p.max {
			p.line = slices.DeleteFunc(p.line, func(b *binned) bool { return p.bin[b.image] != b })
		}
	case *schemas.ImageRestored:
		delete(p.bin, e.GenerationID)
	}
}

// caughtUp says whether all is read that was there when the look was asked for.
func (p *partition) caughtUp() bool { return p.position >= p.target }

// due returns images whose bytes are to be erased, the oldest first, most at most.
func (p *partition) due(most int) []*binned {
	var due []*binned
	for _, b := range p.line {
		if len(due) == most {
			break
		}
		if p.bin[b.image] == b && b.due(p.asOf) {
			due = append(due, b)
		}
	}
	return due
}

// forget takes an image out whose bytes are erased.
func (p *partition) forget(b *binned) {
	if p.bin[b.image] == b {
		delete(p.bin, b.image)
	}
}

// checkpoint returns the offset from which reading again leads to the same bin.
func (p *partition) checkpoint() int64 {
	for len(p.line) > 0 && p.bin[p.line[0].image] != p.line[0] {
		p.line[0] = nil
		p.line = p.line[1:]
	}
	oldest := p.position
	if len(p.line) > 0 {
		oldest = p.line[0].offset
	}
	if p.beyond >= 0 {
		oldest = min(oldest, p.beyond)
	}
	return oldest
}

// roomAgain says whether there is room for what was passed over: then the partition
// is to be read again from its checkpoint.
func (p *partition) roomAgain() bool { return p.beyond >= 0 && len(p.bin) <= p.max/2 }
