package decider

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// badKind is a way in which a record of atelier.commands is no command.
type badKind struct {
	name  string
	spoil func(w *world, r *kafka.Record, i int)
	cause string // of its dead letter, a regular expression
	// nobody: it has no place here, so there is nobody to answer.
	nobody bool
}

func spoilValue(change func(value []byte, i int) []byte) func(*world, *kafka.Record, int) {
	return func(_ *world, r *kafka.Record, i int) { r.Value = change(r.Value, i) }
}

var badKinds = []badKind{
	{name: "truncated", cause: "unreadable record: (atelier.commands.v1.GrantCredits: truncated|. bytes are no record)",
		spoil: spoilValue(func(v []byte, i int) []byte { return v[:i%len(v)] })},
	{name: "trailing bytes", cause: "trailing bytes", spoil: spoilValue(func(v []byte, i int) []byte { return append(v, make([]byte, 1+i)...) })},
	{name: "an event", cause: "a record of atelier.events in atelier.commands", spoil: func(w *world, r *kafka.Record, _ int) {
		var err error
		r.Value, err = w.codec.Encode(&schemas.BrandArchived{BrandID: account(1)})
		require.NoError(w.t, err)
	}},
	{name: "an event's id", cause: "a record of atelier.events in atelier.commands", spoil: func(w *world, r *kafka.Record, _ int) {
		event, err := w.codec.Encode(&schemas.BrandArchived{BrandID: account(1)})
		require.NoError(w.t, err)
		copy(r.Value, event[:5])
	}},
	{name: "an unknown schema id", cause: `unknown schema id: 9\d+`,
		spoil: spoilValue(func(v []byte, i int) []byte { binary.BigEndian.PutUint32(v[1:], uint32(900_000+i)); return v })},
	{name: "2^30 items", cause: "unreadable record: atelier.commands.v1.AddAsset", spoil: func(w *world, r *kafka.Record, _ int) {
		value, err := w.codec.Encode(&schemas.AddAsset{AssetID: account(1)})
		require.NoError(w.t, err)
		r.Value = append(value[:5], 0x80, 0x80, 0x80, 0x80, 0x08, 'x') // the length of its first text
	}},
	{name: "empty", cause: "0 bytes are no record", spoil: spoilValue(func([]byte, int) []byte { return []byte{} })},
	{name: "null", cause: "0 bytes are no record", spoil: spoilValue(func([]byte, int) []byte { return nil })},
	{name: "one byte", cause: "1 bytes are no record", spoil: spoilValue(func([]byte, int) []byte { return []byte{0} })},
	{name: "wrong magic", cause: "begins with 0x01", spoil: spoilValue(func(v []byte, _ int) []byte { v[0] = 1; return v })},
	{name: "random bytes", cause: "unreadable record", spoil: func(w *world, r *kafka.Record, i int) {
		dice := rand.New(rand.NewPCG(7, uint64(i)))
		for at := 5; at < len(r.Value); at++ { // behind an id that is known
			r.Value[at] = byte(dice.Uint32())
		}
		_, err := w.codec.Decode(w.t.Context(), schemas.TopicCommands, r.Value)
		require.ErrorIs(w.t, err, schemas.ErrUnreadable, "these happen to be a command")
	}},
	{name: "near 1 MB", cause: "bytes, at most", spoil: spoilValue(func(v []byte, _ int) []byte { return append(v, make([]byte, 998_000)...) })},
	{name: "no headers", cause: "trailing bytes", spoil: func(_ *world, r *kafka.Record, _ int) { r.Value, r.Headers = append(r.Value, 0), nil }},
	{name: "another account's key", cause: "the key is not the command's account", spoil: func(_ *world, r *kafka.Record, i int) {
		r.Key = []byte(account(1_000 + i))
		r.Partition = kafka.PartitionOf(string(r.Key), partitions)
	}},
	{name: "no key", cause: "the key is no account ID", nobody: true, spoil: func(_ *world, r *kafka.Record, _ int) { r.Key = nil }},
	{name: "a key that is no account", cause: "the key is no account ID", nobody: true, spoil: func(_ *world, r *kafka.Record, i int) { r.Key = fmt.Append(nil, "nobody", i) }},
	{name: "another partition's key", cause: "the key belongs to partition", nobody: true, spoil: func(_ *world, r *kafka.Record, _ int) { r.Partition = (r.Partition + 1) % partitions }},
}

// sentRecord is what a test wrote, and which kind of bad it is: nil for a command.
type sentRecord struct {
	*kafka.Record
	id  string
	bad *badKind
}

// mixture writes grants of many accounts with every kind of bad record among
// them, in an order that is always the same.
func (w *world) mixture(total, bad int) []sentRecord {
	w.t.Helper()
	const accounts = 300
	producer, err := kafka.NewPlacedProducer(w.kafka)
	require.NoError(w.t, err)
	defer producer.Close()
	var sent []sentRecord
	for i := range total {
		command := grant(account(i%accounts), 1)
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, command)
		require.NoError(w.t, err)
		r.Partition = kafka.PartitionOf(command.AccountID, partitions)
		s := sentRecord{Record: r, id: command.ID}
		if i < bad {
			s.bad = &badKinds[i%len(badKinds)]
			s.bad.spoil(w, r, i)
		}
		sent = append(sent, s)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(total, func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	records := make([]*kafka.Record, total)
	for i, s := range sent {
		records[i] = s.Record
	}
	require.NoError(w.t, producer.Produce(w.t.Context(), records...))
	return sent
}

// everything returns the records of a topic up to where it ends now.
func (w *world) everything(topic string) (records []*kafka.Record) {
	w.t.Helper()
	require.NoError(w.t, kafka.Scan(w.t.Context(), w.kafka, w.admin, topic, func(r *kafka.Record) error {
		records = append(records, r)
		return nil
	}, nil))
	return records
}

// throughAll waits until the group has committed everything: its lag is 0.
func (w *world) throughAll() {
	w.t.Helper()
	ends, err := w.admin.HighWatermarks(w.t.Context(), schemas.TopicCommands)
	require.NoError(w.t, err)
	require.Eventually(w.t, func() bool {
		next, err := w.admin.CommittedOffsets(w.t.Context(), Group, schemas.TopicCommands)
		for p, end := range ends {
			if err != nil || next[p] != end {
				return false
			}
		}
		return true
	}, time.Minute, 5*time.Millisecond, "the group's lag ends at 0")
}

func place(partition int32, offset int64) string { return fmt.Sprintf("%d@%d", partition, offset) }

// Whatever stands in the topic of commands: each command has its one outcome, each
// other record is one dead letter and, where its key is an account, one rejection,
// and no partition stops.
func TestBadBytesAmongManyCommands(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const total, bad = 10_000, 200
		sent := w.mixture(total, bad)
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) {
			c.UnknownSchemaWait, c.SchemaRetryEvery = 20*time.Millisecond, 5*time.Millisecond
			c.Log, c.Registerer = zerolog.Nop(), registry
		})
		w.throughAll()

		outcomes := map[string][]schemas.Event{}
		for _, r := range w.everything(schemas.TopicEvents) {
			event, err := w.codec.Decode(t.Context(), schemas.TopicEvents, r.Value)
			require.NoError(t, err)
			at := event.(schemas.Event).Meta().CommandPosition
			outcomes[place(int32(at.Partition), at.Offset)] = append(outcomes[place(int32(at.Partition), at.Offset)], event.(schemas.Event))
		}
		letters := map[string][]*kafka.Record{}
		for _, r := range w.everything(schemas.TopicDeadLetters) {
			require.Equal(t, schemas.TopicCommands, kafka.HeaderValue(r, kafka.HeaderOriginTopic))
			origin := kafka.HeaderValue(r, kafka.HeaderOriginPartition) + "@" + kafka.HeaderValue(r, kafka.HeaderOriginOffset)
			letters[origin] = append(letters[origin], r)
		}
		seen := map[string]int{}
		for _, s := range sent {
			at := place(s.Partition, s.Offset)
			switch {
			case s.bad == nil:
				require.Len(t, outcomes[at], 1, at)
				require.IsType(t, &schemas.CreditsGranted{}, outcomes[at][0])
				require.Equal(t, s.id, outcomes[at][0].Meta().CausationID)
				require.Empty(t, letters[at])
				continue
			case s.bad.nobody:
				require.Empty(t, outcomes[at], "%s at %s", s.bad.name, at)
			default:
				require.Len(t, outcomes[at], 1, "%s at %s", s.bad.name, at)
				rejected := outcomes[at][0].(*schemas.CommandRejected)
				require.Equal(t, schemas.CodeUnreadable, rejected.Code)
				require.Equal(t, string(s.Key), rejected.AccountID)
			}
			seen[s.bad.name]++
			require.Len(t, letters[at], 1, "%s at %s", s.bad.name, at)
			letter := letters[at][0]
			require.Regexp(t, regexp.MustCompile(s.bad.cause), kafka.HeaderValue(letter, kafka.HeaderCause), s.bad.name)
			require.Equal(t, s.Key, letter.Key)
			require.True(t, strings.HasPrefix(string(s.Value), string(letter.Value)), s.bad.name)
			require.Equal(t, len(s.Value) > len(letter.Value), kafka.HeaderValue(letter, kafka.HeaderTruncated) != "", s.bad.name)
		}
		require.Len(t, seen, len(badKinds), "every kind was there")
		require.Len(t, letters, bad)
		require.EqualValues(t, bad, measured(t, registry, "atelier_decider_dead_letters_total"))
		require.Zero(t, measured(t, registry, "atelier_decider_waiting_for_schema"))
	})
}

// waitsSaid counts how often a decider says that a partition waits for a schema.
type waitsSaid struct{ atomic.Int64 }

// Run implements zerolog.Hook.
func (w *waitsSaid) Run(_ *zerolog.Event, level zerolog.Level, message string) {
	if level == zerolog.ErrorLevel && strings.HasPrefix(message, "partition waits for the schema") {
		w.Add(1)
	}
}

// A registry that is away says nothing about a record: its partition waits,
// however long, the others go on, and nothing is lost when it comes back.
func TestARegistryThatIsAwayLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var subjects []embedded.SeedSubject
		for _, r := range schemas.Lock() {
			subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
			if strings.HasSuffix(r.Subject, ".GrantCredits") { // as a newer build would have registered it
				subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject + "New", Version: 1, ID: 9001, Schema: string(r.Schema)})
			}
		}
		serve := func(address string) *embedded.Registry {
			r, err := embedded.StartRegistry(t.Context(), address, subjects, zerolog.Nop())
			require.NoError(t, err)
			return r
		}
		registry := serve("127.0.0.1:0")
		address := strings.TrimPrefix(registry.URL(), "http://")
		client, err := schemas.OpenRegistry(registry.URL())
		require.NoError(t, err)
		codec, err := schemas.NewCodec(t.Context(), client)
		require.NoError(t, err)
		require.NoError(t, registry.Close())

		var waits waitsSaid
		metrics := prometheus.NewRegistry()
		d := w.start("a", func(c *Config) {
			// Less than it is away: only an answer of the registry counts.
			c.Codec, c.UnknownSchemaWait, c.SchemaRetryEvery = codec, time.Millisecond, 5*time.Millisecond
			c.Log, c.Registerer = zerolog.New(io.Discard).Hook(&waits), metrics
		})
		require.Eventually(t, d.Ready, time.Minute, time.Millisecond)
		newer := []schemas.Command{grant(account(0), 7), grant(account(0), 7)}
		var records []*kafka.Record
		for _, c := range newer {
			r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, c)
			require.NoError(t, err)
			binary.BigEndian.PutUint32(r.Value[1:], 9001)
			records = append(records, r)
		}
		require.NoError(t, w.producer.Produce(t.Context(), records...))
		others := grants(20, 2)
		w.send(others...)
		elsewhere := slices.DeleteFunc(slices.Clone(others), func(c schemas.Command) bool {
			return kafka.PartitionOf(c.Meta().AccountID, partitions) == records[0].Partition
		})
		for _, e := range w.outcome(ids(elsewhere)...) {
			require.NotEqual(t, records[0].Partition, kafka.PartitionOf(e.Meta().AccountID, partitions), "its partition waits")
		}
		require.EqualValues(t, 1, measured(t, metrics, "atelier_decider_waiting_for_schema"))
		require.Never(t, func() bool { return waits.Load() > 1 }, 300*time.Millisecond, 5*time.Millisecond,
			"it waits once: each time that it went on would abort what the others do")

		registry = serve(address)
		t.Cleanup(func() { require.NoError(t, registry.Close()) })
		got := granted(t, w.outcome(append(ids(others), ids(newer)...)...))
		require.EqualValues(t, 2*7+2, got[account(0)])
		require.Empty(t, w.everything(schemas.TopicDeadLetters))
		require.EqualValues(t, 1, waits.Load())
		require.Eventually(t, func() bool { return measured(t, metrics, "atelier_decider_waiting_for_schema") == 0 }, time.Minute, time.Millisecond, "the alarm ends")
	})
}
