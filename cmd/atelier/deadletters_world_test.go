package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/deadletters"
	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/processors/decider"
	"atelier/schemas"
)

const deadPartitions = 3

// deadWorld is a cluster with topics, as the command line's variables name it.
type deadWorld struct {
	t        *testing.T
	kafka    kafka.Config
	codec    *schemas.Codec
	producer *kafka.Producer // writes where records say
}

func onDeadWorlds(t *testing.T, run func(t *testing.T, w *deadWorld)) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		for name, value := range map[string]string{
			"ATELIER_BROKERS": strings.Join(brokers, ","), "ATELIER_TOPIC_PREFIX": prefix,
			"ATELIER_REPLICATION": "1", "ATELIER_PARTITIONS": fmt.Sprint(deadPartitions), "ATELIER_LOG_LEVEL": "error",
		} {
			t.Setenv(name, value)
		}
		w := &deadWorld{t: t, codec: schemas.NewLockedCodec(),
			kafka: kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}}
		out, err := atelier(t, "topics", "apply")
		require.NoError(t, err, out)
		w.producer, err = kafka.NewPlacedProducer(w.kafka)
		require.NoError(t, err)
		t.Cleanup(w.producer.Close)
		run(t, w)
	})
}

// command makes the record of a grant for an account of its own.
func (w *deadWorld) command(n int) *kafka.Record {
	w.t.Helper()
	account, id := schemas.DeriveID("dead", fmt.Sprint(n)), schemas.NewID()
	r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, &schemas.GrantCredits{
		CommandMetadata: schemas.CommandMetadata{ID: id, AccountID: account, OccurredAt: time.Now().UTC(), CorrelationID: id, CausationID: id,
			Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "test", Via: "test"}},
		BlockID: schemas.NewID(), Credits: 7, Source: "operator", Reason: "test"})
	require.NoError(w.t, err)
	r.Partition = kafka.PartitionOf(account, deadPartitions)
	return r
}

func (w *deadWorld) write(records ...*kafka.Record) {
	w.t.Helper()
	require.NoError(w.t, w.producer.Produce(w.t.Context(), records...))
}

// bury writes the dead letter of a record and returns its place.
func (w *deadWorld) bury(r *kafka.Record) string {
	w.t.Helper()
	letter := kafka.DeadLetter(r, "unknown schema id: 9001")
	w.write(letter)
	return deadletters.Place{Partition: letter.Partition, Offset: letter.Offset}.String()
}

// redriven returns the commands that were dead letters, by the letter's place.
func (w *deadWorld) redriven() map[string][]*kafka.Record {
	w.t.Helper()
	admin, err := kafka.NewAdmin(w.kafka)
	require.NoError(w.t, err)
	defer admin.Close()
	found := map[string][]*kafka.Record{}
	require.NoError(w.t, kafka.Scan(w.t.Context(), w.kafka, admin, schemas.TopicCommands, func(r *kafka.Record) error {
		if from := kafka.HeaderValue(r, "dead_redriven_from"); from != "" {
			found[from] = append(found[from], r)
		}
		return nil
	}, nil))
	return found
}

type listed struct {
	Letters []struct{ Place, Origin, Type, Account, Cause string }
	More    int
}

func (w *deadWorld) list(args ...string) (l listed) {
	w.t.Helper()
	out, err := atelier(w.t, append([]string{"deadletters", "list", "--json"}, args...)...)
	require.NoError(w.t, err, out)
	require.NoError(w.t, json.Unmarshal([]byte(out), &l), out)
	return l
}

// runs does what a command line says and returns what it printed.
func (w *deadWorld) runs(args ...string) string {
	w.t.Helper()
	out, err := atelier(w.t, append([]string{"deadletters"}, args...)...)
	require.NoError(w.t, err, out)
	return out
}

// refuses is a command line that fails, in one line with these words.
func (w *deadWorld) refuses(words string, args ...string) {
	w.t.Helper()
	out, err := atelier(w.t, append([]string{"deadletters"}, args...)...)
	require.Error(w.t, err, out)
	require.NotErrorIs(w.t, err, errUsage)
	require.Regexp(w.t, words, oneLine(err))
}

// serveRegistry serves the released schemas, and under id 9001 one of a newer build.
func serveRegistry(t *testing.T, address string, newer bool) *embedded.Registry {
	t.Helper()
	var subjects []embedded.SeedSubject
	for _, r := range schemas.Lock() {
		subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
		if newer && strings.HasSuffix(r.Subject, ".GrantCredits") {
			subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject + "New", Version: 1, ID: 9001, Schema: string(r.Schema)})
		}
	}
	registry, err := embedded.StartRegistry(t.Context(), address, subjects, zerolog.Nop())
	require.NoError(t, err)
	return registry
}

// decide runs a decider that soon gives up on a schema that nobody knows.
func (w *deadWorld) decide(registryURL string) {
	w.t.Helper()
	registry, err := schemas.OpenRegistry(registryURL)
	require.NoError(w.t, err)
	codec, err := schemas.NewCodec(w.t.Context(), registry)
	require.NoError(w.t, err)
	d, err := decider.New(decider.Config{Kafka: w.kafka, Codec: codec, Instance: "test",
		UnknownSchemaWait: time.Millisecond, SchemaRetryEvery: 5 * time.Millisecond, Log: zerolog.Nop()})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
}

// operator is a client whose clock a test sets.
func (w *deadWorld) operator(name string, ago time.Duration) *deadletters.Client {
	w.t.Helper()
	client, err := deadletters.New(deadletters.Config{Kafka: w.kafka, Codec: w.codec, Actor: name,
		Now: func() time.Time { return time.Now().Add(-ago) }})
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

func placeOf(t *testing.T, text string) (p deadletters.Place) {
	t.Helper()
	require.NoError(t, p.UnmarshalText([]byte(text)))
	return p
}
