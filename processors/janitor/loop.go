package janitor

import (
	"context"
	"maps"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// loop reads, looks and erases in one goroutine; the group's callbacks only give and
// take partitions.
type loop struct {
	*Janitor
	admin *kafka.Admin
	group *kafka.Group
	next  time.Time // when the bins are looked through again
	// commitAfter is when checkpoints may be committed again, behind whether some wait
	// for that.
	commitAfter time.Time
	behind      bool

	mu         sync.Mutex
	lastEpoch  uint64
	partitions map[int32]*partition
	committed  map[int32]int64
}

func (l *loop) run(ctx context.Context) {
	l.next = time.Now().Add(l.tuning.lookEvery)
	for ctx.Err() == nil {
		l.read(ctx)
		if now := time.Now(); !now.Before(l.next) {
			l.next = now.Add(l.tuning.lookEvery)
			l.look(ctx, now)
		}
		l.erase(ctx)
		l.again()
		l.commit(ctx)
		l.observe()
	}
}

// assigned is the group's question where to read new partitions from: at the
// checkpoint. They are looked through as soon as they are read to the high watermark
// (read_uncommitted: behind the last stable offset a restore may be committed whose
// marker is still on its way, see KAFKA-10167).
func (l *loop) assigned(ctx context.Context, committed map[int32]int64) (map[int32]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	now := time.Now()
	starts, err := l.admin.StartOffsets(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	ends, err := l.admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	from := make(map[int32]int64, len(committed))
	for number, offset := range committed {
		from[number] = max(offset, starts[number])
		if offset > ends[number] {
			l.config.Log.Error().Int32("partition", number).Int64("offset", offset).Int64("end", ends[number]).
				Msg("the checkpoint lies beyond the log: it is read from its beginning")
			from[number] = starts[number]
		}
		l.begin(number, from[number], ends[number], now)
		l.committed[number] = committed[number]
	}
	return from, nil
}

// begin reads a partition from an offset on. The caller holds the lock.
func (l *loop) begin(number int32, from, target int64, asOf time.Time) {
	l.lastEpoch++
	p := newPartition(number, l.lastEpoch, from, target, asOf)
	p.max = l.tuning.binMax
	l.partitions[number] = p
}

// lost hears that partitions are somebody else's now.
func (l *loop) lost(partitions []int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, number := range partitions {
		delete(l.partitions, number)
		delete(l.committed, number)
	}
}

// owned returns the partitions that are ours now. Only the loop's goroutine changes
// what is in them.
func (l *loop) owned() map[int32]*partition {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.partitions)
}

func (l *loop) owns(p *partition) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.partitions[p.number] == p
}

// read folds what comes until the next look is due.
func (l *loop) read(ctx context.Context) {
	before := l.owned()
	wait, cancel := context.WithDeadline(ctx, l.wake(before))
	defer cancel()
	records, err := l.group.Poll(wait, recordsPerPoll)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		// What came together with the error was not returned.
		l.seek(l.owned())
		if wait.Err() == nil {
			l.config.Log.Warn().Err(err).Dur("again_in", l.tuning.retry).Msg("the event log cannot be read")
			pause(ctx, l.tuning.retry)
		}
	default:
		l.fold(ctx, records, before)
	}
	l.resume()
}

// wake returns when there is something to do again that no record tells.
func (l *loop) wake(owned map[int32]*partition) time.Time {
	at := l.next
	earlier := func(t time.Time, due bool) {
		if due && t.Before(at) {
			at = t
		}
	}
	earlier(l.commitAfter, l.behind)
	soon := time.Now().Add(assignedPoll)
	earlier(soon, len(owned) == 0)
	for _, p := range owned {
		earlier(soon, !p.ready)
		earlier(p.retryAt, !p.retryAt.IsZero())
	}
	return at
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

// fold folds what was polled. Records of partitions that changed hands while the poll
// went on may be of the ownership before: those are read again.
func (l *loop) fold(ctx context.Context, records []*kafka.Record, before map[int32]*partition) {
	owned, again := l.owned(), map[int32]*partition{}
	for _, r := range records {
		p := owned[r.Partition]
		switch {
		case p == nil || !p.retryAt.IsZero() || r.Offset < p.position:
		case before[r.Partition] != p:
			again[r.Partition] = p
		case kafka.IsControl(r):
			p.position = r.Offset + 1
		default:
			one, cancel := context.WithTimeout(ctx, decodeTimeout)
			event, err := l.config.Codec.Decode(one, schemas.TopicEvents, r.Value)
			cancel()
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				l.stand(p, r, err)
				again[r.Partition] = p
				continue
			}
			p.apply(r.Offset, event)
			p.position = r.Offset + 1
		}
	}
	l.seek(again)
}

// stand lets a partition wait before a record that cannot be read: what follows may
// take an image out of the bin. Others go on.
func (l *loop) stand(p *partition, r *kafka.Record, err error) {
	p.position, p.retryAt = r.Offset, time.Now().Add(l.tuning.retry)
	l.group.Pause(p.number)
	if p.stuck == r.Offset {
		return
	}
	p.stuck = r.Offset
	l.config.Log.Error().Err(err).Str("topic", schemas.TopicEvents).Int32("partition", r.Partition).Int64("offset", r.Offset).
		Msg("partition stands before an event that cannot be read, and nothing of it is erased: deploy a build that reads it, or register the schema that it names")
}

// resume tries again what could not be read.
func (l *loop) resume() {
	now := time.Now()
	for number, p := range l.owned() {
		if !p.retryAt.IsZero() && !now.Before(p.retryAt) {
			p.retryAt = time.Time{}
			l.group.Resume(number)
		}
	}
}

func (l *loop) seek(partitions map[int32]*partition) {
	if len(partitions) == 0 {
		return
	}
	next := make(map[int32]int64, len(partitions))
	for number, p := range partitions {
		next[number] = p.position
	}
	l.group.Seek(next)
}

// again reads partitions from their checkpoint that had more in the bin than is
// remembered.
func (l *loop) again() {
	begun := map[int32]*partition{}
	l.mu.Lock()
	for number, p := range l.partitions {
		if p.caughtUp() && p.asOf.IsZero() && p.roomAgain() {
			l.begin(number, p.checkpoint(), p.position, time.Time{})
			begun[number] = l.partitions[number]
		}
	}
	l.mu.Unlock()
	l.seek(begun)
}

// commit stores the checkpoints that have moved. All that one says is what need not
// be read again, so any that was ever true may be committed late.
func (l *loop) commit(ctx context.Context) {
	l.mu.Lock()
	next := map[int32]int64{}
	for number, p := range l.partitions {
		if offset := p.checkpoint(); l.committed[number] != offset {
			next[number] = offset
		}
	}
	l.mu.Unlock()
	now := time.Now()
	l.behind = len(next) > 0
	if !l.behind || ctx.Err() == nil && now.Before(l.commitAfter) {
		return
	}
	l.commitAfter = now.Add(l.tuning.commitEvery)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	if err := l.group.Commit(ctx, next); err != nil {
		l.config.Log.Warn().Err(err).Msg("checkpoints were not committed; they will be with the next ones")
		return
	}
	l.behind = false
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, offset := range next {
		if l.partitions[number] != nil {
			l.committed[number] = offset
		}
	}
}

// observe shows the state to metrics and to Ready.
func (l *loop) observe() {
	owned := l.owned()
	ready, lying, standing := len(owned) > 0, 0, 0
	for _, p := range owned {
		lying += len(p.bin)
		p.ready = p.ready || p.caughtUp()
		if !p.retryAt.IsZero() {
			standing++
		}
		ready = ready && p.ready && p.retryAt.IsZero()
	}
	l.ready.Store(ready)
	l.metrics.binned.Set(float64(lying))
	l.metrics.partitions.Set(float64(len(owned)))
	l.metrics.standing.Set(float64(standing))
}
