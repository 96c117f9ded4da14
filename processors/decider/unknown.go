package decider

import (
	"time"

	"atelier/internal/kafka"
)

// schemaRetryEvery is how often the registry is asked again about an id.
const schemaRetryEvery = time.Second

// awaitSchema pauses the partition of a command whose schema nobody knows yet,
// or whose registry is away, and lets it go on when that has changed, or when
// it has waited long enough to become a dead letter.
func (s *session) awaitSchema(r *kafka.Record) {
	p := s.owned.get(r.Partition)
	s.kafka.Pause(r.Partition)
	s.metrics.unknownSchema.Inc()
	deadline := s.waitDeadline(r)
	s.config.Log.Error().Int32("partition", r.Partition).Int64("offset", r.Offset).Time("until", deadline).
		Msg("partition waits for the schema of a command: deploy the build or register the schema that it names")
	s.work.Go(func() {
		defer s.metrics.unknownSchema.Dec()
		tick := time.NewTicker(schemaRetryEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.ctx.Done():
				return
			case <-tick.C:
			}
			if s.owned.get(r.Partition) != p {
				return // lost, or being restored, which resumes it
			}
			if s.config.Codec.Knows(s.ctx, r.Value) || time.Now().After(deadline) {
				s.kafka.Resume(r.Partition)
				return
			}
		}
	})
}

// waitDeadline begins with the first sight of the record, not with its making:
// an old command that is replayed waits as long as a new one.
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

// pastWaiting says whether the record has waited for its schema long enough.
func (s *session) pastWaiting(r *kafka.Record) bool {
	s.owned.mu.Lock()
	defer s.owned.mu.Unlock()
	p := s.owned.partitions[r.Partition]
	return p != nil && p.waitingFor == r.Offset && !p.waitUntil.IsZero() && time.Now().After(p.waitUntil)
}
