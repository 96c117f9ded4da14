package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/internal/postgres"
	"atelier/internal/vault"
	"atelier/processors/decider"
	"atelier/processors/gemini"
	"atelier/processors/generator"
	"atelier/processors/janitor"
	"atelier/projections"
	"atelier/schemas"
)

// role is a part of the system that runs until its context ends.
type role struct {
	name string
	// ready is nil where the role does its work, and else says why not.
	ready func() error
	run   func(context.Context) error
}

// parts is what the roles of a process stand on. Each is opened at its first
// use and closed with the others.
type parts struct {
	config   *Config
	log      zerolog.Logger
	operator *operator
	codec    *schemas.Codec
	groups   map[string]string // topic by consumer group
	closers  []func()
}

func (c *Config) openParts(ctx context.Context) (*parts, error) {
	codec, err := c.codec(ctx)
	if err != nil {
		return nil, err
	}
	return &parts{config: c, log: c.logger(), operator: newOperator(), codec: codec, groups: map[string]string{}}, nil
}

// close closes in the opposite order of opening.
func (p *parts) close() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
}

func (p *parts) closeLater(f func()) { p.closers = append(p.closers, f) }

func (p *parts) producer(role string) (*kafka.Producer, error) {
	producer, err := kafka.NewProducer(p.config.kafka(role, p.log))
	if err != nil {
		return nil, err
	}
	p.closeLater(producer.Close)
	return producer, nil
}

// pool waits for Postgres and opens it with the rights of a database role.
// connectionsMax bounds the pool; 0 is the usual number.
func (p *parts) pool(ctx context.Context, dbRole string, connectionsMax int32) (*pgxpool.Pool, error) {
	if p.config.DatabaseURL == "" {
		return nil, errNoDatabase
	}
	c := postgres.Config{URL: p.config.DatabaseURL, Role: dbRole, MaxConns: connectionsMax}
	if err := postgres.WaitReady(ctx, postgres.Config{URL: c.URL}, patience, p.log); err != nil {
		return nil, err
	}
	pool, err := postgres.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("%w; run `atelier migrate up` if the role is missing", err)
	}
	p.closeLater(pool.Close)
	return pool, nil
}

func (p *parts) vault(ctx context.Context) (*vault.Vault, error) {
	key, err := p.secret(p.config.MasterKey, "ATELIER_MASTER_KEY", masterKeyFile)
	if err != nil {
		return nil, err
	}
	pool, err := p.pool(ctx, "atelier_vault", 0)
	if err != nil {
		return nil, err
	}
	v := vault.Open(pool, key)
	if err := v.Check(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// secret returns a key from the configuration, or the one that `up` keeps in the
// data directory; without one a role cannot run.
func (p *parts) secret(text, variable, file string) ([]byte, error) {
	key, err := decodeKey(text)
	path := filepath.Join(p.config.Data, file)
	if _, missing := os.Stat(path); key == nil && err == nil && missing == nil {
		return vault.LoadMasterKey(path)
	}
	if err != nil || key == nil {
		return nil, fmt.Errorf("%w: %s is not set; it is 32 bytes in base64, the same for all roles (`openssl rand -base64 32` makes one)", errUsage, variable)
	}
	return key, nil
}

func (p *parts) media(ctx context.Context) (*media.Store, error) {
	if p.config.MediaURL == "" {
		return nil, errNoMedia
	}
	store, err := p.openMedia(ctx)
	if err != nil {
		return nil, err
	}
	p.closeLater(func() { _ = store.Close() })
	return store, nil
}

// openMedia waits for a bucket to answer. What is wrong with a directory, or with what
// a server can do, stays so.
func (p *parts) openMedia(ctx context.Context) (store *media.Store, err error) {
	if !strings.HasPrefix(p.config.MediaURL, "s3:") {
		return media.Open(ctx, p.config.MediaURL)
	}
	var refused error
	err = await(ctx, p.log, "media store", p.config.MediaURL, func(ctx context.Context) (err error) {
		if store, err = media.Open(ctx, p.config.MediaURL); errors.Is(err, media.ErrUnconditional) {
			refused, err = err, nil
		}
		return err
	})
	return store, cmp.Or(refused, err)
}

func (p *parts) decider() (role, error) {
	d, err := decider.New(decider.Config{
		Kafka: p.config.kafka("decider", p.log), Codec: p.codec, Instance: p.config.instance(),
		TopicGeneration: p.config.TopicGeneration, Log: p.log.With().Str("role", "decide").Logger(), Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	p.lag(decider.Group, schemas.TopicCommands)
	return role{"decide", orElse(d.Ready, "owns no partition, or reads the accounts of one"), d.Run}, nil
}

func (p *parts) generator(ctx context.Context, v *vault.Vault, store *media.Store) (role, error) {
	producer, err := p.producer("generator")
	if err != nil {
		return role{}, err
	}
	if p.config.GeminiAPIKey == "" && p.config.VertexProject == "" {
		return role{}, fmt.Errorf("%w: GEMINI_API_KEY is not set; it is the key of the Gemini API", errUsage)
	}
	log := p.log.With().Str("role", "generate").Logger()
	client, err := gemini.New(ctx, p.config.gemini(log, p.operator.registry))
	if err != nil {
		return role{}, err
	}
	g, err := generator.New(generator.Config{
		Kafka: p.config.kafka("generator", p.log), Codec: p.codec, Producer: producer, Gemini: client, Media: store, Open: v.Open,
		Slots: p.config.Slots, SlotsPerAccount: p.config.AccountSlots, CallTimeout: p.config.CallTimeout,
		Models: generator.ModelsByTier(p.config.ModelStandard, p.config.ModelPro), JudgeModel: p.config.ModelJudge, Log: log, Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	p.lag(generator.Group, schemas.TopicEvents)
	return role{"generate", orElse(g.Ready, "owns no partition, or reads the open batches of one, or halts"), g.Run}, nil
}

// janitor erases what lay in the bin for too long. It runs beside the generator: both
// stand on the events and the media store alone.
func (p *parts) janitor(store *media.Store) (role, error) {
	j, err := janitor.New(janitor.Config{
		Kafka: p.config.kafka("janitor", p.log), Codec: p.codec, Media: store,
		Log: p.log.With().Str("role", "janitor").Logger(), Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	return role{"janitor", orElse(j.Ready, "owns no partition, or reads one, or stands before an event"), j.Run}, nil
}

func (p *parts) projector(ctx context.Context, v *vault.Vault) (role, error) {
	pool, err := p.pool(ctx, "atelier_projector", 0)
	if err != nil {
		return role{}, err
	}
	projector, err := projections.New(projections.Config{
		Kafka: p.config.kafka("projector", p.log), Pool: pool, Codec: p.codec, Open: v.Open, TopicGeneration: p.config.TopicGeneration,
		Log: p.log.With().Str("role", "project").Logger(), Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	return role{"project", projector.Ready, projector.Run}, nil
}

// lag notes a group whose lag is to be shown.
func (p *parts) lag(group, topic string) { p.groups[group] = topic }

// showLag shows the lag of the process's groups; projectors show their own.
func (p *parts) showLag() error {
	if len(p.groups) == 0 {
		return nil
	}
	admin, err := kafka.NewAdmin(p.config.kafka("operator", p.log))
	if err != nil {
		return err
	}
	p.closeLater(admin.Close)
	return p.operator.registry.Register(kafka.NewLagCollector(admin, p.groups))
}

// operatorDrain bounds what may still run after the roles were told to stop.
const operatorDrain = 30 * time.Second

// runRoles runs the roles and the operator's listener until ctx ends or one of
// them fails; then it stops the others and waits for them.
func (p *parts) runRoles(ctx context.Context, operatorListener net.Listener, roles ...role) error {
	if err := p.showLag(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range roles {
		p.operator.add(r.name, r.ready)
		group.Go(func() error {
			if err := r.run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			return nil
		})
	}
	group.Go(func() error { return p.operator.serve(ctx, operatorListener) })
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	p.log.Info().Dur("within", operatorDrain).Msg("draining")
	select {
	case err := <-ended:
		return err
	case <-time.After(operatorDrain):
		err := errors.New("not everything stopped in time; what was acknowledged is in the log")
		if why := context.Cause(ctx); !errors.Is(why, context.Canceled) {
			err = fmt.Errorf("%w (%w)", why, err)
		}
		return err
	}
}

type decideCmd struct{}

// Run decides until ctx ends.
func (decideCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	return c.runAlone(ctx, out, func(p *parts) ([]role, error) {
		decide, err := p.decider()
		return []role{decide}, err
	})
}

type generateCmd struct{}

// Run makes images, and erases those that nobody wants any more, until ctx ends.
func (generateCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	return c.runAlone(ctx, out, func(p *parts) ([]role, error) {
		v, err := p.vault(ctx)
		if err != nil {
			return nil, err
		}
		store, err := p.media(ctx)
		if err != nil {
			return nil, err
		}
		generate, err := p.generator(ctx, v, store)
		if err != nil {
			return nil, err
		}
		clean, err := p.janitor(store)
		return []role{generate, clean}, err
	})
}

type projectCmd struct{}

// Run builds the read models until ctx ends.
func (projectCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	return c.runAlone(ctx, out, func(p *parts) ([]role, error) {
		v, err := p.vault(ctx)
		if err != nil {
			return nil, err
		}
		project, err := p.projector(ctx, v)
		return []role{project}, err
	})
}

// runAlone runs the roles of one subcommand with an operator's listener of their own.
// The first has its name.
func (c *Config) runAlone(ctx context.Context, out io.Writer, open func(*parts) ([]role, error)) error {
	listener, err := listen(c.OperatorListen, "ATELIER_OPERATOR_LISTEN")
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := c.checkTopics(ctx); err != nil {
		return err
	}
	p, err := c.openParts(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	roles, err := open(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-10s running, operator http://%s/metrics\n", roles[0].name, listener.Addr())
	return p.runRoles(ctx, listener, roles...)
}
