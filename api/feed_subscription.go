package api

import (
	"context"
	"errors"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// subscriptionEventsMax bounds what waits for one subscriber (count): a batch
	// of 48 images leads to some 50 events at once, its end to twice that.
	subscriptionEventsMax = 256
	// subscriptionNotesMax is from where on progress notes are dropped instead:
	// they are no facts, and the next one says more.
	subscriptionNotesMax = subscriptionEventsMax / 2
	// aheadWait is how long a subscriber waits for the feed to reach a position
	// that another node has shown already: as long as a read waits.
	aheadWait = 2 * time.Second
)

// ErrResync is a position from which a stream cannot resume without loss: older
// than the ring, not in the log, of another topic generation or of another
// account's partition. The client reads afresh.
var ErrResync = errors.New("the position is gone")

// ErrFeedNotReady is a feed that has not caught up with the log since its start:
// asking again soon helps (503).
var ErrFeedNotReady = errors.New("the event feed is still being filled")

// ErrSlow is a subscriber for whom too much waited. It may resume from the last
// position that it has seen.
var ErrSlow = errors.New("the subscriber is too slow")

// feedPartition is one partition's ring and those who follow an account of it.
type feedPartition struct {
	number     int32
	generation int

	mu   sync.Mutex
	ring ring
	open *gathering // the command whose events are coming
	// next is the offset after the last record handled; -1 before the first tail.
	next int64
	// advanced is closed when next moves on; nil while nobody waits for that.
	advanced  chan struct{}
	followers map[string]map[*Subscription]struct{} // by account
}

func newFeedPartition(c FeedConfig, number int32) *feedPartition {
	return &feedPartition{
		number: number, generation: c.Generation, next: -1, followers: map[string]map[*Subscription]struct{}{},
		ring: ring{
			ageMax: c.RingAge, eventsMax: max(1, ringEventsMax/c.Partitions), bytesMax: max(1, ringBytesMax/c.Partitions),
		},
	}
}

// begin sets where the first tail starts.
func (p *feedPartition) begin(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.ring.floor = offset, offset
}

// take appends an event, hands it to the followers of its account and returns
// the gathering that it completes, if it does.
func (p *feedPartition) take(r *kafka.Record, e schemas.Event, forget func(*gathering)) *gathering {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = gather(p.open, e)
	p.ring.append(entry{offset: r.Offset, at: r.Timestamp, bytes: len(r.Value), event: e, of: p.open}, forget)
	p.moveTo(r.Offset + 1)
	at := projections.Position{Generation: p.generation, Partition: p.number, Offset: r.Offset}
	for s := range p.followers[e.Meta().AccountID] {
		s.add(Delivery{Position: at, Event: e})
	}
	if p.open != nil && p.open.finish(at) != nil {
		return p.open
	}
	return nil
}

// advance passes over a record that carries no event.
func (p *feedPartition) advance(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moveTo(next)
}

func (p *feedPartition) moveTo(next int64) {
	p.next = next
	if p.advanced != nil {
		close(p.advanced)
		p.advanced = nil
	}
}

func (p *feedPartition) position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

func (p *feedPartition) events() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ring.len()
}

func (p *feedPartition) bytes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ring.bytes
}

func (p *feedPartition) followed(account string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.followers[account]) > 0
}

func (p *feedPartition) passOn(account string, d Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range p.followers[account] {
		s.add(d)
	}
}

// follow registers a subscription, with what the ring holds after from. Where the
// feed has not reached from yet it returns a channel that is closed when it moves.
func (p *feedPartition) follow(s *Subscription, from *projections.Position) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.next - 1
	if from != nil {
		switch {
		case from.Offset > last:
			if p.advanced == nil {
				p.advanced = make(chan struct{})
			}
			return p.advanced, nil
		case from.Offset < p.ring.floor-1:
			return nil, ErrResync
		}
		last = from.Offset
	}
	s.start = projections.Position{Generation: p.generation, Partition: p.number, Offset: last}
	p.ring.after(last, func(e *entry) {
		if e.event.Meta().AccountID == s.account {
			s.queue = append(s.queue, Delivery{
				Position: projections.Position{Generation: p.generation, Partition: p.number, Offset: e.offset}, Event: e.event,
			})
		}
	})
	if len(s.queue) > 0 {
		s.wake <- struct{}{}
	}
	if p.followers[s.account] == nil {
		p.followers[s.account] = map[*Subscription]struct{}{}
	}
	p.followers[s.account][s] = struct{}{}
	return nil, nil
}

func (p *feedPartition) unfollow(s *Subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.followers[s.account], s)
	if len(p.followers[s.account]) == 0 {
		delete(p.followers, s.account)
	}
}

// Delivery is an event with its position, or a progress note without one.
type Delivery struct {
	Position projections.Position
	// Event is nil for a progress note. It is shared: read only.
	Event    schemas.Event
	Progress *schemas.GenerationProgress
}

// Subscription is one reader of an account's events. One goroutine takes; Close
// may be called from any, and more than once.
type Subscription struct {
	account   string
	start     projections.Position
	partition *feedPartition
	cuts      func()
	wake      chan struct{}

	mu    sync.Mutex
	queue []Delivery
	live  int // of the queue: what came since the last Take, without the replay
	slow  bool
}

// Subscribe follows an account: first what the ring holds after from, then what
// comes; with from nil only what comes. It waits 2 s at most for the feed to
// reach from. Errors: ErrResync, ErrFeedNotReady, or ctx's. Close it after use.
func (f *Feed) Subscribe(ctx context.Context, account string, from *projections.Position) (*Subscription, error) {
	if !f.Ready() {
		return nil, ErrFeedNotReady
	}
	p := f.partition(account)
	if from != nil && (from.Generation != p.generation || from.Partition != p.number || from.Offset < -1) {
		return nil, ErrResync
	}
	s := &Subscription{account: account, partition: p, cuts: f.metrics.cut.Inc, wake: make(chan struct{}, 1)}
	var timeout <-chan time.Time
	for {
		ahead, err := p.follow(s, from)
		if err != nil {
			return nil, err
		}
		if ahead == nil {
			return s, nil
		}
		if timeout == nil {
			timer := time.NewTimer(aheadWait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-ahead:
		case <-timeout:
			return nil, ErrResync
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Start is the position after which the subscription gives everything.
func (s *Subscription) Start() projections.Position { return s.start }

// Wake gets a value when there is something to Take.
func (s *Subscription) Wake() <-chan struct{} { return s.wake }

// Take returns what waits, oldest first. Once the subscriber was too slow there
// comes nothing new: the last Take gives the rest, and ErrSlow.
func (s *Subscription) Take() ([]Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.queue
	s.queue, s.live = nil, 0
	if s.slow {
		return taken, ErrSlow
	}
	return taken, nil
}

// Close ends the subscription.
func (s *Subscription) Close() { s.partition.unfollow(s) }

// add never blocks: the feed serves everybody.
func (s *Subscription) add(d Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.slow, d.Event == nil && s.live >= subscriptionNotesMax:
		return
	case s.live >= subscriptionEventsMax:
		s.slow = true
		s.cuts()
	default:
		s.queue = append(s.queue, d)
		s.live++
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
