// Package overlay sets headline, call to action and logo over a clean picture, as a
// layer of exactly the pixels that a placement takes, and checks what it has set.
// It is a pure function of master, layout and frame, with the same bytes on every
// machine: one font that it brings along, and integers throughout.
package overlay

import (
	"fmt"
	"image"
	"image/color"
	"slices"
	"strings"

	"golang.org/x/image/math/fixed"
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

// block is a layout in place: where each part of it stands, in pixels.
type block struct {
	position string
	bounds   image.Rectangle
	logo     image.Rectangle
	size     int // the em of the headline
	lines    []line
	baseline []image.Point // the beginning of each line
	button   image.Rectangle
	callSize int
	call     line
	callAt   image.Point
}

// fit finds places for everything: for each position the largest headline that it
// has room for, in columns of some widths, and smaller ones. It is empty where
// there is no room at all.
func (s *setting) fit(positions []string) (blocks []block) {
	for _, position := range positions {
		fitted := 0
		for _, column := range s.columns(position) {
			largest, ok := s.largest(position, column)
			if !ok {
				continue
			}
			blocks = append(blocks, largest)
			for size := largest.size * 4 / 5; s.headline != "" && size >= s.units(headlineUnitsLeast) && 2*size >= largest.size; size = size * 4 / 5 {
				if b, ok := s.place(position, column, size); ok {
					blocks = append(blocks, b)
				}
			}
			if fitted++; fitted == 2 && (position == Left || position == Right) {
				break
			}
		}
	}
	return blocks
}

// columns are those that words at a position may stand in, the preferred one first.
func (s *setting) columns(position string) (columns []image.Rectangle) {
	shares := sharesAcross
	if position == Left || position == Right {
		shares = sharesBeside
	}
	for _, share := range shares {
		column := s.content
		if width := column.Dx() * share / 100; position == Right {
			column.Min.X = column.Max.X - width
		} else {
			column.Max.X = column.Min.X + width
		}
		columns = append(columns, column)
	}
	return columns
}

// largest sets the largest headline that a column has room for.
func (s *setting) largest(position string, column image.Rectangle) (block, bool) {
	for size := s.units(headlineUnitsMost); size >= s.units(headlineUnitsLeast); size -= max(1, size/40) {
		if b, ok := s.place(position, column, size); ok {
			return b, true
		}
		if s.headline == "" {
			break
		}
	}
	return block{}, false
}

// place sets everything with a headline of one size, and says whether that fits.
func (s *setting) place(position string, box image.Rectangle, size int) (block, bool) {
	b := block{position: position, size: size}
	heightMost := box.Dy()
	if position == Top || position == Bottom {
		heightMost = min(heightMost, int(heightShareMost*float64(s.Height)))
	}
	y, area, right := 0, 0, 0
	if s.logo != nil {
		b.logo = s.logoBox(box.Dx())
		area += b.logo.Dx() * b.logo.Dy()
		y, right = b.logo.Dy(), b.logo.Dx()
		if s.headline != "" || s.call != "" {
			y += max(clearSpace(b.logo), s.units(3))
		}
	}
	if s.headline != "" {
		b.lines = s.wrap(s.headline, size, fixed.I(box.Dx()))
		if b.lines == nil || len(b.lines) > linesMost {
			return b, false
		}
		for i, set := range b.lines {
			if i == 0 {
				y += max(size*capHeight/1000, set.rise.Ceil()) // accents stand above capitals
			} else {
				y += size * lineHeight / 100
			}
			b.baseline = append(b.baseline, image.Pt(0, y))
			right = max(right, set.width.Ceil())
			area += set.width.Ceil() * size
		}
		y += b.lines[len(b.lines)-1].fall.Ceil()
	}
	if s.call != "" {
		if s.headline != "" {
			y += size/5 + s.units(2.5)
		}
		if !s.placeCall(&b, box.Dx(), y) {
			return b, false
		}
		y, right = b.button.Max.Y, max(right, b.button.Max.X)
		area += b.button.Dx() * b.button.Dy()
	}
	if y > heightMost || s.ShareMax > 0 && float64(area) > s.ShareMax*float64(s.Width*s.Height) {
		return b, false
	}
	at := image.Pt(box.Min.X, box.Min.Y)
	switch position {
	case Bottom:
		at.Y = box.Max.Y - y
	case Left, Right:
		at.Y = box.Min.Y + (box.Dy()-y)/2
	}
	return b.moved(at, image.Rect(0, 0, right, y)), true
}

// placeCall sets the button, smaller where it is too wide.
func (s *setting) placeCall(b *block, width, y int) bool {
	for size := max(s.units(buttonUnitsLeast), min(s.units(buttonUnitsMost), b.size*45/100)); size >= s.units(buttonUnitsLeast); size-- {
		b.call, b.callSize = s.set(s.call, size), size
		padding, height := size*95/100, size*225/100
		if w := b.call.width.Ceil() + 2*padding; w <= width {
			b.button = image.Rect(0, y, w, y+height)
			b.callAt = image.Pt(padding, y+(height+size*capHeight/1000)/2)
			return true
		}
	}
	return false
}

// logoBox is the logo's size: of equal area whatever its shape, within its bounds.
func (s *setting) logoBox(width int) image.Rectangle {
	size, unit := s.logo.Bounds().Size(), s.units(1)
	height := min(s.units(logoHeightUnitsMost), root(logoAreaSquaredUnits*unit*unit*size.Y/size.X))
	w := height * size.X / size.Y
	if most := min(s.units(logoWidthUnitsMost), width); w > most {
		w, height = most, most*size.Y/size.X
	}
	return image.Rect(0, 0, max(1, w), max(1, height))
}

// root is the whole part of a square root.
func root(n int) int {
	r := 0
	for (r+1)*(r+1) <= n {
		r++
	}
	return r
}

// clearSpace is what a logo keeps free around it, pixels: half of its height.
func clearSpace(logo image.Rectangle) int { return (logo.Dy() + 1) / 2 }

func (b block) moved(by image.Point, bounds image.Rectangle) block {
	b.bounds, b.logo, b.button, b.callAt = bounds.Add(by), b.logo.Add(by), b.button.Add(by), b.callAt.Add(by)
	b.baseline = slices.Clone(b.baseline)
	for i := range b.baseline {
		b.baseline[i] = b.baseline[i].Add(by)
	}
	return b
}

// lineBoxes are what the lines of the headline stand on.
func (b block) lineBoxes() (boxes []image.Rectangle) {
	for i, at := range b.baseline {
		boxes = append(boxes, image.Rect(at.X, at.Y-b.lines[i].rise.Ceil(), at.X+b.lines[i].width.Ceil(), at.Y+b.lines[i].fall.Ceil()))
	}
	return boxes
}

// misfit says which text does not fit. There is one.
func (s *setting) misfit() []Problem {
	field, what := FieldHeadline, "is too long"
	width := fixed.I(s.content.Dx())
	switch words := strings.Fields(s.headline); {
	case s.headline == "" && s.call == "":
		field, what = FieldLogo, "is too large"
	case s.headline == "" || !s.placeCall(&block{}, s.content.Dx(), 0) && s.call != "":
		field = FieldCallToAction
	default:
		for _, word := range words {
			if s.set(word, s.units(headlineUnitsLeast)).width > width {
				what = fmt.Sprintf("has a word that is too long for a line: %q", word)
			}
		}
	}
	return []Problem{{field, fmt.Sprintf("%s for %dx%d pixels: shorten it, or choose another position", what, s.Width, s.Height)}}
}

// What a place costs beside its veil, in the colour distance that a veil makes (0 to
// 441).
const (
	unrestCost   = 3  // for each step that neighbouring cells differ
	smallCost    = 70 // for a headline of no size, against the largest
	positionCost = 8  // for each position that is preferred
)

// best is the place that costs the picture and the words least, with its colours.
func (s *setting) best(blocks []block, beneath ground) (best block, chosen colours) {
	largest, least := 1, -1
	for _, b := range blocks {
		largest = max(largest, b.size)
	}
	positions := s.positions()
	for _, b := range blocks {
		c := s.colours(b, beneath)
		cost := c.cost + unrestCost*beneath.unrest(b.bounds)/100 + smallCost*(largest-b.size)/largest +
			positionCost*slices.Index(positions, b.position)
		if least < 0 || cost < least {
			best, chosen, least = b, c, cost
		}
	}
	return best, chosen
}
