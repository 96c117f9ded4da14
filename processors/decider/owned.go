package decider

import (
	"container/heap"
	"sync"
	"time"

	"atelier/commands"
	"atelier/schemas"
)

// staleDueMax is how many entries that are no longer true a partition's heap of
// due times may have beside as many as there are true ones (count).
const staleDueMax = 64

// owned are the partitions that the group has given to this decider. It is safe
// for concurrent use.
type owned struct {
	mu         sync.Mutex
	partitions map[int32]*partition
}

func newOwned() *owned { return &owned{partitions: map[int32]*partition{}} }

// take adds partitions that were assigned; they are not ready yet.
func (o *owned) take(ids []int32) []*partition {
	o.mu.Lock()
	defer o.mu.Unlock()
	var taken []*partition
	for _, id := range ids {
		taken = append(taken, o.add(id))
	}
	return taken
}

// retake makes those partitions that are still owned unready and empty.
func (o *owned) retake(ids []int32) []*partition {
	o.mu.Lock()
	defer o.mu.Unlock()
	var taken []*partition
	for _, id := range ids {
		if p := o.partitions[id]; p != nil && p.restored {
			taken = append(taken, o.add(id))
		}
	}
	return taken
}

func (o *owned) add(id int32) *partition {
	p := &partition{id: id, accounts: map[string][]byte{}, dueAt: map[string]time.Time{}}
	o.partitions[id] = p
	return p
}

func (o *owned) drop(ids []int32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		delete(o.partitions, id)
	}
}

func (o *owned) clear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.partitions)
}

// get returns a partition that is owned and restored, else nil.
func (o *owned) get(id int32) *partition {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.partitions[id]; p != nil && p.restored {
		return p
	}
	return nil
}

// publish makes a restored partition ready, unless it was lost meanwhile.
func (o *owned) publish(p *partition) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partitions[p.id] != p {
		return false
	}
	p.restored = true
	return true
}

// whileOurs calls do if the partition is owned and restored, and nobody takes it away
// or gives it anew meanwhile. do must not call owned. It says whether it was so.
func (o *owned) whileOurs(p *partition, do func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.partitions[p.id] != p || !p.restored {
		return false
	}
	do()
	return true
}

func (o *owned) all() []*partition {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ready []*partition
	for _, p := range o.partitions {
		if p.restored {
			ready = append(ready, p)
		}
	}
	return ready
}

func (o *owned) count() float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return float64(len(o.partitions))
}

func (o *owned) ready() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.partitions {
		if !p.restored {
			return false
		}
	}
	return len(o.partitions) > 0
}

// partition is the state of one partition's accounts, as of the last committed
// transaction. Accounts stay encoded, in the wire format, and are decoded on use:
// a million usual ones are then some 2 GB rather than ten.
type partition struct {
	id       int32
	restored bool // guarded by owned.mu, like waitingFor and waitUntil
	// waitingFor is the offset of a command whose schema is awaited, until waitUntil;
	// what stands before it is known or has waited.
	waitingFor int64
	waitUntil  time.Time

	mu       sync.Mutex
	accounts map[string][]byte
	// dueAt is when time next brings something about, for accounts of which that
	// is known; due has the same in order, with entries that are no longer true.
	dueAt map[string]time.Time
	due   dueHeap
}

// encoded returns an account's snapshot, nil for one that is new.
func (p *partition) encoded(id string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accounts[id]
}

// set replaces an account.
func (p *partition) set(account *schemas.Account, encoded []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[account.AccountID] = encoded
	p.schedule(account.AccountID, account)
}

func (p *partition) schedule(id string, account *schemas.Account) {
	at, ok := commands.NextDue(*account)
	if !ok {
		delete(p.dueAt, id)
		return
	}
	p.scheduleAt(id, at)
}

func (p *partition) scheduleAt(id string, at time.Time) {
	if was, ok := p.dueAt[id]; ok && was.Equal(at) {
		return
	}
	p.dueAt[id] = at
	heap.Push(&p.due, dueAccount{at: at, id: id})
	if len(p.due) > 2*len(p.dueAt)+staleDueMax {
		p.dropStaleDue()
	}
}

// dropStaleDue makes the heap anew from the times that are true. An account with
// credits that expire in a year gets an earlier time with each generation and the
// far one again after it: each would stay for the year.
func (p *partition) dropStaleDue() {
	p.due = make(dueHeap, 0, len(p.dueAt)+1)
	for id, at := range p.dueAt {
		p.due = append(p.due, dueAccount{at: at, id: id})
	}
	heap.Init(&p.due)
}

// popDue returns at most max accounts for which something is due at now, and
// looks at them again at retry: a command that was lost is then sent again.
func (p *partition) popDue(now, retry time.Time, max int) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for len(p.due) > 0 && len(ids) < max && !p.due[0].at.After(now) {
		next := heap.Pop(&p.due).(dueAccount)
		if at, ok := p.dueAt[next.id]; !ok || !at.Equal(next.at) {
			continue // another time took its place
		}
		ids = append(ids, next.id)
		p.scheduleAt(next.id, retry)
	}
	return ids
}

type dueAccount struct {
	at time.Time
	id string
}

// dueHeap orders accounts by the time of what is due (container/heap).
type dueHeap []dueAccount

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueAccount)) }
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
