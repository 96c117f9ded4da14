package standin

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// Callers who leave while others are drawn for are not drawn for later.
func TestNobodyIsDrawnForWhoHasLeft(t *testing.T) {
	s := New(Options{})
	for range cap(s.drawing) {
		s.drawing <- struct{}{}
	}
	ctx, leave := context.WithCancel(t.Context())
	there := make(chan bool)
	go func() {
		_, _, ok := s.compose(ctx, task{}, FaultBlocked)
		there <- ok
	}()
	leave()
	require.False(t, <-there)
	<-s.drawing
	_, _, ok := s.compose(ctx, task{}, FaultBlocked)
	require.False(t, ok, "although it is its turn")
	_, _, ok = s.compose(t.Context(), task{}, FaultBlocked)
	require.True(t, ok)
}
