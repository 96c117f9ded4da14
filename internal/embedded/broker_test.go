//go:build unix

package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/internal/embedded"
)

// victimDir makes the test binary a broker that is killed in the middle of a
// transaction; see TestMain.
const victimDir = "ATELIER_TEST_VICTIM_DIR"

// postgresVictimDir makes the test binary a process that starts Postgres there
// and is killed.
const postgresVictimDir = "ATELIER_TEST_POSTGRES_VICTIM_DIR"

func TestMain(m *testing.M) {
	for variable, run := range map[string]func(string) error{victimDir: victim, postgresVictimDir: postgresVictim} {
		if dir := os.Getenv(variable); dir != "" {
			if err := run(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

// postgresVictim starts a server, writes its process id down, and ends by
// SIGKILL.
func postgresVictim(dir string) error {
	p, err := embedded.StartPostgres(context.Background(), embedded.PostgresConfig{DataDir: dir, Volatile: true}, zerolog.Nop())
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(p.PID())), 0o644); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

// victim commits u1, leaves u2 open on two partitions, and ends by SIGKILL.
func victim(dir string) error {
	ctx := context.Background()
	b, err := embedded.StartBroker(ctx, embedded.BrokerConfig{DataDir: dir}, zerolog.Nop())
	if err != nil {
		return err
	}
	err = makeTopic(ctx, b.Addrs(), "accounts", map[string]*string{"cleanup.policy": kadm.StringPtr("compact")})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	p, err := transactional(b.Addrs())
	if err != nil {
		return err
	}
	if err := transact(ctx, p, "accounts", "committed-1", kgo.TryCommit); err != nil {
		return err
	}
	if err := p.BeginTransaction(); err != nil {
		return err
	}
	if err := write(ctx, p, "accounts", "open"); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func transactional(addrs []string) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.TransactionalID("decider-0"), kgo.TransactionTimeout(15*time.Second),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// write puts key u with value into both partitions.
func write(ctx context.Context, p *kgo.Client, topic, value string) error {
	return p.ProduceSync(ctx,
		&kgo.Record{Topic: topic, Partition: 0, Key: []byte("u"), Value: []byte(value)},
		&kgo.Record{Topic: topic, Partition: 1, Key: []byte("u"), Value: []byte(value)}).FirstErr()
}

func transact(ctx context.Context, p *kgo.Client, topic, value string, how kgo.TransactionEndTry) error {
	if err := p.BeginTransaction(); err != nil {
		return err
	}
	if err := write(ctx, p, topic, value); err != nil {
		return err
	}
	return p.EndTransaction(ctx, how)
}

func makeTopic(ctx context.Context, addrs []string, topic string, configs map[string]*string) error {
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, 2, 1, configs, topic)
	return err
}

// committed reads what a read_committed consumer sees now, per partition, and
// the offset it ends at.
func committed(t *testing.T, addrs []string, topic string) map[int32][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart(), 1: kgo.NewOffset().AtStart()}}))
	require.NoError(t, err)
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	require.NoError(t, err)
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	got := map[int32][]string{}
	for len(left) > 0 {
		fetches := c.PollFetches(ctx)
		require.NoError(t, fetches.Err0(), "a partition never becomes stable: %v", left)
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				got[r.Partition] = append(got[r.Partition], string(r.Value))
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return got
}

func start(t *testing.T, dir string) *embedded.Broker {
	t.Helper()
	b, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{DataDir: dir}, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.InfoLevel))
	require.NoError(t, err)
	t.Cleanup(b.Close)
	return b
}

// kill runs a broker in a process of its own until it kills itself.
func kill(t *testing.T, dir string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, string(out))
	status, ok := exit.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.Equal(t, syscall.SIGKILL, status.Signal(), string(out))
}

func TestKillInsideATransactionShowsNoneOfIt(t *testing.T) {
	dir := t.TempDir()
	kill(t, dir)

	b := start(t, dir)
	want := map[int32][]string{0: {"committed-1"}, 1: {"committed-1"}}
	assert.Equal(t, want, committed(t, b.Addrs(), "accounts"), "after the kill")

	// The next transaction of the same producer is the one whose records a
	// reader would lose, or which would pull the open ones in with it.
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	require.NoError(t, transact(t.Context(), p, "accounts", "committed-2", kgo.TryCommit))
	p.Close()
	want = map[int32][]string{0: {"committed-1", "committed-2"}, 1: {"committed-1", "committed-2"}}
	assert.Equal(t, want, committed(t, b.Addrs(), "accounts"), "after the next transaction")
	b.Close()

	// Compaction at the start keeps the newest committed value of each key.
	b = start(t, dir)
	for partition, values := range committed(t, b.Addrs(), "accounts") {
		assert.Equal(t, "committed-2", values[len(values)-1], "partition %d", partition)
		assert.NotContains(t, values, "open")
	}
}

// A kill in the middle of EndTxn leaves the commit marker on some partitions.
func TestKillInsideEndTxnShowsAllOfIt(t *testing.T) {
	dir := t.TempDir()
	cutMarker(t, dir)

	b := start(t, dir)
	want := map[int32][]string{0: {"first", "second"}, 1: {"first", "second"}}
	assert.Equal(t, want, committed(t, b.Addrs(), "events"))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	require.NoError(t, transact(t.Context(), p, "events", "third", kgo.TryCommit))
	p.Close()
	want = map[int32][]string{0: {"first", "second", "third"}, 1: {"first", "second", "third"}}
	assert.Equal(t, want, committed(t, b.Addrs(), "events"))
}

// A repair is killed when it has written the marker and closed the cluster, to open it anew.
// What the cluster wrote of itself is from before.
func TestKillInsideARepairShowsAllOfIt(t *testing.T) {
	dir := t.TempDir()
	cutMarker(t, dir)

	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("atelier"), kfake.DataDir(dir))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"events": {1: kgo.NewOffset().AtStart()}}))
	require.NoError(t, err)
	defer reader.Close()
	var last *kgo.Record
	for last == nil || string(last.Value) != "second" {
		fetches := reader.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { last = r })
	}
	var at kadm.TopicsSet
	at.Add("events", 1)
	_, err = kadm.NewClient(reader).WriteTxnMarkers(t.Context(), kadm.TxnMarkers{ProducerID: last.ProducerID, ProducerEpoch: last.ProducerEpoch, Commit: true, Topics: at})
	require.NoError(t, err)
	cluster.Close()

	want := map[int32][]string{0: {"first", "second"}, 1: {"first", "second"}}
	assert.Equal(t, want, committed(t, start(t, dir).Addrs(), "events"))
}

// cutMarker makes a data directory as a kill in the middle of an EndTxn leaves it: the commit
// of "second" has its marker on partition 0 only, as it is cut off the other's log.
func cutMarker(t *testing.T, dir string) {
	t.Helper()
	b := start(t, dir)
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	require.NoError(t, transact(t.Context(), p, "events", "first", kgo.TryCommit))
	require.NoError(t, transact(t.Context(), p, "events", "aborted", kgo.TryAbort))
	before := sizes(t, dir, "events-1")
	require.NoError(t, transact(t.Context(), p, "events", "second", kgo.TryCommit))
	p.Close()
	running, err := os.ReadFile(filepath.Join(dir, "running.json"))
	require.NoError(t, err)
	b.Close()

	// One record and one marker were written; the marker is 78 bytes on the wire.
	const marker = 78
	path := filepath.Join(dir, "partitions", "events-1", "0.dat")
	after := sizes(t, dir, "events-1")
	require.Greater(t, after, before+marker)
	require.NoError(t, os.Truncate(path, after-marker))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "running.json"), running, 0o644))
}

func sizes(t *testing.T, dir, partition string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "partitions", partition, "0.dat"))
	require.NoError(t, err)
	return info.Size()
}

func TestCloseWithAnOpenTransactionAbortsIt(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "events", nil))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	require.NoError(t, transact(t.Context(), p, "events", "first", kgo.TryCommit))
	require.NoError(t, p.BeginTransaction())
	require.NoError(t, write(t.Context(), p, "events", "open"))
	b.Close()
	p.Close()
	require.FileExists(t, filepath.Join(dir, "running.json"))

	b = start(t, dir)
	assert.Equal(t, map[int32][]string{0: {"first"}, 1: {"first"}}, committed(t, b.Addrs(), "events"))
	b.Close()
	require.NoFileExists(t, filepath.Join(dir, "running.json"))
}

// kfake forgets a partition's offsets when retention empties it.
func TestRetentionKeepsOffsets(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	hour := strconv.FormatInt(time.Hour.Milliseconds(), 10)
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "commands", map[string]*string{"retention.ms": &hour}))
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "accounts", map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}))
	c, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	old := time.Now().Add(-30 * 24 * time.Hour)
	for range 3 {
		for _, topic := range []string{"commands", "accounts"} {
			require.NoError(t, c.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("v"), Key: []byte("u"), Timestamp: old}).FirstErr())
		}
	}
	c.Close()
	for range 3 {
		b.Close()
		b = start(t, dir)
		c, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...))
		require.NoError(t, err)
		admin := kadm.NewClient(c)
		starts, err := admin.ListStartOffsets(t.Context(), "commands")
		require.NoError(t, err)
		ends, err := admin.ListEndOffsets(t.Context(), "commands")
		require.NoError(t, err)
		assert.EqualValues(t, 3, starts["commands"][0].Offset, "expired commands are gone")
		assert.EqualValues(t, 4, ends["commands"][0].Offset, "offsets go on behind one marker")
		assert.EqualValues(t, 0, ends["commands"][1].Offset, "an empty partition stays empty")
		c.Close()
		assert.Equal(t, []string{"v"}, committed(t, b.Addrs(), "accounts")[0], "compacted state has no age")
	}
}

func TestManyKillsLoseNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		kill(t, dir)
	}
	b := start(t, dir)
	got := committed(t, b.Addrs(), "accounts")
	assert.Equal(t, []int32{0, 1}, slices.Sorted(maps.Keys(got)))
	for _, values := range got {
		assert.NotContains(t, values, "open")
		assert.Equal(t, "committed-1", values[len(values)-1])
	}
}

func TestBrokerInMemoryListensOnLoopbackOnly(t *testing.T) {
	b := start(t, "")
	require.True(t, strings.HasPrefix(b.Addrs()[0], "127.0.0.1:"))
	_, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{Listen: b.Addrs()[0]}, zerolog.Nop())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, b.Addrs()[0]+" is in use")
	_, err = embedded.StartBroker(t.Context(), embedded.BrokerConfig{Listen: "0.0.0.0:0"}, zerolog.Nop())
	require.ErrorContains(t, err, "127.0.0.1 only")
}

func TestDataDirBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	unlock, err := embedded.LockDataDir(dir)
	require.NoError(t, err)
	_, err = embedded.LockDataDir(dir)
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.ErrorContains(t, err, fmt.Sprint(os.Getpid()))
	require.NoError(t, unlock())
	unlock, err = embedded.LockDataDir(dir)
	require.NoError(t, err)
	require.NoError(t, unlock())

	b := start(t, dir)
	_, err = embedded.StartBroker(t.Context(), embedded.BrokerConfig{DataDir: dir}, zerolog.Nop())
	require.True(t, errors.Is(err, embedded.ErrLocked), err)
	b.Close()
}
