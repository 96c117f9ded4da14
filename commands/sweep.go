package commands

import (
	"strconv"
	"time"

	"atelier/schemas"
)

// duePerCallMax bounds what Due returns (count): the rest is due again when these
// are decided, and one account cannot fill a sweep.
const duePerCallMax = 100

// sweepName is what the sweep calls itself as an actor.
const sweepName = "sweep"

// Due returns what time alone has brought about: commands that fail generations
// past their deadline and take credits past their expiry, at most duePerCallMax.
// Their IDs follow from their subject, so that one sent twice is the same command.
func Due(account schemas.Account, now time.Time) []schemas.Command {
	now = timeOf(&account, now)
	var due []schemas.Command
	for i := range account.Batches {
		batch := &account.Batches[i]
		if now.Before(batch.Deadline) {
			continue
		}
		batchID := schemas.IDString(batch.ID)
		for _, id := range batch.Generations {
			if len(due) == duePerCallMax {
				return due
			}
			generationID := schemas.IDString(id)
			due = append(due, &schemas.ExpireGeneration{
				CommandMetadata: sweepMetadata(&account, schemas.DeriveID(generationID, "expire"), batchID, now),
				GenerationID:    generationID, BatchID: batchID,
			})
		}
	}
	for i := range account.Blocks {
		block := &account.Blocks[i]
		if block.Credits == 0 || !isOver(block, now) {
			continue
		}
		if len(due) == duePerCallMax {
			return due
		}
		blockID := schemas.IDString(block.ID)
		// A block that got a grace expires again, by another command.
		id := schemas.DeriveID(blockID, "expire/"+strconv.FormatInt(block.ExpiresAt.UnixMicro(), 10))
		due = append(due, &schemas.ExpireCredits{
			CommandMetadata: sweepMetadata(&account, id, blockID, now), BlockID: blockID,
		})
	}
	return due
}

// NextDue returns when Due first has something, and false where time brings
// nothing about.
func NextDue(account schemas.Account) (time.Time, bool) {
	var next time.Time
	var any bool
	sooner := func(at time.Time) {
		if !any || at.Before(next) {
			next, any = at, true
		}
	}
	for i := range account.Batches {
		sooner(account.Batches[i].Deadline)
	}
	for i := range account.Blocks {
		if block := &account.Blocks[i]; block.Credits > 0 && block.ExpiresAt != nil {
			sooner(*block.ExpiresAt)
		}
	}
	return next, any
}

func sweepMetadata(account *schemas.Account, id, subject string, now time.Time) schemas.CommandMetadata {
	return schemas.CommandMetadata{
		ID: id, AccountID: account.AccountID, OccurredAt: now, CorrelationID: subject, CausationID: subject,
		Actor: schemas.Actor{Kind: schemas.ActorSystem, ID: sweepName, Via: sweepName},
	}
}
