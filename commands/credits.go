package commands

import (
	"cmp"
	"slices"
	"time"

	"atelier/schemas"
)

// What a block of credits can come from.
const (
	SourceWelcome  = "welcome"
	SourcePlan     = "plan"
	SourceOperator = "operator"
	SourcePurchase = "purchase"
)

const (
	// WelcomeCredits and WelcomeFor are what a person with a confirmed e-mail is
	// given once: five standard images in two weeks.
	WelcomeCredits = 10
	WelcomeFor     = 14 * 24 * time.Hour
	// welcomePriority: spent before everything that somebody paid for.
	welcomePriority = 0

	// grantCreditsMax bounds one grant, credits.
	grantCreditsMax = 1_000_000
	priorityMax     = 100
	// grantForMax bounds the life of a block: longer is meant to be never, and a
	// year of five digits is no JSON time.
	grantForMax = 100 * 365 * 24 * time.Hour

	// releaseGrace is what is left to a block whose time was over when a hold on
	// it was released: nobody loses credits because our image failed late.
	releaseGrace = 7 * 24 * time.Hour

	// unpaidMicrosFree and unpaidMicrosPerCredit bound what an account may cost
	// upstream in a day without paying (millionths of a US dollar): half a dollar,
	// or 30 % of what it captured, at US$0.09 a credit. Impossible briefs and late
	// cancels must not be free calls.
	unpaidMicrosFree      = 500_000
	unpaidMicrosPerCredit = 90_000 * 30 / 100
)

var sources = []string{SourceWelcome, SourcePlan, SourceOperator, SourcePurchase}

func (d *deciding) claimWelcome(c *schemas.ClaimWelcome) error {
	var b bounds
	b.exactly("email_hash", c.EmailHash, 32)
	if err := b.err(); err != nil {
		return err
	}
	if d.WelcomeClaimed {
		return reject(ErrAlreadyClaimed, "the welcome credits were given")
	}
	expiresAt := d.now.Add(WelcomeFor)
	return d.grant(&schemas.CreditsGranted{
		BlockID: schemas.DeriveID(c.ID, "block"), Credits: WelcomeCredits, Source: SourceWelcome,
		Priority: welcomePriority, ExpiresAt: &expiresAt, Reason: "welcome",
	})
}

func (d *deciding) grantCredits(c *schemas.GrantCredits) error {
	var b bounds
	b.id("block_id", c.BlockID)
	b.between("credits", c.Credits, 1, grantCreditsMax)
	b.oneOf("source", c.Source, sources)
	b.between("priority", int64(c.Priority), 0, priorityMax)
	b.text("reason", c.Reason, 0, reasonBytesMax)
	expiresAt := micros(c.ExpiresAt)
	if expiresAt != nil && (!expiresAt.After(d.now) || expiresAt.After(d.now.Add(grantForMax))) {
		b.refuse("expires_at is not in the next 100 years")
	}
	if err := b.err(); err != nil {
		return err
	}
	if d.block(schemas.ID16(c.BlockID)) >= 0 {
		return reject(ErrDuplicate, "a block with this block_id exists")
	}
	return d.grant(&schemas.CreditsGranted{
		BlockID: c.BlockID, Credits: c.Credits, Source: c.Source, Priority: c.Priority, ExpiresAt: expiresAt, Reason: c.Reason,
	})
}

func (d *deciding) grant(granted *schemas.CreditsGranted) error {
	if len(d.Blocks) >= BlocksMax {
		return reject(ErrLimitReached, "the account has as many credit blocks as it may").with("limit", BlocksMax)
	}
	d.emit(granted)
	granted.AvailableAfter, granted.HeldAfter = d.balance()
	return nil
}

func (d *deciding) expireCredits(c *schemas.ExpireCredits) error {
	var b bounds
	b.id("block_id", c.BlockID)
	if err := b.err(); err != nil {
		return err
	}
	i := d.block(schemas.ID16(c.BlockID))
	if i < 0 || d.Blocks[i].Credits == 0 || !isOver(&d.Blocks[i], d.now) {
		return reject(ErrAlreadyFinished, "nothing of the block is due")
	}
	d.expire([]schemas.BlockCredits{{BlockID: c.BlockID, Credits: d.Blocks[i].Credits}})
	return nil
}

func (d *deciding) expire(lines []schemas.BlockCredits) {
	expired := &schemas.CreditsExpired{Lines: lines}
	for _, line := range lines {
		expired.Credits += line.Credits
	}
	d.emit(expired)
	expired.AvailableAfter, expired.HeldAfter = d.balance()
}

// reserve holds credits of the blocks for a batch, in burn order. There must be enough.
func (d *deciding) reserve(batchID string, perImage, credits int64) {
	reserved := &schemas.CreditsReserved{
		BatchID: batchID, Credits: credits, PerImage: perImage, PriceList: schemas.PriceListVersion,
	}
	for _, i := range burnOrder(d.Blocks) {
		if credits == 0 {
			break
		}
		if part := min(credits, d.Blocks[i].Credits); part > 0 {
			reserved.Lines = append(reserved.Lines, schemas.BlockCredits{BlockID: schemas.IDString(d.Blocks[i].ID), Credits: part})
			credits -= part
		}
	}
	d.emit(reserved)
	reserved.AvailableAfter, reserved.HeldAfter = d.balance()
}

// burnOrder returns the indices of blocks in the order in which they are spent:
// by priority, then the soonest expiry (those without one last), then the oldest.
func burnOrder(blocks []schemas.AccountBlock) []int {
	order := make([]int, len(blocks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &blocks[i], &blocks[j]
		if a.Priority != b.Priority {
			return cmp.Compare(a.Priority, b.Priority)
		}
		switch {
		case a.ExpiresAt == nil && b.ExpiresAt == nil:
			return 0
		case a.ExpiresAt == nil:
			return 1
		case b.ExpiresAt == nil:
			return -1
		}
		return a.ExpiresAt.Compare(*b.ExpiresAt)
	})
	return order
}

// capture pays for one image from the front of its batch's holds. The batch is
// as it was before the image ended.
func (d *deciding) capture(batch *schemas.AccountBatch, batchID, generationID string) {
	captured := &schemas.CreditsCaptured{GenerationID: generationID, BatchID: batchID, Credits: batch.PerImage}
	credits := batch.PerImage
	for _, hold := range batch.Holds {
		if credits == 0 {
			break
		}
		part := min(credits, hold.Credits)
		captured.Lines = append(captured.Lines, schemas.BlockCredits{BlockID: schemas.IDString(hold.BlockID), Credits: part})
		credits -= part
	}
	d.emit(captured)
	captured.AvailableAfter, captured.HeldAfter = d.balance()
}

// release gives back the credits of one image, from the back of its batch's
// holds. What a block that is over still has expires first: only what was held
// of it gets the grace.
func (d *deciding) release(batch *schemas.AccountBatch, batchID, generationID string) {
	released := &schemas.CreditsReleased{GenerationID: generationID, BatchID: batchID, Credits: batch.PerImage}
	var over []schemas.BlockCredits
	credits := batch.PerImage
	for i := len(batch.Holds) - 1; i >= 0 && credits > 0; i-- {
		hold := batch.Holds[i]
		part := min(credits, hold.Credits)
		credits -= part
		block := &d.Blocks[d.block(hold.BlockID)]
		line := schemas.ReleasedCredits{BlockID: schemas.IDString(hold.BlockID), Credits: part, ExpiresAt: block.ExpiresAt}
		if isOver(block, d.now) {
			grace := d.now.Add(releaseGrace)
			line.ExpiresAt = &grace
			if block.Credits > 0 {
				over = append(over, schemas.BlockCredits{BlockID: line.BlockID, Credits: block.Credits})
			}
		}
		released.Lines = append(released.Lines, line)
	}
	if len(over) > 0 {
		d.expire(over)
	}
	d.emit(released)
	released.AvailableAfter, released.HeldAfter = d.balance()
}

// allowed refuses an account that costs more upstream than it pays for.
func (d *deciding) allowed() error {
	var unpaid, captured int64
	for _, s := range d.Spend {
		if s.Hour > hourOf(d.now)-spendHoursMax {
			unpaid += s.UnpaidMicros
			captured += s.CapturedCredits
		}
	}
	if unpaid > max(unpaidMicrosFree, captured*unpaidMicrosPerCredit) {
		return reject(ErrAllowanceExhausted, "too many images of the last 24 hours were made and not paid for")
	}
	return nil
}

// isOver says whether the time of a block is over. What is left of it can be
// spent until CreditsExpired says otherwise.
func isOver(block *schemas.AccountBlock, now time.Time) bool {
	return block.ExpiresAt != nil && !now.Before(*block.ExpiresAt)
}

// micros returns a time as the log keeps it: UTC, whole microseconds.
func micros(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	t := at.UTC().Truncate(time.Microsecond)
	return &t
}

func hourOf(at time.Time) int64 { return at.Unix() / 3600 }
