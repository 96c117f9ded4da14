//go:build unix

package embedded_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Half an entry, as a kill leaves it, hides neither the offsets nor the producers that are
// written behind it.
func TestHalfAnEntryHidesNothingBehindIt(t *testing.T) {
	dir := t.TempDir()
	var epochs []int16
	move := func(to int64) {
		b := start(t, dir)
		p, err := transactional(b.Addrs())
		require.NoError(t, err)
		defer p.Close()
		if len(epochs) == 0 {
			require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
		}
		moveOffset(t, p, to)
		require.NoError(t, transact(t.Context(), p, "events", "v", kgo.TryCommit))
		_, epoch, err := p.ProducerID(t.Context())
		require.NoError(t, err)
		epochs = append(epochs, epoch)
		killed := filepath.Join(t.TempDir(), "killed")
		require.NoError(t, os.CopyFS(killed, os.DirFS(dir)))
		dir = killed
	}
	move(1)
	for _, name := range []string{"groups.log", "pids.log"} {
		log, err := os.OpenFile(filepath.Join(dir, name), os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = log.WriteString("\x90\x00\x00\x00half")
		require.NoError(t, err)
		require.NoError(t, log.Close())
	}
	move(2)
	b := start(t, dir)
	require.EqualValues(t, 2, offset(t, b.Addrs()))
	b.Close()
	move(3)
	require.IsIncreasing(t, epochs)
}

// moveOffset moves "readers" in partition 0 of "events".
func moveOffset(t *testing.T, c *kgo.Client, to int64) {
	t.Helper()
	require.NoError(t, commitOffset(t.Context(), c, to))
}

func commitOffset(ctx context.Context, c *kgo.Client, to int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset("events", 0, to, -1)
	return kadm.NewClient(c).CommitAllOffsets(ctx, "readers", offsets)
}

// offset is where "readers" stand in partition 0 of "events".
func offset(t *testing.T, addrs []string) int64 {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	require.NoError(t, err)
	defer c.Close()
	offsets, err := kadm.NewClient(c).FetchOffsets(t.Context(), "readers")
	require.NoError(t, err)
	o, ok := offsets.Lookup("events", 0)
	require.True(t, ok)
	return o.At
}
