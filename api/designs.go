package api

import (
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/internal/picture/overlay"
	"atelier/schemas"
)

const (
	// googleTextShareMax is how much of a picture Google lets text and logos take.
	googleTextShareMax = 0.2
	platformGoogle     = "google"
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
