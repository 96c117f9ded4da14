package commands

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"atelier/schemas"
)

// Decision is the outcome of a command.
type Decision struct {
	// Account is the account after Events; as it was where there are none.
	Account schemas.Account
	// Events are what the command led to, in order and with their metadata: at
	// least one, or none where the command came again.
	Events []schemas.Event
	// Panic is what the code panicked with, empty if it did not. The command is
	// then rejected as internal and should also become a dead letter.
	Panic string
}

// Handle decides a command that stands at a position of the command log, and
// stamps its events. now is the wall clock; an account's time never runs
// backwards. A command below the account's position was decided before: no events.
func Handle(account schemas.Account, c schemas.Command, at schemas.CommandPosition, now time.Time) Decision {
	if decidedBefore(&account, at) {
		return Decision{Account: account}
	}
	now = timeOf(&account, now)
	origin, err := originOf(&account, c)
	if err == nil {
		err = unused(&account, c.Meta())
	}
	var d *deciding
	var panicked string
	if err == nil {
		d, panicked, err = decideSafely(account, c, now)
	}
	if err != nil {
		d = &deciding{fold: fold{Account: account}, now: now}
		d.emit(rejectionOf(err).event(c.SchemaName()))
	}
	if panicked != "" {
		// Nothing was done under it: the command may come again when that is mended.
		origin.key, origin.hash = "", nil
	}
	d.stamp(origin, at)
	return Decision{Account: d.Account, Events: d.events, Panic: panicked}
}

// HandleUnreadable rejects a command whose bytes nobody can read. detail says
// why, at most 500 bytes of it are kept.
func HandleUnreadable(account schemas.Account, accountID, commandID, detail string, at schemas.CommandPosition, now time.Time) Decision {
	if decidedBefore(&account, at) {
		return Decision{Account: account}
	}
	d := &deciding{fold: fold{Account: account}, now: timeOf(&account, now)}
	d.emit(reject(ErrUnreadable, detail).event(""))
	d.stamp(origin{
		accountID: accountID, commandID: commandID, correlationID: commandID,
		actor: schemas.Actor{Kind: schemas.ActorSystem, ID: "decider", Via: "decider"},
	}, at)
	return Decision{Account: d.Account, Events: d.events}
}

// decidedBefore says whether the account has decided the command at a position,
// or a later one. A command topic that was made anew has a higher generation and
// starts from its beginning.
func decidedBefore(account *schemas.Account, at schemas.CommandPosition) bool {
	if decidesAgain {
		return false
	}
	if at.Generation != account.CommandGeneration {
		return at.Generation < account.CommandGeneration
	}
	return at.Offset < account.NextCommandOffset
}

// timeOf returns the time of a decision: UTC, in whole microseconds as the log
// keeps it, and not before the account's last one.
func timeOf(account *schemas.Account, now time.Time) time.Time {
	now = now.UTC().Truncate(time.Microsecond)
	if now.Before(account.LastAt) {
		return account.LastAt
	}
	return now
}

// unused refuses a command whose idempotency key the account remembers.
func unused(account *schemas.Account, m *schemas.CommandMetadata) error {
	if m.IdempotencyKey == "" {
		return nil
	}
	known, ok := keyOf(account, keyHash(m.IdempotencyKey))
	if !ok {
		return nil
	}
	r := reject(ErrDuplicate, "the idempotency key was used for the same request")
	if known.RequestHash != hash16(m.RequestHash) {
		r = reject(ErrIdempotencyConflict, "the idempotency key was used for another request")
	}
	r.FirstCommandID = schemas.IDString(known.CommandID)
	return r
}

// decideSafely turns a panic into the rejection ErrInternal and its text.
func decideSafely(account schemas.Account, c schemas.Command, now time.Time) (d *deciding, panicked string, err error) {
	defer func() {
		if p := recover(); p != nil {
			panicked = cut(fmt.Sprint(p), detailBytesMax)
			err = reject(ErrInternal, "the command could not be decided")
		}
	}()
	d, err = decide(account, c, now)
	return d, "", err
}

func rejectionOf(err error) *Rejection {
	var r *Rejection
	if errors.As(err, &r) {
		return r
	}
	return reject(ErrInternal, "an error without a rule")
}

// origin is what a command's events repeat of it.
type origin struct {
	accountID, commandID, correlationID string
	actor                               schemas.Actor
	key                                 string
	hash                                []byte
}

var actorKinds = []string{schemas.ActorUser, schemas.ActorSystem, schemas.ActorOperator, schemas.ActorPaymentProvider}

// originOf checks the metadata of a command. Where it is out of its bounds the
// origin has what can be kept of it, for the rejection.
func originOf(account *schemas.Account, c schemas.Command) (origin, error) {
	m := c.Meta()
	var b bounds
	b.id("id", m.ID)
	b.id("account_id", m.AccountID)
	b.id("correlation_id", m.CorrelationID)
	b.id("causation_id", m.CausationID)
	b.oneOf("actor.kind", m.Actor.Kind, actorKinds)
	b.text("actor.id", m.Actor.ID, 0, actorIDBytesMax)
	b.text("actor.via", m.Actor.Via, 0, actorViaBytesMax)
	b.idempotency(m)
	if account.AccountID != "" && m.AccountID != account.AccountID {
		b.refuse("account_id is another account's")
	}
	if err := b.err(); err != nil {
		return salvage(account, m), err
	}
	return origin{
		accountID: m.AccountID, commandID: m.ID, correlationID: m.CorrelationID,
		actor: m.Actor, key: m.IdempotencyKey, hash: m.RequestHash,
	}, nil
}

// idempotency checks that a key is printable ASCII and comes with a hash.
func (b *bounds) idempotency(m *schemas.CommandMetadata) {
	if m.IdempotencyKey == "" {
		b.exactly("request_hash without an idempotency_key", m.RequestHash, 0)
		return
	}
	b.text("idempotency_key", m.IdempotencyKey, 1, idempotencyKeyBytesMax)
	for i := range len(m.IdempotencyKey) {
		if c := m.IdempotencyKey[i]; c < ' ' || c > '~' {
			b.refuse("idempotency_key is not printable ASCII")
		}
	}
	b.exactly("request_hash", m.RequestHash, 32)
}

// salvage makes metadata that is out of its bounds fit for an event. The
// idempotency key is not kept: nothing was done under it.
func salvage(account *schemas.Account, m *schemas.CommandMetadata) origin {
	o := origin{accountID: m.AccountID, commandID: m.ID, correlationID: m.CorrelationID, actor: schemas.Actor{
		Kind: cut(m.Actor.Kind, actorViaBytesMax), ID: cut(m.Actor.ID, actorIDBytesMax), Via: cut(m.Actor.Via, actorViaBytesMax),
	}}
	if account.AccountID != "" {
		o.accountID = account.AccountID
	}
	if !isID(o.accountID) {
		o.accountID = schemas.DeriveID("account", o.accountID)
	}
	if !isID(o.commandID) {
		o.commandID = schemas.DeriveID(o.accountID, o.commandID)
	}
	if !isID(o.correlationID) {
		o.correlationID = o.commandID
	}
	return o
}

// stamp gives the events their metadata and folds it into the account.
func (d *deciding) stamp(o origin, at schemas.CommandPosition) {
	for i, event := range d.events {
		name := strconv.Itoa(i)
		if _, rejected := event.(*schemas.CommandRejected); rejected {
			// A command that was sent twice is done once and rejected once: the two
			// outcomes must not share an ID.
			name = fmt.Sprintf("rejected/%d.%d.%d", at.Generation, at.Partition, at.Offset)
		}
		*event.Meta() = schemas.EventMetadata{
			ID: schemas.DeriveID(o.commandID, name), AccountID: o.accountID, OccurredAt: d.now,
			CorrelationID: o.correlationID, CausationID: o.commandID, Actor: o.actor,
			CommandPosition: at, Index: i, Count: len(d.events),
		}
	}
	first := d.events[0]
	first.Meta().IdempotencyKey, first.Meta().RequestHash = o.key, o.hash
	d.decided(first)
}
