package overlay

import (
	"fmt"
	"image"
)

// Verdicts of the checks, in the words of the receipt.
const (
	Pass  = "pass"
	Block = "block"
)

// Finding is what one check saw of what was drawn.
type Finding struct {
	// Check is stable; CheckVersion rises with every change of what it decides.
	Check        string
	CheckVersion int
	Verdict      string
	// Figures are measured, by name with the unit in it.
	Figures map[string]float64
	// Evidence says in words what was seen. It has no text of a person's.
	Evidence string
	// field of the layout that has to change where it blocks.
	field string
}

// check measures the drawing: what was painted, and not what was meant to be.
func (d *drawing) check() []Finding {
	return []Finding{d.presence(), d.clearSpace(), d.contrast(), d.safeZone(), d.textShare()}
}

func verdict(passes bool) string {
	if passes {
		return Pass
	}
	return Block
}

// element is a part of the overlay that the layout asks for.
type element struct {
	field string
	ink   image.Rectangle
}

func (d *drawing) elements() (asked []element) {
	if d.headline != "" {
		asked = append(asked, element{FieldHeadline, d.headlineInk})
	}
	if d.setting.call != "" {
		asked = append(asked, element{FieldCallToAction, d.buttonInk})
	}
	if d.setting.logo != nil {
		asked = append(asked, element{FieldLogo, d.logoInk})
	}
	return asked
}

func (d *drawing) presence() Finding {
	f := Finding{Check: "overlay_presence", CheckVersion: 1, Verdict: Pass, Evidence: "everything that the layout asks for is there"}
	drawn := 0
	for _, e := range d.elements() {
		if e.ink.Empty() || e.field == FieldCallToAction && d.callInk.Empty() {
			f.Verdict, f.field, f.Evidence = Block, e.field, "nothing was drawn of it"
			continue
		}
		drawn++
	}
	f.Figures = map[string]float64{"elements_asked": float64(len(d.elements())), "elements_drawn": float64(drawn)}
	return f
}

// clearSpaceMin is what a logo keeps free around it, as a share of its height. It is
// a little below what is laid out, because what is painted ends at whole pixels.
const clearSpaceMin = 0.45

func (d *drawing) clearSpace() Finding {
	f := Finding{Check: "overlay_clear_space", CheckVersion: 1, Verdict: Pass, Evidence: "there is no logo"}
	if d.logoInk.Empty() {
		return f
	}
	logo := d.logoInk
	least := min(logo.Min.X, logo.Min.Y, d.Width-logo.Max.X, d.Height-logo.Max.Y)
	for _, e := range d.elements() {
		if e.field != FieldLogo && !e.ink.Empty() {
			least = min(least, apart(logo, e.ink))
		}
	}
	share := float64(least) / float64(logo.Dy())
	f.Figures = map[string]float64{"clear_pixels": float64(least), "clear_share": share}
	f.Verdict, f.field = verdict(share >= clearSpaceMin), FieldLogo
	f.Evidence = fmt.Sprintf("%d pixels are free around the logo, %.2f of its height; at least %.2f", least, share, clearSpaceMin)
	return f
}

// apart is how far apart two rectangles are along the axis on which they are
// furthest; 0 where they touch.
func apart(a, b image.Rectangle) int {
	return max(0, a.Min.X-b.Max.X, b.Min.X-a.Max.X, a.Min.Y-b.Max.Y, b.Min.Y-a.Max.Y)
}

func (d *drawing) contrast() Finding {
	f := Finding{Check: "overlay_contrast", CheckVersion: 1, Figures: map[string]float64{}, field: FieldColours}
	least := 21.0
	if len(d.lines) > 0 {
		f.Figures["headline_contrast"] = d.headlineContrast
		least = min(least, d.headlineContrast)
	}
	if d.setting.call != "" {
		f.Figures["call_to_action_contrast"] = contrast(d.label, d.fill)
		least = min(least, contrast(d.label, d.fill))
	}
	f.Verdict = verdict(least >= contrastMin)
	f.Evidence = fmt.Sprintf("words have a contrast of at least %.1f to 1 with what lies beneath; at least %.1f is needed", least, contrastMin)
	return f
}

func (d *drawing) safeZone() Finding {
	outside := 0
	f := Finding{Check: "overlay_safe_zone", CheckVersion: 1, field: FieldHeadline}
	for _, e := range d.elements() {
		if !e.ink.Empty() && !e.ink.In(d.safe) {
			over := e.ink.Union(d.safe)
			outside = max(outside, d.safe.Min.X-over.Min.X, d.safe.Min.Y-over.Min.Y, over.Max.X-d.safe.Max.X, over.Max.Y-d.safe.Max.Y)
			f.field = e.field
		}
	}
	f.Verdict, f.Figures = verdict(outside == 0), map[string]float64{"outside_pixels": float64(outside)}
	f.Evidence = "everything is within the safe zone"
	if outside > 0 {
		f.Evidence = fmt.Sprintf("it reaches %d pixels out of the safe zone", outside)
	}
	return f
}

func (d *drawing) textShare() Finding {
	area := d.buttonInk.Dx()*d.buttonInk.Dy() + d.logoInk.Dx()*d.logoInk.Dy()
	for _, box := range d.lineBoxes() {
		area += box.Dx() * box.Dy()
	}
	share := float64(area) / float64(d.Width*d.Height)
	f := Finding{Check: "overlay_text_share", CheckVersion: 1, Verdict: Pass, Figures: map[string]float64{"text_share": share}, field: FieldHeadline}
	f.Evidence = fmt.Sprintf("text and logo take %.1f %% of the picture", 100*share)
	if d.ShareMax > 0 {
		f.Verdict = verdict(share <= d.ShareMax)
		f.Evidence += fmt.Sprintf("; at most %.0f %% are allowed", 100*d.ShareMax)
	}
	return f
}
