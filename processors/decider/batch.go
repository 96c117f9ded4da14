package decider

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"atelier/internal/kafka"
)

// decideBatch decides records in one transaction. An error ends the session.
func (s *session) decideBatch(ctx context.Context, records []*kafka.Record) error {
	began := time.Now()
	if err := s.kafka.Begin(); err != nil {
		return err
	}
	b := batch{shares: s.sharesOf(records), codes: map[string]int{}}
	for one := range s.decideShares(ctx, b.shares) {
		if b.add(one); b.committable() {
			s.produce(ctx, one)
		}
	}
	for _, one := range b.unknown {
		s.awaitSchema(one.partition, one.unknown)
	}
	// An abort rewinds; the commands of other partitions come again at once.
	committed, err := s.kafka.End(ctx, b.committable())
	switch {
	case b.err != nil || err != nil:
		return errors.Join(b.err, err)
	case committed:
		b.publish()
		s.buried(b.shares)
	case b.committable(): // and is not known to have committed
		s.restoreAgain(b.shares)
	}
	s.metrics.transaction(len(records), time.Since(began), committed, b.codes)
	return nil
}

// batch is what one transaction is about to change.
type batch struct {
	shares []*share
	codes  map[string]int // outcomes by code, "ok" for those that were done
	// stale: a record of a partition that is no longer ours came along. The
	// group has moved on, and the transaction must not commit.
	stale   bool
	unknown []*share // that end at a command whose schema nobody knows yet
	err     error
}

// add takes a share that is decided.
func (b *batch) add(one *share) {
	b.err = errors.Join(b.err, one.err)
	b.stale = b.stale || one.partition == nil
	if one.unknown != nil {
		b.unknown = append(b.unknown, one)
	}
	for code, n := range one.codes {
		b.codes[code] += n
	}
}

func (b *batch) committable() bool { return b.err == nil && !b.stale && len(b.unknown) == 0 }

// publish makes what has committed the state that the next batch sees.
func (b *batch) publish() {
	for _, one := range b.shares {
		one.publish()
	}
}

// sharesOf parts records by their partition, each in its order.
func (s *session) sharesOf(records []*kafka.Record) []*share {
	var shares []*share
	of := map[int32]*share{}
	for _, r := range records {
		one := of[r.Partition]
		if one == nil {
			one = newShare(s, s.owned.get(r.Partition))
			of[r.Partition] = one
			shares = append(shares, one)
		}
		one.records = append(one.records, r)
	}
	return shares
}

// decideShares decides shares side by side, as many as there are cores, and
// returns each as soon as it is done, so that it is on its way while others are
// being decided. All of them come before the channel is closed.
func (s *session) decideShares(ctx context.Context, shares []*share) <-chan *share {
	done := make(chan *share, len(shares))
	var next, left atomic.Int64
	left.Store(int64(len(shares)))
	for range min(len(shares), runtime.GOMAXPROCS(0)) {
		go func() {
			for n := next.Add(1); n <= int64(len(shares)); n = next.Add(1) {
				one := shares[n-1]
				one.decideAll(ctx)
				done <- one
				if left.Add(-1) == 0 {
					close(done)
				}
			}
		}()
	}
	return done
}

// produce writes what a share has come to.
func (s *session) produce(ctx context.Context, one *share) {
	for _, d := range one.dead {
		s.kafka.Produce(ctx, kafka.DeadLetter(d.record, d.cause))
	}
	for _, r := range one.outputs {
		s.kafka.Produce(ctx, r)
	}
}

// buried says which commands have become dead letters: not before the transaction
// has committed, since one that aborts comes again.
func (s *session) buried(shares []*share) {
	for _, one := range shares {
		for _, d := range one.dead {
			s.config.Log.Error().Str("topic", d.record.Topic).Int32("partition", d.record.Partition).Int64("offset", d.record.Offset).
				Str("cause", d.cause).Msg("command became a dead letter: `atelier deadletters` shows it")
		}
		s.metrics.deadLetters.Add(float64(len(one.dead)))
	}
}
