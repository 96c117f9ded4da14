package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"atelier/api"
	"atelier/internal/embedded"
	"atelier/internal/postgres"
	"atelier/internal/vault"
	"atelier/processors/gemini/standin"
	"atelier/projections"
	"atelier/schemas"
)

// readyPoll is how often `up` looks whether all parts are there, before it says so.
const readyPoll = 20 * time.Millisecond

// The keys that `up` makes and keeps in the data directory.
const (
	masterKeyFile = "master.key"
	mediaKeyFile  = "media.key"
)

type upCmd struct{}

// house is what `up` brings along, closed in the opposite order of its opening.
type house struct {
	*Config
	out     io.Writer
	log     zerolog.Logger
	closers []func()
	issuer  *api.Issuer
	// registryURL is where others find the registry; this process has its ids.
	registryURL string
	// postgres is the private server; nil where one is given.
	postgres *embedded.Postgres
	// broker is the embedded one; nil where others are given. When it can no longer
	// write, end ends everything.
	broker *embedded.Broker
	end    context.CancelFunc
	// ready is closed when every part is there.
	ready chan struct{}
}

func newHouse(c *Config, out io.Writer) *house {
	return &house{Config: c, out: out, log: c.logger(), ready: make(chan struct{})}
}

// Run brings everything up, says where it is, and runs it until ctx ends.
func (upCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	return newHouse(c, out).run(ctx)
}

func (h *house) run(ctx context.Context) error {
	began := time.Now()
	defer h.close()
	ctx, h.end = context.WithCancel(ctx)
	defer h.end()
	err := h.up(ctx, began)
	if h.broker != nil && h.broker.Err() != nil {
		return fmt.Errorf("broker: %w; see that %s can be written, or make room there, and start again: everything that was acknowledged is kept", h.broker.Err(), h.Data)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // interrupted while it started
	}
	return err
}

func (h *house) up(ctx context.Context, began time.Time) error {
	// The addresses first: whoever has them, nothing else needs to start.
	public, err := h.listen(h.Listen, "ATELIER_LISTEN")
	if err != nil {
		return err
	}
	operatorListener, err := h.listen(h.OperatorListen, "ATELIER_OPERATOR_LISTEN")
	if err != nil {
		return err
	}
	if h.PublicURL == "" {
		h.PublicURL = "http://" + public.Addr().String()
	}
	if err := h.openDataDir(); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{
		h.startPostgres, h.startBroker, h.startRegistry, h.startModel, h.startIssuer, h.prepare,
	} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	if err := h.writeOperatorFile(); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	p, err := h.openParts(ctx)
	if err != nil {
		return err
	}
	h.closeLater(p.close)
	roles, err := h.roles(ctx, p, public)
	if err != nil {
		return err
	}
	go h.sayWhenReady(ctx, p.operator, operatorListener.Addr(), began, len(roles))
	return p.runRoles(ctx, operatorListener, roles...)
}

func (h *house) closeLater(f func()) { h.closers = append(h.closers, f) }

func (h *house) close() {
	for i := len(h.closers) - 1; i >= 0; i-- {
		h.closers[i]()
	}
}

// say prints the line of one part.
func (h *house) say(part, format string, args ...any) {
	fmt.Fprintf(h.out, "%-10s %s\n", part, fmt.Sprintf(format, args...))
}

func (h *house) listen(address, setting string) (net.Listener, error) {
	listener, err := listen(address, setting)
	if err == nil {
		h.closeLater(func() { _ = listener.Close() })
	}
	return listener, err
}

// openDataDir takes the data directory for this process alone, and its keys.
func (h *house) openDataDir() error {
	dir, err := filepath.Abs(h.Data)
	if err != nil {
		return err
	}
	h.Data = dir
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("data directory: %w (ATELIER_DATA is another one)", err)
	}
	unlock, err := embedded.LockDataDir(dir)
	if err != nil {
		return err
	}
	h.closeLater(func() { _ = unlock() })
	if h.MediaURL == "" {
		h.MediaURL = filepath.Join(dir, "media")
	}
	for file, key := range map[string]*string{masterKeyFile: &h.MasterKey, mediaKeyFile: &h.MediaKey} {
		if *key != "" {
			continue
		}
		made, err := vault.LoadMasterKey(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		*key = base64.StdEncoding.EncodeToString(made)
	}
	return nil
}

func (h *house) startPostgres(ctx context.Context) error {
	if h.DatabaseURL != "" {
		h.say("postgres", "given by DATABASE_URL")
		return nil
	}
	server, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: filepath.Join(h.Data, "postgres")}, h.log)
	if err != nil {
		return err
	}
	h.closeLater(func() {
		if err := server.Close(context.Background()); err != nil {
			h.log.Error().Err(err).Msg("postgres did not stop in order")
		}
	})
	h.DatabaseURL, h.postgres = server.URL(), server
	h.say("postgres", "private server, data in %s", filepath.Join(h.Data, "postgres"))
	return nil
}

func (h *house) startBroker(ctx context.Context) error {
	if len(h.Brokers) > 0 {
		h.say("broker", "given by ATELIER_BROKERS: %v", h.Brokers)
		return nil
	}
	broker, err := embedded.StartBroker(ctx, embedded.BrokerConfig{
		DataDir: filepath.Join(h.Data, "broker"), Listen: h.BrokerListen, Partitions: int32(h.Partitions),
	}, h.log)
	if err != nil {
		return err
	}
	h.closeLater(broker.Close)
	go func() {
		select {
		case <-ctx.Done():
		case <-broker.Done():
			h.end()
		}
	}()
	h.Brokers, h.Replication, h.broker = broker.Addrs(), 1, broker
	h.say("broker", "kafka://%s  (read with isolation.level=read_committed)", h.Brokers[0])
	return nil
}

func (h *house) startRegistry(ctx context.Context) error {
	if h.RegistryURL != "" {
		h.registryURL = h.RegistryURL
		h.say("registry", "given by ATELIER_REGISTRY_URL")
		return nil
	}
	var subjects []embedded.SeedSubject
	for _, r := range schemas.Lock() {
		subjects = append(subjects, embedded.SeedSubject{Subject: r.Subject, Version: r.Version, ID: r.ID, Schema: string(r.Schema)})
	}
	registry, err := embedded.StartRegistry(ctx, h.RegistryListen, subjects, h.log)
	if err != nil {
		return err
	}
	h.closeLater(func() { _ = registry.Close() })
	h.registryURL = registry.URL()
	h.say("registry", "%s  (read-only)", registry.URL())
	return nil
}

// startModel brings the stand-in where no key of the real model is set.
func (h *house) startModel(context.Context) error {
	if h.GeminiAPIKey != "" || h.VertexProject != "" {
		h.say("model", "Gemini")
		return nil
	}
	listener, err := h.listen("127.0.0.1:0", "stand-in")
	if err != nil {
		return err
	}
	h.GeminiAPIKey = schemas.NewID()
	h.GeminiBaseURL = "http://" + listener.Addr().String()
	server := &http.Server{Handler: standin.New(standin.Options{Key: h.GeminiAPIKey}), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	h.closeLater(func() {
		_ = server.Close()
		<-served
	})
	h.say("model", "stand-in (GEMINI_API_KEY is not set)")
	return nil
}

// startIssuer brings sign-in where no issuer is configured. It believes every
// address that it is given, so it is for this machine alone.
func (h *house) startIssuer(context.Context) (err error) {
	if h.JWTIssuer != "" {
		h.say("sign-in", "%s", h.JWTIssuer)
		return nil
	}
	if err := api.RefuseListener(h.Listen); err != nil {
		return fmt.Errorf("%w: ATELIER_LISTEN is %s and no ATELIER_JWT_ISSUER is set: %w", errUsage, h.Listen, err)
	}
	h.issuer, err = api.NewIssuer(api.IssuerConfig{
		KeyFile: filepath.Join(h.Data, "issuer.pem"), Issuer: h.PublicURL + "/dev", Audience: h.JWTAudience,
	})
	h.say("sign-in", "local issuer (any address, this machine only)")
	return err
}

// prepare sets up what the roles stand on; all of it is idempotent.
func (h *house) prepare(ctx context.Context) error {
	if err := h.migrate(ctx); err != nil {
		return err
	}
	if err := h.renew(ctx); err != nil {
		return err
	}
	admin, err := h.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	_, err = admin.ApplyTopics(ctx, h.Partitions, h.Replication)
	return err
}

// renew makes the read models of the private server fit this build. Nobody else
// reads them, and the log has all that they had.
func (h *house) renew(ctx context.Context) error {
	if h.postgres == nil {
		return nil
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: h.DatabaseURL})
	if err != nil {
		return err
	}
	defer pool.Close()
	renewed, err := projections.Renew(ctx, pool)
	for _, name := range renewed {
		h.say(name, "of an older build: is filled again from the events")
	}
	return err
}

// roles are all of them, on the same parts.
func (h *house) roles(ctx context.Context, p *parts, public net.Listener) ([]role, error) {
	v, err := p.vault(ctx)
	if err != nil {
		return nil, err
	}
	store, err := p.media(ctx)
	if err != nil {
		return nil, err
	}
	decide, err := p.decider()
	if err != nil {
		return nil, err
	}
	project, err := p.projector(ctx, v)
	if err != nil {
		return nil, err
	}
	generate, err := p.generator(ctx, v, store)
	if err != nil {
		return nil, err
	}
	clean, err := p.janitor(store)
	if err != nil {
		return nil, err
	}
	serve, err := p.api(ctx, v, store, h.issuer, h.issuer != nil, public)
	if err != nil {
		return nil, err
	}
	roles := []role{decide, project, generate, clean, serve}
	if h.postgres != nil {
		roles = append(roles, role{"postgres", func() error { return nil }, h.watchPostgres})
	}
	return roles, nil
}

// watchPostgres ends with an error when the private server does: the other roles
// would try to reach it for ever.
func (h *house) watchPostgres(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-h.postgres.Done():
		return errors.New("the private server has ended; start again, everything that was acknowledged is kept")
	}
}

// operatorFile is where operator commands find the addresses of the parts that
// `up` runs: `set -a; . DIR/operator.env`. It holds the database's password.
const operatorFile = "operator.env"

func (h *house) writeOperatorFile() error {
	text := fmt.Sprintf("ATELIER_DATA='%s'\nATELIER_BROKERS='%s'\nATELIER_REGISTRY_URL='%s'\nATELIER_REPLICATION=%d\nATELIER_PARTITIONS=%d\nATELIER_MEDIA_URL='%s'\nDATABASE_URL='%s'\n",
		h.Data, strings.Join(h.Brokers, ","), h.registryURL, h.Replication, h.Partitions, h.MediaURL, h.DatabaseURL)
	path := filepath.Join(h.Data, operatorFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h.closeLater(func() { _ = os.Remove(path) })
	return os.WriteFile(path, []byte(text), 0o600)
}

// sayWhenReady prints the address once every part is there.
func (h *house) sayWhenReady(ctx context.Context, o *operator, operatorAddress net.Addr, began time.Time, roles int) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if parts, all := o.readiness(); all && len(parts) == roles {
			h.say("operator", "http://%s/metrics", operatorAddress)
			h.say("ready", "%s  (after %.1f s; Ctrl-C stops it, everything is kept)", h.PublicURL, time.Since(began).Seconds())
			close(h.ready)
			return
		}
	}
}
