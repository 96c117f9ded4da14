package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/singleflight"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/internal/vault"
	"atelier/schemas"
)

const (
	// bodyBytesMax bounds every body but an upload's. The largest, a brief in
	// which each character is escaped, stays below.
	bodyBytesMax = 64 << 10
	// headerBytesMax bounds a request's line and headers together; a token has
	// tokenBytesMax.
	headerBytesMax = 16 << 10
	// connectionsMax bounds the open connections of a node (count).
	connectionsMax = 16_384
	// readTimeout bounds the reading of a request's headers. A body has as long, and
	// longer as it comes; see pacedBody.
	readTimeout = 10 * time.Second
	// writeTimeout bounds the writing of one answer; streams set their own.
	writeTimeout = 60 * time.Second
	// idleTimeout is how long a connection may wait for its next request.
	idleTimeout = 90 * time.Second
	// requestTimeout bounds the work of one request, its waits included; that of an
	// upload begins when the form has come.
	requestTimeout = 20 * time.Second
	// drainTimeout bounds how long requests under way may take at shutdown.
	drainTimeout = 25 * time.Second
	// uploadsAtOnceMax bounds the uploads that are read at a time on a node (count),
	// each of up to 20 MB in memory. exportsAtOnceMax bounds the exports that are made.
	uploadsAtOnceMax = 16
	// uploadsPerAccountMax is how many of them may be one account's (count): who
	// sends slowly must not keep everybody else out.
	uploadsPerAccountMax = 2
	exportsAtOnceMax     = 2
)

// Config is what a Server works with.
type Config struct {
	Codec    *schemas.Codec
	Producer *kafka.Producer
	// Feed must be running, or be about to.
	Feed *Feed
	// Pool is one of the role atelier_api.
	Pool  *pgxpool.Pool
	Vault *vault.Vault
	Media *media.Store
	// Signer makes and checks links to this server's own /media.
	Signer *media.Signer
	// Links makes the links in answers; nil: the Signer.
	Links    Links
	Verifier Verifier
	// Issuer signs people in without a password; nil: /dev/sign-in is not there.
	Issuer *Issuer
	// SignIn is how the screens sign people in without the embedded issuer.
	SignIn SignInMethod
	// Site are the exported screens; nil: there are none.
	Site fs.FS
	// Sample gives a new account a sample brand to try things with.
	Sample bool
	// Partitions is the topics' partition count.
	Partitions int
	Limits     Limits
	// Deadline is the time after which an image that is not ready is failed.
	Deadline time.Duration
	// Brokers says whether the brokers answer; nil: not asked.
	Brokers func(context.Context) error
	// Version is shown by /healthz.
	Version    string
	Log        zerolog.Logger
	Registerer prometheus.Registerer
	// ReadTimeout bounds the reading of a request's headers; 0: 10 s.
	ReadTimeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// What the domain takes as a deadline.
const (
	deadlineLeast = time.Minute
	deadlineMost  = 24 * time.Hour
)

func (c *Config) validate() error {
	switch {
	case c.Codec == nil || c.Producer == nil || c.Feed == nil || c.Pool == nil || c.Vault == nil ||
		c.Media == nil || c.Signer == nil || c.Verifier == nil:
		return errors.New("api: codec, producer, feed, pool, vault, media, signer and verifier must be given")
	case c.Partitions < 1:
		return fmt.Errorf("api: %d partitions", c.Partitions)
	case c.Deadline < deadlineLeast || c.Deadline > deadlineMost:
		return fmt.Errorf("api: deadline %s, may be %s to %s", c.Deadline, deadlineLeast, deadlineMost)
	case c.ReadTimeout < 0:
		return fmt.Errorf("api: read timeout %s", c.ReadTimeout)
	}
	if c.ReadTimeout == 0 {
		c.ReadTimeout = readTimeout
	}
	if c.Links == nil {
		c.Links = c.Signer
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c.Limits.Validate()
}

// Server serves the HTTP API: it implements ServerInterface. It is safe for
// concurrent use.
type Server struct {
	config   Config
	now      func() time.Time
	contract *contract
	docs     []byte
	site     site
	kit      []byte
	app      *fiber.App
	streams  *StreamHandler
	accounts *accounts
	openings sync.WaitGroup
	closing  context.Context // ends openings
	close    context.CancelFunc
	waits    *positionWaits
	rates    rates
	uploads  *places
	exports  chan struct{} // one token for each export or preview that is made
	zips     *places
	making   singleflight.Group
	parts    readiness
	metrics  serverMetrics
}

// New makes a server; Run serves.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	contract, err := loadContract()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config: c, now: c.Now, contract: contract, accounts: newAccounts(), rates: newRates(c.Limits, c.Now),
		uploads: newPlaces(uploadsAtOnceMax, uploadsPerAccountMax), zips: newPlaces(zipsAtOnceMax, zipsPerAccountMax),
		exports: make(chan struct{}, exportsAtOnceMax),
	}
	s.closing, s.close = context.WithCancel(context.Background())
	if s.kit, err = contract.kitSchema(); err != nil {
		return nil, err
	}
	if s.docs, err = contract.page(); err != nil {
		return nil, err
	}
	var elsewhere []string
	if c.SignIn.URL != "" {
		elsewhere = append(elsewhere, c.SignIn.URL)
	}
	if s.site, err = newSite(c.Site, c.Links.Origin(), elsewhere...); err != nil {
		return nil, err
	}
	s.streams, err = NewStreamHandler(StreamConfig{Feed: c.Feed, PerAccountMax: c.Limits.Streams, Log: c.Log, Registerer: c.Registerer})
	if err != nil {
		return nil, err
	}
	if err := s.metrics.register(c.Registerer); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	s.waits = newPositionWaits(s.positions)
	s.app = s.routes()
	return s, nil
}

func (s *Server) routes() *fiber.App {
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		StrictRouting:         true,
		CaseSensitive:         true,
		// Texts of a request outlive it: in goroutines, streams and records.
		Immutable: true,
		// Bodies are read by their handlers, after the token was checked. The limit is
		// of what the server reads before it asks them, at most 8 KB: with more than a
		// byte, who sends slowly would be answered late. See readBody.
		StreamRequestBody: true, DisablePreParseMultipartForm: true, BodyLimit: 1,
		ReadBufferSize: headerBytesMax, Concurrency: connectionsMax,
		ReadTimeout: s.config.ReadTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorHandler: s.problem,
	})
	app.Server().Handler = knownMethods(app.Server().Handler)
	app.Use(s.correlate, s.observe, s.bounded, refuseEncoded)
	app.Use("/v1", s.authenticate)
	app.Use(s.screens)
	if s.site["/"] == nil {
		app.Get("/", func(c *fiber.Ctx) error { return c.Redirect("/docs", fiber.StatusFound) })
	}
	RegisterHandlersWithOptions(app, s, FiberServerOptions{HandlerMiddlewares: []HandlerMiddlewareFunc{s.contract.checkParameters}})
	return app
}

// knownMethods passes a method that Fiber does not know on as TRACE, which no route
// has: Fiber would answer it by itself, in plain text and past the middleware. So
// it is 404 or 405 with Allow like any other, and names no metric of its own.
func knownMethods(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		if !slices.Contains(fiber.DefaultMethods, string(c.Method())) {
			c.Request.Header.SetMethod(fiber.MethodTrace)
		}
		next(c)
	}
}

// bounded gives the request a time.
func (s *Server) bounded(c *fiber.Ctx) error {
	defer bound(c)()
	return c.Next()
}

// bound gives what a request does from now on requestTimeout; call what it returns
// at the end.
func bound(c *fiber.Ctx) context.CancelFunc {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	c.SetUserContext(ctx)
	return cancel
}

// Run serves on the listener until ctx ends, then ends the streams, lets requests
// under way finish (25 s at most) and returns. It closes the listener. Openings of
// accounts end with it: what they asked for is decided all the same.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() { ended <- s.app.Listener(listener) }()
	defer s.waits.close()
	defer func() {
		s.close()
		s.openings.Wait()
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("api: serve %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.streams.Close()
	err := s.app.ShutdownWithTimeout(drainTimeout)
	return errors.Join(err, <-ended)
}

// serverMetrics are what an operator sees of the requests.
type serverMetrics struct {
	requests, waited     *prometheus.HistogramVec
	commands, rejections *prometheus.CounterVec
}

func (m *serverMetrics) register(to prometheus.Registerer) error {
	m.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "atelier_api_request_seconds", Help: "Time of a request, by route and status.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 15), // 1 ms to 16 s
	}, []string{"method", "route", "status"})
	m.waited = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "atelier_api_outcome_wait_seconds", Help: "Time from an acknowledged command to its outcome, or to giving up.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 13), // 1 ms to 4 s
	}, []string{"result"})
	m.commands = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atelier_api_commands_total", Help: "Commands that the log has acknowledged.",
	}, []string{"command"})
	m.rejections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "atelier_api_rejections_total", Help: "Rejections that clients were told, by code.",
	}, []string{"code"})
	if to == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.waited, m.commands, m.rejections} {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	return nil
}
