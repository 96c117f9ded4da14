package projections

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// session is what one membership of a group adds to its follower.
type session struct {
	*follower
	group   *kafka.Group
	joined  chan struct{} // closed when group is set
	ctx     context.Context
	waiting *sync.WaitGroup
}

// start takes up newly assigned partitions from the offsets in Postgres. The
// group's own offsets mean nothing.
func (s *session) start(ctx context.Context, committed map[int32]int64) (map[int32]int64, error) {
	select {
	case <-s.joined:
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ids := slices.Sorted(maps.Keys(committed))
	places, err := s.take(ctx, ids)
	var refused error
	if hasCode(err, codeOtherGeneration) || hasCode(err, codeNoVersion) {
		refused, places = err, map[int32]place{}
	} else if err != nil {
		return nil, err
	}
	ends, err := s.admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	// A partition that was paused in an earlier assignment moves again.
	s.group.Resume(ids...)
	from := map[int32]int64{}
	s.mu.Lock()
	s.trouble = nil
	for _, id := range ids {
		s.partitions[id] = &partition{place: places[id]}
		from[id] = places[id].next
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.metrics.standing(s.version, id, false, false)
		switch next := places[id].next; {
		case refused != nil:
			s.halt(id, s.owned(id), 0, refused, adviceRebuild)
		case next > ends[id]:
			s.halt(id, s.owned(id), next, fmt.Errorf("the topic ends at %d, before the stored offset", ends[id]), adviceTopic)
		}
	}
	s.config.Log.Info().Str("projection", s.version.Name).Int("version", s.version.Version).Ints32("partitions", ids).Msg("partitions taken up")
	return from, nil
}

// take reads the stored offsets, again and again while Postgres is away.
func (s *session) take(ctx context.Context, ids []int32) (map[int32]place, error) {
	var wait pause
	for {
		places, err := take(ctx, s.config.Pool, s.version, s.config.TopicGeneration, ids)
		if err == nil || hasCode(err, codeOtherGeneration) || hasCode(err, codeNoVersion) {
			return places, err
		}
		s.away(err)
		if !wait.wait(ctx) {
			return nil, err
		}
	}
}

// lost forgets partitions that are somebody else's now. A batch that is under
// way may still be applied; then the next owner is fenced once and reads anew.
func (s *session) lost(ids []int32) {
	s.mu.Lock()
	for _, id := range ids {
		delete(s.partitions, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.metrics.forgetPartition(s.version, id)
	}
	s.config.Log.Info().Str("projection", s.version.Name).Int("version", s.version.Version).Ints32("partitions", ids).Msg("partitions given up")
}

// advance applies the records of one partition, and returns when all are applied
// or the partition is not to be moved for now.
func (s *session) advance(id int32, records []*kafka.Record) {
	p := s.owned(id)
	if p == nil {
		return
	}
	eventsMax := eventsPerBatchMax
	var wait pause
	for len(records) > 0 && s.ctx.Err() == nil && s.owned(id) == p {
		c, used, stopped := s.folder.fold(s.ctx, id, s.at(p), records, eventsMax)
		if c.to > c.from {
			began := time.Now()
			switch err := apply(s.ctx, s.config.Pool, s.version, s.config.TopicGeneration, c); {
			case err == nil:
				s.metrics.applied(s.version, c.events, time.Since(began))
				s.move(p, place{next: c.to, logTime: c.logTime})
				wait = 0
			case errors.Is(err, ErrFenced):
				s.retake(id, p)
				return
			case unfit(err) && c.events > 1:
				eventsMax = 1 // to find the event that it is
				continue
			case unfit(err):
				s.halt(id, p, c.last, err, adviceUnfit)
				return
			default:
				s.away(err)
				if !wait.wait(s.ctx) {
					return
				}
				continue
			}
		}
		records = records[used:]
		if stopped != nil && !s.stopped(id, p, records[0], stopped, &wait) {
			return
		}
	}
}

// stopped deals with a record that cannot be taken, and says whether to try it
// again at once.
func (s *session) stopped(id int32, p *partition, r *kafka.Record, err error, wait *pause) bool {
	switch {
	case s.ctx.Err() != nil:
		return false
	case errors.Is(err, schemas.ErrUnreadable):
		s.halt(id, p, r.Offset, err, adviceUnreadable)
		return false
	case errors.Is(err, schemas.ErrUnknownSchema):
		s.awaitSchema(id, p, r)
		return false
	case temporary(err):
		s.away(err)
		return wait.wait(s.ctx)
	}
	s.halt(id, p, r.Offset, err, adviceSealed)
	return false
}

// temporary says whether an error of the vault is Postgres or the network being
// away; else the sealed bytes themselves are at fault.
func temporary(err error) bool {
	var (
		refused *pgconn.PgError
		connect *pgconn.ConnectError
		network net.Error
	)
	return errors.As(err, &refused) || errors.As(err, &connect) || errors.As(err, &network) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || // the connection was cut under the query
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || pgconn.SafeToRetry(err)
}

// stand makes a partition stand still for a reason, and move again where why is
// nil; false where it is not the session's any more, or was taken up anew since:
// then it must be neither paused nor resumed. All of it happens under the mutex,
// so that no partition is taken up in between.
func (s *session) stand(id int32, p *partition, why error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil || s.partitions[id] != p {
		return false
	}
	if why == nil {
		s.group.Resume(id)
	} else {
		s.group.Pause(id)
	}
	p.standing = why
	var halt *HaltError
	s.metrics.standing(s.version, id, why != nil, errors.As(why, &halt))
	return true
}

// halt makes a partition stand still for good.
func (s *session) halt(id int32, p *partition, offset int64, cause error, advice string) {
	halt := &HaltError{Projection: s.version.Name, Version: s.version.Version, Partition: id, Offset: offset, Cause: cause, Advice: advice}
	if !s.stand(id, p, halt) {
		return
	}
	s.config.Log.Error().Str("projection", s.version.Name).Int("version", s.version.Version).Str("topic", schemas.TopicEvents).
		Int32("partition", id).Int64("offset", offset).AnErr("cause", cause).Str("advice", advice).
		Msg("projection stands still in a partition; the others go on")
}

// retake takes a partition up again from the stored offset, after another
// projector has moved it.
func (s *session) retake(id int32, p *partition) {
	s.metrics.fenced(s.version)
	places, err := s.take(s.ctx, []int32{id})
	switch {
	case s.ctx.Err() != nil:
		return
	case err != nil:
		s.halt(id, p, s.at(p).next, err, adviceRebuild)
		return
	}
	s.goOnAt(id, p, places[id])
}

// goOnAt moves a partition to where its rows are.
func (s *session) goOnAt(id int32, p *partition, stored place) {
	if s.owned(id) != p { // lost while Postgres was asked
		return
	}
	from := s.at(p).next
	s.move(p, stored)
	s.group.Seek(map[int32]int64{id: stored.next})
	why := "another projector has moved the partition, going on where it stands"
	if stored.next < from {
		why = "postgres has lost the last transactions, applying their events again"
	}
	s.config.Log.Warn().Str("projection", s.version.Name).Int("version", s.version.Version).Str("topic", schemas.TopicEvents).
		Int32("partition", id).Int64("from", from).Int64("stored", stored.next).Msg(why)
}

// compare looks whether the rows are still where the follower left them: a crash of
// Postgres may lose what was applied last (projections.apply), and a partition
// without new events would not notice. An error is left to the next time.
func (s *session) compare() {
	s.mu.Lock()
	ids := slices.Sorted(maps.Keys(s.partitions))
	s.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, compareEvery)
	defer cancel()
	places, err := take(ctx, s.config.Pool, s.version, s.config.TopicGeneration, ids)
	if err != nil {
		return
	}
	for _, id := range ids {
		if p := s.owned(id); p != nil && s.at(p).next != places[id].next {
			s.metrics.fenced(s.version)
			s.goOnAt(id, p, places[id])
		}
	}
}

// awaitSchema pauses a partition until the schema of its next record is known.
func (s *session) awaitSchema(id int32, p *partition, r *kafka.Record) {
	why := fmt.Errorf("%s waits at %s[%d]@%d for the schema of an event: start a build or register the schema that it names",
		s.version, schemas.TopicEvents, id, r.Offset)
	if !s.stand(id, p, why) {
		return
	}
	// What was fetched behind the record is dropped and comes again.
	s.group.Seek(map[int32]int64{id: r.Offset})
	s.config.Log.Error().Str("projection", s.version.Name).Int("version", s.version.Version).Str("topic", schemas.TopicEvents).
		Int32("partition", id).Int64("offset", r.Offset).
		Msg("partition waits for the schema of an event: start a build or register the schema that it names")
	s.waiting.Go(func() {
		var wait pause
		for wait.wait(s.ctx) && s.has(id, p) {
			if s.config.Codec.Knows(s.ctx, r.Value) == nil {
				s.stand(id, p, nil)
				return
			}
		}
	})
}

// away says that Postgres did not do what it was asked, and that it is asked again.
func (s *session) away(err error) {
	if s.ctx.Err() != nil {
		return
	}
	s.metrics.retried(s.version)
	s.config.Log.Warn().Err(err).Str("projection", s.version.Name).Int("version", s.version.Version).Str("postgres", s.config.where()).
		Dur("waits_at_most", retryWaitMax).Msg("postgres did not answer, trying again for as long as it takes")
}
