package check

import (
	"time"

	"atelier/internal/media"
	"atelier/schemas"
)

// books are the ledger and the generations of all accounts, added up event by
// event from what the events themselves say.
type books struct {
	accounts    map[string]*account
	generations map[string]*generation
	prices      map[string]int64 // credits an image, by batch
	// c3 and c4 gather while events are added.
	c3, c4 Invariant
}

// account is the ledger of one account, credits.
type account struct {
	// blocks is what can be spent, holds what is held of each block by batch.
	blocks map[string]int64
	holds  map[string]map[string]int64
	// granted = what is in blocks and holds + captured + expired.
	granted, captured, expired int64
}

func (a *account) sums() (available, held int64) {
	for _, credits := range a.blocks {
		available += credits
	}
	for _, batch := range a.holds {
		for _, credits := range batch {
			held += credits
		}
	}
	return available, held
}

// generation is one image and what was paid for it.
type generation struct {
	account, batch     string
	requested          bool
	ends               int
	status             string // succeeded, failed or canceled; empty: open
	captures, releases int
	captured, released int64 // credits
	media              *schemas.GenerationSucceeded
	// binned is since when it lies in the bin; zero: it does not.
	binned time.Time
}

func newBooks() *books {
	return &books{accounts: map[string]*account{}, generations: map[string]*generation{}, prices: map[string]int64{}}
}

func (b *books) account(id string) *account {
	a := b.accounts[id]
	if a == nil {
		a = &account{blocks: map[string]int64{}, holds: map[string]map[string]int64{}}
		b.accounts[id] = a
	}
	return a
}

func (b *books) generation(id, account, batch string) *generation {
	g := b.generations[id]
	if g == nil {
		g = &generation{account: account, batch: batch}
		b.generations[id] = g
	}
	return g
}

// event adds one event.
func (b *books) event(at place, event schemas.Event) {
	id := event.Meta().AccountID
	a := b.account(id)
	switch e := event.(type) {
	case *schemas.CreditsGranted:
		a.granted += e.Credits
		a.blocks[e.BlockID] += e.Credits
		b.balanced(at, a, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsReserved:
		b.summed(at, e, e.Credits, sum(e.Lines))
		for _, line := range e.Lines {
			a.take(line.BlockID, line.Credits)
			a.hold(e.BatchID, line.BlockID, line.Credits)
		}
		b.balanced(at, a, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsCaptured:
		b.captured(at, a, e)
	case *schemas.CreditsReleased:
		b.released(at, a, e)
	case *schemas.CreditsExpired:
		b.summed(at, e, e.Credits, sum(e.Lines))
		a.expired += e.Credits
		for _, line := range e.Lines {
			a.take(line.BlockID, line.Credits)
		}
		b.balanced(at, a, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.BatchRequested:
		b.prices[e.BatchID] = e.PerImage
	case *schemas.GenerationRequested:
		b.generation(e.GenerationID, id, e.BatchID).requested = true
	case *schemas.GenerationSucceeded:
		g := b.generation(e.GenerationID, id, e.BatchID)
		g.media = e
		g.ended("succeeded")
	case *schemas.ImageDeleted:
		if g := b.generations[e.GenerationID]; g != nil {
			g.binned = e.OccurredAt
		}
	case *schemas.ImageRestored:
		// What comes too late brings nothing back.
		if g := b.generations[e.GenerationID]; g != nil && e.OccurredAt.Sub(g.binned) < media.InBin {
			g.binned = time.Time{}
		}
	case *schemas.GenerationFailed:
		b.generation(e.GenerationID, id, e.BatchID).ended("failed")
	case *schemas.GenerationCanceled:
		b.generation(e.GenerationID, id, e.BatchID).ended("canceled")
	}
}

func (b *books) captured(at place, a *account, e *schemas.CreditsCaptured) {
	b.summed(at, e, e.Credits, sum(e.Lines))
	a.captured += e.Credits
	for _, line := range e.Lines {
		a.hold(e.BatchID, line.BlockID, -line.Credits)
	}
	g := b.generation(e.GenerationID, e.AccountID, e.BatchID)
	g.captures++
	g.captured += e.Credits
	b.balanced(at, a, e, e.AvailableAfter, e.HeldAfter)
}

func (b *books) released(at place, a *account, e *schemas.CreditsReleased) {
	var lines int64
	for _, line := range e.Lines {
		lines += line.Credits
		a.hold(e.BatchID, line.BlockID, -line.Credits)
		a.blocks[line.BlockID] += line.Credits
	}
	b.summed(at, e, e.Credits, lines)
	g := b.generation(e.GenerationID, e.AccountID, e.BatchID)
	g.releases++
	g.released += e.Credits
	b.balanced(at, a, e, e.AvailableAfter, e.HeldAfter)
}

// take takes credits out of a block, and forgets one that is used up.
func (a *account) take(block string, credits int64) {
	if a.blocks[block] -= credits; a.blocks[block] == 0 {
		delete(a.blocks, block)
	}
}

// hold changes what a batch holds of a block, and forgets what is nothing.
func (a *account) hold(batch, block string, credits int64) {
	if a.holds[batch] == nil {
		a.holds[batch] = map[string]int64{}
	}
	if a.holds[batch][block] += credits; a.holds[batch][block] == 0 {
		delete(a.holds[batch], block)
	}
	if len(a.holds[batch]) == 0 {
		delete(a.holds, batch)
	}
}

func (g *generation) ended(status string) {
	g.ends++
	g.status = status
}

func sum(lines []schemas.BlockCredits) (credits int64) {
	for _, line := range lines {
		credits += line.Credits
	}
	return credits
}

// summed: an event moves what its lines move.
func (b *books) summed(at place, e schemas.Event, credits, lines int64) {
	b.c3.holds(credits == lines, "%s at %s moves %d credits, its lines %d", schemas.ShortName(e), at, credits, lines)
}

// balanced: what an event says is left is what was added up here, nothing of it
// came from nowhere, and none of it is below zero.
func (b *books) balanced(at place, a *account, e schemas.Event, available, held int64) {
	haveAvailable, haveHeld := a.sums()
	b.c3.holds(available == haveAvailable && held == haveHeld, "after %s at %s: %d available and %d held, added up %d and %d",
		schemas.ShortName(e), at, available, held, haveAvailable, haveHeld)
	b.c3.holds(a.granted == haveAvailable+haveHeld+a.captured+a.expired, "after %s at %s: %d granted, and %d available, %d held, %d captured, %d expired",
		schemas.ShortName(e), at, a.granted, haveAvailable, haveHeld, a.captured, a.expired)
	b.c4.holds(available >= 0 && held >= 0 && !a.overdrawn(), "after %s at %s: %d available, %d held, or a block or hold below zero",
		schemas.ShortName(e), at, available, held)
}

// overdrawn says whether anything of the account is below zero.
func (a *account) overdrawn() bool {
	below := func(credits map[string]int64) bool {
		for _, c := range credits {
			if c < 0 {
				return true
			}
		}
		return false
	}
	for _, batch := range a.holds {
		if below(batch) {
			return true
		}
	}
	return below(a.blocks)
}

// judge counts what breaks C3 to C6; whether a picture is there, checkMedia sees.
func (b *books) judge(r *Report) {
	for into, from := range map[*Invariant]Invariant{&r.C3: b.c3, &r.C4: b.c4} {
		into.Checked, into.Broken, into.Examples = from.Checked, from.Broken, from.Examples
	}
	for id, g := range b.generations {
		r.C5.holds(g.requested && g.ends == 1, "generation %s of batch %s ended %d times (%s)", id, g.batch, g.ends, g.status)
		price := b.prices[g.batch]
		paid, given := g.captures == 1 && g.captured == price, g.releases == 1 && g.released == price
		switch {
		case g.status == "succeeded":
			r.C6.holds(paid && g.releases == 0, "generation %s succeeded: %d captures of %d credits (price %d), %d releases",
				id, g.captures, g.captured, price, g.releases)
		case g.ends > 0:
			r.C6.holds(given && g.captures == 0, "generation %s %s: %d releases of %d credits (price %d), %d captures",
				id, g.status, g.releases, g.released, price, g.captures)
		default:
			r.C6.holds(g.captures == 0 && g.releases == 0, "generation %s is open: %d captures, %d releases", id, g.captures, g.releases)
		}
	}
	for id, a := range b.accounts {
		for batch, holds := range a.holds {
			r.C6.holds(b.open(batch), "account %s: batch %s has ended and holds %v", id, batch, holds)
		}
	}
}

// open says whether any generation of a batch has not ended.
func (b *books) open(batch string) bool {
	for _, g := range b.generations {
		if g.batch == batch && g.ends == 0 {
			return true
		}
	}
	return false
}
