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
	// openingTimeout bounds the opening of an account, the sample included. It goes on
	// where its requests do not wait for it; one that fails is tried again by the next.
	openingTimeout = time.Minute
	// openingAgain is how long what is missing of an account that is open is left alone
	// after a try.
	openingAgain = 10 * time.Second
	// openingsAtOnceMax bounds the openings under way on a node (count).
	openingsAtOnceMax = 4096
	// openingPoll is the pause between two looks at the outcomes read model: the feed
	// tells nearly always, and an opening may wait long.
	openingPoll = 2 * time.Second
)

// accountState is what a node knows of an account.
type accountState struct {
	// opened and welcomed say that the outcome is known, whichever it was.
	opened, welcomed bool
	// sampled says that the sample brand is there; only asked where there is to be one.
	sampled bool
	// again is when what is missing of an open account is tried again.
	again time.Time
}

// accounts remembers which accounts are open, and lets one request open an
// account while others wait. It is safe for concurrent use.
type accounts struct {
	mu      sync.Mutex
	known   map[string]accountState
	opening map[string]*opening
}

// opening is an opening under way.
type opening struct {
	// asked is closed when OpenAccount and the claim stand in the log: what is asked for
	// after them is decided after them.
	asked chan struct{}
	// done is closed when the rest is set.
	done chan struct{}
	at   *projections.Position
	err  error
}

func newAccounts() *accounts {
	return &accounts{known: map[string]accountState{}, opening: map[string]*opening{}}
}

// enter returns what is known, and an opening: one to wait for where lead is
// false, one to do and to leave where it is true; nil where there are too many.
func (a *accounts) enter(account string) (state accountState, o *opening, lead bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	state = a.known[account]
	if o, ok := a.opening[account]; ok {
		return state, o, false
	}
	if len(a.opening) >= openingsAtOnceMax {
		return state, nil, false
	}
	o = &opening{asked: make(chan struct{}), done: make(chan struct{})}
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
// wait for, nil where nothing was opened, or not yet: what takes longer than
// outcomeWait to decide goes on without the request, and the stream tells of it.
func (s *Server) openAccount(ctx context.Context, id Identity, correlation string) (*projections.Position, error) {
	if state := s.accounts.state(id.AccountID); s.settledFor(state, id) || state.opened && s.now().Before(state.again) {
		return nil, nil
	}
	state, o, lead := s.accounts.enter(id.AccountID)
	if o == nil {
		return nil, unavailable("the opening of accounts", nil)
	}
	if lead {
		s.openings.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), openingTimeout)
			defer cancel()
			defer context.AfterFunc(s.closing, cancel)()
			state, at, err := s.welcome(ctx, id, correlation, state, sync.OnceFunc(func() { close(o.asked) }))
			if err != nil || !s.settledFor(state, id) {
				s.log(correlation).Warn().Err(err).Str("account_id", id.AccountID).Bool("opened", state.opened).Bool("welcomed", state.welcomed).
					Msg("the opening of an account is not finished; a later request goes on with it")
				state.again = s.now().Add(openingAgain)
			}
			if state.opened {
				err = nil // what else is missing holds nobody up
			}
			s.accounts.leave(id.AccountID, o, state, at, err)
		})
	}
	asked, undecided := o.asked, (<-chan time.Time)(nil)
	for {
		select {
		case <-o.done:
			return o.at, o.err
		case <-ctx.Done():
			return nil, unavailable("the opening of the account", ctx.Err())
		case <-asked:
			asked, undecided = nil, time.After(outcomeWait)
		case <-undecided:
			return nil, nil
		}
	}
}

// welcome does what is missing of the opening, the claim and the sample. It calls asked
// as soon as the first two stand in the log. The position is that of the last event, nil
// where there is none.
func (s *Server) welcome(ctx context.Context, id Identity, correlation string, state accountState, asked func()) (_ accountState, last *projections.Position, err error) {
	state, err = s.lookUpAccount(ctx, id, state)
	if err != nil || s.settledFor(state, id) {
		return state, nil, err
	}
	var open, claim *question
	if !state.opened {
		email, err := s.config.Vault.Seal(ctx, id.AccountID, []byte(id.Email))
		if err != nil {
			return state, nil, err
		}
		command := &schemas.OpenAccount{CommandMetadata: s.derived(id, correlation, openName), Email: email, EmailConfirmed: id.EmailConfirmed}
		if open, err = s.ask(ctx, command); err != nil {
			return state, nil, err
		}
		defer open.leave()
	}
	var notClaimed error
	if id.EmailConfirmed && !state.welcomed {
		if claim, notClaimed = s.claimWelcome(ctx, id, correlation); claim != nil {
			defer claim.leave()
		}
	}
	asked()
	if open != nil {
		if _, last, err = s.answer(ctx, open); err != nil || last == nil {
			return state, nil, err
		}
		state.opened = true
	}
	switch {
	case notClaimed != nil:
		return state, last, notClaimed
	case claim == nil:
		state.welcomed = state.welcomed || id.EmailConfirmed // the address is somebody's
	default:
		outcome, at, err := s.answer(ctx, claim)
		if err != nil || at == nil {
			return state, last, err
		}
		// Refused for another reason than that they were given: asked for again.
		state.welcomed, last = outcome.rejected == nil || outcome.rejected.code == schemas.CodeAlreadyClaimed, at
	}
	if s.config.Sample && !state.sampled {
		at, err := s.saveSample(ctx, id, correlation)
		if err != nil || at == nil {
			return state, last, err
		}
		state.sampled, last = true, at
	}
	return state, last, nil
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

// claimWelcome asks for the credits where the address is free; nil where it is not.
func (s *Server) claimWelcome(ctx context.Context, id Identity, correlation string) (*question, error) {
	hash, free, err := s.config.Vault.ClaimEmail(ctx, id.AccountID, id.Email)
	if errors.Is(err, vault.ErrAddress) || err == nil && !free {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.ask(ctx, &schemas.ClaimWelcome{CommandMetadata: s.derived(id, correlation, welcomeName), EmailHash: hash})
}

// question is a command of an opening that stands in the log.
type question struct {
	account, id string
	told        <-chan Outcome
	leave       func()
}

// ask produces a command. Whoever asked leaves in the end.
func (s *Server) ask(ctx context.Context, command schemas.Command) (*question, error) {
	m := command.Meta()
	told, leave := s.config.Feed.Await(m.ID)
	if err := s.produce(ctx, command); err != nil {
		leave()
		return nil, err
	}
	return &question{m.AccountID, m.ID, told, leave}, nil
}

// answer waits for the outcome. It returns that and the position of its last event, nil
// when ctx ends before.
func (s *Server) answer(ctx context.Context, q *question) (*settled, *projections.Position, error) {
	outcome, err := s.await(ctx, q.account, q.id, q.told, openingPoll)
	if err != nil || outcome == nil {
		return nil, nil, err
	}
	last, err := projections.ParsePosition(outcome.last)
	return outcome, &last, err
}

// settle asks and waits for the answer.
func (s *Server) settle(ctx context.Context, command schemas.Command) (*projections.Position, error) {
	q, err := s.ask(ctx, command)
	if err != nil {
		return nil, err
	}
	defer q.leave()
	_, at, err := s.answer(ctx, q)
	return at, err
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
