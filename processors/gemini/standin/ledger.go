package standin

import (
	"fmt"
	"net/http"
	"strconv"
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
	Index int64     `json:"index"`
	At    time.Time `json:"at"`
	Model string    `json:"model"`
	// PromptHash is the first 16 hex digits of the SHA-256 of prompt and
	// references; PromptTag is what stands in [[...]] of the prompt, if anything.
	PromptHash string `json:"prompt_hash"`
	PromptTag  string `json:"prompt_tag,omitempty"`
	// AspectRatio and Size are empty for a call that asks for words.
	AspectRatio string `json:"aspect_ratio,omitempty"`
	Size        string `json:"size,omitempty"`
	Seed        int32  `json:"seed"`
	References  int    `json:"references"`
	// Fault is the one that was played, empty for none.
	Fault string `json:"fault,omitempty"`
	// Status is what was answered, 0 until then and for an answer withheld.
	Status int `json:"status"`
	// Billed says that the call costs money: its work was done, whether or not
	// its answer arrived.
	Billed bool `json:"billed"`
	// TotalTokens is what the answer says of its usage, whether or not it
	// arrived; of one that was withheld that is its prompt.
	TotalTokens int `json:"total_tokens"`
	// Delivered says that the whole answer was written.
	Delivered bool `json:"delivered"`
	// Ended is when that was, or when the call was given up; zero until then.
	Ended time.Time `json:"ended"`
}

// drawing says whether the call asks for a picture.
func (c *Call) drawing() bool { return c.Size != "" }

// earlier counts the calls before one that had its tag, and those that asked for
// the very same; both of the same model.
type earlier struct{ tag, same int }

type ledger struct {
	mu    sync.Mutex
	calls []Call
	count int64
	seen  map[string]int
}

// enter adds a call and numbers it.
func (l *ledger) enter(c *Call) (before earlier) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	c.Index = l.count
	if len(l.seen) >= ledgerCallsMax {
		clear(l.seen)
	}
	if c.PromptTag != "" {
		before.tag = l.again(fmt.Sprintf("tag %s %s", c.Model, c.PromptTag))
	}
	before.same = l.again(fmt.Sprintf("call %s %s %d", c.Model, c.PromptHash, c.Seed))
	if len(l.calls) == ledgerCallsMax {
		l.calls = append(l.calls[:0], l.calls[ledgerCallsMax/10:]...)
	}
	l.calls = append(l.calls, *c)
	return before
}

// again counts a key and returns how often it was counted before.
func (l *ledger) again(key string) int {
	l.seen[key]++
	return l.seen[key] - 1
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

// serveLedger answers with the calls after an index, so that another process can
// see what was billed: {"calls": [...]}.
func (s *Server) serveLedger(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		index, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			writeRefusal(w, invalid("after is the index of a call"))
			return
		}
		after = index
	}
	calls := []Call{}
	for _, c := range s.ledger.all() {
		if c.Index > after {
			calls = append(calls, c)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"calls": calls})
}
