package decider

import (
	"time"

	"github.com/stretchr/testify/require"
)

// load is what was sent, and what it must have led to.
type load struct {
	ids  []string
	want map[string]int64 // credits by account
}

const (
	// loadAccounts are at work at once.
	loadAccounts = 30
	// grantsAnAccountMax lies below what an account can keep: 100 blocks.
	grantsAnAccountMax = 90
	// loadBacklogMax bounds the commands that wait for a decider (count).
	loadBacklogMax = 300
)

// keepSending sends grants, one for each account at a time, until done.
func (w *world) keepSending(done func() bool) load {
	w.t.Helper()
	l := load{want: map[string]int64{}}
	for round := 0; !done(); round++ {
		cs := grants(loadAccounts, 1)
		for _, c := range cs {
			id := account(round/grantsAnAccountMax*loadAccounts + len(l.ids)%loadAccounts)
			c.Meta().AccountID = id
			l.want[id]++
			l.ids = append(l.ids, c.Meta().ID)
		}
		w.send(cs...)
		require.Eventually(w.t, func() bool { return done() || int64(len(l.ids))-w.committed() <= loadBacklogMax },
			2*time.Minute, 2*time.Millisecond, "the deciders come through")
	}
	return l
}

// holds checks what must hold under any fault: each command of the load has one
// outcome, in the order of its partition, the balances are the sums, and every
// snapshot is the fold of its events.
func (w *world) holds(l load) {
	w.t.Helper()
	events := w.outcome(l.ids...)
	require.Equal(w.t, l.want, granted(w.t, events))
	require.Len(w.t, events, len(l.ids))
	next := map[int]int64{}
	for _, e := range events {
		at := e.Meta().CommandPosition
		require.GreaterOrEqual(w.t, at.Offset, next[at.Partition], "in the order of the commands")
		next[at.Partition] = at.Offset + 1
	}
	report, err := VerifyAccounts(w.t.Context(), Config{Kafka: w.kafka, Codec: w.codec}, nil)
	require.NoError(w.t, err)
	require.Equal(w.t, AccountsReport{Accounts: int64(len(l.want)), Events: int64(len(l.ids))}, report)
}
