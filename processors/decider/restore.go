package decider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// restore reads the accounts of newly assigned partitions and lets them begin.
func (s *session) restore(taken []*partition) {
	began := time.Now()
	accounts, err := s.readAccounts(s.ctx, taken)
	if err != nil {
		if s.ctx.Err() == nil {
			s.fail(fmt.Errorf("restore: %w", err))
		}
		return
	}
	s.metrics.restoreSeconds.Observe(time.Since(began).Seconds())
	for _, p := range taken {
		if s.owned.publish(p) {
			s.owned.whileOurs(p, func() { s.kafka.Resume(p.id) })
		}
	}
	s.config.Log.Info().Int("partitions", len(taken)).Int("accounts", accounts).
		Dur("took", time.Since(began)).Msg("decider restored")
}

// restoreAgain forgets the accounts of a transaction that was to commit and is
// not known to have: it may have, where the broker's answer was lost, and then
// what is in memory is an old balance. The log knows.
func (s *session) restoreAgain(shares []*share) {
	var ids []int32
	for _, one := range shares {
		ids = append(ids, one.partition.id)
	}
	again := s.owned.retake(ids)
	if len(again) == 0 {
		return // whoever has them now reads them anyway
	}
	for _, p := range again {
		s.kafka.Pause(p.id)
	}
	s.work.Go(func() { s.restore(again) })
}

// readAccounts reads each partition of atelier.accounts to its high watermark.
// Not to the last stable offset: a transaction that is committed but whose
// markers are still on their way stands above it, and to decide on the balance
// before it would be wrong (KAFKA-10167). Read_committed cannot pass it until it
// is settled, so reaching the high watermark is what proves that nothing is missing.
func (s *session) readAccounts(ctx context.Context, taken []*partition) (int, error) {
	ends, err := s.admin.HighWatermarks(ctx, schemas.TopicAccounts)
	if err != nil {
		return 0, err
	}
	starts, err := s.admin.StartOffsets(ctx, schemas.TopicAccounts)
	if err != nil {
		return 0, err
	}
	from, behind := map[int32]int64{}, map[int32]*partition{}
	for _, p := range taken {
		from[p.id], behind[p.id] = starts[p.id], p
	}
	err = kafka.ReadTo(ctx, s.config.Kafka, schemas.TopicAccounts, from, ends, func(r *kafka.Record) error {
		return s.restoreOne(ctx, behind[r.Partition], r)
	}, nil)
	if err != nil {
		return 0, err
	}
	var accounts int
	for _, p := range taken {
		accounts += len(p.accounts)
	}
	return accounts, nil
}

// restoreOne takes one snapshot. One that cannot be read, or that a newer fold
// made, ends the decider: to decide without it could spend what is spent.
func (s *session) restoreOne(ctx context.Context, p *partition, r *kafka.Record) error {
	record, err := s.config.Codec.Decode(ctx, schemas.TopicAccounts, r.Value)
	if errors.Is(err, schemas.ErrUnknownSchema) { // not known yet: tried again
		return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	if err != nil {
		return fmt.Errorf("%w: %s[%d]@%d: %w; rebuild the topic from the events", errFatal, r.Topic, r.Partition, r.Offset, err)
	}
	account := record.(*schemas.Account)
	if account.FoldVersion > commands.FoldVersion {
		return fmt.Errorf("%w: %s[%d]@%d has fold version %d, this build %d: deploy the newer build",
			errFatal, r.Topic, r.Partition, r.Offset, account.FoldVersion, commands.FoldVersion)
	}
	p.set(account, r.Value)
	return nil
}
