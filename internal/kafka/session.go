package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TransactionTimeout bounds one transaction: then the brokers abort it. It also
// bounds how long a dead owner's open transaction holds back its successor and
// every read_committed reader (KIP-447), so it is short; nothing slow happens
// inside one.
const TransactionTimeout = 15 * time.Second

// SessionConfig is how the decider reads, writes and commits in one transaction.
type SessionConfig struct {
	Group string
	// TransactionalID is unique per live instance and stable across restarts: a
	// restarted instance fences what is left of itself.
	TransactionalID string
	Topic           string
	// TransactionTimeout is the constant of that name where it is 0.
	TransactionTimeout time.Duration
	// Assigned hears of new partitions. They are paused: Resume them when ready.
	// It must not block.
	Assigned func(partitions []int32)
	// Lost hears of partitions that are somebody else's now. A transaction that
	// is open then will not commit. It must not block.
	Lost func(partitions []int32)
}

// Session consumes, produces and commits offsets atomically. Poll, Begin,
// Produce and End are for one goroutine; Resume and Pause for any.
type Session struct {
	session         *kgo.GroupTransactSession
	transactionalID string
	prefix          string
	topic           string
	ended           time.Time // when the last transaction did

	mu     sync.Mutex
	failed error // first record of the open transaction that was not written
}

// initTimeout bounds the taking of a transactional ID: the broker first ends what its
// last user left open, and answers CONCURRENT_TRANSACTIONS until that is done.
const initTimeout = 30 * time.Second

// OpenSession joins the group and takes the transactional ID. What its last user left
// open is aborted before OpenSession returns: the client would do so with its first
// transaction, and who restores from a partition first would wait until it times out.
func OpenSession(ctx context.Context, c Config, s SessionConfig) (*Session, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if s.TransactionTimeout == 0 {
		s.TransactionTimeout = TransactionTimeout
	}
	topic := c.topic(s.Topic)
	assigned := func(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
		if p := partitions[topic]; len(p) > 0 {
			client.PauseFetchPartitions(map[string][]int32{topic: p})
			s.Assigned(p)
		}
	}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
		if p := partitions[topic]; len(p) > 0 {
			s.Lost(p)
		}
	}
	opts := append(c.options(), producing()...)
	opts = append(opts, c.group(s.Group, topic)...)
	opts = append(opts,
		kgo.TransactionalID(c.Prefix+s.TransactionalID),
		kgo.TransactionTimeout(s.TransactionTimeout),
		// What follows from a command stands in the command's partition.
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.OnPartitionsAssigned(assigned),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
	)
	session, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, initTimeout)
	defer cancel()
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		leave(session.Client())
		return nil, fmt.Errorf("take transactional id %s: %w", c.Prefix+s.TransactionalID, err)
	}
	return &Session{session: session, transactionalID: c.Prefix + s.TransactionalID, prefix: c.Prefix, topic: topic}, nil
}

// Poll returns what is there when the last transaction is settled, at most max
// records, and waits while there is nothing.
func (s *Session) Poll(ctx context.Context, max int) ([]*Record, error) {
	s.settle(ctx)
	records, err := poll(ctx, s.session.Client(), s.prefix, max)
	if commitsEarly && err == nil {
		err = s.commitEarly(ctx, records)
	}
	return records, err
}

// Begin opens a transaction.
func (s *Session) Begin() error {
	s.mu.Lock()
	s.failed = nil
	s.mu.Unlock()
	if err := s.session.Begin(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	return nil
}

// Produce writes into the open transaction, to the partition that the record
// names. Whether it was written, End knows.
func (s *Session) Produce(ctx context.Context, r *Record) {
	r.Topic = s.prefix + r.Topic
	s.session.Produce(ctx, r, func(r *Record, err error) {
		if err == nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed == nil {
			s.failed = fmt.Errorf("produce to %s[%d]: %w", r.Topic, r.Partition, err)
		}
	})
}

// End commits the transaction with the offsets of everything polled, or aborts
// it and rewinds to the last commit. It returns whether it is known to have
// committed: false and nil after a rebalance. No error is retryable: close the
// session and open another. ctx must not end before End has.
func (s *Session) End(ctx context.Context, commit bool) (bool, error) {
	if commit {
		// Flushed here, so that a record that was not written aborts.
		if err := s.session.Client().Flush(ctx); err != nil {
			return false, fmt.Errorf("flush: %w", err)
		}
	}
	s.mu.Lock()
	failed := s.failed
	s.mu.Unlock()
	committed, err := s.session.End(ctx, kgo.TransactionEndTry(commit && failed == nil))
	s.ended = time.Now()
	if err = errors.Join(failed, err); err != nil {
		return committed, fmt.Errorf("end transaction: %w", err)
	}
	return committed, nil
}

// Pause stops fetching partitions until Resume; heartbeats go on.
func (s *Session) Pause(partitions ...int32) {
	s.session.Client().PauseFetchPartitions(map[string][]int32{s.topic: partitions})
}

// Resume goes on with partitions that were assigned or paused.
func (s *Session) Resume(partitions ...int32) {
	s.session.Client().ResumeFetchPartitions(map[string][]int32{s.topic: partitions})
}

// Close leaves the group, so that others take over at once.
func (s *Session) Close() { leave(s.session.Client()) }
