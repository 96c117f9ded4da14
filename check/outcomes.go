package check

import (
	"fmt"

	"github.com/google/uuid"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// place is where a record stands.
type place struct {
	partition int32
	offset    int64
}

func (p place) String() string { return fmt.Sprintf("%d@%d", p.partition, p.offset) }

// outcomes are the commands of the log and what became of each.
type outcomes struct {
	generation int
	// begins is the first offset of atelier.commands that is still there, ends how far
	// it was read.
	begins, ends map[int32]int64
	decided      map[place]*decided
	// dead counts the dead letters of each command.
	dead map[place]int
	// byKey and byCommand count the outcomes that did something.
	byKey     map[accountKey]int
	byCommand map[string]int
	// known are the commands that have any outcome.
	known   map[string]bool
	batches map[string]int
	// apart are events that do not stand beside the others of their command.
	apart []string
}

type accountKey struct{ account, key string }

// decided is what the events say of the command at one place.
type decided struct {
	written  bool // the command stands in the log
	foreign  bool // and its key is no account of its partition: nobody can be answered
	id       string
	seen     int // events
	count    int // as the first of them says
	next     int // the index that comes next
	rejected int // of them rejections
	last     place
}

func newOutcomes(generation int) *outcomes {
	return &outcomes{
		generation: generation, begins: map[int32]int64{}, decided: map[place]*decided{}, dead: map[place]int{},
		byKey: map[accountKey]int{}, byCommand: map[string]int{}, known: map[string]bool{}, batches: map[string]int{},
	}
}

func (o *outcomes) at(p place) *decided {
	d := o.decided[p]
	if d == nil {
		d = &decided{}
		o.decided[p] = d
	}
	return d
}

// command notes a command of the log. What it says does not matter here: readable
// or not, it has one outcome.
func (o *outcomes) command(r *kafka.Record) {
	d := o.at(place{r.Partition, r.Offset})
	d.written, d.id = true, kafka.HeaderValue(r, schemas.HeaderID)
	_, err := uuid.ParseBytes(r.Key)
	d.foreign = err != nil || kafka.PartitionOf(string(r.Key), len(o.ends)) != r.Partition
}

// event notes an event by the command that it follows from.
func (o *outcomes) event(at place, e schemas.Event) {
	m := e.Meta()
	if m.CommandPosition.Generation != o.generation {
		return // of a command log that is gone
	}
	d := o.at(place{int32(m.CommandPosition.Partition), m.CommandPosition.Offset})
	switch {
	case d.seen == 0:
		d.count = m.Count
	case at.partition != d.last.partition || at.offset != d.last.offset+1 || m.Index != d.next:
		o.apart = append(o.apart, fmt.Sprintf("%s at %s does not follow the %d events before it of the command at %s",
			schemas.ShortName(e), at, d.seen, commandPlace(m)))
	}
	d.seen, d.next, d.last = d.seen+1, m.Index+1, at
	o.known[m.CausationID] = true
	_, rejected := e.(*schemas.CommandRejected)
	switch {
	case rejected:
		d.rejected++
	case m.Index == 0:
		o.byCommand[m.CausationID]++
		if m.IdempotencyKey != "" {
			o.byKey[accountKey{m.AccountID, m.IdempotencyKey}]++
		}
	}
	if batch, ok := e.(*schemas.BatchRequested); ok {
		o.batches[batch.BatchID]++
	}
}

func commandPlace(m *schemas.EventMetadata) place {
	return place{int32(m.CommandPosition.Partition), m.CommandPosition.Offset}
}

// judge counts what breaks C1, C2 and C8.
func (o *outcomes) judge(r *Report, h *History) {
	for at, d := range o.decided {
		o.judgeCommand(r, at, d)
	}
	for _, words := range o.apart {
		r.C1.broke("%s", words)
	}
	for id, n := range o.byCommand {
		r.C1.holds(n == 1, "command %s was done %d times", id, n)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	asked := map[accountKey]bool{}
	for key, calls := range o.askedFor(r, h) {
		asked[key] = true
		o.judgeCalls(r, key, calls)
	}
	for key, n := range o.byKey {
		if !asked[key] {
			r.C2.holds(n <= 1, "idempotency key %s of account %s was done %d times", key.key, key.account, n)
		}
	}
}

// judgeCommand: a command of the log has one outcome, whole, and a refused one
// nothing else.
func (o *outcomes) judgeCommand(r *Report, at place, d *decided) {
	dead := o.dead[at]
	switch {
	case !d.written && at.offset < o.begins[at.partition]:
		return // retention took the command
	case !d.written && at.offset >= o.ends[at.partition]:
		return // written since
	case !d.written:
		r.C1.holds(false, "%d events follow from a command at %s that is not in the log", d.seen, at)
		return
	case d.seen == 0:
		// A record whose key is no account can be answered by a dead letter only, and
		// again where it is read again.
		r.C1.holds(d.foreign && dead > 0, "command %s at %s has no outcome and %d dead letters", d.id, at, dead)
		return
	}
	r.C1.holds(d.seen == d.count && dead <= 1, "command %s at %s has %d events of %d, and %d dead letters", d.id, at, d.seen, d.count, dead)
	if d.rejected > 0 {
		r.C8.holds(d.seen == d.rejected, "command %s at %s was refused and has %d events", d.id, at, d.seen)
	}
}

// askedFor groups the calls by what they ask for, and judges those that stand alone.
func (o *outcomes) askedFor(r *Report, h *History) map[accountKey][]Call {
	groups := map[accountKey][]Call{}
	for _, c := range h.calls {
		if c.Missing != "" {
			r.C1.holds(false, "account %s: the answer to %q lacks %s", c.Account, c.Does, c.Missing)
		}
		switch c.Answer {
		case Acknowledged:
			r.Acknowledged++
		case Refused:
			r.Refused++
		case Unknown:
			r.Unknown++
		default:
			continue // a read
		}
		if c.Command != "" && c.Answer == Acknowledged {
			r.C1.holds(o.known[c.Command], "command %s was acknowledged (%s) and has no outcome", c.Command, c.Does)
		}
		if c.Batch != "" {
			r.C1.holds(o.batches[c.Batch] == 1, "batch %s was acknowledged and was requested %d times", c.Batch, o.batches[c.Batch])
		}
		if c.Key != "" {
			key := accountKey{c.Account, c.Key}
			groups[key] = append(groups[key], c)
		}
	}
	return groups
}

// judgeCalls compares what was told of one request with what became of it. Of
// several answers the strongest counts: who was once told that it is done holds us
// to it, and after a call without an answer a later refusal proves nothing.
func (o *outcomes) judgeCalls(r *Report, key accountKey, calls []Call) {
	var told, pending, unknown, refused bool
	for _, c := range calls {
		told = told || c.Answer == Acknowledged && c.Command == ""
		pending = pending || c.Answer == Acknowledged && c.Command != ""
		unknown = unknown || c.Answer == Unknown
		refused = refused || c.Answer == Refused && c.Command != ""
	}
	done, does := o.byKey[key], calls[0].Does
	switch {
	case !told && refused:
		// What became of a command was asked for, and the answer was that it is refused.
		r.C8.holds(done == 0, "%s of account %s (key %s) was refused in the end and done %d times", does, key.account, key.key, done)
	case !told && pending && done == 0:
		// It was promised an outcome, which may be a refusal: the command's own
		// check sees it.
	case told || pending:
		r.C1.holds(done == 1, "%s of account %s (key %s) was acknowledged and done %d times", does, key.account, key.key, done)
	case unknown:
		r.C2.holds(done <= 1, "%s of account %s (key %s) was not answered and done %d times", does, key.account, key.key, done)
	default:
		r.C8.holds(done == 0, "%s of account %s (key %s) was refused and done %d times", does, key.account, key.key, done)
	}
}
