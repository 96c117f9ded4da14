package api

import (
	"context"
	"errors"
	"fmt"
	"image"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/internal/picture/overlay"
	"atelier/schemas"
)

const (
	// layoutSchemaVersion is the version of the layout's schema that layouts are
	// written under now. Older ones stay valid: only optional fields come.
	layoutSchemaVersion = 1
	// previewWidth is the width of a preview that names none, pixels.
	previewWidth = 480
)

// master is a decoded master with the logo that its layouts take.
type master struct {
	image image.Image
	logo  image.Image // nil: none
}

// openMaster reads and decodes an image's master and, where it is wanted, the logo.
// The caller holds a token of s.exports.
func (s *Server) openMaster(ctx context.Context, key, logoKey string) (m master, err error) {
	if m.image, err = s.openPicture(ctx, key); err != nil || logoKey == "" {
		return m, err
	}
	m.logo, err = s.openPicture(ctx, logoKey)
	var gone *refusal
	if errors.As(err, &gone) && gone.code == codeNotFound {
		err = refuseLayout([]FieldProblem{{Pointer: "/logo", Detail: "the logo's picture is gone: set the layout without it"}})
	}
	return m, err
}

func (s *Server) openPicture(ctx context.Context, key string) (image.Image, error) {
	data, _, err := s.config.Media.Get(ctx, key)
	switch {
	case errors.Is(err, media.ErrNotFound):
		return nil, refuse(codeNotFound, "the picture is gone")
	case err != nil:
		return nil, unavailable("the media store", err)
	}
	img, _, err := picture.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", key, err)
	}
	return img, nil
}

// compose sets a filled layout over a master for a placement. The composition is
// empty where the placement has no overlay.
func (d design) compose(m master, l Layout, p schemas.Placement) (overlay.Composition, Overlay) {
	shown, position := l.in(p)
	if shown == OverlayNone {
		return overlay.Composition{}, shown
	}
	logo := m.logo
	if !*l.Logo {
		logo = nil
	}
	return overlay.Compose(m.image, picture.Crop(m.image.Bounds(), p.Width, p.Height), d.setting(l, position, logo), frameOf(p)), shown
}

// problemsOf are a composition's, with pointers into the layout.
func problemsOf(c overlay.Composition, p schemas.Placement) []FieldProblem {
	problems := []FieldProblem{}
	for _, problem := range c.Problems {
		problems = append(problems, FieldProblem{Pointer: "/" + problem.Field, Detail: p.ID + ": " + problem.Detail})
	}
	return problems
}

func refuseLayout(fields []FieldProblem) *refusal {
	return &refusal{code: codeLayoutRefused, detail: fields[0].Pointer + ": " + fields[0].Detail, fields: fields[:min(len(fields), fieldProblemsMax)]}
}

// holdExport waits for a token of s.exports; call what it returns at the end.
func (s *Server) holdExport(ctx context.Context) (release func(), err error) {
	select {
	case s.exports <- struct{}{}:
		return func() { <-s.exports }, nil
	case <-ctx.Done():
		return nil, unavailable("the exporter", ctx.Err())
	}
}

// logoOf is the key of the logo that a filled layout takes, empty where it takes none.
func (d design) logoOf(l Layout) string {
	if !*l.Logo {
		return ""
	}
	return d.logoKey
}

// report sets a filled layout in every placement that the image can give.
func (s *Server) report(ctx context.Context, g generationRow, d design, l Layout) ([]PlacementLayout, error) {
	release, err := s.holdExport(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	m, err := s.openMaster(ctx, g.mediaKey, d.logoOf(l))
	if err != nil {
		return nil, err
	}
	var reports []PlacementLayout
	for _, p := range schemas.Placements {
		shown, _ := l.in(p)
		lost := cropShare(g.image.Width, g.image.Height, p.Width, p.Height)
		r := PlacementLayout{
			Placement: p.ID, Fits: lost <= cropShareMax, LostShare: float32(lost), Overlay: shown,
			Checks: []ReceiptVerdict{}, Problems: []FieldProblem{},
		}
		if r.Fits {
			c, _ := d.compose(m, l, p)
			r.Problems = problemsOf(c, p)
			for _, f := range c.Findings {
				r.Checks = append(r.Checks, verdictOf(f.Check, f.CheckVersion, f.Verdict, f.Evidence, f.Figures))
			}
		}
		reports = append(reports, r)
	}
	return reports, nil
}

func verdictOf(check string, version int, verdict, evidence string, figures map[string]float64) ReceiptVerdict {
	shown := ReceiptVerdict{Check: check, Version: version, Verdict: ReceiptVerdictVerdict(verdict), Evidence: evidence, Figures: map[string]float32{}}
	for name, figure := range figures {
		shown.Figures[name] = float32(figure)
	}
	return shown
}

// GetLayout implements ServerInterface.
func (s *Server) GetLayout(c *fiber.Ctx, generationID GenerationID, _ GetLayoutParams) error {
	var g generationRow
	var d design
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		g, d, err = designOf(ctx, tx, generationID, s.now())
		return err
	})
	if err != nil {
		return err
	}
	answer := LayoutReport{Composed: d.composed != nil, Layout: d.layout()}
	if answer.Placements, err = s.report(c.UserContext(), g, d, answer.Layout); err != nil {
		return err
	}
	return c.JSON(answer)
}

// ComposeImage implements ServerInterface.
func (s *Server) ComposeImage(c *fiber.Ctx, generationID GenerationID, _ ComposeImageParams) error {
	var l Layout
	canonical, err := s.decode(c, "Layout", &l)
	if err != nil {
		return err
	}
	a, err := attemptOf(c, canonical)
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		var g generationRow
		var d design
		_, err := s.readAt(ctx, a.account, []string{galleries}, wanted, func(ctx context.Context, tx pgx.Tx) (err error) {
			g, d, err = designOf(ctx, tx, generationID, s.now())
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := s.tryLayout(ctx, g, d, l); err != nil {
			return nil, err
		}
		sealed, err := s.config.Vault.Seal(ctx, m.AccountID, canonical)
		if err != nil {
			return nil, err
		}
		return &schemas.ComposeImage{
			CommandMetadata: m, BatchID: g.batch.String(), GenerationID: g.id.String(), LayoutSchema: layoutSchemaVersion, Layout: sealed,
		}, nil
	}, noContent(c))
}

// tryLayout refuses a layout that breaks a rule, in any placement that it has an
// overlay for.
func (s *Server) tryLayout(ctx context.Context, g generationRow, d design, l Layout) error {
	if broken := d.broken(l); len(broken) > 0 {
		return refuseFields(broken)
	}
	reports, err := s.report(ctx, g, d, d.filled(l))
	if err != nil {
		return err
	}
	var problems []FieldProblem
	for _, r := range reports {
		problems = append(problems, r.Problems...)
	}
	if len(problems) > 0 {
		return refuseLayout(problems)
	}
	return nil
}

// PreviewLayout implements ServerInterface.
func (s *Server) PreviewLayout(c *fiber.Ctx, generationID GenerationID, params PreviewLayoutParams) error {
	p, ok := schemas.PlacementByID(params.Placement)
	if !ok {
		return refuseField("placement", "is no placement of GET /v1/placements")
	}
	var l Layout
	if _, err := s.decode(c, "Layout", &l); err != nil {
		return err
	}
	var g generationRow
	var d design
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		g, d, err = designOf(ctx, tx, generationID, s.now())
		return err
	})
	if err != nil {
		return err
	}
	if broken := d.broken(l); len(broken) > 0 {
		return refuseFields(broken)
	}
	if err := fitsInto(g, p); err != nil {
		return err
	}
	width := previewWidth
	if params.Width != nil {
		width = *params.Width
	}
	preview, err := s.preview(c.UserContext(), g, d, d.filled(l), p, width)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, picture.MIMEType(picture.JPEG))
	return c.Send(preview)
}

// preview is the export made smaller: the same layer, shrunk with the picture.
func (s *Server) preview(ctx context.Context, g generationRow, d design, l Layout, p schemas.Placement, width int) ([]byte, error) {
	release, err := s.holdExport(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	m, err := s.openMaster(ctx, g.mediaKey, d.logoOf(l))
	if err != nil {
		return nil, err
	}
	c, _ := d.compose(m, l, p)
	if len(c.Problems) > 0 {
		return nil, refuseLayout(problemsOf(c, p))
	}
	t := picture.Target{Width: width, Height: max(1, (width*p.Height+p.Width/2)/p.Width)}
	if c.Layer != nil {
		t.Overlay = overlay.Shrink(c.Layer, t.Width, t.Height)
	}
	file, err := picture.Export(m.image, t)
	if err != nil {
		return nil, fmt.Errorf("preview of %s: %w", g.mediaKey, err)
	}
	return file, nil
}
