package schemas

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	oracle "github.com/twmb/avro"
)

var update = flag.Bool("update", false, "write golden records of versions that have none")

// sample returns a record in which every field has a value of its own, so that
// two fields that change places are seen.
func sample(name string) Record {
	record := factories[name]()
	n := 0
	fill(reflect.ValueOf(record).Elem(), &n)
	return record
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d-ü", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n * 1001))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 8)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, n)
		v.SetMapIndex(reflect.ValueOf(fmt.Sprintf("k%d", *n)), value) // one key: maps have no order
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n + i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte{0, byte(*n), 255})
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 24, 9, 30, 0, *n*1000, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	}
}

func names() []string { return slices.Sorted(maps.Keys(factories)) }

func topic(name string) string { return topicOf(name) }

func golden(r Released) string {
	return filepath.Join("testdata", "golden", fmt.Sprintf("%s.v%d.avro", r.Subject, r.Version))
}

func TestEveryRecordSurvivesTheWire(t *testing.T) {
	codec := NewLockedCodec()
	for _, name := range names() {
		wire, err := codec.Encode(sample(name))
		require.NoError(t, err, name)
		got, err := codec.Decode(t.Context(), topic(name), wire)
		require.NoError(t, err, name)
		require.Equal(t, sample(name), got, name)
	}
}

// A released version's bytes lie in the topics for ever. Its golden record was
// written when it was released and is never written again.
func TestGoldenRecordsOfEveryReleasedVersion(t *testing.T) {
	codec := NewLockedCodec()
	newest := map[string]int{}
	for _, r := range Newest() {
		newest[r.Subject] = r.Version
	}
	for _, r := range Lock() {
		file := golden(r)
		schema, err := parse(string(r.Schema))
		require.NoError(t, err)
		if _, err := os.Stat(file); *update && errors.Is(err, os.ErrNotExist) && newest[r.Subject] == r.Version {
			wire, err := codec.Encode(sample(schema.FullName()))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, wire, 0o644))
		}
		wire, err := os.ReadFile(file)
		require.NoError(t, err, "a released version without a golden record: go test ./schemas -update")
		require.Equal(t, r.ID, int(binary.BigEndian.Uint32(wire[1:])), file)
		record, err := codec.Decode(t.Context(), topic(schema.FullName()), wire)
		require.NoError(t, err, file)
		if newest[r.Subject] == r.Version {
			require.Equal(t, sample(schema.FullName()), record, file)
		}
	}
}

func eachGolden(t testing.TB, run func(name string, wire []byte)) {
	t.Helper()
	for _, r := range Lock() {
		wire, err := os.ReadFile(golden(r))
		require.NoError(t, err)
		schema, err := parse(string(r.Schema))
		require.NoError(t, err)
		run(schema.FullName(), wire)
	}
}

func TestEveryTruncationIsUnreadable(t *testing.T) {
	codec := NewLockedCodec()
	eachGolden(t, func(name string, wire []byte) {
		for n := range wire {
			_, err := codec.Decode(t.Context(), topic(name), wire[:n])
			require.ErrorIs(t, err, ErrUnreadable, "%s cut to %d of %d bytes", name, n, len(wire))
		}
	})
}

func TestTrailingBytesAreUnreadable(t *testing.T) {
	codec := NewLockedCodec()
	eachGolden(t, func(name string, wire []byte) {
		_, err := codec.Decode(t.Context(), topic(name), append(slices.Clone(wire), 0))
		require.ErrorIs(t, err, ErrUnreadable, name)
	})
}

// Wherever a length or a count may stand, 2^30 in its place must neither panic
// nor be believed.
func TestClaimsOfAGibiAreNotBelieved(t *testing.T) {
	const allocatedBytesMax = 32 << 20
	claim := []byte{0x80, 0x80, 0x80, 0x80, 0x08} // zigzag of 2^30
	codec := NewLockedCodec()
	eachGolden(t, func(name string, wire []byte) {
		for at := wireHeaderBytes; at < len(wire); at += 3 {
			forged := slices.Concat(wire[:at], claim, wire[at+1:])
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			record, err := codec.Decode(t.Context(), topic(name), forged)
			runtime.ReadMemStats(&after)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(allocatedBytesMax), "%s at byte %d", name, at)
			if err == nil { // the claim stood where any number may stand
				_, err = codec.Encode(record)
				require.NoError(t, err)
			}
		}
	})
}

func TestWhatIsNoRecordOfTheTopicIsUnreadable(t *testing.T) {
	codec := NewLockedCodec()
	event, err := codec.Encode(sample("atelier.events.v1.BrandSaved"))
	require.NoError(t, err)
	tests := map[string][]byte{
		"empty":                 {},
		"a lone magic byte":     {0},
		"no magic byte":         []byte(`{"id":"json is not Avro"}`),
		"a record of elsewhere": event,
		"larger than any":       make([]byte, recordBytesMax+1),
	}
	for name, wire := range tests {
		_, err := codec.Decode(t.Context(), TopicCommands, wire)
		require.ErrorIs(t, err, ErrUnreadable, name)
	}
}

func TestAnUnknownSchemaMayBecomeKnown(t *testing.T) {
	codec := NewLockedCodec()
	_, err := codec.Decode(t.Context(), TopicCommands, []byte{0, 0, 1, 226, 64, 1, 2, 3})
	require.ErrorIs(t, err, ErrUnknownSchema)
	require.NotErrorIs(t, err, ErrUnreadable)
}

// A schema that grew is read with what it knows; a registry that has forgotten
// an id is asked again rather than believed for ever.
func TestTheRegistryIsAskedUntilItKnows(t *testing.T) {
	registry := &growing{}
	codec, err := NewCodec(t.Context(), registry)
	require.NoError(t, err)
	wire, err := NewLockedCodec().Encode(sample("atelier.commands.v1.ArchiveBrand"))
	require.NoError(t, err)
	binary.BigEndian.PutUint32(wire[1:], 9001)

	_, err = codec.Decode(t.Context(), TopicCommands, wire)
	require.ErrorIs(t, err, ErrUnknownSchema)
	require.ErrorIs(t, codec.Knows(t.Context(), wire), ErrUnknownSchema)
	registry.later = map[int]string{9001: newestSchema(t, "atelier.commands.v1.ArchiveBrand")}
	require.NoError(t, codec.Knows(t.Context(), wire))
	record, err := codec.Decode(t.Context(), TopicCommands, wire)
	require.NoError(t, err)
	require.Equal(t, sample("atelier.commands.v1.ArchiveBrand"), record)
}

type growing struct {
	lockRegistry
	later map[int]string
}

func (g *growing) Schema(ctx context.Context, id int) (string, error) {
	if schema, ok := g.later[id]; ok {
		return schema, nil
	}
	return g.lockRegistry.Schema(ctx, id)
}

func newestSchema(t testing.TB, name string) string {
	t.Helper()
	for _, r := range Newest() {
		if r.Subject == topic(name)+"-"+name {
			return string(r.Schema)
		}
	}
	t.Fatalf("no schema of %s", name)
	return ""
}

// An independent implementation reads what ours wrote, and ours what it wrote.
func TestCrossDecodingWithAnotherImplementation(t *testing.T) {
	codec := NewLockedCodec()
	for _, name := range names() {
		other, err := oracle.Parse(newestSchema(t, name))
		require.NoError(t, err, name)
		ours, err := codec.Encode(sample(name))
		require.NoError(t, err, name)

		var read any
		rest, err := other.Decode(ours[wireHeaderBytes:], &read)
		require.NoError(t, err, name)
		require.Empty(t, rest, name)
		theirs, err := other.Encode(read)
		require.NoError(t, err, name)

		got, err := codec.Decode(t.Context(), topic(name), slices.Concat(ours[:wireHeaderBytes], theirs))
		require.NoError(t, err, name)
		require.Equal(t, sample(name), got, name)
	}
}

func FuzzDecode(f *testing.F) {
	eachGolden(f, func(_ string, wire []byte) { f.Add(wire) })
	codec := NewLockedCodec()
	topics := []string{TopicCommands, TopicEvents, TopicAccounts, TopicProgress}
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, topic := range topics {
			record, err := codec.Decode(context.Background(), topic, wire)
			if err != nil {
				continue
			}
			again, err := codec.Encode(record)
			require.NoError(t, err)
			second, err := codec.Decode(context.Background(), topic, again)
			require.NoError(t, err)
			twice, err := codec.Encode(second)
			require.NoError(t, err)
			require.Equal(t, len(again), len(twice)) // maps have no order, so not the bytes
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	codec := NewLockedCodec()
	for _, name := range []string{"atelier.events.v1.GenerationRequested", "atelier.accounts.v1.Account"} {
		record := sample(name)
		wire, err := codec.Encode(record)
		require.NoError(b, err)
		b.Run("encode/"+ShortName(record), func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = codec.Encode(record)
			}
		})
		b.Run("decode/"+ShortName(record), func(b *testing.B) {
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = codec.Decode(context.Background(), topic(name), wire)
			}
		})
	}
}

func TestTheLockHasTheSchemasOfToday(t *testing.T) {
	for _, name := range names() {
		file := filepath.Join("avsc", topic(name)[len("atelier."):], ShortName(factories[name]())+".avsc")
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var compact bytes.Buffer
		require.NoError(t, compactJSON(&compact, raw))
		require.Equal(t, compact.String(), newestSchema(t, name), "%s changed: make generate", file)
	}
}
