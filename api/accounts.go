package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"atelier/internal/vault"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// accountsKnownMax bounds the accounts that are remembered as open (count),
	// some 10 MB. Who is forgotten costs one read.
	accountsKnownMax = 100_000
	// openingTimeout bounds the opening of an account, the sample included. It is
	// detached from the request: others wait for the same.
	openingTimeout = 15 * time.Second
	// openingAgain is how long an opening that was not decided in time is left to
	// the decider before it is asked for again.
	openingAgain = 10 * time.Second
)

// accountState is what a node knows of an account.
type accountState struct {
	// opened and welcomed say that the outcome is known, whichever it was.
	opened, welcomed bool
	// sampled says that the sample brand is there; only asked where there is to be one.
	sampled bool
	// asked is when an undecided opening was produced.
	asked time.Time
}

// accounts remembers which accounts are open, and lets one request open an
// account while others wait. It is safe for concurrent use.
type accounts struct {
	mu      sync.Mutex
	known   map[string]accountState
	opening map[string]*opening
}

// opening is an opening under way; the fields are set when done is closed.
type opening struct {
	done chan struct{}
	at   *projections.Position
	err  error
}

func newAccounts() *accounts {
	return &accounts{known: map[string]accountState{}, opening: map[string]*opening{}}
}

// enter returns what is known, and an opening: one to wait for where lead is
// false, one to do and to leave where it is true.
func (a *accounts) enter(account string) (state accountState, o *opening, lead bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state = a.known[account]
	if o, ok := a.opening[account]; ok {
		return state, o, false
	}
	o = &opening{done: make(chan struct{})}
	a.opening[account] = o
	return state, o, true
}

func (a *accounts) state(account string) accountState {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known[account]
}

func (a *accounts) leave(account string, o *opening, state accountState, at *projections.Position, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.known) >= accountsKnownMax {
		for forgotten := range a.known { // any one
			delete(a.known, forgotten)
			break
		}
	}
	a.known[account] = state
	o.at, o.err = at, err
	delete(a.opening, account)
	close(o.done)
}

// settledFor says whether nothing is left to do for the identity.
func (s *Server) settledFor(a accountState, id Identity) bool {
	return a.opened && (a.welcomed || !id.EmailConfirmed) && (a.sampled || !s.config.Sample)
}

// openAccount opens the account of a person who signs in for the first time, and
// claims the welcome credits once the auth server says that the address is
// confirmed. The commands have IDs derived from the account, so that doing it
// twice does it once. It returns the position that reads of this request should
// wait for, nil where nothing was opened.
func (s *Server) openAccount(ctx context.Context, id Identity, correlation string) (*projections.Position, error) {
	if s.settledFor(s.accounts.state(id.AccountID), id) {
		return nil, nil
	}
	state, o, lead := s.accounts.enter(id.AccountID)
	if lead {
		s.openings.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openingTimeout)
			defer cancel()
			state, at, err := s.welcome(ctx, id, correlation, state)
			s.accounts.leave(id.AccountID, o, state, at, err)
		})
	}
	select {
	case <-o.done:
		return o.at, o.err
	case <-ctx.Done():
		return nil, unavailable("the opening of the account", ctx.Err())
	}
}

// welcome does what is missing of the opening and the claim.
func (s *Server) welcome(ctx context.Context, id Identity, correlation string, state accountState) (accountState, *projections.Position, error) {
	state, err := s.lookUpAccount(ctx, id, state)
	if err != nil || s.settledFor(state, id) || s.now().Sub(state.asked) < openingAgain {
		return state, nil, err
	}
	var last *projections.Position
	if !state.opened {
		email, err := s.config.Vault.Seal(ctx, id.AccountID, []byte(id.Email))
		if err != nil {
			return state, nil, err
		}
		command := &schemas.OpenAccount{CommandMetadata: s.derived(id, correlation, openName), Email: email, EmailConfirmed: id.EmailConfirmed}
		outcome, err := s.settle(ctx, command)
		if err != nil || outcome == nil {
			return s.undecided(state), nil, err
		}
		state.opened, last = true, &outcome.Last
	}
	if id.EmailConfirmed && !state.welcomed {
		at, decided, err := s.claimWelcome(ctx, id, correlation)
		if err != nil {
			return state, last, err
		}
		if !decided {
			return s.undecided(state), last, nil
		}
		state.welcomed = true
		if at != nil {
			last = at
		}
	}
	if s.config.Sample && !state.sampled {
		at, err := s.saveSample(ctx, id, correlation)
		if err != nil || at == nil {
			s.log(correlation).Warn().Err(err).Str("account_id", id.AccountID).Msg("the sample of a new account will be tried again")
			return s.undecided(state), last, nil
		}
		state.sampled, last = true, at
	}
	return state, last, nil
}

func (s *Server) undecided(state accountState) accountState {
	state.asked = s.now()
	return state
}

// The names from which the IDs of the opening's commands are derived.
const (
	openName    = "open"
	welcomeName = "welcome"
)

func (s *Server) derived(id Identity, correlation, name string) schemas.CommandMetadata {
	return schemas.CommandMetadata{
		ID: schemas.DeriveID(id.AccountID, name), AccountID: id.AccountID, OccurredAt: s.now().UTC(),
		CorrelationID: correlation, CausationID: correlation,
		Actor: schemas.Actor{Kind: schemas.ActorUser, ID: id.AccountID, Via: "api"},
	}
}

// claimWelcome claims the credits where the address is free. decided is false
// where the outcome did not come in time.
func (s *Server) claimWelcome(ctx context.Context, id Identity, correlation string) (at *projections.Position, decided bool, err error) {
	hash, free, err := s.config.Vault.ClaimEmail(ctx, id.AccountID, id.Email)
	if errors.Is(err, vault.ErrAddress) || err == nil && !free {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	outcome, err := s.settle(ctx, &schemas.ClaimWelcome{CommandMetadata: s.derived(id, correlation, welcomeName), EmailHash: hash})
	if err != nil || outcome == nil {
		return nil, false, err
	}
	// Refused for another reason than that they were given: asked for again.
	given := outcome.Rejected == nil || outcome.Rejected.Code == schemas.CodeAlreadyClaimed
	return &outcome.Last, given, nil
}

// settle produces a command and waits for its outcome, nil when it takes longer
// than outcomeWait.
func (s *Server) settle(ctx context.Context, command schemas.Command) (*Outcome, error) {
	told, leave := s.config.Feed.Await(command.Meta().ID)
	defer leave()
	if err := s.produce(ctx, command); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, outcomeWait)
	defer cancel()
	select {
	case o := <-told:
		return &o, nil
	case <-ctx.Done():
		return nil, nil
	}
}

// lookUpAccount finds out what was done before this node knew the account. The
// outcomes are kept for 30 days; a block of welcome credits says it for ever.
func (s *Server) lookUpAccount(ctx context.Context, id Identity, state accountState) (accountState, error) {
	err := projections.Read(ctx, s.config.Pool, id.AccountID, func(tx pgx.Tx) error {
		var opened, welcomed, sampled bool
		err := tx.QueryRow(ctx, `SELECT
			EXISTS (SELECT FROM outcomes_api.outcomes WHERE command_id = $1) OR EXISTS (SELECT FROM credits_api.balances),
			EXISTS (SELECT FROM outcomes_api.outcomes WHERE command_id = $2 AND (status = 'done' OR code = $3))
				OR EXISTS (SELECT FROM credits_api.blocks WHERE source = 'welcome'),
			EXISTS (SELECT FROM brands_api.brands WHERE brand_id = $4)`,
			schemas.DeriveID(id.AccountID, openName), schemas.DeriveID(id.AccountID, welcomeName), schemas.CodeAlreadyClaimed,
			schemas.DeriveID(id.AccountID, sampleBrandName)).Scan(&opened, &welcomed, &sampled)
		state.opened, state.welcomed, state.sampled = state.opened || opened, state.welcomed || welcomed, state.sampled || sampled
		return err
	})
	if err != nil {
		return state, fmt.Errorf("look up account: %w", err)
	}
	return state, nil
}
