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
	"sync"
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
	faults  *faults

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
	b := &Broker{config: config, log: log, faults: newFaults(log), unlock: func() error { return nil }}
	started := time.Now()
	if err := b.start(ctx); err != nil {
		b.abandon()
		if fault := b.Err(); fault != nil {
			err = fault // the other one says that nobody answered
		}
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
	defer context.AfterFunc(b.faults.broken, cancel)()
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
		if err := cutTorn(b.config.DataDir); err != nil {
			return fmt.Errorf("cut what was half written: %w", err)
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
	if err := b.closeCluster(); err != nil {
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
	var cluster *kfake.Cluster
	if fault := b.faults.wait(func() { cluster, err = kfake.NewCluster(options...) }); fault != nil {
		return fault
	}
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

// Done is closed when something could not be written: the disk is full, say. The broker
// answers nobody from then on, and Err says what it was. Close it; what it has acknowledged
// is there at the next start.
func (b *Broker) Done() <-chan struct{} { return b.faults.broken.Done() }

// Err is what could not be written, nil as long as all could.
func (b *Broker) Err() error { return context.Cause(b.faults.broken) }

// Close stops the broker. Close the clients first: a transaction that is still
// open is aborted at the next start.
func (b *Broker) Close() {
	b.closeOnce.Do(func() {
		b.stop()
		if err := b.faults.wait(b.tracking.Wait); b.config.DataDir == "" || err != nil {
			b.abandon()
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), brokerCloseTimeout)
		defer cancel()
		open, err := b.client.openTransactions(ctx)
		b.client.close()
		switch err = errors.Join(err, b.closeCluster()); {
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

// closeCluster stops kfake, which writes itself down. One that could not write is left where
// it stands.
func (b *Broker) closeCluster() error {
	if b.cluster == nil || b.Err() != nil {
		return b.Err()
	}
	return b.faults.wait(b.cluster.Close)
}

// abandon frees what is held, without a word about a clean end.
func (b *Broker) abandon() {
	if b.client != nil {
		b.client.close()
	}
	_ = b.closeCluster()
	if b.gate != nil {
		_ = b.gate.Close()
	}
	_ = b.unlock()
}
