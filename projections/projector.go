package projections

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// eventsPerBatchMax bounds one transaction (count). Larger batches apply no
	// faster and let readers wait longer for their first row.
	eventsPerBatchMax = 5_000

	// registryEvery is how often the registry of versions is read again: how long
	// a new standby waits for its projector, and a dropped one's goes on.
	registryEvery = 2 * time.Second

	// lagEvery is how often the ends of the partitions are asked for.
	lagEvery = 5 * time.Second

	// retryWaitMin and retryWaitMax bound the wait before something is tried again
	// that failed for a reason that may go away: Postgres or a broker is away, or
	// the registry does not know a schema yet. It goes on for as long as the
	// projector runs: a projector that gives up would have to be started again.
	retryWaitMin = 100 * time.Millisecond
	retryWaitMax = 5 * time.Second
)

// Config is what a Projector works with.
type Config struct {
	Kafka kafka.Config
	// Pool is one of the role atelier_projector. It is used by at most one
	// connection for each version that is kept up.
	Pool  *pgxpool.Pool
	Codec *schemas.Codec
	// Open opens sealed fields: vault.Open.
	Open OpenFunc
	// TopicGeneration counts how often atelier.events was made anew, from 0.
	TopicGeneration int
	// Only names the projections to keep up; all where it is empty.
	Only []string
	// Progress hears of a verification: records read and to be read. It may be nil.
	Progress   func(done, total int64)
	Log        zerolog.Logger
	Registerer prometheus.Registerer
}

func (c *Config) validate() error {
	switch {
	case c.Pool == nil:
		return errors.New("projections: no pool")
	case c.Codec == nil:
		return errors.New("projections: no codec")
	case c.Open == nil:
		return errors.New("projections: nothing that opens sealed fields")
	case c.TopicGeneration < 0:
		return fmt.Errorf("projections: topic generation %d", c.TopicGeneration)
	}
	for _, name := range c.Only {
		if _, err := ByName(name); err != nil {
			return err
		}
	}
	return nil
}

// wants says whether a projection is one to keep up.
func (c *Config) wants(name string) bool { return len(c.Only) == 0 || slices.Contains(c.Only, name) }

// where is the Postgres of the pool, for the log: host, port and database.
func (c *Config) where() string {
	to := c.Pool.Config().ConnConfig
	return net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))) + "/" + to.Database
}

// Projector keeps the live and standby versions of the projections up. Several
// projectors share the partitions.
type Projector struct {
	config  Config
	metrics *metrics

	mu        sync.Mutex
	followers map[version]*follower // by version, its State left empty
	listed    error                 // why the registry could not be read last time
}

var errNotStarted = errors.New("projector has not read the registry of versions yet")

// New makes a projector; Run starts it.
func New(c Config) (*Projector, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Projector{config: c, metrics: newMetrics(c.Registerer), followers: map[version]*follower{}, listed: errNotStarted}, nil
}

// Run makes a projector and runs it.
func Run(ctx context.Context, c Config) error {
	p, err := New(c)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// Ready is nil where everything moves, and else says what stands still and why.
func (p *Projector) Ready() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := []error{p.listed}
	for _, f := range p.followers {
		errs = append(errs, f.standing()...)
	}
	return errors.Join(errs...)
}

// Run projects until ctx ends, and then finishes the batch at hand. An error is
// returned only for what a person has to mend.
func (p *Projector) Run(ctx context.Context) error {
	admin, err := kafka.NewAdmin(p.config.Kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	var work sync.WaitGroup
	defer work.Wait()
	defer p.stopAll()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work.Go(func() { p.measureLag(ctx, admin) })

	tick := time.NewTicker(registryEvery)
	defer tick.Stop()
	for started := false; ; {
		err := p.followVersions(ctx, admin, &work)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			started = true
		case !started && (errors.Is(err, ErrNotCreated) || errors.Is(err, errNewerTables)):
			return err
		default:
			p.config.Log.Warn().Err(err).Str("postgres", p.config.where()).Msg("registry of projections cannot be read, trying again")
		}
		p.mu.Lock()
		p.listed = err
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// errNewerTables is a version whose tables this build does not know.
var errNewerTables = errors.New("the tables are of another build")

// followVersions starts a follower for each version that has none, and stops
// those whose version is gone.
func (p *Projector) followVersions(ctx context.Context, admin *kafka.Admin, work *sync.WaitGroup) error {
	versions, err := followed(ctx, p.config.Pool)
	if err != nil {
		return err
	}
	var errs []error
	wanted := map[version]bool{}
	for _, projection := range All {
		if !p.config.wants(projection.Name) {
			continue
		}
		live := false
		for _, v := range versions {
			if v.Name != projection.Name {
				continue
			}
			live = live || v.State == stateLive
			if v.DDL != projection.DDL {
				errs = append(errs, fmt.Errorf("%s: %w: they are of version %d, this build fills %d: rebuild with this build", v, errNewerTables, v.DDL, projection.DDL))
				continue
			}
			v.State = ""
			wanted[v] = true
			p.start(ctx, projection, v, admin, work)
		}
		if !live {
			errs = append(errs, fmt.Errorf("%s: %w", projection.Name, ErrNotCreated))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for v, f := range p.followers {
		if !wanted[v] {
			f.stop()
			delete(p.followers, v)
		}
	}
	return errors.Join(errs...)
}

func (p *Projector) start(ctx context.Context, projection Projection, v version, admin *kafka.Admin, work *sync.WaitGroup) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.followers[v] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	f := newFollower(&p.config, p.metrics, projection, v, admin, cancel)
	p.followers[v] = f
	work.Go(func() { f.run(ctx) })
}

func (p *Projector) stopAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.followers {
		f.stop()
	}
}

// measureLag keeps the lag metric up. It is silent where the brokers do not
// answer: that shows elsewhere.
func (p *Projector) measureLag(ctx context.Context, admin *kafka.Admin) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ends, err := admin.StableOffsets(ctx, schemas.TopicEvents)
		if err != nil {
			continue
		}
		p.mu.Lock()
		for _, f := range p.followers {
			f.reportLag(ends)
		}
		p.mu.Unlock()
	}
}

// pause waits, longer every time it is called, and says whether to go on.
type pause time.Duration

func (w *pause) wait(ctx context.Context) bool {
	*w = pause(min(max(2*time.Duration(*w), retryWaitMin), retryWaitMax))
	timer := time.NewTimer(time.Duration(*w))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
