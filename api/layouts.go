package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
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
	// googleTextShareMax is how much of a picture Google lets text and logos take.
	googleTextShareMax = 0.2
	platformGoogle     = "google"
	// previewWidth is the width of a preview that names none, pixels.
	previewWidth = 480
)

// design is what an image's layout is made of: what a person composed, and what
// brief and brand give where that says nothing.
type design struct {
	// composed is nil where nobody composed the image.
	composed               *Layout
	headline, callToAction string
	kit                    designKit
	// logoKey is empty where the brand had no logo.
	logoKey string
}

// designKit is what layouts read of the kit that a batch was made with.
type designKit struct {
	Name    string `json:"name"`
	Colours []struct {
		Hex  string `json:"hex"`
		Role string `json:"role"`
	} `json:"colours"`
	ForbiddenColours []string `json:"forbidden_colours"`
	BannedWords      []string `json:"banned_words"`
}

// designs reads what the layouts of images are made of. Images that the account does
// not have are left out.
func designs(ctx context.Context, tx pgx.Tx, ids ...uuid.UUID) (map[uuid.UUID]design, error) {
	rows, err := tx.Query(ctx, `SELECT g.generation_id, g.layout, coalesce(b.brief->>'headline', ''), coalesce(b.brief->>'call_to_action', ''),
		b.kit, coalesce(b.logo_key, '') FROM `+generationTables+` WHERE g.generation_id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	found := map[uuid.UUID]design{}
	var id uuid.UUID
	var layout, kit []byte
	var d design
	_, err = pgx.ForEachRow(rows, []any{&id, &layout, &d.headline, &d.callToAction, &kit, &d.logoKey}, func() error {
		d.composed, d.kit = nil, designKit{}
		if layout != nil {
			d.composed = &Layout{}
			if err := json.Unmarshal(layout, d.composed); err != nil {
				return fmt.Errorf("layout of %s: %w", id, err)
			}
		}
		if kit != nil { // null once it was erased
			if err := json.Unmarshal(kit, &d.kit); err != nil {
				return fmt.Errorf("kit of %s: %w", id, err)
			}
		}
		found[id] = d
		return nil
	})
	return found, err
}

// designOf reads one image with what its layout is made of. The error is not_found,
// not_ready where it has no image, or image_gone where its files are erased.
func designOf(ctx context.Context, tx pgx.Tx, id uuid.UUID, now time.Time) (generationRow, design, error) {
	g, err := generationByID(ctx, tx, id)
	switch {
	case err != nil:
	case !g.succeeded():
		err = refuse(codeNotReady, "it has no image: it is "+g.status)
	case g.gone(now):
		err = refuseGone()
	}
	if err != nil {
		return g, design{}, err
	}
	found, err := designs(ctx, tx, id)
	return g, found[id], err
}

// layout is the one in effect, everything filled in.
func (d design) layout() Layout {
	if d.composed == nil {
		return d.filled(Layout{})
	}
	return d.filled(*d.composed)
}

// filled is a layout with what it leaves out. Overlay stays out where each placement
// has its own.
func (d design) filled(l Layout) Layout {
	if l.Headline == nil {
		l.Headline = &d.headline
	}
	if l.CallToAction == nil {
		l.CallToAction = &d.callToAction
	}
	if l.Logo == nil {
		l.Logo = new(d.logoKey != "")
	}
	if l.Position == nil {
		l.Position = new(LayoutPositionAuto)
	}
	return l
}

// in is a filled layout as a placement has it.
func (l Layout) in(p schemas.Placement) (Overlay, LayoutPosition) {
	shown, position := OverlayBrand, *l.Position
	if p.Platform == platformGoogle {
		shown = OverlayNone
	}
	if l.Overlay != nil {
		shown = *l.Overlay
	}
	if l.Placements != nil {
		if o := (*l.Placements)[p.ID]; o.Overlay != nil {
			shown = *o.Overlay
		}
		if o := (*l.Placements)[p.ID]; o.Position != nil {
			position = *o.Position
		}
	}
	return shown, position
}

// frameOf is a placement as the overlay sees it.
func frameOf(p schemas.Placement) overlay.Frame {
	f := overlay.Frame{Width: p.Width, Height: p.Height, Top: p.Safe.Top, Bottom: p.Safe.Bottom, Sides: p.Safe.Sides}
	if p.Platform == platformGoogle {
		f.ShareMax = googleTextShareMax
	}
	return f
}

// setting is what the overlay package sets of a filled layout.
func (d design) setting(l Layout, position LayoutPosition, logo image.Image) overlay.Layout {
	set := overlay.Layout{Headline: *l.Headline, CallToAction: *l.CallToAction, Position: string(position), Logo: logo}
	if l.Colours != nil {
		set.Text, set.Ground = colourOf(l.Colours.Text), colourOf(l.Colours.Ground)
	}
	for _, c := range d.kit.Colours {
		if parsed := colourOf(c.Hex); parsed != nil {
			set.Palette = append(set.Palette, overlay.PaletteColour{Colour: *parsed, Role: c.Role})
		}
	}
	for _, hex := range d.kit.ForbiddenColours {
		if parsed := colourOf(hex); parsed != nil {
			set.Forbidden = append(set.Forbidden, *parsed)
		}
	}
	return set
}

func colourOf(hex string) *color.RGBA {
	c, ok := overlay.ParseColour(hex)
	if !ok {
		return nil
	}
	return &c
}

// broken lists what of a layout breaks a rule that needs no picture.
func (d design) broken(l Layout) (broken []FieldProblem) {
	refuse := func(pointer, detail string) {
		broken = append(broken, FieldProblem{Pointer: pointer, Detail: detail})
	}
	for _, text := range []struct {
		pointer string
		text    *string
	}{{"/headline", l.Headline}, {"/call_to_action", l.CallToAction}} {
		for _, word := range d.kit.BannedWords {
			if text.text != nil && containsWord(*text.text, word) {
				refuse(text.pointer, fmt.Sprintf("has %q, which the brand bans", word))
			}
		}
	}
	if l.Logo != nil && *l.Logo && d.logoKey == "" {
		refuse("/logo", "the brand had no logo when the image was asked for")
	}
	if l.Colours != nil {
		for _, c := range []struct{ pointer, hex string }{{"/colours/text", l.Colours.Text}, {"/colours/ground", l.Colours.Ground}} {
			if slices.ContainsFunc(d.kit.ForbiddenColours, func(hex string) bool { return strings.EqualFold(hex, c.hex) }) {
				refuse(c.pointer, "is a colour that the brand forbids")
			}
		}
	}
	if l.Placements != nil {
		for id := range *l.Placements {
			if _, ok := schemas.PlacementByID(id); !ok {
				refuse("/placements/"+escapePointer(id), "is no placement of GET /v1/placements")
			}
		}
		slices.SortFunc(broken, func(a, b FieldProblem) int { return strings.Compare(a.Pointer, b.Pointer) })
	}
	return broken[:min(len(broken), fieldProblemsMax)]
}

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
