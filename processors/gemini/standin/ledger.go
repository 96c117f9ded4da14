package standin

import (
	"sync"
	"time"
)

// ledgerCallsMax bounds the ledger (count): the oldest calls are forgotten. A
// test of money makes far fewer.
const ledgerCallsMax = 100_000

// Call is one request for content, as the ledger keeps it. It holds neither key
// nor prompt.
type Call struct {
	// Index counts calls from 1, in the order that they came.
	Index int64
	At    time.Time
	Model string
	// PromptHash is the first 16 hex digits of the SHA-256 of prompt and
	// references; PromptTag is what stands in [[...]] of the prompt, if anything.
	PromptHash, PromptTag string
	AspectRatio, Size     string
	Seed                  int32
	References            int
	// Fault is the one that was played, empty for none.
	Fault string
	// Status is what was answered, 0 until then and for an answer withheld.
	Status int
	// Billed says that the call costs money: its work was done, whether or not
	// its answer arrived.
	Billed bool
	// Delivered says that the whole answer was written.
	Delivered bool
}

type ledger struct {
	mu    sync.Mutex
	calls []Call
	count int64
	tags  map[string]int
}

// enter adds a call and numbers it. It returns how many calls before it had the
// same tag.
func (l *ledger) enter(c *Call) (sameTag int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	c.Index = l.count
	if c.PromptTag != "" {
		sameTag = l.tags[c.PromptTag]
		l.tags[c.PromptTag]++
	}
	if len(l.calls) == ledgerCallsMax {
		l.calls = append(l.calls[:0], l.calls[ledgerCallsMax/10:]...)
	}
	l.calls = append(l.calls, *c)
	return sameTag
}

// update writes a call that was entered over itself.
func (l *ledger) update(c *Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// They lie in order, so that the distance to the newest is the place.
	if at := len(l.calls) - 1 - int(l.count-c.Index); at >= 0 && at < len(l.calls) {
		l.calls[at] = *c
	}
}

func (l *ledger) all() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Call(nil), l.calls...)
}

// Ledger returns all calls so far, oldest first, those under way included.
func (s *Server) Ledger() []Call { return s.ledger.all() }
