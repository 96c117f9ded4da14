package generator

import (
	"time"

	"atelier/schemas"
)

// partition is the fold of one partition of atelier.events, as far as it was
// read: which generations are open, and from where on the log must be read to
// know them again. The log is the only checkpoint there is. It is pure, and for
// one goroutine.
type partition struct {
	number int32
	// epoch tells this ownership of the partition from earlier ones.
	epoch uint64
	// position is the offset of the next record.
	position int64
	// target is the high watermark at assignment: nothing runs before the
	// position has reached it, because what is there may have ended already.
	target int64
	// live is true once that is so and its open generations are scheduled.
	live bool
	// halted is true behind a record that nobody can read.
	halted bool
	// retryAt is when a record with an unknown schema is read again; zero: none.
	// unknown is its offset.
	retryAt time.Time
	unknown int64

	batches     []*batch // by offset; the first is open
	byID        map[string]*batch
	generations map[string]*generation
	commands    map[string]*generation // open ones by the command that answers
}

// batch is a batch of which something is still to be done.
type batch struct {
	id string
	// event is nil for a batch that stands before what was read, and for one
	// that is done.
	event  *schemas.BatchRequested
	offset int64
	// pictures are those that it has already.
	pictures *pictures
	// open counts its generations that are not closed, unread those that it
	// announced and that were not read yet.
	open, unread int
}

func (b *batch) done() bool { return b.open == 0 && b.unread == 0 }

// generation is one image that is not closed.
type generation struct {
	request   *schemas.GenerationRequested
	batch     *batch
	partition *partition
	offset    int64
	// fresh is true where nobody else can have run it before us.
	fresh bool
	state state
	// end is set once the log says that it has ended.
	end *ending
	// started is true once we have made an attempt.
	started bool
	// work is what has been done for it so far.
	work work
	// job is its name in the scheduler.
	job string
	// cancel stops its running call; nil when nothing runs.
	cancel func()
}

// state is where a generation stands with us.
type state int

const (
	// stateScheduled: it waits, is delayed or runs. 0 is known and nothing decided yet.
	stateScheduled state = iota + 1
	// stateAnswered: our command is on its way or written; the log will tell.
	stateAnswered
	// stateExpired: it was past its deadline; the decider's sweep ends it.
	stateExpired
	// stateSettling: it has ended, and what it cost is being recorded.
	stateSettling
)

// ending is how a generation ended.
type ending struct {
	// reason is what RecordSpend will say: canceled, deadline or lost.
	reason string
	// carried is how many attempts the terminal event tells of.
	carried int
	// delivered is whether it brought a picture.
	delivered bool
	// settle is whether calls may have been paid that no event carries.
	settle bool
}

// The reasons of RecordSpend.
const (
	reasonCanceled = "canceled"
	reasonDeadline = "deadline"
	reasonLost     = "lost"
)

func newPartition(number int32, epoch uint64, from, target int64) *partition {
	return &partition{
		number: number, epoch: epoch, position: from, target: target,
		byID: map[string]*batch{}, generations: map[string]*generation{}, commands: map[string]*generation{}, unknown: -1,
	}
}

// restored says whether everything is read that was there at assignment.
func (p *partition) restored() bool { return p.position >= p.target }

// checkpoint returns the offset from which reading again leads to the same open
// generations: that of the oldest open batch.
func (p *partition) checkpoint() int64 {
	for len(p.batches) > 0 && p.batches[0].done() {
		delete(p.byID, p.batches[0].id)
		p.batches[0] = nil
		p.batches = p.batches[1:]
	}
	if len(p.batches) > 0 {
		return p.batches[0].offset
	}
	return p.position
}

// change is what an event means for a generation that we know.
type change struct {
	opened   *generation
	ended    *generation
	refused  *generation // our answer to it was refused
	refusal  string
	recorded *generation // its spend is in the log
}

// apply folds the event at offset. Events that concern no open generation
// change nothing but the position, which the caller moves.
func (p *partition) apply(offset int64, event schemas.Record) change {
	switch e := event.(type) {
	case *schemas.BatchRequested:
		b := &batch{id: e.BatchID, event: e, offset: offset, pictures: newPictures(), unread: e.Images}
		p.batches = append(p.batches, b)
		p.byID[e.BatchID] = b
	case *schemas.GenerationRequested:
		return change{opened: p.open(offset, e)}
	case *schemas.GenerationSucceeded:
		if g := p.generations[e.GenerationID]; g != nil {
			g.batch.pictures.delivered(g.request, e.Attempts)
		}
		return p.ended(e.GenerationID, ending{reason: reasonLost, carried: len(e.Attempts), delivered: true})
	case *schemas.GenerationFailed:
		end := ending{reason: reasonLost, carried: len(e.Attempts)}
		if e.Reason == reasonDeadline {
			end = ending{reason: reasonDeadline, carried: len(e.Attempts), settle: true}
		}
		return p.ended(e.GenerationID, end)
	case *schemas.GenerationCanceled:
		return p.ended(e.GenerationID, ending{reason: reasonCanceled, settle: true})
	case *schemas.SpendRecorded:
		if g := p.generations[e.GenerationID]; g != nil && g.end != nil {
			return change{recorded: g}
		}
	case *schemas.CommandRejected:
		if g := p.commands[e.CausationID]; g != nil && g.end == nil {
			return change{refused: g, refusal: e.Code}
		}
	}
	return change{}
}

func (p *partition) open(offset int64, e *schemas.GenerationRequested) *generation {
	b := p.byID[e.BatchID]
	if b == nil {
		// Only an offset that somebody set into the middle of a batch leads
		// here. The generation fails at its start, for want of a brief.
		b = &batch{id: e.BatchID, offset: offset, pictures: newPictures(), unread: 1}
		p.batches = append(p.batches, b)
		p.byID[e.BatchID] = b
	}
	b.unread = max(b.unread-1, 0)
	b.open++
	g := &generation{request: e, batch: b, partition: p, offset: offset, fresh: p.restored()}
	p.generations[e.GenerationID] = g
	return g
}

func (p *partition) ended(id string, end ending) change {
	g := p.generations[id]
	if g == nil || g.end != nil {
		return change{}
	}
	g.end = &end
	if !end.delivered {
		g.batch.pictures.release(id)
	}
	return change{ended: g}
}

// close forgets a generation of which nothing is left to be done.
func (p *partition) close(g *generation) {
	if p.generations[g.request.GenerationID] != g {
		return
	}
	delete(p.generations, g.request.GenerationID)
	delete(p.commands, completeID(g.request.GenerationID))
	delete(p.commands, failID(g.request.GenerationID))
	if g.batch.open--; g.batch.done() {
		g.batch.event = nil // a done batch behind an open one keeps no brief
	}
}
