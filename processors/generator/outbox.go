package generator

import (
	"context"
	"slices"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// sendMax bounds one produce (count); commands are at most some 10 KB.
const sendMax = 64

// outbox holds the commands that wait for Kafka. It is bounded by the slots
// and the open generations: each has at most one.
type outbox struct {
	waiting []*outgoing
	sending bool
	tries   int
	after   time.Time // when the next try may be made
}

// outgoing is a command on its way.
type outgoing struct {
	generation *generation
	record     *kafka.Record
	name       string
	spend      bool
}

func (o *outbox) drop(which func(*outgoing) bool) { o.waiting = slices.DeleteFunc(o.waiting, which) }

// send puts a command into the outbox. The generation stays open until the log
// says what became of it, and a restart makes the same command again.
func (l *loop) send(g *generation, command schemas.Command) {
	record, err := kafka.NewRecord(l.config.Codec, schemas.TopicCommands, command)
	if err != nil {
		// The decider's sweep ends it at its deadline.
		log := l.logFor(g.request)
		log.Error().Err(err).Str("command", schemas.ShortName(command)).Msg("command cannot be encoded")
		return
	}
	g.partition.commands[command.Meta().ID] = g
	_, spend := command.(*schemas.RecordSpend)
	l.outbox.waiting = append(l.outbox.waiting, &outgoing{generation: g, record: record, name: schemas.ShortName(command), spend: spend})
}

// sendNext produces what waits, one batch at a time. While draining each batch
// has one try: who comes next finds the results in the journal.
func (l *loop) sendNext(ctx context.Context, now time.Time) {
	o := &l.outbox
	if o.sending || len(o.waiting) == 0 || now.Before(o.after) && !l.draining {
		return
	}
	batch := slices.Clone(o.waiting[:min(len(o.waiting), sendMax)])
	o.waiting = slices.Delete(o.waiting, 0, len(batch))
	o.sending = true
	l.busy++
	go func() {
		records := make([]*kafka.Record, len(batch))
		for i, c := range batch {
			records[i] = c.record
		}
		err := l.config.Producer.Produce(ctx, records...)
		l.tell(func() { l.sent(batch, err) })
	}()
}

func (l *loop) sent(batch []*outgoing, err error) {
	o := &l.outbox
	l.busy--
	o.sending = false
	if err == nil {
		o.tries = 0
		for _, c := range batch {
			l.metrics.answers.WithLabelValues(c.name).Inc()
			log := l.logFor(c.generation.request)
			log.Debug().Str("command", c.name).Msg("answer written")
			if c.spend {
				c.generation.partition.close(c.generation)
			}
		}
		return
	}
	o.tries++
	wait := backoff("outbox", o.tries, l.tuning.backoffBase, l.tuning.backoffMax)
	o.after = time.Now().Add(wait)
	l.config.Log.Warn().Err(err).Int("commands", len(batch)).Dur("again_in", wait).Msg("commands could not be written")
	if l.draining {
		return
	}
	batch = slices.DeleteFunc(batch, func(c *outgoing) bool {
		return !c.spend && (!l.owns(c.generation) || c.generation.end != nil)
	})
	o.waiting = append(batch, o.waiting...)
}

// endings are the generations that have ended and have something left to be done.
type endings struct {
	ready   []*generation
	later   []later
	running int
}

type later struct {
	generation *generation
	at         time.Time
}

func (e *endings) drop(p *partition) {
	e.ready = slices.DeleteFunc(e.ready, func(g *generation) bool { return g.partition == p })
	e.later = slices.DeleteFunc(e.later, func(l later) bool { return l.generation.partition == p })
}

// next returns when an ending is due again, and false when none is.
func (e *endings) next() (at time.Time, due bool) {
	for _, l := range e.later {
		if !due || l.at.Before(at) {
			at, due = l.at, true
		}
	}
	return at, due
}

// settleNext looks into the journal for endings, a few at a time.
func (l *loop) settleNext(ctx context.Context, now time.Time) {
	e := &l.endings
	e.later = slices.DeleteFunc(e.later, func(l later) bool {
		if l.at.After(now) {
			return false
		}
		e.ready = append(e.ready, l.generation)
		return true
	})
	for !l.draining && e.running < settlesMax && len(e.ready) > 0 {
		g := e.ready[0]
		e.ready = slices.Delete(e.ready, 0, 1)
		request, end := g.request, *g.end
		e.running++
		l.busy++
		go func() {
			s, err := l.worker.settle(ctx, request, end)
			l.tell(func() { l.settled(g, s, err) })
		}()
	}
}

func (l *loop) settled(g *generation, s settlement, err error) {
	l.busy--
	l.endings.running--
	switch {
	case s.command != nil:
		l.send(g, s.command) // by whomever: the decider takes the first
	case !l.owns(g):
	case err != nil:
		g.work.troubles++
		wait := backoff(g.request.GenerationID, g.work.troubles, l.tuning.backoffBase, l.tuning.backoffMax)
		log := l.logFor(g.request)
		log.Warn().Err(err).Dur("again_in", wait).Msg("an ended generation cannot be settled yet")
		l.endings.later = append(l.endings.later, later{g, time.Now().Add(wait)})
	case !s.again.IsZero():
		l.endings.later = append(l.endings.later, later{g, s.again})
	default:
		g.partition.close(g)
	}
}
