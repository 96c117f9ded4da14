package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/internal/kafka"
	"atelier/projections"
)

const (
	// positionWaitMax bounds how long a read waits for its position.
	positionWaitMax = 2 * time.Second
	// positionPoll is the pause between two looks at where a projection stands,
	// while somebody waits.
	positionPoll = 4 * time.Millisecond
	// positionTimeout bounds one look.
	positionTimeout = 2 * time.Second
)

// The projections that are read.
const (
	credits   = "credits"
	brands    = "brands"
	galleries = "galleries"
	// outcomesName is of the outcomes of commands.
	outcomesName = "outcomes"
)

var (
	errNotReached = errors.New("position not reached")
	// errWentBack is a crash of Postgres that took the last transactions of a projection
	// with it, so that it stands before where it was seen.
	errWentBack = errors.New("projection stands before where it was seen")
)

// positionWaits lets reads wait for their projection. However many wait, a node
// asks once at a time for each projection, and not at all while nobody waits. It
// is safe for concurrent use.
type positionWaits struct {
	positions func(ctx context.Context, projection string) (map[int32]projections.Position, error)
	poll      time.Duration

	ctx     context.Context // ends the polls at shutdown
	cancel  context.CancelFunc
	polling sync.WaitGroup

	mu      sync.Mutex
	known   map[string]map[int32]projections.Position
	waiting map[string]map[*positionWait]struct{}
}

// positionWait is one read that waits.
type positionWait struct {
	wanted projections.Position
	done   chan error // has room for one
}

func newPositionWaits(positions func(context.Context, string) (map[int32]projections.Position, error)) *positionWaits {
	w := &positionWaits{
		positions: positions, poll: positionPoll,
		known: map[string]map[int32]projections.Position{}, waiting: map[string]map[*positionWait]struct{}{},
	}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// close ends the polls and waits for them.
func (w *positionWaits) close() {
	w.cancel()
	w.polling.Wait()
}

// reached says whether a projection whose next offset is stood has applied wanted.
func reached(stood, wanted projections.Position) bool {
	if stood.Generation != wanted.Generation {
		return stood.Generation > wanted.Generation
	}
	return stood.Offset > wanted.Offset
}

// wait returns when the projection has applied wanted, or an error: errNotReached
// when ctx ended before, or why the projection could not be asked.
func (w *positionWaits) wait(ctx context.Context, projection string, wanted projections.Position) error {
	w.mu.Lock()
	if stood, ok := w.known[projection][wanted.Partition]; ok && reached(stood, wanted) {
		w.mu.Unlock()
		return nil
	}
	one := &positionWait{wanted: wanted, done: make(chan error, 1)}
	if w.waiting[projection] == nil {
		w.waiting[projection] = map[*positionWait]struct{}{}
		w.polling.Go(func() { w.watch(projection) })
	}
	w.waiting[projection][one] = struct{}{}
	w.mu.Unlock()
	select {
	case err := <-one.done:
		return err
	case <-ctx.Done():
		w.mu.Lock()
		delete(w.waiting[projection], one)
		w.mu.Unlock()
		return errNotReached
	}
}

// watch asks where a projection stands until nobody waits for it.
func (w *positionWaits) watch(projection string) {
	tick := time.NewTicker(w.poll)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(w.ctx, positionTimeout)
		stood, err := w.positions(ctx, projection)
		cancel()
		if !w.tell(projection, stood, err) {
			return
		}
		select {
		case <-tick.C:
		case <-w.ctx.Done():
		}
	}
}

// tell answers those whose wait is over, and says whether others go on.
func (w *positionWaits) tell(projection string, stood map[int32]projections.Position, err error) (more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.known[projection] = stood
	}
	for one := range w.waiting[projection] {
		if err == nil && !reached(stood[one.wanted.Partition], one.wanted) {
			continue
		}
		one.done <- err
		delete(w.waiting[projection], one)
	}
	if len(w.waiting[projection]) == 0 {
		delete(w.waiting, projection)
		return false
	}
	return true
}

// forget lets the next waits ask anew where projections stand.
func (w *positionWaits) forget(names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		delete(w.known, name)
	}
}

func (s *Server) positions(ctx context.Context, projection string) (map[int32]projections.Position, error) {
	return projections.Positions(ctx, s.config.Pool, projection)
}

// partitionOf is the partition that holds all of an account.
func (s *Server) partitionOf(account string) int32 {
	return kafka.PartitionOf(account, s.config.Partitions)
}

// wantedPosition is the position that the request's reads must have reached: of
// its header, or of the event that opened the account in this very request.
func (s *Server) wantedPosition(c *fiber.Ctx) (*projections.Position, error) {
	opened := openedOf(c)
	text := c.Get(positionHeader)
	if text == "" {
		return opened, nil
	}
	wanted, err := projections.ParsePosition(text)
	if err != nil || wanted.Partition != s.partitionOf(accountOf(c)) {
		return nil, refuse(codeInvalidPosition, "Atelier-Position is not generation.partition.offset of this account")
	}
	if opened != nil && reached(*opened, wanted) {
		return opened, nil
	}
	return &wanted, nil
}

// read runs fn against the read models, in one transaction in which row-level
// security shows the account's rows alone. Before, it waits until all named
// projections have reached the request's position; the answer says where they
// stood, the one that was furthest behind.
func (s *Server) read(c *fiber.Ctx, names []string, fn func(context.Context, pgx.Tx) error) error {
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	account := accountOf(c)
	stood, err := s.readAt(c.UserContext(), account, names, wanted, fn)
	if err != nil {
		return err
	}
	if stood != nil {
		c.Set(positionHeader, stood.String())
	}
	return nil
}

// readAt is read without a request. It returns the position of the last event
// that was applied when it read, nil where there is none.
func (s *Server) readAt(ctx context.Context, account string, names []string, wanted *projections.Position,
	fn func(context.Context, pgx.Tx) error,
) (stood *projections.Position, err error) {
	waiting, cancel := context.WithTimeout(ctx, positionWaitMax)
	defer cancel()
	for {
		if wanted != nil {
			for _, name := range names {
				if err := s.waits.wait(waiting, name, *wanted); err != nil {
					return nil, notReached(name, err)
				}
			}
		}
		err = projections.Read(ctx, s.config.Pool, account, func(tx pgx.Tx) (err error) {
			// Positions before rows, so that the rows are at least as new.
			if stood, err = s.stood(ctx, tx, account, names, wanted); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
		if !errors.Is(err, errWentBack) {
			break
		}
		s.waits.forget(names)
	}
	var refused *refusal
	if errors.As(err, &refused) && refused.seen == nil {
		refused.seen = stood
	}
	return stood, err
}

func notReached(projection string, err error) error {
	if errors.Is(err, errNotReached) {
		return &refusal{
			code: codePositionNotThere, retryAfter: retryAfter,
			detail: fmt.Sprintf("the read model %s has not reached Atelier-Position within %s", projection, positionWaitMax),
		}
	}
	return fmt.Errorf("wait for %s: %w", projection, err)
}

// stood returns the last position that all of the projections have applied, and
// errWentBack where one has not applied wanted.
func (s *Server) stood(ctx context.Context, tx pgx.Tx, account string, names []string, wanted *projections.Position) (*projections.Position, error) {
	partition := s.partitionOf(account)
	var least *projections.Position
	for _, name := range names {
		positions, err := projections.Positions(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		next, ok := positions[partition]
		if wanted != nil && !reached(next, *wanted) {
			return nil, errWentBack
		}
		if !ok || next.Offset == 0 {
			return nil, nil
		}
		next.Offset-- // the last one that was applied
		if least == nil || reached(*least, next) {
			least = &next
		}
	}
	return least, nil
}
