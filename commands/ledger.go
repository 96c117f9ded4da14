package commands

import (
	"slices"
	"time"

	"atelier/schemas"
)

// balance returns what can be spent and what is held, credits.
func (f *fold) balance() (available, held int64) {
	for i := range f.Blocks {
		available += f.Blocks[i].Credits
	}
	for i := range f.Batches {
		for _, hold := range f.Batches[i].Holds {
			held += hold.Credits
		}
	}
	return available, held
}

// block returns the index of a block, -1 where there is none.
func (f *fold) block(id [16]byte) int {
	for i := range f.Blocks {
		if f.Blocks[i].ID == id {
			return i
		}
	}
	return -1
}

// addToBlock changes what is left of a block and returns it, to be changed
// further; nil where there is none.
func (f *fold) addToBlock(id string, credits int64) *schemas.AccountBlock {
	i := f.block(schemas.ID16(id))
	if i < 0 {
		return nil
	}
	f.Blocks = own(f.Blocks, &f.owns.blocks)
	f.Blocks[i].Credits += credits
	return &f.Blocks[i]
}

// dropSpent removes a block of which nothing is left and nothing is held.
func (f *fold) dropSpent(id string) {
	i := f.block(schemas.ID16(id))
	if i < 0 || f.Blocks[i].Credits > 0 {
		return
	}
	for _, batch := range f.Batches {
		for _, hold := range batch.Holds {
			if hold.BlockID == f.Blocks[i].ID {
				return
			}
		}
	}
	f.Blocks = slices.Delete(own(f.Blocks, &f.owns.blocks), i, i+1)
}

func (f *fold) creditsGranted(e *schemas.CreditsGranted) {
	f.Blocks = append(own(f.Blocks, &f.owns.blocks), schemas.AccountBlock{
		ID: schemas.ID16(e.BlockID), Source: e.Source, Priority: e.Priority, Credits: e.Credits, ExpiresAt: e.ExpiresAt,
	})
	f.WelcomeClaimed = f.WelcomeClaimed || e.Source == SourceWelcome
}

func (f *fold) creditsReserved(e *schemas.CreditsReserved) {
	batch := f.batchByID(e.BatchID)
	batch.PerImage = e.PerImage
	for _, line := range e.Lines {
		f.addToBlock(line.BlockID, -line.Credits)
		batch.Holds = append(batch.Holds, schemas.AccountHold{BlockID: schemas.ID16(line.BlockID), Credits: line.Credits})
	}
}

func (f *fold) creditsCaptured(e *schemas.CreditsCaptured, at time.Time) {
	batch := f.batchByID(e.BatchID)
	for _, line := range e.Lines {
		takeHold(batch, line.BlockID, line.Credits)
	}
	f.dropEnded(e.BatchID)
	for _, line := range e.Lines {
		f.dropSpent(line.BlockID)
	}
	f.spent(at, 0, e.Credits)
}

func (f *fold) creditsReleased(e *schemas.CreditsReleased) {
	batch := f.batchByID(e.BatchID)
	for _, line := range e.Lines {
		takeHold(batch, line.BlockID, line.Credits)
		if block := f.addToBlock(line.BlockID, line.Credits); block != nil {
			block.ExpiresAt = line.ExpiresAt
		}
	}
	f.dropEnded(e.BatchID)
}

func (f *fold) creditsExpired(e *schemas.CreditsExpired) {
	for _, line := range e.Lines {
		f.addToBlock(line.BlockID, -line.Credits)
		f.dropSpent(line.BlockID)
	}
}

// takeHold takes credits out of what a batch holds of a block.
func takeHold(batch *schemas.AccountBatch, blockID string, credits int64) {
	id := schemas.ID16(blockID)
	for i := range batch.Holds {
		if batch.Holds[i].BlockID != id {
			continue
		}
		if batch.Holds[i].Credits -= credits; batch.Holds[i].Credits <= 0 {
			batch.Holds = slices.Delete(batch.Holds, i, i+1)
		}
		return
	}
}

// spent adds to the hour of at what was paid upstream for nothing (millionths of
// a US dollar) and what was captured (credits), and forgets hours that are past.
func (f *fold) spent(at time.Time, unpaidMicros, capturedCredits int64) {
	if unpaidMicros == 0 && capturedCredits == 0 {
		return
	}
	hour := hourOf(at)
	f.Spend = own(f.Spend, &f.owns.spend)
	f.Spend = slices.DeleteFunc(f.Spend, func(s schemas.AccountSpend) bool { return s.Hour <= hour-spendHoursMax })
	if n := len(f.Spend); n == 0 || f.Spend[n-1].Hour < hour {
		f.Spend = append(f.Spend, schemas.AccountSpend{Hour: hour})
	}
	last := &f.Spend[len(f.Spend)-1]
	last.UnpaidMicros += unpaidMicros
	last.CapturedCredits += capturedCredits
}
