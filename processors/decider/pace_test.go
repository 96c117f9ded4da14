package decider

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Batches that take too long shrink until they do not, down to one command, and
// grow again once they are quick and full.
func TestPace(t *testing.T) {
	var p pace
	require.Equal(t, CommandsPerTransactionMax, p.commands())
	for range 100 {
		p.took(p.commands(), batchTimeMax+1)
	}
	require.Equal(t, 1, p.commands())
	p.took(0, 0)
	require.Equal(t, 1, p.commands(), "an empty one says nothing")
	for range 100 {
		p.took(p.commands(), 2*batchTimeLow)
	}
	require.Equal(t, 1, p.commands(), "neither slow nor quick")
	for range 100 {
		p.took(p.commands(), batchTimeLow-1)
	}
	require.Equal(t, CommandsPerTransactionMax, p.commands())
	p.took(3, time.Minute)
	require.Equal(t, CommandsPerTransactionMax/2, p.commands())
	p.took(3, 0)
	require.Equal(t, CommandsPerTransactionMax/2, p.commands(), "a small batch was quick because it was small")
}
