package decider

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
)

// Batches that take too long shrink until they do not, down to one command, and
// grow again once they are quick and full.
func TestPace(t *testing.T) {
	p := pace{timeout: kafka.TransactionTimeout}
	require.Equal(t, CommandsPerTransactionMax, p.commands())
	for range 100 {
		p.took(p.commands(), p.slow()+1)
	}
	require.Equal(t, 1, p.commands())
	p.took(0, 0)
	require.Equal(t, 1, p.commands(), "an empty one says nothing")
	for range 100 {
		p.took(p.commands(), 2*p.quick())
	}
	require.Equal(t, 1, p.commands(), "neither slow nor quick")
	for range 100 {
		p.took(p.commands(), p.quick()-1)
	}
	require.Equal(t, CommandsPerTransactionMax, p.commands())
	p.took(3000, time.Minute)
	require.LessOrEqual(t, p.commands(), 1500, "half of what was too much, not of what is allowed")
	was := p.commands()
	p.took(3, 0)
	require.Equal(t, was, p.commands(), "a small batch was quick because it was small")
	p.took(was, 0)
	require.InDelta(t, 2*was, p.commands(), 1, "a full one that was quick doubles it")
}
