package projections

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// A schema that a newer build writes holds its partition until it is known; the
// others go on, and nothing behind it is lost. Meanwhile, as in a rolling deploy,
// projectors come and go, so that who waits loses a partition and takes it up
// again, still waiting; and the one who waited first hears of the schema first.
func TestAnUnknownSchemaIsWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		registry := &latecomer{known: make(chan struct{})}
		codec, err := schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		with := func(c *Config) { c.Codec = codec }
		w.write(w.grant(account(1, 0), account(2, 0))...)
		for partition := range int32(2) {
			newer := w.encode(w.grant(account(1+partition, 0))...)[0].Value
			copy(newer[1:5], []byte{0, 0, 0x23, 0x29}) // id 9001
			w.writeRaw(1+partition, newer)
		}
		w.write(w.grant(account(0, 0), account(1, 0), account(2, 0))...)

		p := w.start(with)
		t.Cleanup(registry.learn)
		w.caughtUp(All, 0)
		for _, q := range All {
			w.reaches(q, 1, 1)
			w.reaches(q, 2, 1)
		}
		waits := func() bool {
			said := fmt.Sprint(p.Ready())
			return strings.Count(said, "waits at atelier.events[1]@1 for the schema") == len(All) &&
				strings.Count(said, "waits at atelier.events[2]@1 for the schema") == len(All)
		}
		p.eventually(waits, "all say so")
		registry.hold(true)
		p.eventually(func() bool { return registry.waiting() == 2*len(All) }, "all ask for the schema")
		registry.hold(false)

		others := []*running{w.start(with), w.start(with)}
		for _, q := range All {
			p.eventually(func() bool { return p.owns(q.Name) == 1 && others[0].owns(q.Name) == 1 }, "partitions move")
		}
		for _, other := range others {
			require.NoError(t, other.stop())
		}
		for _, q := range All {
			p.eventually(func() bool { return p.owns(q.Name) == partitions }, "and come back")
		}
		w.write(w.grant(account(0, 1))...) // ends the fetch under way, so that the next one takes what is new along
		p.eventually(waits, "all say so again")
		asked := registry.asks()
		p.eventually(func() bool { return registry.asks() >= asked+6*len(All) }, "and ask again, more and more seldom")
		w.write(w.grant(account(1, 1), account(2, 1))...)
		registry.learn()
		w.write(w.grant(account(0, 1))...)
		w.caughtUp(All)
		p.eventually(func() bool { return p.Ready() == nil }, "nothing stands still: %v", p.Ready())
		w.write(w.grant(account(1, 1), account(2, 1))...)
		w.caughtUp(All)
		require.Equal(t, 13, w.count(credits, "entries"))
		require.Equal(t, 13, w.count(outcomes, "outcomes"))
	})
}

// latecomer is a registry that learns of id 9001 late.
type latecomer struct {
	known chan struct{}
	mu    sync.Mutex
	holds bool
	asked int // times that it was asked for id 9001
	held  int // of these, how many wait for the answer
	once  sync.Once
}

func (l *latecomer) learn() { l.once.Do(func() { close(l.known) }) }

// hold makes who asks from now on wait until the answer is known.
func (l *latecomer) hold(holds bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = holds
}

func (l *latecomer) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held
}

func (l *latecomer) asks() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (*latecomer) ID(_ context.Context, subject, schema string) (int, error) {
	for _, r := range schemas.Lock() {
		if r.Subject == subject && string(r.Schema) == schema {
			return r.ID, nil
		}
	}
	return 0, schemas.ErrUnknownSchema
}

func (l *latecomer) Schema(_ context.Context, id int) (string, error) {
	if id == 9001 && !l.knows() {
		return "", schemas.ErrUnknownSchema
	}
	for _, r := range schemas.Newest() {
		if r.ID == id || id == 9001 && strings.HasSuffix(r.Subject, ".CreditsGranted") {
			return string(r.Schema), nil
		}
	}
	return "", schemas.ErrUnknownSchema
}

func (l *latecomer) knows() bool {
	l.mu.Lock()
	holds := l.holds
	l.asked++
	if holds {
		l.held++
	}
	l.mu.Unlock()
	if holds {
		<-l.known
	}
	select {
	case <-l.known:
		return true
	default:
		return false
	}
}
