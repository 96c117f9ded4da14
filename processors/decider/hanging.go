package decider

import (
	"context"
	"time"

	"atelier/schemas"
)

const (
	// transactionalIDs is what all deciders' transactional IDs begin with.
	transactionalIDs = "atelier.decider."
	// hangingEvery is the time between two looks for hanging transactions: how long one
	// holds up its partitions at most.
	hangingEvery = 10 * time.Second
)

// endHanging ends what a decider has left open and the brokers hold for ended, until the
// session ends (see kafka.Admin.EndHanging). Whoever reads the partition waits for it: the
// next owner's restore, the group's offsets, the generator and all projectors.
func (s *session) endHanging() {
	tick := time.NewTicker(hangingEvery)
	defer tick.Stop()
	for {
		s.endHangingOnce()
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *session) endHangingOnce() {
	ctx, cancel := context.WithTimeout(s.ctx, hangingEvery)
	defer cancel()
	ended, err := s.admin.EndHanging(ctx, transactionalIDs, schemas.TopicEvents, schemas.TopicAccounts, schemas.TopicDeadLetters)
	for _, h := range ended {
		s.metrics.hanging.Inc()
		s.config.Log.Warn().Str("topic", h.Topic).Int32("partition", h.Partition).Int64("from", h.Start).Int64("producer", h.Producer).
			Bool("committed", h.Committed).Msg("a hanging transaction was ended")
	}
	if err != nil && s.ctx.Err() == nil {
		s.config.Log.Warn().Err(err).Msg("hanging transactions are looked for again")
	}
}
