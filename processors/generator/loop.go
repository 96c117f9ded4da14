package generator

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/processors/generator/schedule"
	"atelier/schemas"
)

const (
	// settlesMax bounds the endings that are looked up in the journal at once
	// (count): they are small reads and must not crowd out the pictures.
	settlesMax = 4
	// drainGrace is how long after the drain's bound results are still stored.
	drainGrace = 3 * time.Second
	// idleWait is the longest sleep of the loop; everything wakes it earlier.
	idleWait = time.Minute
)

// loop is the process manager. One goroutine owns all of its state; everybody
// else hands it a function to run (ask, tell).
type loop struct {
	config  Config
	tuning  tuning
	metrics *metrics
	notes   *notes
	ready   *atomic.Bool
	worker  *worker
	// instance tells this process from others in the journal.
	instance string
	group    atomic.Pointer[kafka.Group]
	// epochs is a copy of the ownerships for the goroutine that polls.
	epochs atomic.Pointer[map[int32]uint64]
	asks   chan func()
	done   chan struct{}

	// The rest belongs to the loop's goroutine.
	partitions map[int32]*partition
	lastEpoch  uint64
	scheduler  *schedule.Scheduler
	jobs       map[string]*generation
	// closed are the models whose breakers are open.
	closed map[string]closure
	// busy counts the goroutines that will still tell something.
	busy     int
	outbox   outbox
	endings  endings
	commits  commits
	draining bool
	drainEnd time.Time
	stopped  bool // running calls were stopped at the drain's end
}

// closure is until when a model is not called, and why.
type closure struct {
	until  time.Time
	reason string
}

func newLoop(g *Generator) *loop {
	return &loop{
		config: g.config, tuning: g.tuning, metrics: g.metrics, notes: g.notes, ready: &g.ready,
		worker:   &worker{config: g.config, tuning: g.tuning, journal: journal{g.config.Media}, notes: g.notes, metrics: g.metrics},
		instance: schemas.NewID(),
		asks:     make(chan func()), done: make(chan struct{}),
		partitions: map[int32]*partition{}, scheduler: schedule.New(g.config.slots()),
		jobs: map[string]*generation{}, closed: map[string]closure{},
		commits: commits{committed: map[int32]int64{}},
	}
}

// tell hands the loop a function to run; after the loop's end it does nothing.
func (l *loop) tell(f func()) {
	select {
	case l.asks <- f:
	case <-l.done:
	}
}

// ask is tell, and waits until the function has run.
func (l *loop) ask(f func()) {
	ran := make(chan struct{})
	l.tell(func() {
		defer close(ran)
		f()
	})
	select {
	case <-ran:
	case <-l.done:
	}
}

// run works until it is drained. ctx is what everything that was begun lives by;
// stop ends it.
func (l *loop) run(ctx context.Context, stop func()) {
	defer close(l.done)
	timer := time.NewTimer(idleWait)
	defer timer.Stop()
	for {
		now := time.Now()
		l.expireDrain(now, stop)
		l.start(ctx, now)
		l.sendNext(ctx, now)
		l.settleNext(ctx, now)
		l.commitNext(ctx, now)
		l.retrySchemas(now)
		l.observe()
		if l.draining && l.busy == 0 {
			return
		}
		timer.Reset(l.wake(now).Sub(now))
		select {
		case f := <-l.asks:
			f()
		case <-timer.C:
		}
	}
}

// wake returns when there is something to do again without being told.
func (l *loop) wake(now time.Time) time.Time {
	at := now.Add(idleWait)
	earlier := func(t time.Time, due bool) {
		if due && t.Before(at) {
			at = t
		}
	}
	delayed, some := l.scheduler.Wake()
	earlier(delayed, some && !l.draining)
	earlier(l.outbox.after, len(l.outbox.waiting) > 0 && !l.outbox.sending)
	earlier(l.endings.next())
	earlier(l.commits.after, l.commits.due(l.checkpoints()))
	for _, p := range l.partitions {
		earlier(p.retryAt, !p.retryAt.IsZero())
	}
	earlier(l.drainEnd, l.draining && !l.stopped)
	earlier(l.drainEnd.Add(drainGrace), l.draining && now.Before(l.drainEnd.Add(drainGrace)))
	return at
}

// start gives free slots to the generations whose turn it is.
func (l *loop) start(ctx context.Context, now time.Time) {
	for !l.draining {
		job, ok := l.scheduler.Next(now)
		if !ok {
			return
		}
		g := l.jobs[job.ID]
		switch {
		case deadlinePassed(g.request, now):
			l.unschedule(g)
			g.state = stateExpired
		case now.Before(l.closed[l.model(g)].until):
			why := l.closed[l.model(g)]
			l.scheduler.Delay(job.ID, why.until)
			l.notes.say(g.request, stageQueued, len(g.work.attempts)+1, why.reason, now)
		default:
			l.launch(ctx, g)
		}
	}
}

func (l *loop) model(g *generation) string {
	if g.batch.event == nil {
		return ""
	}
	return l.config.Models[g.batch.event.Tier].ID
}

// launch runs one attempt, in a goroutine that tells its end.
func (l *loop) launch(ctx context.Context, g *generation) {
	call, cancel := context.WithCancel(ctx)
	g.cancel, g.started = cancel, true
	t := task{request: g.request, batch: g.batch.event, pictures: g.batch.pictures, owner: l.instance + "/" + g.job, work: g.work}
	l.busy++
	go func() {
		defer cancel()
		n := l.worker.attempt(call, ctx, t)
		l.tell(func() { l.attempted(g, n) })
	}()
}

// attempted takes up what follows an attempt.
func (l *loop) attempted(g *generation, n next) {
	l.busy--
	g.cancel = nil
	g.work = n.work
	if n.model != "" && n.again.After(l.closed[n.model].until) {
		l.closed[n.model] = closure{n.again, n.reason}
	}
	switch {
	case g.end != nil:
		l.unschedule(g)
		if l.owns(g) {
			l.wrapUp(g)
		}
	case n.answer != nil:
		// Also for a partition that was lost meanwhile: the new owner would find
		// the same in the journal, and the decider takes only the first.
		l.unschedule(g)
		g.state = stateAnswered
		l.send(g, n.answer)
	case l.draining || !l.owns(g):
		l.unschedule(g)
	default:
		l.scheduler.Delay(g.job, n.again)
		if n.stage != "" {
			l.notes.say(g.request, n.stage, len(g.work.attempts)+1, n.reason, time.Now())
		}
	}
}

// schedule makes an open generation wait for its turn.
func (l *loop) schedule(g *generation) {
	// The epoch is in the name, because what an earlier ownership began may
	// still run under its own.
	g.job = strconv.FormatUint(g.partition.epoch, 10) + "/" + g.request.GenerationID
	g.state = stateScheduled
	l.jobs[g.job] = g
	l.scheduler.Add(schedule.Job{ID: g.job, Account: g.request.AccountID, Since: g.request.OccurredAt})
	l.notes.say(g.request, stageQueued, 1, "", time.Now())
}

func (l *loop) unschedule(g *generation) {
	l.scheduler.Remove(g.job)
	delete(l.jobs, g.job)
}

// ended takes up a terminal event.
func (l *loop) ended(g *generation) {
	switch {
	case g.cancel != nil:
		// Its call is stopped; what it cost is told when it has returned.
		g.end.settle = true
		g.cancel()
	default:
		l.unschedule(g)
		l.wrapUp(g)
	}
}

// wrapUp closes a generation that has ended, after what is left to be done.
func (l *loop) wrapUp(g *generation) {
	l.outbox.drop(func(o *outgoing) bool { return o.generation == g })
	if g.fresh && !g.started || !g.end.settle && !g.started {
		g.partition.close(g)
		return
	}
	g.state = stateSettling
	l.endings.ready = append(l.endings.ready, g)
}

// owns says whether the generation is of a partition that is ours now.
func (l *loop) owns(g *generation) bool {
	return l.partitions[g.partition.number] == g.partition
}

// checkpoints returns what may be committed, by partition.
func (l *loop) checkpoints() map[int32]int64 {
	next := make(map[int32]int64, len(l.partitions))
	for number, p := range l.partitions {
		next[number] = p.checkpoint()
	}
	return next
}

// expireDrain ends what runs beyond the drain's bound.
func (l *loop) expireDrain(now time.Time, stop func()) {
	if !l.draining || now.Before(l.drainEnd) {
		return
	}
	if !l.stopped {
		l.stopped = true
		for _, job := range slices.Sorted(maps.Keys(l.jobs)) {
			if cancel := l.jobs[job].cancel; cancel != nil {
				cancel()
			}
		}
	}
	if !now.Before(l.drainEnd.Add(drainGrace)) {
		stop()
	}
}

// observe shows the state to metrics and to Ready.
func (l *loop) observe() {
	open, halted, waiting, ready := 0, 0, 0, len(l.partitions) > 0
	for _, p := range l.partitions {
		open += len(p.generations)
		ready = ready && p.live && !p.halted
		if p.halted {
			halted++
		}
		if !p.retryAt.IsZero() {
			waiting++
		}
	}
	l.ready.Store(ready && !l.draining)
	s, m := l.scheduler, l.metrics
	settling := len(l.endings.ready) + len(l.endings.later) + l.endings.running
	m.generations.WithLabelValues("waiting").Set(float64(s.Waiting()))
	m.generations.WithLabelValues("delayed").Set(float64(s.Delayed()))
	m.generations.WithLabelValues("running").Set(float64(s.Running()))
	m.generations.WithLabelValues("settling").Set(float64(settling))
	m.generations.WithLabelValues("answered").Set(float64(max(0, open-s.Waiting()-s.Delayed()-s.Running()-settling)))
	m.slots.Set(float64(s.Running()))
	m.waiting.Set(float64(s.Waiting()))
	m.partitions.Set(float64(len(l.partitions)))
	m.halted.Set(float64(halted))
	m.schemaWait.Set(float64(waiting))
}

func (l *loop) logFor(r *schemas.GenerationRequested) zerolog.Logger {
	return l.config.Log.With().Str("generation_id", r.GenerationID).Str("correlation_id", r.CorrelationID).Logger()
}
