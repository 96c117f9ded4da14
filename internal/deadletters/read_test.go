package deadletters

import (
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

const partitions = 3

// world is a cluster with topics and an operator.
type world struct {
	t        *testing.T
	kafka    kafka.Config
	codec    *schemas.Codec
	producer *kafka.Producer
}

func each(t *testing.T, run func(t *testing.T, w *world)) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := &world{t: t, codec: schemas.NewLockedCodec(),
			kafka: kafka.Config{Brokers: brokers, Prefix: prefix, ClientID: "test", Log: zerolog.Nop()}}
		admin, err := kafka.NewAdmin(w.kafka)
		require.NoError(t, err)
		t.Cleanup(admin.Close)
		_, err = admin.ApplyTopics(t.Context(), partitions, 1)
		require.NoError(t, err)
		w.producer, err = kafka.NewPlacedProducer(w.kafka)
		require.NoError(t, err)
		t.Cleanup(w.producer.Close)
		run(t, w)
	})
}

func (w *world) operator(change ...func(*Config)) *Client {
	w.t.Helper()
	c := Config{Kafka: w.kafka, Codec: w.codec, Actor: "ada"}
	for _, f := range change {
		f(&c)
	}
	client, err := New(c)
	require.NoError(w.t, err)
	w.t.Cleanup(client.Close)
	return client
}

// bury writes the dead letters of commands of new accounts, each to a partition,
// and returns their places.
func (w *world) bury(partition int32, cause string, count int) (places []Place) {
	w.t.Helper()
	var letters []*kafka.Record
	for range count {
		account, id := schemas.NewID(), schemas.NewID()
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, &schemas.GrantCredits{
			CommandMetadata: schemas.CommandMetadata{ID: id, AccountID: account, OccurredAt: time.Now().UTC(), CorrelationID: id, CausationID: id,
				Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "test", Via: "test"}},
			BlockID: schemas.NewID(), Credits: 7, Source: "operator", Reason: "test"})
		require.NoError(w.t, err)
		r.Partition = partition
		letters = append(letters, kafka.DeadLetter(r, cause))
	}
	require.NoError(w.t, w.producer.Produce(w.t.Context(), letters...))
	for _, l := range letters {
		places = append(places, Place{l.Partition, l.Offset})
	}
	return places
}

// A flood is more than a list returns, whichever partitions it came to. A part of it
// is listed, and a single letter is found behind it.
func TestAFlood(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const most, flood = 20, 30
		ctx := t.Context()
		client := w.operator()
		client.lettersMax = most
		var rare []Place
		for partition := range int32(partitions) {
			w.bury(partition, "flood", most/2) // too many together alone
			rare = append(rare, w.bury(partition, "rare", 2)...)
		}
		_, err := client.List(ctx, Filter{})
		require.ErrorIs(t, err, ErrTooMany)
		require.ErrorContains(t, err, "more than 20")

		flooded := w.bury(0, "flood", flood)
		listed := func(f Filter) (places []Place) {
			letters, err := client.List(ctx, f)
			require.NoError(t, err)
			for _, l := range letters {
				places = append(places, l.Place)
			}
			return places
		}
		require.ElementsMatch(t, rare, listed(Filter{Cause: "rare"}))

		last := flooded[flood-1]
		for name, client := range map[string]*Client{"that listed": client, "a new one": w.operator()} {
			client.lettersMax = most
			l, record, err := client.Show(ctx, last)
			require.NoError(t, err, name)
			require.Equal(t, last, l.Place)
			require.Equal(t, Open, l.Settled.State)
			require.NotEmpty(t, record.Value)
		}
		require.NoError(t, client.Discard(ctx, last, "why"))
		_, err = client.Redrive(ctx, rare[0], false)
		require.NoError(t, err)
		require.ElementsMatch(t, rare[1:], listed(Filter{Cause: "rare"}))
		require.ElementsMatch(t, rare, listed(Filter{Cause: "rare", All: true}))

		// What is settled is no longer in the way of what is not.
		for _, at := range flooded[:flood-1] {
			require.NoError(t, client.Discard(ctx, at, "why"))
		}
		_, err = client.List(ctx, Filter{Cause: "flood"})
		require.ErrorIs(t, err, ErrTooMany, "10 in each partition are left")
		client.lettersMax = partitions * most / 2
		require.Len(t, listed(Filter{Cause: "flood"}), partitions*most/2)
		_, err = client.List(ctx, Filter{Cause: "flood", All: true})
		require.ErrorIs(t, err, ErrTooMany)
	})
}

// A record is dead once, whatever the causes that it became a letter for.
func TestARepeatedLetterOfAnotherCause(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		at := w.bury(1, "first", 1)[0]
		_, record, err := w.operator().Show(t.Context(), at)
		require.NoError(t, err)
		for i, h := range record.Headers {
			if h.Key == kafka.HeaderCause {
				record.Headers[i].Value = []byte("second")
			}
		}
		require.NoError(t, w.producer.Produce(t.Context(), record))
		letters, err := w.operator().List(t.Context(), Filter{Cause: "second"})
		require.NoError(t, err)
		require.Empty(t, letters)
		l, _, err := w.operator().Show(t.Context(), Place{record.Partition, record.Offset})
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("the same record as ", at), l.Settled.String())
	})
}

// Whether a command can be read is not known while the registry is away, and so
// neither is whether force is needed.
func TestTheRegistryGoesAway(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var subjects []embedded.SeedSubject
		for _, r := range schemas.Lock() {
			subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
		}
		registry, err := embedded.StartRegistry(t.Context(), "127.0.0.1:0", subjects, zerolog.Nop())
		require.NoError(t, err)
		opened, err := schemas.OpenRegistry(registry.URL())
		require.NoError(t, err)
		codec, err := schemas.NewCodec(t.Context(), opened)
		require.NoError(t, err)
		require.NoError(t, registry.Close())
		client := w.operator(func(c *Config) { c.Codec = codec })

		known := w.bury(0, "why", 1)[0]
		_, letter, err := client.Show(t.Context(), known)
		require.NoError(t, err)
		letter.Value = append([]byte{0, 0, 0, 35, 41}, letter.Value[5:]...) // id 9001
		require.NoError(t, w.producer.Produce(t.Context(), letter))
		unknown := Place{letter.Partition, letter.Offset}
		for _, force := range []bool{false, true} {
			_, err := client.Redrive(t.Context(), unknown, force)
			require.ErrorIs(t, err, schemas.ErrRegistryAway)
			require.ErrorContains(t, err, unknown.String()+" is not redriven: bring the registry back and do the same again")
			require.NotContains(t, err.Error(), "--force")
		}
		_, err = client.Redrive(t.Context(), known, false)
		require.NoError(t, err, "its schema is known")
	})
}

// Who only looks and lays aside needs no codec.
func TestWithoutACodec(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		client := w.operator(func(c *Config) { c.Codec = nil })
		places := w.bury(0, "why", 2)
		_, err := client.Redrive(t.Context(), places[0], true)
		require.ErrorIs(t, err, errNoCodec)
		require.NoError(t, client.Discard(t.Context(), places[0], "why"))
		letters, err := client.List(t.Context(), Filter{})
		require.NoError(t, err)
		require.Len(t, letters, 1)
	})
}
