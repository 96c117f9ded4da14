package generator

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// assigned is the group's question where to read new partitions from: at the
// checkpoint. Up to the high watermark of now, read_uncommitted, they are only
// read; stopping at the last stable offset could miss an ending whose
// transaction is committed and not yet marked so (KAFKA-10167).
func (l *loop) assigned(ctx context.Context, admin *kafka.Admin, committed map[int32]int64) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	starts, err := admin.StartOffsets(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	from := make(map[int32]int64, len(committed))
	for number, offset := range committed {
		from[number] = max(offset, starts[number])
		if offset > ends[number] {
			l.config.Log.Error().Int32("partition", number).Int64("offset", offset).Int64("end", ends[number]).
				Msg("the checkpoint lies beyond the log: it is read from its beginning")
			from[number] = starts[number]
		}
	}
	l.ask(func() {
		for number, offset := range from {
			l.begin(number, offset, ends[number])
			l.commits.committed[number] = committed[number]
		}
		l.shareEpochs()
	})
	return from, nil
}

// begin takes a partition over. What was left of an earlier ownership is dropped.
func (l *loop) begin(number int32, from, target int64) {
	l.abandon(number)
	l.lastEpoch++
	p := newPartition(number, l.lastEpoch, from, target)
	l.partitions[number] = p
	if group := l.group.Load(); group != nil {
		group.Resume(number) // it may have been paused in an earlier ownership
	}
	l.config.Log.Info().Int32("partition", number).Int64("from", from).Int64("to", target).Msg("partition assigned")
	l.goLive(p)
}

// lost hears that partitions are somebody else's now.
func (l *loop) lost(partitions []int32) {
	l.ask(func() {
		for _, number := range partitions {
			if l.partitions[number] != nil {
				l.config.Log.Info().Int32("partition", number).Msg("partition lost")
			}
			l.abandon(number)
		}
		l.shareEpochs()
	})
}

// abandon forgets a partition. What runs finishes and is kept in the journal.
func (l *loop) abandon(number int32) {
	p := l.partitions[number]
	if p == nil {
		return
	}
	delete(l.partitions, number)
	delete(l.commits.committed, number)
	for _, g := range p.generations {
		if g.cancel == nil {
			l.unschedule(g)
		}
	}
	l.outbox.drop(func(o *outgoing) bool { return o.generation.partition == p && !o.spend })
	l.endings.drop(p)
}

func (l *loop) shareEpochs() {
	epochs := make(map[int32]uint64, len(l.partitions))
	for number, p := range l.partitions {
		epochs[number] = p.epoch
	}
	l.epochs.Store(&epochs)
}

// decoded is a record with its event, nil for a transaction marker.
type decoded struct {
	record *kafka.Record
	event  schemas.Record
	err    error
}

// poll reads the log until ctx ends and hands it to the loop.
func (l *loop) poll(ctx context.Context, group *kafka.Group) {
	for ctx.Err() == nil {
		var before map[int32]uint64
		if epochs := l.epochs.Load(); epochs != nil {
			before = *epochs
		}
		records, err := group.Poll(ctx, recordsPerPoll)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			// What came together with the error was not returned.
			l.config.Log.Warn().Err(err).Dur("again_in", pollRetry).Msg("the event log cannot be read")
			var again map[int32]int64
			l.ask(func() { again = l.positions() })
			group.Seek(again)
			pause(ctx, pollRetry)
			continue
		}
		events := l.decode(ctx, records)
		if ctx.Err() != nil {
			return
		}
		var again map[int32]int64
		l.ask(func() { again = l.read(events, before) })
		if len(again) > 0 {
			group.Seek(again)
		}
	}
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// decode decodes each partition's records up to the first that cannot be read: what
// follows is not folded before it, and the registry would be asked about each.
func (l *loop) decode(ctx context.Context, records []*kafka.Record) []decoded {
	events := make([]decoded, len(records))
	failed := map[int32]error{}
	for i, r := range records {
		events[i].record = r
		switch {
		case kafka.IsControl(r):
		case failed[r.Partition] != nil:
			events[i].err = failed[r.Partition]
		default:
			one, cancel := context.WithTimeout(ctx, decodeTimeout)
			events[i].event, events[i].err = l.config.Codec.Decode(one, schemas.TopicEvents, r.Value)
			cancel()
			failed[r.Partition] = events[i].err
		}
	}
	return events
}

func (l *loop) positions() map[int32]int64 {
	next := make(map[int32]int64, len(l.partitions))
	for number, p := range l.partitions {
		next[number] = p.position
	}
	return next
}

// read folds what was polled. It returns offsets to read again: of partitions that
// changed hands while the poll went on, whose records may be of the ownership before,
// and of those that wait for a schema or are halted, which are paused.
func (l *loop) read(events []decoded, before map[int32]uint64) (again map[int32]int64) {
	again = map[int32]int64{}
	touched := map[int32]*partition{}
	for _, d := range events {
		number := d.record.Partition
		p := l.partitions[number]
		switch {
		case p == nil || p.halted || !p.retryAt.IsZero() || d.record.Offset < p.position:
		case before[number] != p.epoch:
			again[number] = p.position
		case d.err != nil:
			// Here, not by who polls: it must not come after the Resume of a retry or
			// of the next ownership.
			l.group.Load().Pause(number)
			l.unreadable(p, d)
			again[number] = p.position
		default:
			touched[number] = p
			l.fold(p, d)
		}
	}
	for _, number := range slices.Sorted(maps.Keys(touched)) {
		l.goLive(touched[number])
	}
	return again
}

func (l *loop) fold(p *partition, d decoded) {
	var c change
	if d.event != nil {
		c = p.apply(d.record.Offset, d.event)
	}
	p.position = d.record.Offset + 1
	if c.recorded != nil {
		p.close(c.recorded)
	}
	if !p.live {
		return
	}
	switch {
	case c.opened != nil:
		l.schedule(c.opened)
	case c.ended != nil:
		l.ended(c.ended)
	case c.refused != nil:
		l.metrics.refused.WithLabelValues(c.refusal).Inc()
		if c.refusal != schemas.CodeAlreadyFinished {
			log := l.logFor(c.refused.request)
			log.Error().Str("code", c.refusal).Msg("the answer was refused; the generation stays open until its deadline")
		}
	}
}

// goLive schedules what is open once everything is read that was there at
// assignment.
func (l *loop) goLive(p *partition) {
	if p.live || !p.restored() {
		return
	}
	p.live = true
	known := slices.SortedFunc(maps.Values(p.generations), func(a, b *generation) int { return cmp.Compare(a.offset, b.offset) })
	open := 0
	for _, g := range known {
		switch {
		case g.end == nil:
			open++
			l.schedule(g)
		case g.end.settle:
			l.wrapUp(g)
		default:
			p.close(g)
		}
	}
	l.config.Log.Info().Int32("partition", p.number).Int64("position", p.position).Int("open", open).Msg("partition restored")
}

// unreadable halts a partition behind bytes that nobody can read, or lets it
// wait for a schema that is not known yet. Others go on.
func (l *loop) unreadable(p *partition, d decoded) {
	log := l.config.Log.With().Str("topic", schemas.TopicEvents).Int32("partition", p.number).Int64("offset", d.record.Offset).Logger()
	p.position = d.record.Offset
	if errors.Is(d.err, schemas.ErrUnreadable) {
		p.halted = true
		log.Error().Err(d.err).Msg("partition halted: an event cannot be read, and what follows may depend on it; " +
			"find out who wrote it, then restart the generator with a build that reads it")
		return
	}
	p.retryAt = time.Now().Add(l.tuning.schemaRetry)
	if p.unknown != d.record.Offset {
		p.unknown = d.record.Offset
		log.Error().Err(d.err).Msg("partition waits for the schema of an event: deploy the build or register the schema that it names")
	}
}

// retrySchemas reads again what had an unknown schema.
func (l *loop) retrySchemas(now time.Time) {
	for number, p := range l.partitions {
		if p.retryAt.IsZero() || now.Before(p.retryAt) {
			continue
		}
		p.retryAt = time.Time{}
		l.group.Load().Resume(number)
	}
}
