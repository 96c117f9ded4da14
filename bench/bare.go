package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"atelier/bench/mix"
	"atelier/internal/kafka"
	"atelier/processors/decider"
	"atelier/schemas"
)

// bareTopics is put before the topics that the bare loop writes.
const bareTopics = "bare."

// bare is the least that a loop with the same guarantees of the broker does: it
// reads commands, writes what they lead to, and commits both in one transaction.
//
// What it has in common with the decider: the client and all its settings
// (kafka.Session), the most commands a transaction, the same commands on the same
// broker, and for each of them as many events of the same sizes, with as many
// headers, and one snapshot of the same size for each account that a transaction
// changes. What it has not: it reads nothing of a command but its ID header (which
// says the sizes), keeps no account, decides nothing, encodes nothing, checks
// nothing, logs nothing, measures nothing. An output is a copy of its input, over
// and over until it is long enough.
type bare struct {
	session *kafka.Session
	outputs map[string]mix.Output
	// done counts the commands that are committed.
	done  atomic.Int64
	owned atomic.Int64 // partitions
	ended chan error
	stop  context.CancelFunc
}

func startBare(ctx context.Context, c kafka.Config, outputs map[string]mix.Output) (*bare, error) {
	b := &bare{outputs: outputs, ended: make(chan error, 1)}
	opened := make(chan struct{})
	session, err := kafka.OpenSession(ctx, c, kafka.SessionConfig{
		Group: "bare", TransactionalID: "bare", Topic: schemas.TopicCommands,
		Assigned: func(partitions []int32) {
			go func() {
				<-opened
				b.session.Resume(partitions...)
				b.owned.Add(int64(len(partitions)))
			}()
		},
		Lost: func(partitions []int32) { b.owned.Add(-int64(len(partitions))) },
	})
	if err != nil {
		return nil, err
	}
	b.session = session
	close(opened)
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	go func() { b.ended <- b.run(ctx) }()
	return b, nil
}

// close ends the loop and says what ended it.
func (b *bare) close() error {
	b.stop()
	err := <-b.ended
	b.session.Close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("bare loop: %w", err)
}

func (b *bare) run(ctx context.Context) error {
	for {
		records, err := b.session.Poll(ctx, decider.CommandsPerTransactionMax)
		if err != nil {
			return err
		}
		if err := b.batch(context.WithoutCancel(ctx), records); err != nil {
			return err
		}
	}
}

// changed is an account that a transaction changes.
type changed struct {
	record *kafka.Record
	bytes  int
}

func (b *bare) batch(ctx context.Context, records []*kafka.Record) error {
	if err := b.session.Begin(); err != nil {
		return err
	}
	accounts := map[string]changed{}
	for _, r := range records {
		out := b.outputs[kafka.HeaderValue(r, schemas.HeaderID)]
		for _, bytes := range out.Events {
			b.session.Produce(ctx, copied(r, schemas.TopicEvents, bytes, r.Headers))
		}
		accounts[string(r.Key)] = changed{r, out.Snapshot}
	}
	for _, a := range accounts {
		b.session.Produce(ctx, copied(a.record, schemas.TopicAccounts, a.bytes, nil))
	}
	committed, err := b.session.End(ctx, true)
	if committed {
		b.done.Add(int64(len(records)))
	}
	return err
}

func copied(r *kafka.Record, topic string, bytes int, headers []kafka.Header) *kafka.Record {
	value := make([]byte, bytes)
	for at := 0; at < bytes; {
		at += copy(value[at:], r.Value)
	}
	return &kafka.Record{Topic: bareTopics + topic, Partition: r.Partition, Key: r.Key, Value: value, Headers: headers}
}
