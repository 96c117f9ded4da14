// Package kafka is how the parts speak to Kafka. It is the only user of
// franz-go's client and gives each part what it needs and nothing more: a
// Producer, a Reader of whole partitions, a Group that reads with others, a
// transactional Session for the decider, and an Admin.
//
// Everything reads read_committed. Topic names go in and come out as package
// schemas has them; a prefix, for clusters that are shared, stays inside.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"atelier/schemas"
)

// Record is a Kafka record. A Record that was read may be kept; its Key and
// Value share memory with its batch.
type Record = kgo.Record

// Header is a record's header.
type Header = kgo.RecordHeader

const (
	// dialTimeout bounds one connection attempt; kgo tries again.
	dialTimeout = 5 * time.Second
	// deliveryTimeout bounds one produced record. It lies above a broker's
	// leader election and below what a waiting person bears.
	deliveryTimeout = 20 * time.Second
	// fetchBytesMax and fetchPartitionBytesMax bound what one client buffers:
	// kgo's defaults (50 MB a broker) cost over 1 GB with several clients.
	fetchBytesMax          = 4 << 20
	fetchPartitionBytesMax = 1 << 20
	// fetchWaitMax is how long a broker may hold a fetch that finds nothing. A
	// partition that is assigned or resumed waits for the fetch that is under way
	// without it: kgo's default (5 s) made the first read after a start late.
	fetchWaitMax = 250 * time.Millisecond
	// sessionTimeout is how long a group waits for a member that says nothing,
	// and so how long a killed owner's partitions stand still. Brokers refuse
	// less than 6 s.
	sessionTimeout    = 8 * time.Second
	heartbeatInterval = time.Second
	rebalanceTimeout  = 30 * time.Second
	// leaveTimeout bounds a member's goodbye.
	leaveTimeout = 5 * time.Second
)

// Config is how to reach the brokers.
type Config struct {
	// Brokers are "host:port", at least one.
	Brokers []string
	// Prefix is put before every topic, group and transactional ID; usually empty.
	Prefix string
	// ClientID names the role to the brokers' logs and quotas.
	ClientID string
	// Dial opens the connections; nil is TCP, dialTimeout at most. Tests cut what
	// it returns.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Log  zerolog.Logger
}

func (c Config) validate() error {
	if len(c.Brokers) == 0 {
		return errors.New("kafka: no broker given")
	}
	return nil
}

// client opens a client with the options that all parts share.
func (c Config) client(opts ...kgo.Opt) (*kgo.Client, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(c.options(), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return client, nil
}

func (c Config) options() []kgo.Opt {
	dial := c.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	return []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("atelier-" + c.ClientID),
		kgo.Dialer(dial),
		kgo.WithLogger(logger{c.Log}),
		kgo.FetchIsolationLevel(isolation()),
		kgo.FetchMaxBytes(fetchBytesMax),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytesMax),
		kgo.FetchMaxWait(fetchWaitMax),
		kgo.MetadataMinAge(250 * time.Millisecond),
	}
}

// isolation is kgo's read_committed, which is not its default.
func isolation() kgo.IsolationLevel {
	if readsUncommitted {
		return kgo.ReadUncommitted()
	}
	return kgo.ReadCommitted()
}

// producing are the options of whoever writes. Nothing is compressed, so that
// every client reads the stream unaided (kafkajs has no snappy and no zstd).
func producing() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
}

func (c Config) topic(name string) string { return c.Prefix + name }

// IsControl says whether a record is a transaction marker. Markers occupy
// offsets and carry nothing.
func IsControl(r *Record) bool { return r.Attrs.IsControl() }

// NewRecord encodes r for topic, keyed by its account, with the headers that
// repeat its metadata.
func NewRecord(codec *schemas.Codec, topic string, r schemas.Record) (*Record, error) {
	value, err := codec.Encode(r)
	if err != nil {
		return nil, err
	}
	var id, account, correlation, causation string
	switch m := r.(type) {
	case schemas.Command:
		id, account, correlation, causation = m.Meta().ID, m.Meta().AccountID, m.Meta().CorrelationID, m.Meta().CausationID
	case schemas.Event:
		id, account, correlation, causation = m.Meta().ID, m.Meta().AccountID, m.Meta().CorrelationID, m.Meta().CausationID
	case *schemas.GenerationProgress:
		id, account, correlation, causation = m.ID, m.AccountID, m.CorrelationID, m.CausationID
	case *schemas.Account:
		return &Record{Topic: topic, Key: []byte(m.AccountID), Value: value}, nil
	}
	return &Record{Topic: topic, Key: []byte(account), Value: value, Headers: headersOf(
		schemas.HeaderType, r.SchemaName(),
		schemas.HeaderID, id,
		schemas.HeaderAccountID, account,
		schemas.HeaderCorrelationID, correlation,
		schemas.HeaderCausationID, causation,
		schemas.HeaderTraceParent, traceParent(correlation, id),
	)}, nil
}

// headersOf makes headers of names and values in turns. The values are parts of
// one text: one allocation instead of six, for each record that is written.
func headersOf(pairs ...string) []Header {
	bytes := 0
	for i := 1; i < len(pairs); i += 2 {
		bytes += len(pairs[i])
	}
	values, headers := make([]byte, 0, bytes), make([]Header, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		from := len(values)
		values = append(values, pairs[i+1]...)
		headers = append(headers, Header{Key: pairs[i], Value: values[from:len(values):len(values)]})
	}
	return headers
}

// traceParent makes the W3C header from IDs that every record has anyway: the
// trace is the request that began it all, the parent is this record.
func traceParent(correlation, id string) string {
	if len(correlation) != 36 || len(id) != 36 {
		return ""
	}
	trace := strings.ReplaceAll(correlation, "-", "")
	span := id[19:23] + id[24:] // the last 8 bytes
	if len(trace) != 32 || strings.Contains(span, "-") {
		return ""
	}
	return "00-" + trace + "-" + span + "-01"
}

// HeaderValue returns a header's value, empty when there is none.
func HeaderValue(r *Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// poll returns what is there, at most max records, and waits while there is
// nothing. Errors that kgo cannot mend by itself end it, and so does ctx, but not
// before what was taken from the client is handed over: it does not come again.
func poll(ctx context.Context, client *kgo.Client, prefix string, max int) ([]*Record, error) {
	for {
		fetches := client.PollRecords(ctx, max)
		if fetches.IsClientClosed() {
			return nil, kgo.ErrClientClosed
		}
		if err := fetchError(fetches); err != nil {
			return nil, err
		}
		records := fetches.Records()
		if len(records) == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		if prefix != "" {
			for _, r := range records {
				r.Topic = strings.TrimPrefix(r.Topic, prefix)
			}
		}
		return records, nil
	}
}

func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, context.Canceled) || errors.Is(e.Err, context.DeadlineExceeded) {
			continue
		}
		return fmt.Errorf("fetch %s[%d]: %w", e.Topic, e.Partition, e.Err)
	}
	return nil
}
