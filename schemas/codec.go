package schemas

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hamba/avro/v2"
)

const (
	// recordBytesMax bounds an encoded record. Brokers refuse batches above 1 MB,
	// and kgo records above 1,000,012 bytes; the largest of ours is an account.
	recordBytesMax = 512 << 10
	// itemsMax bounds the items of one array (count), before anything is
	// allocated for them: a few bytes can claim 2^30.
	itemsMax = 4096
	// lookupTimeout bounds one look-up of a schema id: records wait behind it.
	lookupTimeout = 2 * time.Second
	// awayTime is how long a registry that did not answer is not asked again: who has
	// many records to read does not wait lookupTimeout for each.
	awayTime = 500 * time.Millisecond
	// encodeBufferBytes is what an encoder begins with: a usual account.
	encodeBufferBytes = 8 << 10
	// wireHeaderBytes is the magic byte and the big-endian schema id.
	wireHeaderBytes = 5
)

// ErrUnknownSchema is a schema id that nobody knows yet, or a registry that does
// not answer (then also ErrRegistryAway): the record may be readable later (a
// rolling deploy).
var ErrUnknownSchema = errors.New("unknown schema id")

// ErrRegistryAway is a registry that does not say whether it knows an id: however
// long that takes, nothing follows for the record.
var ErrRegistryAway = errors.New("the registry does not answer")

// ErrUnreadable is a record that no later version can read: its bytes do not fit
// the schema that they name, or the schema is not one of its topic.
var ErrUnreadable = errors.New("unreadable record")

// Registry finds schemas and their ids. Errors are taken as temporary.
type Registry interface {
	// ID returns the id under which the schema is registered.
	ID(ctx context.Context, subject, schema string) (int, error)
	// Schema returns the schema with the id, or ErrUnknownSchema.
	Schema(ctx context.Context, id int) (string, error)
}

// Codec encodes and decodes records in the Confluent wire format: 0x00, the
// schema id, Avro binary. It is safe for concurrent use.
type Codec struct {
	api      avro.API
	registry Registry
	writers  map[string]writer // by full record name
	mu       sync.RWMutex
	readers  map[uint32]reader // by schema id
	// away is why the registry did not answer, askAgain when it is asked again.
	away     error
	askAgain time.Time
	// encoders are kept for the next record: their buffers are most of what one
	// costs. Readers are not: what they read shares memory with what they read next.
	encoders sync.Pool
}

type writer struct {
	id     uint32
	schema avro.Schema
}

type reader struct {
	schema avro.Schema // the writer's schema, resolved to today's
	make   func() Record
	topic  string
	// direct: the schema is today's, so that a record may read itself.
	direct bool
}

// NewCodec looks up the ids of all of today's schemas. It fails where one is
// not registered: register them first (`atelier schemas register`).
func NewCodec(ctx context.Context, registry Registry) (*Codec, error) {
	c := &Codec{
		api:      avro.Config{MaxByteSliceSize: recordBytesMax, MaxSliceAllocSize: itemsMax}.Freeze(),
		registry: registry, writers: map[string]writer{}, readers: map[uint32]reader{},
	}
	own, err := newestParsed()
	if err != nil {
		return nil, err
	}
	for _, r := range Newest() {
		id, err := registry.ID(ctx, r.Subject, string(r.Schema))
		if err != nil {
			return nil, fmt.Errorf("look up the id of %s version %d: %w", r.Subject, r.Version, err)
		}
		schema := own[r.Subject]
		c.writers[schema.FullName()] = writer{id: uint32(id), schema: schema}
		// What this process writes it reads without asking again.
		c.readers[uint32(id)] = readerOf(schema.FullName(), schema, true)
	}
	c.encoders.New = func() any { return avro.NewWriter(nil, encodeBufferBytes, avro.WithWriterConfig(c.api)) }
	return c, nil
}

// newestParsed are the newest schemas by subject. They are read once: codecs share them,
// and a process of many, such as a test, would spend its time on it.
var newestParsed = sync.OnceValues(func() (map[string]*avro.RecordSchema, error) {
	parsed := map[string]*avro.RecordSchema{}
	for _, r := range Newest() {
		schema, err := parse(string(r.Schema))
		if err != nil {
			return nil, fmt.Errorf("parse %s: %w", r.Subject, err)
		}
		parsed[r.Subject] = schema
	}
	return parsed, nil
})

// NewLockedCodec is a codec whose registry is the lock: for the embedded parts
// and for tests.
func NewLockedCodec() *Codec {
	c, err := NewCodec(context.Background(), lockRegistry{})
	if err != nil {
		panic(fmt.Sprintf("schemas: the embedded lock is broken: %v", err))
	}
	return c
}

// lockRegistry answers from the lock alone.
type lockRegistry struct{}

func (lockRegistry) ID(_ context.Context, subject, schema string) (int, error) {
	for _, r := range Lock() {
		if r.Subject == subject && string(r.Schema) == schema {
			return r.ID, nil
		}
	}
	return 0, ErrUnknownSchema
}

func (lockRegistry) Schema(_ context.Context, id int) (string, error) {
	for _, r := range Lock() {
		if r.ID == id {
			return string(r.Schema), nil
		}
	}
	return "", ErrUnknownSchema
}

// parse reads one schema by itself: the shared cache of the library would mix
// versions of the same nested record.
func parse(schema string) (*avro.RecordSchema, error) {
	parsed, err := avro.ParseWithCache(schema, "", &avro.SchemaCache{})
	if err != nil {
		return nil, err
	}
	record, ok := parsed.(*avro.RecordSchema)
	if !ok {
		return nil, fmt.Errorf("is a %s, not a record", parsed.Type())
	}
	return record, nil
}

// Encode returns the record in the wire format, at most recordBytesMax bytes.
func (c *Codec) Encode(record Record) ([]byte, error) {
	w, ok := c.writers[record.SchemaName()]
	if !ok {
		return nil, fmt.Errorf("encode %s: %w", record.SchemaName(), ErrUnknownSchema)
	}
	out := c.encoders.Get().(*avro.Writer)
	defer c.encoders.Put(out)
	out.Reset(nil)
	out.Error = nil
	_, _ = out.Write(binary.BigEndian.AppendUint32([]byte{0}, w.id)) // into memory: cannot fail
	if own, ok := record.(direct); ok {
		own.writeAvro(out)
	} else {
		out.WriteVal(w.schema, record)
	}
	wire := out.Buffer()
	switch {
	case out.Error != nil:
		return nil, fmt.Errorf("encode %s: %w", record.SchemaName(), out.Error)
	case len(wire) > recordBytesMax:
		return nil, fmt.Errorf("encode %s: %d bytes, at most %d", record.SchemaName(), len(wire)-wireHeaderBytes, recordBytesMax)
	}
	return bytes.Clone(wire), nil
}

// Decode reads a record of topic. The error is ErrUnreadable or ErrUnknownSchema
// (compare with errors.Is); only the second may go away by itself.
func (c *Codec) Decode(ctx context.Context, topic string, wire []byte) (Record, error) {
	switch {
	case len(wire) < wireHeaderBytes:
		return nil, fmt.Errorf("%w: %d bytes are no record", ErrUnreadable, len(wire))
	case len(wire) > recordBytesMax:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrUnreadable, len(wire), recordBytesMax)
	case wire[0] != 0:
		return nil, fmt.Errorf("%w: begins with 0x%02x, not the wire format's 0x00", ErrUnreadable, wire[0])
	}
	r, err := c.reader(ctx, binary.BigEndian.Uint32(wire[1:]))
	if err != nil {
		return nil, err
	}
	if r.topic != topic {
		return nil, fmt.Errorf("%w: a record of %s in %s", ErrUnreadable, r.topic, topic)
	}
	record := r.make()
	if err := c.read(r, wire[wireHeaderBytes:], record); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreadable, record.SchemaName(), err)
	}
	return record, nil
}

// read fills into from body and accepts neither a byte too few nor one too many.
// avro.Unmarshal is not used because it takes the end of input for success.
func (c *Codec) read(r reader, body []byte, into Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the decoder panicked: %v", p)
		}
	}()
	in := avro.NewReader(nil, 0, avro.WithReaderConfig(c.api)).Reset(body)
	if own, ok := into.(direct); ok && r.direct {
		own.readAvro(in)
	} else {
		in.ReadVal(r.schema, into)
	}
	if in.Error != nil {
		if errors.Is(in.Error, io.EOF) || errors.Is(in.Error, io.ErrUnexpectedEOF) {
			return errors.New("truncated")
		}
		return in.Error
	}
	in.Peek()
	if !errors.Is(in.Error, io.EOF) {
		return errors.New("trailing bytes")
	}
	return nil
}

// reader returns how records with the schema id are read, looking it up once.
func (c *Codec) reader(ctx context.Context, id uint32) (reader, error) {
	c.mu.RLock()
	r, ok := c.readers[id]
	away, isAway := c.away, time.Now().Before(c.askAgain)
	c.mu.RUnlock()
	if ok {
		return r, nil
	}
	if isAway {
		return reader{}, fmt.Errorf("%w: %d: %w: %w", ErrUnknownSchema, id, ErrRegistryAway, away)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	text, err := c.registry.Schema(ctx, int(id))
	switch {
	case errors.Is(err, ErrUnknownSchema):
		return reader{}, fmt.Errorf("%w: %d", ErrUnknownSchema, id)
	case err != nil:
		c.mu.Lock()
		c.away, c.askAgain = err, time.Now().Add(awayTime)
		c.mu.Unlock()
		return reader{}, fmt.Errorf("%w: %d: %w: %w", ErrUnknownSchema, id, ErrRegistryAway, err)
	}
	r, err = c.resolve(text)
	if err != nil {
		return reader{}, fmt.Errorf("schema %d: %w", id, err)
	}
	c.mu.Lock()
	c.readers[id] = r
	c.mu.Unlock()
	return r, nil
}

// resolve maps a writer's schema to today's of the same name. A name of ours that
// this build does not have is a newer build's: unknown, not unreadable.
func (c *Codec) resolve(text string) (reader, error) {
	written, err := parse(text)
	if err != nil {
		return reader{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	today, ok := c.writers[written.FullName()]
	switch {
	case !ok && strings.HasPrefix(written.FullName(), "atelier."):
		return reader{}, fmt.Errorf("%w: %s is of a newer version", ErrUnknownSchema, written.FullName())
	case !ok:
		return reader{}, fmt.Errorf("%w: %s is no record of ours", ErrUnreadable, written.FullName())
	}
	schema, same := today.schema, true
	if written.Fingerprint() != schema.Fingerprint() {
		same = false
		if schema, err = avro.NewSchemaCompatibility().Resolve(schema, written); err != nil {
			return reader{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	return readerOf(written.FullName(), schema, same), nil
}

func readerOf(fullName string, schema avro.Schema, today bool) reader {
	return reader{schema: schema, make: factories[fullName], topic: topicOf(fullName), direct: today}
}

// topicOf follows from the namespace: atelier.events.v1.X is of atelier.events.
func topicOf(fullName string) string {
	parts := strings.SplitN(fullName, ".", 3)
	return parts[0] + "." + parts[1]
}

// Knows says whether the record's schema id is known by now, without reading it:
// nil, or ErrUnknownSchema, which is also ErrRegistryAway where nobody could say.
func (c *Codec) Knows(ctx context.Context, wire []byte) error {
	if len(wire) < wireHeaderBytes {
		return nil
	}
	if _, err := c.reader(ctx, binary.BigEndian.Uint32(wire[1:])); errors.Is(err, ErrUnknownSchema) {
		return err
	}
	return nil
}
