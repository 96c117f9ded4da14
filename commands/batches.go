package commands

import (
	"slices"

	"atelier/schemas"
)

// batchIndex returns the index of a batch with open generations, -1 where there is none.
func (f *fold) batchIndex(id [16]byte) int {
	for i := range f.Batches {
		if f.Batches[i].ID == id {
			return i
		}
	}
	return -1
}

// batchByID returns a batch to be changed, a new one where there is none. It is
// valid until the next change of the batches.
func (f *fold) batchByID(batchID string) *schemas.AccountBatch {
	id := schemas.ID16(batchID)
	i := f.batchIndex(id)
	f.Batches = own(f.Batches, &f.owns.batches)
	if i < 0 {
		i = len(f.Batches)
		f.Batches = append(f.Batches, schemas.AccountBatch{ID: id})
	}
	batch := &f.Batches[i]
	if !f.batch.own || f.batch.id != id {
		batch.Holds, batch.Generations = slices.Clone(batch.Holds), slices.Clone(batch.Generations)
		f.batch.id, f.batch.own = id, true
	}
	return batch
}

// dropEnded removes a batch of which nothing is open and nothing is held.
func (f *fold) dropEnded(batchID string) {
	i := f.batchIndex(schemas.ID16(batchID))
	if i >= 0 && len(f.Batches[i].Generations) == 0 && len(f.Batches[i].Holds) == 0 {
		f.Batches = slices.Delete(own(f.Batches, &f.owns.batches), i, i+1)
	}
}

func (f *fold) generationRequested(e *schemas.GenerationRequested) {
	batch := f.batchByID(e.BatchID)
	batch.Generations = append(batch.Generations, schemas.ID16(e.GenerationID))
}

// generationEnded removes a generation. Its batch stays until its hold is settled.
func (f *fold) generationEnded(batchID, generationID string) {
	batch := f.batchByID(batchID)
	if i := slices.Index(batch.Generations, schemas.ID16(generationID)); i >= 0 {
		batch.Generations = slices.Delete(batch.Generations, i, i+1)
	}
	f.dropEnded(batchID)
}
