// Package overlay sets headline, call to action and logo over a clean picture, as a
// layer of exactly the pixels that a placement takes, and checks what it has set.
// It is a pure function of master, layout and frame, with the same bytes on every
// machine: one font that it brings along, and integers throughout.
package overlay

import (
	"fmt"
	"image"
	"image/color"
	"strings"
)

// Version rises with every change of what a layer's pixels are, or of what the
// checks decide.
const Version = 1

// Where the words stand. Auto takes the calmer of the sides that suit the frame.
const (
	Auto   = "auto"
	Top    = "top"
	Bottom = "bottom"
	Left   = "left"
	Right  = "right"
)

// Layout is what is set over a picture. Its zero value sets nothing.
type Layout struct {
	Headline, CallToAction string
	// Logo is drawn as it is, on a plate where it could not be seen; nil: none.
	Logo image.Image
	// Position is one of those above; empty: Auto.
	Position string
	// Text and Ground are the colours of the words and of the veil behind them. Both
	// nil: chosen from the palette.
	Text, Ground *color.RGBA
	// Palette are the brand's colours, the leading one first, and Forbidden those
	// that are never chosen.
	Palette   []PaletteColour
	Forbidden []color.RGBA
}

// PaletteColour is a colour of a brand kit with its role there, which may be empty.
type PaletteColour struct {
	Colour color.RGBA
	Role   string
}

// Frame is the place that a layer is made for.
type Frame struct {
	// Width and Height are pixels.
	Width, Height int
	// Top, Bottom and Sides are what stays clear at each edge, percent of that side.
	Top, Bottom, Sides int
	// ShareMax bounds the area of text and logo, as a share of the frame; 0: no bound.
	ShareMax float64
}

// Fields of a layout, as problems name them.
const (
	FieldHeadline     = "headline"
	FieldCallToAction = "call_to_action"
	FieldLogo         = "logo"
	FieldColours      = "colours"
)

// Problem is why a layout cannot be set, with the field that has to change.
type Problem struct{ Field, Detail string }

// Composition is a layout set into a frame.
type Composition struct {
	// Layer is premultiplied; nil where the layout sets nothing, or cannot be set.
	Layer *image.RGBA
	// Position is where the words stand; never Auto.
	Position string
	// Findings are of every check, in a fixed order; none without a layer.
	Findings []Finding
	// Problems say why it cannot be set; a layer with any must not be used.
	Problems []Problem
}

// Measures, in hundredths of the frame's shorter side.
const (
	marginUnits          = 6 // around everything, where the safe zone asks for less
	headlineUnitsMost    = 12.5
	headlineUnitsLeast   = 3.4
	buttonUnitsMost      = 4.2 // the em of the call to action
	buttonUnitsLeast     = 2.6
	logoHeightUnitsMost  = 10
	logoWidthUnitsMost   = 34
	logoAreaSquaredUnits = 150
	veilPadUnits         = 5
)

const (
	// lineHeight is the distance of two baselines, percent of the em: an umlaut below
	// a g does not touch it.
	lineHeight = 114
	// capHeight is the font's height of capitals, per mille of the em.
	capHeight = 727
	// heightShareMost is how much of the frame's height words at the top or bottom take.
	heightShareMost = 0.40
	linesMost       = 6 // count, of the headline
)

// The shares of the width that words may take, percent: at the top or bottom any of
// them, at the sides the first in which they fit, and the next one.
var (
	sharesAcross = []int{100, 66, 46}
	sharesBeside = []int{42, 52, 66, 80, 100}
)

// Compose sets a layout over the part of a master that becomes the frame. It keeps
// and changes none of them.
func Compose(master image.Image, part image.Rectangle, l Layout, f Frame) Composition {
	s := newSetting(l, f)
	if len(s.problems) > 0 {
		return Composition{Problems: s.problems}
	}
	if s.headline == "" && s.call == "" && s.logo == nil {
		return Composition{}
	}
	blocks := s.fit(s.positions())
	if len(blocks) == 0 {
		return Composition{Problems: s.misfit()}
	}
	beneath := groundOf(master, part, f.Width, f.Height)
	b, chosen := s.best(blocks, beneath)
	d := drawing{setting: s, block: b, colours: chosen, beneath: beneath, layer: image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))}
	if err := d.draw(); err != nil {
		return Composition{Problems: []Problem{{FieldHeadline, "cannot be set"}}}
	}
	c := Composition{Layer: d.layer, Position: b.position, Findings: d.check()}
	for _, found := range c.Findings {
		if found.Verdict == Block {
			c.Problems = append(c.Problems, Problem{found.field, found.Evidence})
		}
	}
	return c
}

// Check says what can be said of a layout without the picture beneath it: letters
// that cannot be set, and words that do not fit.
func Check(l Layout, f Frame) []Problem {
	s := newSetting(l, f)
	if len(s.problems) > 0 || s.headline == "" && s.call == "" && s.logo == nil || len(s.fit(s.positions())) > 0 {
		return s.problems
	}
	return s.misfit()
}

// setting is a layout about to be set.
type setting struct {
	Layout
	Frame
	typesetter
	headline, call string
	logo           image.Image
	content        image.Rectangle // within which everything is drawn
	safe           image.Rectangle
	problems       []Problem
}

func newSetting(l Layout, f Frame) *setting {
	s := &setting{Layout: l, Frame: f, typesetter: newTypesetter(), headline: plain(l.Headline), call: plain(l.CallToAction), logo: l.Logo}
	s.safe = image.Rect(
		ceilShare(f.Width, f.Sides), ceilShare(f.Height, f.Top), f.Width-ceilShare(f.Width, f.Sides), f.Height-ceilShare(f.Height, f.Bottom))
	margin := s.units(marginUnits)
	// A pixel is left for outlines that are rounded outwards.
	s.content = s.safe.Intersect(image.Rect(margin, margin, f.Width-margin, f.Height-margin)).Inset(1)
	for _, text := range []struct{ field, plain string }{{FieldHeadline, s.headline}, {FieldCallToAction, s.call}} {
		if letters := s.unsettable(text.plain); len(letters) > 0 {
			s.problems = append(s.problems, Problem{text.field, "cannot be set: the font has no " + spelled(letters)})
		}
	}
	return s
}

// spelledMax bounds how many letters a problem names (count).
const spelledMax = 8

func spelled(letters []rune) string {
	var named []string
	for _, r := range letters[:min(len(letters), spelledMax)] {
		named = append(named, fmt.Sprintf("%q (%U)", r, r))
	}
	if len(letters) > spelledMax {
		named = append(named, fmt.Sprintf("and %d more", len(letters)-spelledMax))
	}
	return strings.Join(named, ", ")
}

func ceilShare(side, percent int) int { return (side*percent + 99) / 100 }

// units are hundredths of the frame's shorter side, in pixels.
func (s *setting) units(n float64) int {
	return (min(s.Width, s.Height)*int(n*100) + 5000) / 10_000
}

// positions are those that the layout allows, the preferred one first.
func (s *setting) positions() []string {
	switch {
	case s.Position != "" && s.Position != Auto:
		return []string{s.Position}
	case 4*s.Width >= 5*s.Height:
		return []string{Left, Right}
	case 4*s.Width >= 3*s.Height:
		return []string{Top, Bottom, Left, Right}
	default:
		return []string{Top, Bottom}
	}
}
