package decider

import (
	"context"
	"time"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// sweptPerRoundMax bounds the accounts of one partition that one round looks
	// at (count); the rest comes with the next.
	sweptPerRoundMax = 1_000
	// sweepRetry is when an account is looked at again although nothing was
	// heard of it since: its command may have been lost.
	sweepRetry = 30 * time.Second
)

// sweep turns what time alone brings about into commands like any other. Their
// IDs follow from their subject, so that one sent twice is the same command.
func (s *session) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := s.config.Now()
		for _, p := range s.owned.all() {
			if err := s.sweepPartition(s.ctx, p, now); err != nil && s.ctx.Err() == nil {
				s.config.Log.Warn().Err(err).Int32("partition", p.id).Msg("sweep will try again")
			}
		}
	}
}

func (s *session) sweepPartition(ctx context.Context, p *partition, now time.Time) error {
	var records []*kafka.Record
	for _, id := range p.popDue(now, now.Add(sweepRetry), sweptPerRoundMax) {
		decoded, err := s.config.Codec.Decode(ctx, schemas.TopicAccounts, p.encoded(id))
		if err != nil {
			return err
		}
		for _, command := range commands.Due(*decoded.(*schemas.Account), now) {
			record, err := kafka.NewRecord(s.config.Codec, schemas.TopicCommands, command)
			if err != nil {
				return err
			}
			records = append(records, record)
		}
	}
	if len(records) == 0 {
		return nil
	}
	s.metrics.swept.Add(float64(len(records)))
	return s.producer.Produce(ctx, records...)
}
