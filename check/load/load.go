// Package load is a crowd of clients that behaves as people do, and notes what it
// was told: it signs in, saves brands, requests images, cancels, reads at the
// positions of its commands, and follows streams through disconnections. What it
// notes is what package check judges the system by.
package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"atelier/check"
)

// The bounds of a load.
const (
	UsersMax    = 2_000
	RateMax     = 2_000 // calls a second
	DurationMax = 6 * time.Hour
	CallsMax    = 5_000_000
)

const (
	// callTimeout bounds one call. The API answers a command within 2 s, and gives up what
	// it cannot do after 20.
	callTimeout = 25 * time.Second
	// beginTimeout bounds the begin of all users together.
	beginTimeout = 5 * time.Minute
	// endTimeout is the default for Config.End.
	endTimeout = 2 * time.Minute
)

// Mix weighs what the users do. The zero Mix is the default one.
type Mix struct {
	Save    int // brands saved, new ones and new versions
	Request int // batches requested
	Cancel  int // images and batches canceled
	Read    int // batches, brands and balances read
	Repeat  int // the last command sent again under its idempotency key
	Refuse  int // commands that have to be refused
}

var usual = Mix{Save: 15, Request: 35, Cancel: 12, Read: 23, Repeat: 10, Refuse: 5}

// Config says how large a load is and whom it is for.
type Config struct {
	// Address returns the API's base URL, which may change while it runs (a process
	// that is started again). It has to be of this machine.
	Address func() string
	// SignIn returns an access token for an e-mail address; nil: by the embedded
	// issuer of the address.
	SignIn func(ctx context.Context, email string) (token string, err error)
	// Grant gives an account credits, once it is open; nil: it has what it was given
	// as a welcome.
	Grant func(ctx context.Context, account string) error
	// Rest waits until the system is at rest, after the last call; nil: what the API
	// shows is taken for that. A command that was not answered may still be decided
	// then, and its user knows nothing of it.
	Rest func(ctx context.Context) error
	// Placements are those that images are asked for in; nil: four of usual sizes.
	Placements []string
	// Users act side by side; together they make Rate calls a second.
	Users int
	Rate  float64
	// It ends after Duration or after Calls calls, whichever comes first; 0 calls: no
	// count.
	Duration time.Duration
	Calls    int64
	// End bounds the wait for what was asked for to end, after the last call; 2
	// minutes where it is 0.
	End time.Duration
	Mix Mix
	// Seed makes the choices; the same seed makes the same ones, in an order that
	// depends on the answers.
	Seed    uint64
	History *check.History
}

func (c *Config) validate() error {
	switch {
	case c.Address == nil || c.History == nil:
		return errors.New("load: an address and a history are needed")
	case c.Users < 1 || c.Users > UsersMax:
		return fmt.Errorf("load: %d users; it may be 1 to %d", c.Users, UsersMax)
	case c.Rate <= 0 || c.Rate > RateMax:
		return fmt.Errorf("load: %g calls a second; it may be above 0, at most %d", c.Rate, RateMax)
	case c.Duration <= 0 || c.Duration > DurationMax:
		return fmt.Errorf("load: a duration of %s; it may be above 0, at most %s", c.Duration, DurationMax)
	case c.Calls < 0 || c.Calls > CallsMax:
		return fmt.Errorf("load: %d calls; it may be 0 to %d", c.Calls, CallsMax)
	case c.Mix.Save < 0 || c.Mix.Request < 0 || c.Mix.Cancel < 0 || c.Mix.Read < 0 || c.Mix.Repeat < 0 || c.Mix.Refuse < 0:
		return errors.New("load: a weight of the mix is below 0")
	}
	if c.Calls == 0 {
		c.Calls = CallsMax
	}
	if c.Mix == (Mix{}) {
		c.Mix = usual
	}
	if c.End == 0 {
		c.End = endTimeout
	}
	return loopback(c.Address())
}

// ErrNotHere is an address that is not this machine's: a load is for a system of
// one's own.
var ErrNotHere = errors.New("load: the address is not of this machine (127.0.0.1)")

func loopback(address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Host == "" {
		return fmt.Errorf("load: %q is no address; it may be http://127.0.0.1:8080", address)
	}
	if !IsHere(u.Hostname()) {
		return ErrNotHere
	}
	return nil
}

// IsHere says whether a host is this machine's loopback.
func IsHere(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Load is one run. Its methods are safe for concurrent use.
type Load struct {
	config Config
	http   *http.Client
	calls  atomic.Int64
	users  []*user
	begun  chan struct{} // closed when every user is signed in
	ended  chan struct{} // closed by Stop
	stop   sync.Once
}

// New makes a load; Run starts it.
func New(c Config) (*Load, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if len(c.Placements) == 0 {
		c.Placements = placementsUsual
	}
	l := &Load{config: c, begun: make(chan struct{}), ended: make(chan struct{}), http: &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: c.Users, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
			DialContext: (&net.Dialer{Timeout: callTimeout}).DialContext,
		},
		// A redirect leads to a signed address, which is not what is asked for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for n := range c.Users {
		l.users = append(l.users, newUser(l, n, rand.New(rand.NewPCG(c.Seed, uint64(n)))))
	}
	return l, nil
}

// Calls is how many calls were made so far.
func (l *Load) Calls() int64 { return l.calls.Load() }

// Begun is closed when every user is signed in and has what it needs.
func (l *Load) Begun() <-chan struct{} { return l.begun }

// Stop ends the calls before their time. What was asked for is still waited for.
func (l *Load) Stop() { l.stop.Do(func() { close(l.ended) }) }

// Run makes the calls, then waits until what was asked for has ended and the
// streams have told of it, and notes how each stream ended. The error is of a user
// that could not begin, of Rest, or ctx's; what else goes wrong is in the history.
func (l *Load) Run(ctx context.Context) error {
	defer l.http.CloseIdleConnections()
	following, stop := context.WithCancel(ctx)
	var streams sync.WaitGroup
	defer streams.Wait()
	defer stop()
	if err := l.begin(ctx); err != nil {
		return err
	}
	close(l.begun)
	for _, u := range l.users {
		streams.Go(func() { u.follow(following) })
	}
	l.act(ctx)
	ending, cancel := context.WithTimeout(ctx, l.config.End)
	defer cancel()
	var unrest error
	if l.config.Rest != nil {
		unrest = l.config.Rest(ending)
	}
	var last sync.WaitGroup
	for _, u := range l.users {
		last.Go(func() { u.catchUp(ending) })
	}
	last.Wait()
	return errors.Join(ctx.Err(), unrest, l.config.History.Err())
}

// begin signs every user in, a few at a time, up to the first that cannot.
func (l *Load) begin(ctx context.Context) error {
	const atOnce = 8
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, u := range l.users {
		group.Go(func() error {
			if err := u.begin(ctx); err != nil {
				return fmt.Errorf("load: user %d cannot begin: %w", u.number, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// act lets the users act until the time or the count is over.
func (l *Load) act(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.config.Duration)
	defer cancel()
	go func() {
		select {
		case <-l.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	pause := time.Duration(float64(l.config.Users) / l.config.Rate * float64(time.Second))
	var acting sync.WaitGroup
	for _, u := range l.users {
		acting.Go(func() {
			// Between half and one and a half of the pause, so that they do not march.
			for wait(ctx, pause/2+time.Duration(u.random.Int64N(int64(pause)+1))) && l.calls.Load() < l.config.Calls {
				u.act(ctx)
			}
		})
	}
	acting.Wait()
}

// wait says whether ctx goes on after a pause.
func wait(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
