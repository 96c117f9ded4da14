package generator

import (
	"sync"

	"atelier/processors/quality"
	"atelier/schemas"
)

// pictures are those that a batch has already, so that none of it is delivered
// twice. A generation claims its picture before the judge is asked and gives it
// back when it is refused: of two that are checked at once and look alike, one
// passes. Claims live in memory, because one owner runs a batch; what has passed
// is read from the log again (partition.apply).
//
// It is safe for concurrent use.
type pictures struct {
	mu sync.Mutex
	// of is bounded by the images of a batch.
	of map[string]shown
}

// shown is a picture with the ratio that it was asked for. Two of different shape
// are two pictures.
type shown struct {
	ratio     string
	signature quality.Signature
}

func newPictures() *pictures { return &pictures{of: map[string]shown{}} }

// claim takes a picture for a generation, unless the batch has one that is nearly
// the same. It returns the batch's other pictures of the same shape.
func (p *pictures) claim(generation, ratio string, s quality.Signature) (others []quality.Signature) {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := true
	for id, other := range p.of {
		if id == generation || other.ratio != ratio {
			continue
		}
		others = append(others, other.signature)
		free = free && !s.Near(other.signature)
	}
	delete(p.of, generation)
	if free {
		p.of[generation] = shown{ratio, s}
	}
	return others
}

// release gives a generation's picture back.
func (p *pictures) release(generation string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.of, generation)
}

// delivered takes up a picture that the log has.
func (p *pictures) delivered(g *schemas.GenerationRequested, attempts []schemas.Attempt) {
	placement, known := schemas.PlacementByID(g.Placement)
	if !known || len(attempts) == 0 {
		return
	}
	for _, v := range attempts[len(attempts)-1].Verdicts {
		if s, ok := quality.SignatureOf(v.Check, v.Figures); ok {
			p.mu.Lock()
			p.of[g.GenerationID] = shown{placement.Ratio, s}
			p.mu.Unlock()
		}
	}
}
