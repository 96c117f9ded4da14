package check

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"sync"
	"time"
)

// The answers that a client can have had.
const (
	// Acknowledged: the API said that it is done, or that it will be.
	Acknowledged = "acknowledged"
	// Refused: the API said that it is not done and will not be.
	Refused = "refused"
	// Unknown: there was no answer, or one that leaves it open (503). It may have
	// been done.
	Unknown = "unknown"
	// Read: the call changes nothing; only what it did not show (Missing) counts.
	Read = "read"
)

// Call is what a client was told about one call.
type Call struct {
	At      time.Time `json:"at"`
	TookMs  int64     `json:"took_ms"`
	Account string    `json:"account"`
	// Does is what was asked, such as "request batch".
	Does string `json:"does"`
	// Key is the Idempotency-Key. Calls that repeat a key ask for the same thing.
	Key    string `json:"key,omitempty"`
	Answer string `json:"answer"`
	Status int    `json:"status,omitempty"`
	// Code is the problem's, where there is one.
	Code string `json:"code,omitempty"`
	// Command is the command's ID where the answer named it (202), and where it is the
	// answer to what became of that command and that is a refusal.
	Command string `json:"command,omitempty"`
	// Batch is the batch that the answer named.
	Batch string `json:"batch,omitempty"`
	// Missing is what an answer lacks that it should have: what a read did not show
	// although it waited for the position at which that was true, or a refusal that had
	// to be one. Empty for everything else.
	Missing string `json:"missing,omitempty"`
}

// Stream is how an account looked at the end to a client that had followed its
// stream from the beginning, through all disconnections.
type Stream struct {
	Account    string `json:"account"`
	Reconnects int    `json:"reconnects"`
	Resyncs    int    `json:"resyncs"`
	Events     int    `json:"events"`
	// Generations are the statuses by ID.
	Generations map[string]string `json:"generations"`
	Available   int64             `json:"available"`
	Held        int64             `json:"held"`
	// Disorder counts the events that came again or out of order.
	Disorder int `json:"disorder"`
}

// line is one line of a history's file: one of the two.
type line struct {
	Call   *Call   `json:"call,omitempty"`
	Stream *Stream `json:"stream,omitempty"`
}

// History is what clients were told, for the checker. The zero History is ready
// to use. It is safe for concurrent use.
type History struct {
	mu      sync.Mutex
	calls   []Call
	answers map[string]int // of calls, by their answer
	streams []Stream
	out     io.Writer
	failed  error
}

// NewHistory keeps everything in memory and writes it to out as well, one JSON
// object a line; nil: not.
func NewHistory(out io.Writer) *History { return &History{out: out} }

// Call notes a call.
func (h *History) Call(c Call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, c)
	if h.answers == nil {
		h.answers = map[string]int{}
	}
	h.answers[c.Answer]++
	h.write(line{Call: &c})
}

// Stream notes how a stream ended.
func (h *History) Stream(s Stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams = append(h.streams, s)
	h.write(line{Stream: &s})
}

func (h *History) write(l line) {
	if h.out == nil || h.failed != nil {
		return
	}
	h.failed = json.NewEncoder(h.out).Encode(l)
}

// Err is the first error of writing.
func (h *History) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed
}

// Answers counts the calls by their answer.
func (h *History) Answers() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.answers)
}

// lineBytesMax bounds one line of a history's file; a stream's end names each of
// its account's generations.
const lineBytesMax = 16 << 20

// Read adds what a file holds. A last line that was cut, as by a kill, is an error
// that names its number.
func (h *History) Read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, lineBytesMax)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Call == nil && l.Stream == nil {
			return fmt.Errorf("history line %d is neither a call nor a stream", n)
		}
		if l.Call != nil {
			h.Call(*l.Call)
		} else {
			h.Stream(*l.Stream)
		}
	}
	return lines.Err()
}
