package decider

import (
	"errors"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// awaitSchema pauses the partition of a command whose schema nobody knows yet,
// or whose registry is away, and lets it go on when that has changed, or when
// it has waited long enough to become a dead letter. One that was lost meanwhile
// is whoever's it is now.
func (s *session) awaitSchema(p *partition, r *kafka.Record) {
	if !s.owned.whileOurs(p, func() { s.kafka.Pause(p.id) }) {
		return
	}
	s.metrics.unknownSchema.Inc()
	s.config.Log.Error().Int32("partition", r.Partition).Int64("offset", r.Offset).Dur("wait", s.config.UnknownSchemaWait).
		Msg("partition waits for the schema of a command: deploy the build or register the schema that it names; where the registry is away, bring it back")
	s.work.Go(func() {
		defer s.metrics.unknownSchema.Dec()
		tick := time.NewTicker(s.config.SchemaRetryEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
			}
			if s.owned.get(p.id) != p {
				return // lost, or being restored, which resumes it
			}
			_, err := s.config.Codec.Decode(s.ctx, schemas.TopicCommands, r.Value)
			if errors.Is(err, schemas.ErrRegistryAway) {
				continue // it says nothing about the record, however long it takes
			}
			if !errors.Is(err, schemas.ErrUnknownSchema) || time.Now().After(s.waitDeadline(r)) {
				s.owned.whileOurs(p, func() { s.kafka.Resume(p.id) })
				return
			}
		}
	})
}

// waitDeadline begins with the first time that the registry did not know the
// record's schema, not with the record's making: an old command that is replayed
// waits as long as a new one.
func (s *session) waitDeadline(r *kafka.Record) time.Time {
	s.owned.mu.Lock()
	defer s.owned.mu.Unlock()
	p := s.owned.partitions[r.Partition]
	if p == nil {
		return time.Now()
	}
	if p.waitingFor != r.Offset || p.waitUntil.IsZero() {
		p.waitingFor, p.waitUntil = r.Offset, time.Now().Add(s.config.UnknownSchemaWait)
	}
	return p.waitUntil
}

// pastWaiting says whether the record has waited for its schema long enough. One
// that stands before the record that is waited for has: the partition is read in
// order, and they come again together.
func (s *session) pastWaiting(r *kafka.Record) bool {
	s.owned.mu.Lock()
	defer s.owned.mu.Unlock()
	p := s.owned.partitions[r.Partition]
	if p == nil || p.waitUntil.IsZero() {
		return false
	}
	return r.Offset < p.waitingFor || r.Offset == p.waitingFor && time.Now().After(p.waitUntil)
}
