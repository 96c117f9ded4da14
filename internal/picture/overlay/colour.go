package overlay

import (
	"image"
	"image/color"
	"math"
	"strconv"
)

var (
	white = color.RGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}
	black = color.RGBA{A: 0xff}
	ink   = color.RGBA{R: 0x14, G: 0x16, B: 0x1a, A: 0xff}
)

// ParseColour reads #rrggbb, and says whether it is one.
func ParseColour(hex string) (color.RGBA, bool) {
	if len(hex) != 7 || hex[0] != '#' {
		return color.RGBA{}, false
	}
	n, err := strconv.ParseUint(hex[1:], 16, 24)
	return color.RGBA{R: uint8(n >> 16), G: uint8(n >> 8), B: uint8(n), A: 0xff}, err == nil
}

// linear is the light of an sRGB value, 0 to 65535 (IEC 61966-2-1).
var linear = func() (table [256]int) {
	for i := range table {
		v := float64(i) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		table[i] = int(math.Round(65535 * v))
	}
	return table
}()

// luminance is the relative luminance of an opaque colour, 0 to 65535 (WCAG 2.2).
func luminance(c color.RGBA) int {
	return (2126*linear[c.R] + 7152*linear[c.G] + 722*linear[c.B]) / 10_000
}

// contrast is the ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
func contrast(a, b color.RGBA) float64 {
	const flare = 0.05 * 65535
	la, lb := float64(luminance(a)), float64(luminance(b))
	return (max(la, lb) + flare) / (min(la, lb) + flare)
}

// mix is b over a, covering alpha/255 of it.
func mix(a, b color.RGBA, alpha int) color.RGBA {
	channel := func(a, b uint8) uint8 { return uint8((int(b)*alpha + int(a)*(255-alpha) + 127) / 255) }
	return color.RGBA{R: channel(a.R, b.R), G: channel(a.G, b.G), B: channel(a.B, b.B), A: 0xff}
}

// alike says whether two colours are too near to be told apart on a picture.
func alike(a, b color.RGBA) bool { return distance(a, b) < 24 }

// distance is how far apart two colours are, 0 to 441: in a straight line, sRGB.
func distance(a, b color.RGBA) int {
	d := func(a, b uint8) int { return (int(a) - int(b)) * (int(a) - int(b)) }
	return root(d(a.R, b.R) + d(a.G, b.G) + d(a.B, b.B))
}

// cellPixels is the side of the cells that a picture is measured in: a stroke of a
// letter at the least size is about as wide.
const cellPixels = 8

// cellSamples is how many points of the master, a side, make a cell.
const cellSamples = 4

// ground is what lies beneath an overlay: the mean colours of cells.
type ground struct {
	columns, rows int
	cells         []color.RGBA
}

// groundOf measures the part of a master that becomes width x height pixels.
func groundOf(master image.Image, part image.Rectangle, width, height int) ground {
	g := ground{columns: (width + cellPixels - 1) / cellPixels, rows: (height + cellPixels - 1) / cellPixels}
	g.cells = make([]color.RGBA, g.columns*g.rows)
	at := pixels(master)
	for row := range g.rows {
		for column := range g.columns {
			var r, gr, b int
			for j := range cellSamples {
				y := part.Min.Y + (row*cellSamples+j)*cellPixels*part.Dy()/(cellSamples*height)
				for i := range cellSamples {
					x := part.Min.X + (column*cellSamples+i)*cellPixels*part.Dx()/(cellSamples*width)
					c := at(min(x, part.Max.X-1), min(y, part.Max.Y-1))
					r, gr, b = r+int(c.R), gr+int(c.G), b+int(c.B)
				}
			}
			const samples = cellSamples * cellSamples
			g.cells[row*g.columns+column] = color.RGBA{R: uint8(r / samples), G: uint8(gr / samples), B: uint8(b / samples), A: 0xff}
		}
	}
	return g
}

// pixels reads single pixels of a picture, transparent parts on white.
func pixels(img image.Image) func(x, y int) color.RGBA {
	if planar, ok := img.(*image.YCbCr); ok {
		return func(x, y int) color.RGBA {
			at := planar.COffset(x, y)
			r, g, b := color.YCbCrToRGB(planar.Y[planar.YOffset(x, y)], planar.Cb[at], planar.Cr[at])
			return color.RGBA{R: r, G: g, B: b, A: 0xff}
		}
	}
	return func(x, y int) color.RGBA {
		r, g, b, a := img.At(x, y).RGBA()
		rest := 0xffff - a
		return color.RGBA{R: uint8((r + rest) >> 8), G: uint8((g + rest) >> 8), B: uint8((b + rest) >> 8), A: 0xff}
	}
}

// each calls with the colour and place of every cell that touches a rectangle.
func (g ground) each(r image.Rectangle, call func(c color.RGBA, column, row int)) {
	for row := max(0, r.Min.Y/cellPixels); row < min(g.rows, (r.Max.Y+cellPixels-1)/cellPixels); row++ {
		for column := max(0, r.Min.X/cellPixels); column < min(g.columns, (r.Max.X+cellPixels-1)/cellPixels); column++ {
			call(g.cells[row*g.columns+column], column, row)
		}
	}
}

// under is the range of colours beneath rectangles: the darkest, the lightest and
// the mean.
func (g ground) under(rectangles ...image.Rectangle) (darkest, lightest, mean color.RGBA) {
	var n, r, gr, b int
	for _, rectangle := range rectangles {
		g.each(rectangle, func(c color.RGBA, _, _ int) {
			if n == 0 || luminance(c) < luminance(darkest) {
				darkest = c
			}
			if n == 0 || luminance(c) > luminance(lightest) {
				lightest = c
			}
			n, r, gr, b = n+1, r+int(c.R), gr+int(c.G), b+int(c.B)
		})
	}
	if n == 0 {
		return white, white, white
	}
	return darkest, lightest, color.RGBA{R: uint8(r / n), G: uint8(gr / n), B: uint8(b / n), A: 0xff}
}

// unrest is how much neighbouring cells differ in a rectangle, mean of the green
// channel in hundredths, 0 to 25500: some 100 for a wall, over 1000 for leaves.
func (g ground) unrest(r image.Rectangle) int {
	sum, n := 0, 0
	g.each(r, func(c color.RGBA, column, row int) {
		if column+1 < g.columns {
			d := int(c.G) - int(g.cells[row*g.columns+column+1].G)
			sum, n = sum+max(d, -d), n+1
		}
		if row+1 < g.rows {
			d := int(c.G) - int(g.cells[(row+1)*g.columns+column].G)
			sum, n = sum+max(d, -d), n+1
		}
	})
	if n == 0 {
		return 0
	}
	return 100 * sum / n
}
