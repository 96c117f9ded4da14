package api

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// derivedMax bounds how many of the images that were made from one are shown with
// it (count).
const derivedMax = 50

// lineageRow is a relative of an image.
type lineageRow struct {
	id                                                       uuid.UUID
	workflow, factor, feedback, placement, status, thumbnail string
	binned                                                   bool
}

const lineageColumns = `g.generation_id, g.workflow, coalesce(b.params->>'factor', ''), coalesce(b.feedback, ''), g.placement, g.status, g.thumbnail_key,
	g.deleted_at IS NOT NULL`

func scanLineage(row pgx.CollectableRow) (l lineageRow, err error) {
	err = row.Scan(&l.id, &l.workflow, &l.factor, &l.feedback, &l.placement, &l.status, &l.thumbnail, &l.binned)
	return l, err
}

// family is an image with its source, if it has one, and the newest of what was
// made from it.
type family struct {
	self    lineageRow
	source  *lineageRow // nil: none, or it is not there
	derived []lineageRow
}

// familyOf reads the relatives of an image that is there.
func familyOf(ctx context.Context, tx pgx.Tx, g generationRow) (f family, err error) {
	self, err := relatives(ctx, tx, `g.generation_id = $1`, g.id)
	if err != nil || len(self) == 0 {
		return f, err
	}
	f.self = self[0]
	source, err := relatives(ctx, tx, `g.generation_id = (SELECT source_generation_id FROM galleries_api.batches WHERE batch_id = $1)`, g.batch)
	if err != nil {
		return f, err
	}
	if len(source) > 0 {
		f.source = &source[0]
	}
	f.derived, err = relatives(ctx, tx, `b.source_generation_id = $1 AND g.deleted_at IS NULL`, g.id)
	return f, err
}

func relatives(ctx context.Context, tx pgx.Tx, where string, id uuid.UUID) ([]lineageRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+lineageColumns+` FROM `+generationTables+` WHERE `+where+` ORDER BY g.seq DESC LIMIT $2`, id, derivedMax)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanLineage)
}

// lineage shows the relatives of an image.
func (s *Server) lineage(f family) (shown Lineage, err error) {
	shown = Lineage{Factor: textOrNil(f.self.factor), Feedback: textOrNil(f.self.feedback), Derived: []LineageImage{}}
	if f.source != nil {
		source, err := s.relative(*f.source)
		if err != nil {
			return shown, err
		}
		shown.Source = &source
	}
	for _, row := range f.derived {
		image, err := s.relative(row)
		if err != nil {
			return shown, err
		}
		shown.Derived = append(shown.Derived, image)
	}
	return shown, nil
}

func (s *Server) relative(row lineageRow) (shown LineageImage, err error) {
	shown = LineageImage{
		ID: row.id, Workflow: row.workflow, Factor: textOrNil(row.factor), Feedback: textOrNil(row.feedback),
		Placement: row.placement, Status: GenerationStatus(row.status),
	}
	shown.Links.Self = "/v1/generations/" + row.id.String()
	if row.thumbnail == "" || row.binned {
		return shown, nil
	}
	link, err := s.link(row.thumbnail, "")
	shown.Links.Thumbnail = &link
	return shown, err
}
