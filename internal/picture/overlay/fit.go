package overlay

import (
	"fmt"
	"image"
	"slices"
	"strings"

	"golang.org/x/image/math/fixed"
)

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
	words := strings.Split(s.headline, " ")
	if s.headline != "" {
		if b.lines = s.wrap(words, size, fixed.I(box.Dx()), linesMost); b.lines == nil {
			return b, false
		}
		rise, fall := fixed.I(size*capHeight/1000), fixed.Int26_6(0)
		for _, set := range b.lines {
			rise, fall = max(rise, set.rise), max(fall, set.fall) // accents stand above capitals
			area += set.width.Ceil() * size
		}
		y += rise.Ceil()
		for i := range b.lines {
			b.baseline = append(b.baseline, image.Pt(0, y+i*size*lineHeight/100))
		}
		y = b.baseline[len(b.lines)-1].Y + fall.Ceil()
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
	if s.headline != "" {
		b.lines = s.equal(words, b.lines, size, fixed.I(box.Dx()))
	}
	for _, set := range b.lines {
		right = max(right, set.width.Ceil())
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
