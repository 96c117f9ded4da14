// Package kafkatest runs one test body against both brokers that Atelier has to
// work on: the embedded one and a real Kafka.
package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/deploy/kafka"
	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
)

const (
	// AddressVariable names a running Kafka to use instead of one of our own:
	// host:port, several separated by commas.
	AddressVariable = "ATELIER_TEST_KAFKA"
	// OnlyVariable set to "embedded" leaves the real Kafka out, for a quick look, and
	// set to "kafka" the embedded broker, for a run beside such a one.
	OnlyVariable = "ATELIER_TEST_BROKERS_ONLY"
)

const (
	// startTimeout bounds the start of Kafka, its download at the first time
	// included.
	startTimeout = 10 * time.Minute
	// cleanTimeout bounds the removal of a test's topics and groups.
	cleanTimeout = time.Minute
)

// Each runs the subtests "embedded" (a fresh broker in memory) and "kafka" (a
// real one, which all tests share). Topics, groups and transactional ids on the
// shared one must begin with prefix, which is unique to the subtest; what begins
// with it is removed when the subtest ends.
func Each(t *testing.T, run func(t *testing.T, brokers []string, prefix string)) {
	t.Helper()
	if os.Getenv(OnlyVariable) != "kafka" {
		t.Run("embedded", func(t *testing.T) { run(t, Embedded(t), Prefix()) })
	}
	if EmbeddedOnly(t) {
		return
	}
	t.Run("kafka", func(t *testing.T) {
		brokers := Shared(t)
		prefix := Prefix()
		t.Cleanup(func() { clean(t, brokers, prefix) })
		run(t, brokers, prefix)
	})
}

// EmbeddedOnly tells, in the test's log too, whether the real Kafka is left out
// of this run.
func EmbeddedOnly(t testing.TB) bool {
	t.Helper()
	switch only := os.Getenv(OnlyVariable); only {
	case "", "kafka":
		return false
	case "embedded":
		t.Logf("%s=%s: the real Kafka is left out", OnlyVariable, only)
		return true
	default:
		t.Fatalf("%s=%s: \"embedded\" or \"kafka\" can be asked for", OnlyVariable, only)
		return true
	}
}

// Prefix makes a name space for one test.
func Prefix() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails; crypto/rand says so
	return "t" + hex.EncodeToString(raw) + "."
}

// Embedded starts a fresh embedded broker in memory for this test.
func Embedded(t testing.TB) []string {
	t.Helper()
	broker, err := embedded.StartBroker(t.Context(), embedded.BrokerConfig{}, zerolog.Nop())
	if err != nil {
		t.Fatalf("kafkatest: %v", err)
	}
	t.Cleanup(broker.Close)
	return broker.Addrs()
}

// Shared returns the address of the real Kafka that all tests of this process
// share: the one that AddressVariable names, else one that is started now and
// ends with the process.
func Shared(t testing.TB) []string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatalf("kafkatest: %v", err)
	}
	return s.brokers
}

// sharedKafka holds the keeper too: the broker ends as soon as the garbage
// collector has closed the keeper's pipe.
type sharedKafka struct {
	brokers []string
	keeper  io.Closer
}

var shared = sync.OnceValues(func() (*sharedKafka, error) {
	if given := os.Getenv(AddressVariable); given != "" {
		return &sharedKafka{brokers: strings.Split(given, ",")}, reachable(given)
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "atelier-kafka-")
	if err != nil {
		return nil, err
	}
	broker, err := kafka.Start(ctx, kafka.Config{Dir: dir}, zerolog.Nop())
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	keeper, err := child.StopAfterUs(broker.PID(), "KILL", dir)
	if err != nil {
		broker.Kill()
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &sharedKafka{brokers: []string{broker.Addr()}, keeper: keeper}, nil
})

// reachable says plainly when the variable names a broker that is not there.
func reachable(brokers string) error {
	first, _, _ := strings.Cut(brokers, ",")
	conn, err := net.DialTimeout("tcp", first, 5*time.Second)
	if err != nil {
		return fmt.Errorf("%s=%s: %w", AddressVariable, brokers, err)
	}
	return conn.Close()
}

// RealKafka is a Kafka of one test's own, for tests that kill it.
type RealKafka struct {
	Brokers []string
	t       testing.TB
	broker  *kafka.Broker
}

// Real starts a Kafka for this test alone.
func Real(t testing.TB) *RealKafka {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	broker, err := kafka.Start(ctx, kafka.Config{Dir: t.TempDir()}, zerolog.Nop())
	if err != nil {
		t.Fatalf("kafkatest: %v", err)
	}
	t.Cleanup(broker.Kill)
	return &RealKafka{Brokers: []string{broker.Addr()}, t: t, broker: broker}
}

// Kill ends the broker as a crash would.
func (r *RealKafka) Kill() { r.broker.Kill() }

// Restart starts it again on the same address and data.
func (r *RealKafka) Restart() {
	r.t.Helper()
	if err := r.broker.Restart(r.t.Context()); err != nil {
		r.t.Fatalf("kafkatest: %v", err)
	}
}

// Committer returns what commits records, each time in a transaction of its own, and
// returns as soon as the broker has answered. Topics and the transactional ID are as
// brokers know them.
func Committer(t testing.TB, brokers []string, transactionalID string) func(records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.TransactionalID(transactionalID), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatalf("kafkatest: %v", err)
	}
	t.Cleanup(client.Close)
	return func(records ...*kgo.Record) {
		t.Helper()
		err := client.BeginTransaction()
		if err == nil {
			err = client.ProduceSync(t.Context(), records...).FirstErr()
		}
		if err == nil {
			err = client.EndTransaction(t.Context(), kgo.TryCommit)
		}
		if err != nil {
			t.Fatalf("kafkatest: %v", err)
		}
	}
}

// clean removes a test's topics and groups, so that a long run does not slow
// the shared broker down. A test that leaves members in a group keeps the group.
func clean(t *testing.T, brokers []string, prefix string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTimeout)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Errorf("kafkatest: clean: %v", err)
		return
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Errorf("kafkatest: list topics: %v", err)
		return
	}
	if mine := having(topics.Names(), prefix); len(mine) > 0 {
		if _, err := admin.DeleteTopics(ctx, mine...); err != nil {
			t.Errorf("kafkatest: delete topics: %v", err)
		}
	}
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		t.Errorf("kafkatest: list groups: %v", err)
		return
	}
	if mine := having(groups.Groups(), prefix); len(mine) > 0 {
		if _, err := admin.DeleteGroups(ctx, mine...); err != nil {
			t.Errorf("kafkatest: delete groups: %v", err)
		}
	}
}

func having(names []string, prefix string) []string {
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			found = append(found, name)
		}
	}
	return found
}
