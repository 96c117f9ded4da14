// Package schedule decides which generation runs next. It is pure: it has no
// clock, no randomness and no I/O; time is passed in, and the same calls give
// the same order on every machine.
package schedule

import (
	"container/heap"
	"errors"
	"time"
)

// Config bounds what runs at the same time.
type Config struct {
	// Slots is how many jobs run at most, >= 1.
	Slots int
	// SlotsPerAccount is how many of one account run at most, 1 to Slots, so
	// that no one person fills them.
	SlotsPerAccount int
}

// Validate says what is wrong with the bounds.
func (c Config) Validate() error {
	switch {
	case c.Slots < 1:
		return errors.New("slots must be at least 1")
	case c.SlotsPerAccount < 1 || c.SlotsPerAccount > c.Slots:
		return errors.New("slots per account must be between 1 and the number of slots")
	}
	return nil
}

// Job is a piece of work that holds a slot while it runs.
type Job struct {
	ID      string
	Account string
	// Since is when it was asked for: who asked first goes first.
	Since time.Time
}

// Scheduler holds jobs that wait, that run, and that are delayed until a time.
// A job leaves by Remove alone. The zero Scheduler is not usable; see New. It is
// for one goroutine.
type Scheduler struct {
	config   Config
	jobs     map[string]*entry
	accounts map[string]*account
	eligible eligible // accounts that have a job waiting and may run one more
	delayed  delayed
	running  int
	waiting  int
	sequence uint64
}

// entry is a job in one of three states: waiting (in its account's heap),
// delayed (in the delayed heap) or running (in neither).
type entry struct {
	Job
	state    state
	sequence uint64    // order of arrival, breaks ties
	until    time.Time // while delayed
	index    int       // in the heap that holds it
}

type state int

const (
	stateWaiting state = iota
	stateDelayed
	stateRunning
)

// account is what one account has waiting and running.
type account struct {
	id      string
	waiting queue
	running int
	jobs    int // in any state; an account without is forgotten
	index   int // in eligible, -1 when it is not there
}

// New returns an empty scheduler. The config must be valid.
func New(c Config) *Scheduler {
	return &Scheduler{config: c, jobs: map[string]*entry{}, accounts: map[string]*account{}}
}

// Add makes a job wait. It returns false, and changes nothing, for one it knows.
func (s *Scheduler) Add(job Job) bool {
	if _, known := s.jobs[job.ID]; known {
		return false
	}
	a := s.accounts[job.Account]
	if a == nil {
		a = &account{id: job.Account, index: -1}
		s.accounts[job.Account] = a
	}
	a.jobs++
	s.sequence++
	e := &entry{Job: job, sequence: s.sequence}
	s.jobs[job.ID] = e
	s.wait(a, e)
	return true
}

// Next takes a slot for the job whose turn it is, and false when no slot is free
// or nothing may run. Jobs whose delay is over at now are back in their place.
func (s *Scheduler) Next(now time.Time) (Job, bool) {
	for len(s.delayed) > 0 && !s.delayed[0].until.After(now) {
		e := heap.Pop(&s.delayed).(*entry)
		s.wait(s.accounts[e.Account], e)
	}
	if s.running == s.config.Slots || len(s.eligible) == 0 {
		return Job{}, false
	}
	a := s.eligible[0]
	e := heap.Pop(&a.waiting).(*entry)
	e.state = stateRunning
	s.waiting--
	s.running++
	a.running++
	s.place(a)
	return e.Job, true
}

// Delay takes a job out until a time, with its slot given back where it ran; it
// keeps its place in the order. It returns false for an unknown job.
func (s *Scheduler) Delay(id string, until time.Time) bool {
	e, known := s.jobs[id]
	if !known {
		return false
	}
	s.take(e)
	e.state, e.until = stateDelayed, until
	heap.Push(&s.delayed, e)
	return true
}

// Remove ends a job in whatever state it is, with its slot given back where it
// ran. It returns false for an unknown job.
func (s *Scheduler) Remove(id string) bool {
	e, known := s.jobs[id]
	if !known {
		return false
	}
	s.take(e)
	delete(s.jobs, id)
	a := s.accounts[e.Account]
	if a.jobs--; a.jobs == 0 {
		delete(s.accounts, a.id)
	}
	return true
}

// Wake returns when the next delay ends; false when there is none.
func (s *Scheduler) Wake() (time.Time, bool) {
	if len(s.delayed) == 0 {
		return time.Time{}, false
	}
	return s.delayed[0].until, true
}

// Running returns how many slots are taken.
func (s *Scheduler) Running() int { return s.running }

// Waiting returns how many jobs wait for a slot.
func (s *Scheduler) Waiting() int { return s.waiting }

// Delayed returns how many jobs wait for a time.
func (s *Scheduler) Delayed() int { return len(s.delayed) }

// wait puts a job that is in no heap among its account's waiting ones.
func (s *Scheduler) wait(a *account, e *entry) {
	e.state = stateWaiting
	heap.Push(&a.waiting, e)
	s.waiting++
	s.place(a)
}

// take removes a job from where it is and gives back its slot.
func (s *Scheduler) take(e *entry) {
	a := s.accounts[e.Account]
	switch e.state {
	case stateWaiting:
		heap.Remove(&a.waiting, e.index)
		s.waiting--
	case stateDelayed:
		heap.Remove(&s.delayed, e.index)
	case stateRunning:
		s.running--
		a.running--
	}
	s.place(a)
}

// place puts the account where it belongs in the order, after any change to it.
func (s *Scheduler) place(a *account) {
	may := len(a.waiting) > 0 && a.running < s.config.SlotsPerAccount
	switch {
	case may && a.index < 0:
		heap.Push(&s.eligible, a)
	case may:
		heap.Fix(&s.eligible, a.index)
	case a.index >= 0:
		heap.Remove(&s.eligible, a.index)
	}
}
