package projections

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// startTimeout bounds the reading of stored offsets in a rebalance, which must
// end within the group's 30 s. After it the group is joined anew.
const startTimeout = 20 * time.Second

// compareEvery is how often a follower compares where it believes to stand with the
// stored offsets, and so how long a read model may stay behind after a crash of
// Postgres that lost its last transactions, where no new event shows it.
const compareEvery = time.Second

// Group returns the consumer group of a version. It only shares the partitions
// out: the offsets are in Postgres, with the rows.
func Group(name string, number int) string {
	return "atelier.project." + name + ".v" + strconv.Itoa(number)
}

// follower keeps one version up. Its partitions change in the group's callbacks,
// everything else happens in run's goroutine.
type follower struct {
	config  *Config
	metrics *metrics
	version version
	folder  folder
	admin   *kafka.Admin
	stop    context.CancelFunc

	mu         sync.Mutex
	partitions map[int32]*partition
	trouble    error // why it is not in the group now
}

// partition is where the follower stands in a partition that it owns.
type partition struct {
	place
	// standing is why it stands still: a *HaltError for good, any other error
	// until it goes away. Guarded by the follower's mu.
	standing error
}

func newFollower(c *Config, m *metrics, p Projection, v version, admin *kafka.Admin, stop context.CancelFunc) *follower {
	return &follower{
		config: c, metrics: m, version: v, admin: admin, stop: stop, partitions: map[int32]*partition{},
		trouble: fmt.Errorf("%s has been given no partition yet", v),
		folder:  folder{projection: p, codec: c.Codec, open: c.Open, generation: c.TopicGeneration, log: c.Log},
	}
}

// run follows until ctx ends. A group that fails is joined anew, and everything
// that was not applied is read again.
func (f *follower) run(ctx context.Context) {
	log := f.config.Log.With().Str("projection", f.version.Name).Int("version", f.version.Version).Logger()
	defer f.metrics.forget(f.version)
	var wait pause
	for {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			wait = 0
		}
		f.mu.Lock()
		f.trouble = fmt.Errorf("%s is not in its group: %w", f.version, err)
		f.mu.Unlock()
		log.Warn().Err(err).Str("postgres", f.config.where()).Msg("projector left its group, joining again")
		if !wait.wait(ctx) {
			return
		}
	}
}

// session is one membership of the group.
func (f *follower) session(ctx context.Context) error {
	var waiting sync.WaitGroup // goroutines that wait for a schema
	defer waiting.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &session{follower: f, waiting: &waiting, ctx: ctx, joined: make(chan struct{})}
	group, err := kafka.JoinGroup(f.config.Kafka, kafka.GroupConfig{
		Group: Group(f.version.Name, f.version.Version), Topic: schemas.TopicEvents, Start: s.start, Lost: s.lost,
	})
	if err != nil {
		return err
	}
	s.group = group
	close(s.joined)
	defer func() {
		group.Close()
		f.mu.Lock()
		clear(f.partitions)
		f.mu.Unlock()
		f.metrics.forget(f.version)
	}()
	compared := time.Now()
	for {
		// Before records are taken: those in hand would not follow what is stored.
		if time.Since(compared) >= compareEvery {
			s.compare()
			compared = time.Now()
		}
		records, err := pollFor(ctx, group, compareEvery)
		if err != nil {
			return err
		}
		for len(records) > 0 && ctx.Err() == nil {
			n := 1
			for n < len(records) && records[n].Partition == records[0].Partition {
				n++
			}
			s.advance(records[0].Partition, records[:n])
			records = records[n:]
		}
	}
}

// pollFor returns what is there, and nothing where nothing comes in time.
func pollFor(ctx context.Context, group *kafka.Group, most time.Duration) ([]*kafka.Record, error) {
	patient, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	records, err := group.Poll(patient, eventsPerBatchMax)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return nil, nil
	}
	return records, err
}

// owned returns a partition that is the follower's and moves, nil for another.
func (f *follower) owned(id int32) *partition {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.partitions[id]
	if p == nil || p.standing != nil {
		return nil
	}
	return p
}

// has says whether a partition is still the follower's, moving or not.
func (f *follower) has(id int32, p *partition) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.partitions[id] == p
}

// standing returns why the follower or partitions of it stand still.
func (f *follower) standing() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	errs := []error{f.trouble}
	for _, p := range f.partitions {
		errs = append(errs, p.standing)
	}
	return errs
}

// at returns where the follower stands in a partition.
func (f *follower) at(p *partition) place {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.place
}

func (f *follower) move(p *partition, to place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.place = to
}

func (f *follower) reportLag(ends map[int32]int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.partitions {
		f.metrics.lag(f.version, id, ends[id]-p.next)
	}
}

// HaltError is a partition in which a projection stands still for good: it does
// not skip what it cannot take. The other partitions and projections go on.
type HaltError struct {
	Projection string
	Version    int
	Partition  int32
	Offset     int64 // of the event, or of the first of the batch, that cannot be taken
	Cause      error
	// Advice is what a person should do.
	Advice string
}

// Error names the place, the cause and what to do.
func (e *HaltError) Error() string {
	return fmt.Sprintf("%s version %d stands still at %s[%d]@%d: %v; %s",
		e.Projection, e.Version, schemas.TopicEvents, e.Partition, e.Offset, e.Cause, e.Advice)
}

// Unwrap returns the cause.
func (e *HaltError) Unwrap() error { return e.Cause }

// What to do about the causes.
const (
	adviceUnreadable = "nothing is skipped: start a build that reads the record, or bring the record back from a replica, then start the projector again"
	adviceSealed     = "the master key or the vault is not the one that the record was sealed with: start the projector again with the right one"
	adviceUnfit      = "the tables do not take what the event says: start a build that does, or rebuild the read model"
	adviceTopic      = "the topic was made anew: set ATELIER_TOPIC_GENERATION and rebuild the read model"
	adviceRebuild    = "rebuild the read model (`atelier replay`)"
)
