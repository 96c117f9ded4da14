package generator

import (
	"context"
	"maps"
	"time"

	"atelier/internal/kafka"
)

// commits is which checkpoints the group knows. Any that we ever computed may be
// committed at any time, also late: all it says is what need not be read again.
type commits struct {
	committed map[int32]int64
	after     time.Time
	running   bool
}

func (c *commits) due(next map[int32]int64) bool {
	if c.running {
		return false
	}
	for number, offset := range next {
		if c.committed[number] != offset {
			return true
		}
	}
	return false
}

func (l *loop) commitNext(ctx context.Context, now time.Time) {
	c := &l.commits
	if l.draining || now.Before(c.after) {
		return
	}
	next := l.checkpoints()
	if !c.due(next) {
		return
	}
	c.after = now.Add(l.tuning.commitEvery)
	group := l.group.Load()
	if group == nil { // joining
		return
	}
	c.running = true
	l.busy++
	go func() {
		ctx, cancel := context.WithTimeout(ctx, commitTimeout)
		defer cancel()
		err := group.Commit(ctx, next)
		l.tell(func() {
			l.busy--
			l.commits.running = false
			if err != nil {
				l.config.Log.Warn().Err(err).Msg("checkpoints were not committed; they will be with the next ones")
				return
			}
			for number, offset := range next {
				if l.partitions[number] != nil {
					l.commits.committed[number] = offset
				}
			}
		})
	}()
}

// drain tells the loop to start nothing new, and commits what is done.
func (l *loop) drain(group *kafka.Group) {
	var last map[int32]int64
	l.ask(func() {
		l.draining = true
		l.drainEnd = time.Now().Add(l.tuning.drain)
		last = maps.Clone(l.checkpoints())
	})
	if len(last) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	if err := group.Commit(ctx, last); err != nil {
		l.config.Log.Warn().Err(err).Msg("last checkpoints were not committed; what is newer is read again")
	}
}
