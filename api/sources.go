package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

// source is the image that a batch starts from, with what was asked for it.
type source struct {
	generationRow
	brief  []byte
	assets []uuid.UUID // that its brief named
}

const sourcePointer = "/params/" + schemas.ParamSource

// takeSource reads the image that the request starts from, takes from it what the
// request leaves out, and applies the rules about it.
func (r *batchRequest) takeSource(ctx context.Context, tx pgx.Tx) (*source, error) {
	image, err := generationByID(ctx, tx, uuidOf(r.params[schemas.ParamSource]))
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.code == codeNotFound:
		return nil, missing(codeNotFound, sourcePointer, "is no image of this account")
	case err != nil:
		return nil, err
	case !image.succeeded():
		return nil, refuseField(sourcePointer, "has no image: it is "+image.status)
	case image.deleted != nil:
		return nil, refuseField(sourcePointer, "is in the bin; restore it first")
	case image.brand == nil || r.BrandID != nil && r.brand != *image.brand:
		return nil, refuseField("/brand_id", "is not the brand of the source; leave it out")
	}
	r.brand = *image.brand
	if r.Campaign == nil {
		r.campaign = image.campaign
	}
	if broken := r.misplaced(image.placement); len(broken) > 0 {
		return nil, refuseFields(broken)
	}
	s := &source{generationRow: image}
	err = tx.QueryRow(ctx, `SELECT brief, reference_asset_ids FROM galleries_api.batches WHERE batch_id = $1`, image.batch).Scan(&s.brief, &s.assets)
	if err != nil {
		return nil, fmt.Errorf("batch of source %s: %w", image.id, err)
	}
	return s, r.takeBrief(s)
}

// takeBrief takes the source's brief where the request has none.
func (r *batchRequest) takeBrief(s *source) error {
	if r.Brief != nil {
		return nil
	}
	if s.brief == nil {
		return refuse(schemas.CodeAccountErased, "the source's brief is erased")
	}
	var brief Brief
	if err := json.Unmarshal(s.brief, &brief); err != nil {
		return fmt.Errorf("brief of batch %s: %w", s.batch, err)
	}
	return r.write(brief)
}

// misplaced applies the workflow's rule about where its images stand.
func (r *batchRequest) misplaced(placement string) (broken []FieldProblem) {
	switch r.workflow.Placements {
	case schemas.PlacementsSource:
		if r.Placements == nil {
			r.placements = []string{placement}
		}
		for i, id := range r.placements {
			if id != placement {
				broken = append(broken, FieldProblem{
					Pointer: fmt.Sprintf("/placements/%d", i), Detail: fmt.Sprintf("is another than the source's, which %s keeps; adapt the source", r.workflow.Name),
				})
			}
		}
	case schemas.PlacementsOther:
		for i, id := range r.placements {
			if id == placement {
				broken = append(broken, FieldProblem{
					Pointer: fmt.Sprintf("/placements/%d", i), Detail: "is where the source stands already; refine it or vary it",
				})
			}
		}
	case schemas.PlacementsAny:
	}
	return broken
}

// reference shows the master to the model.
func (s *source) reference() schemas.Reference {
	return schemas.Reference{AssetID: s.id.String(), Role: schemas.RoleSource, MediaKey: s.mediaKey, MIMEType: s.image.MimeType}
}

// freeExports are the other placements asked for that the source's own file gives
// by cropping.
func (m material) freeExports() []string {
	free := []string{}
	if m.source == nil {
		return free
	}
	for _, id := range m.request.placements {
		p, ok := schemas.PlacementByID(id)
		if ok && id != m.source.placement && cropShare(m.source.image.Width, m.source.image.Height, p.Width, p.Height) <= cropShareMax {
			free = append(free, id)
		}
	}
	return free
}
