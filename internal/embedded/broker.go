// Package embedded brings along what Atelier otherwise finds on the network:
// a Kafka broker, a schema registry and a Postgres server. All of them listen
// on loopback only and keep their data in directories that the caller names.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	// defaultPartitions is what a topic gets that is made without a count.
	defaultPartitions = 12
	// neverMs is ten years in milliseconds. kfake's periodic compaction ignores
	// open transactions and can drop the last committed record of a key, so
	// it does not run beside clients; StartBroker compacts instead.
	neverMs = 10 * 365 * 24 * 60 * 60 * 1000
	// prepareTimeout bounds repair and compaction at the start.
	prepareTimeout = 10 * time.Minute
	// brokerCloseTimeout bounds the last question before the broker stops.
	brokerCloseTimeout = 5 * time.Second
)

// BrokerConfig says where the broker keeps its data and listens.
type BrokerConfig struct {
	// DataDir keeps topics, records and group offsets. It belongs to the
	// broker alone. Empty: everything in memory.
	DataDir string
	// Listen is a loopback address; empty means "127.0.0.1:0", any port.
	Listen string
	// Partitions is what a topic gets that is made without a count; 0 is 12.
	Partitions int32
}

// Broker is a Kafka broker in this process. Records it has acknowledged survive
// a kill of the process, not a loss of power.
type Broker struct {
	cluster *kfake.Cluster
	gate    *gate
	client  *repairClient // reaches the broker while only we may
	members *members
	config  BrokerConfig
	log     zerolog.Logger
	unlock  func() error
	faults  *brokerLog

	stop      context.CancelFunc
	tracking  sync.WaitGroup
	closeOnce sync.Once
}

// StartBroker starts the broker and returns once clients may connect. After an
// unclean end it first repairs the transactions that the end cut through, so
// that nobody ever sees half of one; then it compacts and applies retention.
func StartBroker(ctx context.Context, config BrokerConfig, log zerolog.Logger) (*Broker, error) {
	if config.Listen == "" {
		config.Listen = "127.0.0.1:0"
	}
	if config.Partitions == 0 {
		config.Partitions = defaultPartitions
	}
	b := &Broker{config: config, log: log, faults: &brokerLog{log: log}, unlock: func() error { return nil }}
	started := time.Now()
	if err := b.start(ctx); err != nil {
		b.abandon()
		return nil, fmt.Errorf("start broker: %w", err)
	}
	log.Info().Str("address", b.gate.Addr().String()).Str("data_dir", config.DataDir).
		Dur("took", time.Since(started)).Msg("broker is ready")
	return b, nil
}

func (b *Broker) start(ctx context.Context) error {
	if b.config.DataDir == "" {
		if err := b.openCluster(ctx); err != nil {
			return err
		}
		b.letIn(ctx)
		return nil
	}
	unlock, err := LockDataDir(b.config.DataDir)
	if err != nil {
		return err
	}
	b.unlock = unlock
	prepare, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := b.prepare(prepare); err != nil {
		return err
	}
	beside := b.letIn(ctx)
	b.tracking.Go(func() { b.trackStable(beside) })
	return nil
}

// letIn opens the broker to clients and begins what runs beside them, until Close.
func (b *Broker) letIn(ctx context.Context) context.Context {
	b.gate.letIn()
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	b.tracking.Go(func() { b.members.run(beside, b.client.kgo) })
	return beside
}

// prepare opens the data directory, repairs it if its last end was unclean,
// and compacts it, all before the first client is let in.
func (b *Broker) prepare(ctx context.Context) error {
	last, unclean, err := readRunning(b.config.DataDir)
	if err != nil {
		return err
	}
	if unclean {
		if err := uncompact(b.config.DataDir); err != nil {
			return fmt.Errorf("take a compaction back: %w", err)
		}
		if err := forget(b.config.DataDir); err != nil {
			return err
		}
		if err := reindex(b.config.DataDir); err != nil {
			return fmt.Errorf("index the logs: %w", err)
		}
	}
	// From here on an end without Close is unclean. The positions of the last
	// run stay valid until the repair is through.
	if err := writeRunning(b.config.DataDir, last); err != nil {
		return err
	}
	if err := b.openCluster(ctx); err != nil {
		return err
	}
	if unclean {
		if err := b.repair(ctx, last); err != nil {
			return fmt.Errorf("repair after an unclean end: %w", err)
		}
	}
	if err := b.client.keepOffsets(ctx); err != nil {
		return fmt.Errorf("prepare retention: %w", err)
	}
	if err := b.compact(); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return b.saveStable(ctx)
}

// repair ends cut transactions and opens the cluster anew, so that what it
// holds in memory comes from the markers in the log alone.
func (b *Broker) repair(ctx context.Context, last running) error {
	began := time.Now()
	found, err := b.client.repair(ctx, last)
	if err != nil {
		return err
	}
	b.log.Warn().Int("records_read", found.scanned).Int("committed", found.committed).Int("aborted", found.aborted).
		Dur("took", time.Since(began)).Msg("broker ended uncleanly, transactions repaired")
	if found.committed+found.aborted == 0 {
		return nil
	}
	b.client.close()
	b.cluster.Close()
	if err := b.faults.failed(); err != nil {
		return err
	}
	if err := forget(b.config.DataDir); err != nil {
		return err
	}
	return b.openCluster(ctx)
}

// openCluster starts kfake behind a closed gate.
func (b *Broker) openCluster(ctx context.Context) error {
	address := b.config.Listen
	if b.gate != nil {
		address = b.gate.Addr().String() // the second time: the port that we already have
	}
	gate, err := newGate(ctx, address)
	if err != nil {
		return err
	}
	b.gate = gate
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("atelier"),
		kfake.DefaultNumPartitions(int(b.config.Partitions)),
		kfake.MaxVersions(versions()),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms": strconv.Itoa(neverMs),
			// kfake applies retention to compacted topics too, and Kafka's default
			// of seven days would take the state of whoever was away for a week.
			// Topics with a retention of their own keep it.
			"log.retention.ms": "-1",
		}),
		kfake.WithLogger(b.faults),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return gate, nil }),
	}
	if b.config.DataDir != "" {
		options = append(options, kfake.DataDir(b.config.DataDir))
	}
	b.cluster, b.client = nil, nil
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		_ = gate.Close()
		return err
	}
	boundFetchesByPartition(cluster)
	b.cluster, b.members = cluster, watchMembers(cluster, b.log)
	b.client, err = newRepairClient(gate)
	return err
}

// versions is what the broker says it speaks: Kafka 4.3 without what its answers
// break in Java's AdminClient (null instead of an empty list in
// DescribeTopicPartitions; CreateTopics from version 5 without configs; ListGroups
// from version 5, whose types it compares with their case, and so lists none).
func versions() *kversion.Versions {
	const listGroups, createTopics, describeTopicPartitions = 16, 19, 75
	v := kversion.V4_3_0()
	v.SetMaxKeyVersion(describeTopicPartitions, -1)
	v.SetMaxKeyVersion(createTopics, 4)
	v.SetMaxKeyVersion(listGroups, 4)
	return v
}

// Addrs lists the addresses to connect to.
func (b *Broker) Addrs() []string { return []string{b.gate.Addr().String()} }

// Close stops the broker. Close the clients first: a transaction that is still
// open is aborted at the next start.
func (b *Broker) Close() {
	b.closeOnce.Do(func() {
		b.stop()
		b.tracking.Wait()
		if b.config.DataDir == "" {
			b.abandon()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), brokerCloseTimeout)
		defer cancel()
		open, err := b.client.openTransactions(ctx)
		b.client.close()
		b.cluster.Close()
		switch err = errors.Join(err, b.faults.failed()); {
		case err != nil:
			b.log.Error().Err(err).Msg("broker stopped uncleanly")
		case open > 0:
			b.log.Warn().Int("transactions", open).Msg("broker stopped with open transactions")
		default:
			if err := os.Remove(runningPath(b.config.DataDir)); err != nil {
				b.log.Error().Err(err).Msg("broker stopped uncleanly")
			}
		}
		b.abandon()
	})
}

// abandon frees what is held, without a word about a clean end.
func (b *Broker) abandon() {
	if b.client != nil {
		b.client.close()
	}
	if b.cluster != nil {
		b.cluster.Close()
	}
	if b.gate != nil {
		_ = b.gate.Close()
	}
	_ = b.unlock()
}

// brokerLog passes kfake's words on and remembers whether one was an error:
// kfake reports a failed save only there, and one of a compaction as a warning.
type brokerLog struct {
	log    zerolog.Logger
	errors atomic.Int64
}

// Logf keeps kfake's text as a field; requests (info) go to debug.
func (l *brokerLog) Logf(level kfake.LogLevel, text string, args ...any) {
	event := l.log.Debug()
	switch level {
	case kfake.LogLevelError:
		l.errors.Add(1)
		event = l.log.Error()
	case kfake.LogLevelWarn:
		if strings.HasPrefix(text, "rebuildSegments") {
			l.errors.Add(1)
		}
		event = l.log.Warn()
	case kfake.LogLevelDebug, kfake.LogLevelNone:
		event = l.log.Trace()
	}
	if event.Enabled() {
		event.Str("detail", fmt.Sprintf(text, args...)).Msg("broker")
	}
}

func (l *brokerLog) failed() error {
	if n := l.errors.Load(); n > 0 {
		return fmt.Errorf("broker reported %d errors", n)
	}
	return nil
}
