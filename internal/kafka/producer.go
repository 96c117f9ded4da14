package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records outside of transactions, idempotently and
// acknowledged by all replicas in sync. It is safe for concurrent use.
type Producer struct {
	client *kgo.Client
	prefix string
}

// NewProducer makes a producer. It does not connect yet.
func NewProducer(c Config) (*Producer, error) {
	client, err := c.client(producing()...)
	if err != nil {
		return nil, err
	}
	return &Producer{client: client, prefix: c.Prefix}, nil
}

// NewPlacedProducer makes a producer that writes each record to the partition
// that the record names, whatever its key.
func NewPlacedProducer(c Config) (*Producer, error) {
	client, err := c.client(append(producing(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return nil, err
	}
	return &Producer{client: client, prefix: c.Prefix}, nil
}

// Produce writes the records and waits until all are acknowledged or have
// failed, at most deliveryTimeout. It fills Partition, Offset and Timestamp, and
// returns the first error: then the others may have been written all the same. Records
// that failed may be produced again.
func (p *Producer) Produce(ctx context.Context, records ...*Record) error {
	var (
		mu    sync.Mutex
		first error
		done  sync.WaitGroup
	)
	done.Add(len(records))
	for _, r := range records {
		name := r.Topic
		r.Topic = p.prefix + name
		// kgo fills both, and keeps what is there: a record that has failed once would be
		// beyond its delivery timeout, or canceled, for ever.
		r.Timestamp, r.Context = time.Time{}, nil
		p.client.Produce(ctx, r, func(r *Record, err error) {
			defer done.Done()
			r.Topic = name
			if err == nil {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if first == nil {
				first = fmt.Errorf("produce to %s: %w", name, err)
			}
		})
	}
	done.Wait()
	return first
}

// Close waits for what is under way and closes the connections.
func (p *Producer) Close() { p.client.Close() }
