// Package commands is the domain: what each command leads to, and what each
// event means for the account that it concerns. It is pure: no clock, no
// randomness, no input or output, no logging. The same account, command and time
// always give the same events.
package commands

import (
	"crypto/sha256"
	"time"

	"atelier/schemas"
)

// FoldVersion is the version of Evolve, kept in every snapshot. It rises when the
// same events give another account: snapshots of the old fold are then refilled.
const FoldVersion = 1

// The hard bounds of an account (counts). They keep its snapshot below 128 KiB
// encoded, whatever is sent: one that outgrew a Kafka record would stop its
// partition for ever. Limits that an operator sets lie below them.
const (
	// OpenMax bounds the open generations.
	OpenMax = 500
	// BlocksMax bounds the credit blocks, with those that only a hold keeps.
	BlocksMax = 100
	// BrandsMax bounds the brands, archived ones too.
	BrandsMax = 100
	// AssetsMax bounds the assets.
	AssetsMax = 1_000

	// keysMax bounds the idempotency keys that an account remembers; older ones
	// are found in the outcomes read model.
	keysMax = 64
	// spendHoursMax bounds the hours of spend: 24 that are over and the running one.
	spendHoursMax = 25
)

// Evolve returns the account after event. Events are facts: Evolve has no rules
// and cannot fail, also for events that Decide would no longer produce. It
// changes nothing of what it was given. The zero Account is the initial state.
func Evolve(account schemas.Account, event schemas.Event) schemas.Account {
	f := fold{Account: account}
	f.happened(event, event.Meta().OccurredAt)
	f.decided(event)
	return f.Account
}

// fold is an account that events are being applied to. It copies a slice before
// it changes it for the first time, so that the account it began with stays as
// it was and a command with many events copies once.
type fold struct {
	schemas.Account
	owns struct{ blocks, batches, brands, assets, keys, spend bool }
	// batch is the batch whose holds and generations are the fold's own.
	batch struct {
		id  [16]byte
		own bool
	}
}

// happened applies what event says, and says whether it is an event that the
// fold knows. at is the time of the event.
func (f *fold) happened(event schemas.Event, at time.Time) bool {
	switch e := event.(type) {
	case *schemas.AccountOpened:
		f.Opened = true
	case *schemas.CreditsGranted:
		f.creditsGranted(e)
	case *schemas.CreditsReserved:
		f.creditsReserved(e)
	case *schemas.CreditsCaptured:
		f.creditsCaptured(e, at)
	case *schemas.CreditsReleased:
		f.creditsReleased(e)
	case *schemas.CreditsExpired:
		f.creditsExpired(e)
	case *schemas.BrandSaved:
		f.brandSaved(e)
	case *schemas.BrandArchived:
		f.brandPutAway(e.BrandID, true)
	case *schemas.BrandRestored:
		f.brandPutAway(e.BrandID, false)
	case *schemas.AssetAdded:
		f.assetAdded(e)
	case *schemas.AssetRemoved:
		f.assetRemoved(e)
	case *schemas.BatchRequested:
		f.batchByID(e.BatchID).Deadline = e.Deadline
	case *schemas.GenerationRequested:
		f.generationRequested(e)
	case *schemas.GenerationSucceeded:
		f.generationEnded(e.BatchID, e.GenerationID)
	case *schemas.GenerationFailed:
		f.generationEnded(e.BatchID, e.GenerationID)
		if e.Fault == faultUser || e.Reason == reasonRejected {
			f.spent(at, e.CostMicros, 0)
		}
	case *schemas.GenerationCanceled:
		f.generationEnded(e.BatchID, e.GenerationID)
	case *schemas.SpendRecorded:
		if e.Reason == reasonCanceled {
			f.spent(at, e.CostMicros, 0)
		}
	case *schemas.CommandRejected, *schemas.ImageRated, *schemas.ImageComposed, *schemas.ImagesExported,
		*schemas.ImageDeleted, *schemas.ImageRestored:
		// They change nothing but the position, which every event carries: the account
		// does not know finished images.
	default:
		return false
	}
	return true
}

// decided applies what every event says about its command: where it stood, when
// it was decided, and which idempotency key it used.
func (f *fold) decided(event schemas.Event) {
	m := event.Meta()
	f.FoldVersion = FoldVersion
	f.AccountID = m.AccountID
	f.CommandGeneration = m.CommandPosition.Generation
	f.NextCommandOffset = m.CommandPosition.Offset + 1
	f.LastAt = m.OccurredAt
	if m.IdempotencyKey != "" && !namesFirst(event) {
		f.remember(keyHash(m.IdempotencyKey), m)
	}
	if e, ok := event.(*schemas.SpendRecorded); ok {
		f.remember(spendKey(e.GenerationID), m)
	}
}

// namesFirst says whether event only points at the command that used its key.
func namesFirst(event schemas.Event) bool {
	r, ok := event.(*schemas.CommandRejected)
	return ok && r.FirstCommandID != ""
}

func (f *fold) remember(key [16]byte, m *schemas.EventMetadata) {
	if _, known := keyOf(&f.Account, key); known {
		return // the first command keeps it
	}
	f.Keys = own(f.Keys, &f.owns.keys)
	if excess := len(f.Keys) + 1 - keysMax; excess > 0 {
		f.Keys = f.Keys[:copy(f.Keys, f.Keys[excess:])]
	}
	f.Keys = append(f.Keys, schemas.AccountKey{
		Key: key, RequestHash: hash16(m.RequestHash), CommandID: schemas.ID16(m.CausationID),
	})
}

// keyOf returns what the account remembers of a key.
func keyOf(account *schemas.Account, key [16]byte) (schemas.AccountKey, bool) {
	for i := range account.Keys {
		if account.Keys[i].Key == key {
			return account.Keys[i], true
		}
	}
	return schemas.AccountKey{}, false
}

// keyHash is what an account keeps of an idempotency key.
func keyHash(key string) [16]byte {
	sum := sha256.Sum256([]byte(key))
	return [16]byte(sum[:16])
}

// spendKey stands for what a canceled or lost generation cost: the generator tells it
// again where it does not know that it was told. No client's key begins with a zero.
func spendKey(generationID string) [16]byte { return keyHash("\x00spend/" + generationID) }

// hash16 returns the first 16 bytes of a hash, zeros behind a shorter one.
func hash16(hash []byte) (first [16]byte) {
	copy(first[:], hash)
	return first
}

// own returns s if it is the fold's own, else a copy with room for one more.
func own[T any](s []T, owned *bool) []T {
	if *owned {
		return s
	}
	*owned = true
	return append(make([]T, 0, len(s)+1), s...)
}
