package api

import (
	"sync"
	"time"

	"atelier/projections"
	"atelier/schemas"
)

const (
	// ringBytesMax bounds the encoded events that all rings of a node hold
	// together; decoded, large ones take some twice that. Where load fills it before
	// the age does, streams resume over a shorter time.
	ringBytesMax = 128 << 20
	// ringEventsMax bounds their number: small events weigh more decoded, one of
	// 250 bytes 1.4 KB, which makes 360 MB.
	ringEventsMax = 256 << 10
	// outcomeEventsMax bounds the events of one command that are gathered. A
	// batch of 48 images leads to 50, its cancellation to 96.
	outcomeEventsMax = 2048
	// waitersMax bounds those who wait for an outcome at once: requests, for 2 s at
	// most, and openings of accounts.
	waitersMax = 16 << 10
)

// Outcome is what a command led to: all of its events, or its rejection.
type Outcome struct {
	CommandID, AccountID string
	// Rejected is nil where the command was accepted.
	Rejected *schemas.CommandRejected
	// Events are all of the command's, in order; at least one. They are shared:
	// read only.
	Events []schemas.Event
	// Last is the position of the last event.
	Last projections.Position
}

// entry is one event in a ring.
type entry struct {
	offset int64
	at     time.Time // the record's, never the host's
	bytes  int
	event  schemas.Event
	of     *gathering // its command's events; nil where they are not gathered
}

// ring holds the newest events of a partition, oldest first. It is bounded by
// age (against the newest record, so that an idle partition forgets nothing),
// number and bytes. It is not safe for concurrent use.
type ring struct {
	ageMax              time.Duration
	eventsMax, bytesMax int

	entries []entry // from head on
	head    int
	bytes   int
	// floor is the first offset of which the ring knows all: every event at or
	// after it is in the ring.
	floor int64
}

// compactAfter is how many forgotten entries at the front are worth a copy (count).
const compactAfter = 256

// append adds the newest event and gives those that had to go to forget.
func (r *ring) append(e entry, forget func(*gathering)) {
	r.entries = append(r.entries, e)
	r.bytes += e.bytes
	for r.len() > r.eventsMax || r.bytes > r.bytesMax || r.len() > 0 && e.at.Sub(r.entries[r.head].at) > r.ageMax {
		oldest := &r.entries[r.head]
		if oldest.of != nil {
			forget(oldest.of)
		}
		r.bytes -= oldest.bytes
		r.floor = oldest.offset + 1
		*oldest = entry{}
		r.head++
	}
	if r.head >= compactAfter && r.head > len(r.entries)/2 {
		kept := copy(r.entries, r.entries[r.head:])
		clear(r.entries[kept:])
		r.entries, r.head = r.entries[:kept], 0
	}
}

func (r *ring) len() int { return len(r.entries) - r.head }

// after calls each for the events after offset, oldest first.
func (r *ring) after(offset int64, each func(*entry)) {
	low, high := r.head, len(r.entries)
	for low < high {
		if middle := (low + high) / 2; r.entries[middle].offset <= offset {
			low = middle + 1
		} else {
			high = middle
		}
	}
	for i := low; i < len(r.entries); i++ {
		each(&r.entries[i])
	}
}

// gathering collects the events of one command. They stand together in their
// partition and say how many they are, so that no transaction marker is needed to
// know that all are there.
type gathering struct {
	commandID string
	at        schemas.CommandPosition
	count     int
	events    []schemas.Event
	// forgotten is set when the ring has lost one of the events.
	forgotten bool
	outcome   *Outcome // when complete
}

// gather adds the next event of a partition to the gathering that is open, or
// begins one. It returns nil for an event that belongs to none: the rest of a
// command of which the feed has not seen the beginning, or a count that cannot be.
func gather(open *gathering, e schemas.Event) *gathering {
	m := e.Meta()
	if open != nil && open.outcome == nil && open.commandID == m.CausationID &&
		open.at == m.CommandPosition && open.count == m.Count && len(open.events) == m.Index {
		open.events = append(open.events, e)
		return open
	}
	if m.Index != 0 || m.Count < 1 || m.Count > outcomeEventsMax {
		return nil
	}
	g := &gathering{commandID: m.CausationID, at: m.CommandPosition, count: m.Count}
	g.events = append(make([]schemas.Event, 0, m.Count), e)
	return g
}

// finish makes the outcome when all events are there; last is the position of
// the newest. It returns nil before that.
func (g *gathering) finish(last projections.Position) *Outcome {
	if len(g.events) < g.count {
		return nil
	}
	rejected, _ := g.events[0].(*schemas.CommandRejected)
	g.outcome = &Outcome{
		CommandID: g.commandID, AccountID: g.events[0].Meta().AccountID,
		Rejected: rejected, Events: g.events, Last: last,
	}
	return g.outcome
}

// outcomes are the complete ones of all rings by command, and those who wait for
// one. It is safe for concurrent use.
type outcomes struct {
	mu      sync.Mutex
	known   map[string]*gathering
	waiting map[string][]chan Outcome
	waiters int
}

func newOutcomes() *outcomes {
	return &outcomes{known: map[string]*gathering{}, waiting: map[string][]chan Outcome{}}
}

// add makes an outcome known and hands it to those who wait. A command that was
// sent twice has two: the first one counts.
func (o *outcomes) add(g *gathering) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, ok := o.known[g.commandID]; !ok && !g.forgotten {
		o.known[g.commandID] = g
	}
	for _, w := range o.waiting[g.commandID] {
		w <- *g.outcome // has room for one, and gets one
		o.waiters--
	}
	delete(o.waiting, g.commandID)
}

// forget drops an outcome that the ring no longer holds whole.
func (o *outcomes) forget(g *gathering) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g.forgotten = true
	if o.known[g.commandID] == g {
		delete(o.known, g.commandID)
	}
}

func (o *outcomes) find(commandID string) (Outcome, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g, ok := o.known[commandID]
	if !ok {
		return Outcome{}, false
	}
	return *g.outcome, true
}

// await returns a channel that gets the outcome once, at once where it is known,
// and a function that stops waiting. It returns nil when too many wait.
func (o *outcomes) await(commandID string) (<-chan Outcome, func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := make(chan Outcome, 1)
	if g, ok := o.known[commandID]; ok {
		w <- *g.outcome
		return w, func() {}
	}
	if o.waiters >= waitersMax {
		return nil, func() {}
	}
	o.waiters++
	o.waiting[commandID] = append(o.waiting[commandID], w)
	return w, func() { o.leave(commandID, w) }
}

func (o *outcomes) leave(commandID string, w chan Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.waiting[commandID]
	for i := range all {
		if all[i] == w {
			all[i] = all[len(all)-1]
			o.waiting[commandID] = all[:len(all)-1]
			o.waiters--
			break
		}
	}
	if len(o.waiting[commandID]) == 0 {
		delete(o.waiting, commandID)
	}
}

func (o *outcomes) waits() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiters
}
