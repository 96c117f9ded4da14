//go:build unix

package embedded_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/internal/embedded"
)

func TestCompactionAtTheStartKeepsWhatAnOpenTransactionOverwrote(t *testing.T) {
	dir := t.TempDir()
	kill(t, dir)
	for range 3 {
		b := start(t, dir)
		assert.Equal(t, map[int32][]string{0: {"committed-1"}, 1: {"committed-1"}}, committed(t, b.Addrs(), "accounts"))
		b.Close()
	}
}

// A compaction removes the files of a partition before it writes them anew: whoever is killed
// in between has them as they were.
func TestKillInsideACompactionLosesNothing(t *testing.T) {
	dir := t.TempDir()
	b := startThirdOverwrote(t, dir)
	running, err := os.ReadFile(filepath.Join(dir, "running.json"))
	require.NoError(t, err)
	b.Close()

	// As the kill leaves it: the old files are kept, the new ones are not there or half written.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "running.json"), running, 0o644))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "compacting"), os.DirFS(filepath.Join(dir, "partitions"))))
	require.NoError(t, os.Remove(filepath.Join(dir, "partitions", "accounts-0", "0.dat")))
	require.NoError(t, os.Truncate(filepath.Join(dir, "partitions", "accounts-1", "0.dat"), 10))
	b = start(t, dir)
	requireThird(t, b)
	b.Close()
	assert.NoDirExists(t, filepath.Join(dir, "compacting"))
	assert.NoDirExists(t, filepath.Join(dir, "compacting.tmp"))
}

// A compaction that cannot write what it keeps says so, and the next start has everything.
func TestACompactionThatCannotWriteLosesNothing(t *testing.T) {
	dir := t.TempDir()
	startThirdOverwrote(t, dir).Close()

	// What is kept begins with the marker at offset 1, whose index leads nowhere.
	blocked := filepath.Join(dir, "partitions", "accounts-1", "1.idx")
	require.NoError(t, os.Symlink("/nowhere/at/all", blocked))
	for range 2 {
		_, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{DataDir: dir}, zerolog.Nop())
		require.ErrorContains(t, err, "could not write: rebuildSegments")
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "compacting", "accounts-1", "1.idx")))
	requireThird(t, start(t, dir))
}

// startThirdOverwrote starts a broker whose compacted "accounts" have had three values.
func startThirdOverwrote(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b := start(t, dir)
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "accounts", map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	defer p.Close()
	for _, value := range []string{"first", "second", "third"} {
		require.NoError(t, transact(t.Context(), p, "accounts", value, kgo.TryCommit))
	}
	return b
}

// requireThird says that both partitions end with the third value.
func requireThird(t *testing.T, b *embedded.Broker) {
	t.Helper()
	got := committed(t, b.Addrs(), "accounts")
	require.Len(t, got, 2)
	for partition, values := range got {
		require.Equal(t, "third", values[len(values)-1], "partition %d", partition)
	}
}
