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
	"github.com/twmb/franz-go/pkg/kmsg"

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
	b := start(t, dir)
	compacted := "compact"
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "accounts", map[string]*string{"cleanup.policy": &compacted}))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	for _, value := range []string{"first", "second", "third"} {
		require.NoError(t, transact(t.Context(), p, "accounts", value, kgo.TryCommit))
	}
	p.Close()
	running, err := os.ReadFile(filepath.Join(dir, "running.json"))
	require.NoError(t, err)
	b.Close()

	// As the kill leaves it: the old files are kept, the new ones are not there or half written.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "running.json"), running, 0o644))
	require.NoError(t, os.CopyFS(filepath.Join(dir, "compacting"), os.DirFS(filepath.Join(dir, "partitions"))))
	require.NoError(t, os.Remove(filepath.Join(dir, "partitions", "accounts-0", "0.dat")))
	require.NoError(t, os.Truncate(filepath.Join(dir, "partitions", "accounts-1", "0.dat"), 10))
	b = start(t, dir)
	for partition, values := range committed(t, b.Addrs(), "accounts") {
		assert.Equal(t, "third", values[len(values)-1], "partition %d", partition)
	}
	assert.Len(t, committed(t, b.Addrs(), "accounts"), 2)
	b.Close()
	assert.NoDirExists(t, filepath.Join(dir, "compacting"))
	assert.NoDirExists(t, filepath.Join(dir, "compacting.tmp"))
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

// A compaction that cannot write what it keeps says so, and the next start has everything.
func TestACompactionThatCannotWriteLosesNothing(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	compacted := "compact"
	require.NoError(t, makeTopic(t.Context(), b.Addrs(), "accounts", map[string]*string{"cleanup.policy": &compacted}))
	p, err := transactional(b.Addrs())
	require.NoError(t, err)
	for _, value := range []string{"first", "second", "third"} {
		require.NoError(t, transact(t.Context(), p, "accounts", value, kgo.TryCommit))
	}
	p.Close()
	b.Close()

	// What is kept begins with the marker at offset 1, whose index leads nowhere.
	blocked := filepath.Join(dir, "partitions", "accounts-1", "1.idx")
	require.NoError(t, os.Symlink("/nowhere/at/all", blocked))
	for range 2 {
		_, err = embedded.StartBroker(t.Context(), embedded.BrokerConfig{DataDir: dir}, zerolog.Nop())
		require.ErrorContains(t, err, "could not write: rebuildSegments")
	}
	require.NoError(t, os.Remove(filepath.Join(dir, "compacting", "accounts-1", "1.idx")))
	b = start(t, dir)
	for partition, values := range committed(t, b.Addrs(), "accounts") {
		assert.Equal(t, "third", values[len(values)-1], "partition %d", partition)
	}
	assert.Len(t, committed(t, b.Addrs(), "accounts"), 2)
}

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
		_ = makeTopic(t.Context(), b.Addrs(), "events", nil)
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

// moveOffsetIn does it within the transaction that is open.
func moveOffsetIn(t *testing.T, p *kgo.Client, to int64) {
	t.Helper()
	id, epoch, err := p.ProducerID(t.Context())
	require.NoError(t, err)
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset = to
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = "events", []kmsg.TxnOffsetCommitRequestTopicPartition{partition}
	request := kmsg.NewPtrTxnOffsetCommitRequest()
	request.TransactionalID, request.Group, request.ProducerID, request.ProducerEpoch = "decider-0", "readers", id, epoch
	request.Topics = []kmsg.TxnOffsetCommitRequestTopic{topic}
	answer, err := request.RequestWith(t.Context(), p)
	require.NoError(t, err)
	require.NoError(t, kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode))
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
