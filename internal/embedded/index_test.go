//go:build unix

package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A batch and its index entry are two writes: a kill between them leaves a batch that, by the
// index, is of no transaction.
func TestKillBeforeAnIndexEntryShowsNoneOfIt(t *testing.T) {
	running, dir := t.TempDir(), filepath.Join(t.TempDir(), "killed")
	b := start(t, running)
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	defer p.Close()
	require.NoError(t, transact(t.Context(), p, "events", "first", kgo.TryCommit))
	require.NoError(t, p.BeginTransaction())
	require.NoError(t, write(t.Context(), p, "events", "open"))
	require.NoError(t, os.CopyFS(dir, os.DirFS(running)))
	index := filepath.Join(dir, "partitions", "events-1", "0.idx")
	info, err := os.Stat(index)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(index, info.Size()-15))

	// And what comes after it, through another kill.
	first := map[int32][]string{0: {"first"}, 1: {"first"}}
	again := filepath.Join(t.TempDir(), "again")
	b = start(t, dir)
	assert.Equal(t, first, committed(t, b.Addrs(), "events"))
	q, err := transactional(b.Addrs())
	require.NoError(t, err)
	defer q.Close()
	require.NoError(t, transact(t.Context(), q, "events", "aborted", kgo.TryAbort))
	require.NoError(t, os.CopyFS(again, os.DirFS(dir)))
	assert.Equal(t, first, committed(t, start(t, again).Addrs(), "events"))
}
