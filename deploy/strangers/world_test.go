// Package strangers holds the tests with other people's clients: Kafka's own
// Java tools, kcat, and librdkafka through Python. What they read was written by
// our own session, and what they meet is our broker and our registry, or a real
// Kafka and a real registry, so it belongs to none of them; it is under deploy,
// because what stands here is what whoever runs Atelier may promise to the
// consumers of the stream.
package strangers

import (
	"context"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/registry/registrytest"
	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

const (
	partitions = 3
	// installTimeout bounds the downloads that a client needs.
	installTimeout = 10 * time.Minute
	// clientTimeout bounds one run of a stranger's program.
	clientTimeout = time.Minute
)

// world is a broker with our topics, on which our session has written one of
// each event, committed, and one of each that is aborted; and the registry whose
// ids they carry.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	brokers  string
	prefix   string
	registry string
	readOnly bool // the registry is the embedded one
	codec    *schemas.Codec
	events   map[string]schemas.Event // what was committed, by ID
	aborted  map[string]bool          // the IDs of what was not; some never got to the broker
}

// What each client is to show. None leaves anything behind that another counts.
var clients = map[string]func(*world){
	"the example consumer": exampleConsumer,
	"librdkafka/topics":    librdkafkaTopics, "librdkafka/offsets": librdkafkaOffsets, "librdkafka/groups": librdkafkaGroups,
	"librdkafka/transactions": librdkafkaTransactions, "librdkafka/registry": librdkafkaRegistry,
	"kcat/metadata": kcatMetadata, "kcat/events": kcatEvents, "kcat/produce": kcatProduce,
	"java/topics": javaTopics, "java/events": javaEvents, "java/groups": javaGroups, "java/offsets": javaOffsets, "java/transactions": javaTransactions,
}

// Side by side: most of their time is start and waiting for a group.
func TestOtherPeoplesClients(t *testing.T) {
	if kafkatest.EmbeddedOnly(t) {
		t.Skip("and so are other people's clients")
	}
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newWorld(t, brokers, prefix)
		for name, run := range clients {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mine := *w
				mine.t = t
				run(&mine)
			})
		}
	})
}

func newWorld(t *testing.T, brokers []string, prefix string) *world {
	t.Helper()
	w := &world{t: t, brokers: strings.Join(brokers, ","), prefix: prefix, events: map[string]schemas.Event{}, aborted: map[string]bool{},
		kafka: kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}}
	admin, err := kafka.NewAdmin(w.kafka)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.ApplyTopics(t.Context(), partitions, 1)
	require.NoError(t, err)
	// What stands beside each broker, embedded or real: see kafkatest.Each.
	if path.Base(t.Name()) == "embedded" {
		w.startEmbeddedRegistry()
	} else {
		w.startRealRegistry()
	}
	w.write(admin)
	return w
}

// startRealRegistry starts one that others use too, so that no id is the lock's.
func (w *world) startRealRegistry() {
	w.t.Helper()
	real := registrytest.Start(w.t)
	real.Claim("somebody-else", "NONE", `"string"`)
	registry, err := schemas.OpenRegistry(real.URL())
	require.NoError(w.t, err)
	require.NoError(w.t, registry.Register(w.t.Context()))
	w.codec, err = schemas.NewCodec(w.t.Context(), registry)
	require.NoError(w.t, err)
	w.registry = real.URL()
}

func (w *world) startEmbeddedRegistry() {
	w.t.Helper()
	var subjects []embedded.SeedSubject
	for _, r := range schemas.Lock() {
		subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
	}
	registry, err := embedded.StartRegistry(w.t.Context(), "127.0.0.1:0", subjects, zerolog.Nop())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { require.NoError(w.t, registry.Close()) })
	w.registry, w.readOnly, w.codec = registry.URL(), true, schemas.NewLockedCodec()
}

// write commits, aborts and commits again, so that what is aborted has stable
// records before and behind it. An abort drops what is still on its way to the
// broker, so it waits until some of it has arrived.
func (w *world) write(admin *kafka.Admin) {
	w.t.Helper()
	session, err := kafka.OpenSession(w.t.Context(), w.kafka, kafka.SessionConfig{
		Group: "writer", TransactionalID: "writer", Topic: schemas.TopicProgress, Assigned: func([]int32) {}, Lost: func([]int32) {},
	})
	require.NoError(w.t, err)
	defer session.Close()
	for _, commit := range []bool{true, false, true} {
		before := w.endOf(admin)
		require.NoError(w.t, session.Begin())
		for _, event := range oneOfEach(w.t) {
			record, err := kafka.NewRecord(w.codec, schemas.TopicEvents, event)
			require.NoError(w.t, err)
			record.Partition = kafka.PartitionOf(event.Meta().AccountID, partitions)
			session.Produce(w.t.Context(), record)
			if commit {
				w.events[event.Meta().ID] = event
			} else {
				w.aborted[event.Meta().ID] = true
			}
		}
		if !commit {
			require.Eventually(w.t, func() bool { return w.endOf(admin) > before }, time.Minute, time.Millisecond)
		}
		committed, err := session.End(w.t.Context(), commit)
		require.NoError(w.t, err)
		require.Equal(w.t, commit, committed)
	}
}

// endOf sums the offsets behind the last event of each partition.
func (w *world) endOf(admin *kafka.Admin) (sum int64) {
	w.t.Helper()
	ends, err := admin.HighWatermarks(w.t.Context(), schemas.TopicEvents)
	require.NoError(w.t, err)
	for _, end := range ends {
		sum += end
	}
	return sum
}

// oneOfEach is an event of every type, every field filled, as its golden record
// has it, of an account of its own.
func oneOfEach(t *testing.T) []schemas.Event {
	t.Helper()
	files, err := filepath.Glob("../../schemas/testdata/golden/" + schemas.TopicEvents + "-*.avro")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var events []schemas.Event
	for _, file := range files {
		wire, err := os.ReadFile(file)
		require.NoError(t, err)
		record, err := schemas.NewLockedCodec().Decode(t.Context(), schemas.TopicEvents, wire)
		require.NoError(t, err)
		event := record.(schemas.Event)
		event.Meta().ID, event.Meta().AccountID = schemas.NewID(), schemas.NewID()
		events = append(events, event)
	}
	return events
}

// ids are those of what was committed.
func (w *world) ids() []string {
	var ids []string
	for id := range w.events {
		ids = append(ids, id)
	}
	return ids
}

// topic is a topic's name on this broker.
func (w *world) topic(name string) string { return w.prefix + name }

// run runs a client, which must end well, and returns what it prints.
func (w *world) run(input, name string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), clientTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var errs strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader(input), &errs
	out, err := cmd.Output()
	require.NoError(w.t, err, "%s %s\n%s\n%s", filepath.Base(name), strings.Join(args, " "), out, errs.String())
	return string(out)
}
