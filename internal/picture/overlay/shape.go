package overlay

import (
	"image"
	"image/color"
	"slices"

	"golang.org/x/image/math/fixed"
)

// shape is closed outlines of straight edges. Everything here is integer, so that
// the same layout has the same bytes on every machine: floating point may be fused
// on some (Go specification, "Floating-point operators").
type shape [][]fixed.Point26_6

func (s *shape) moveTo(p fixed.Point26_6) { *s = append(*s, []fixed.Point26_6{p}) }

func (s *shape) lineTo(p fixed.Point26_6) {
	last := &(*s)[len(*s)-1]
	*last = append(*last, p)
}

// curveSteps is how many edges a quadratic curve becomes (count): at 135 pixels an
// em, a glyph's curves are off by less than a twentieth of a pixel.
const curveSteps = 8

func (s *shape) quadTo(control, to fixed.Point26_6) {
	last := (*s)[len(*s)-1]
	from := last[len(last)-1]
	for i := 1; i <= curveSteps; i++ {
		a, b, c := (curveSteps-i)*(curveSteps-i), 2*i*(curveSteps-i), i*i
		at := func(p, q, r fixed.Int26_6) fixed.Int26_6 {
			return fixed.Int26_6((int(p)*a + int(q)*b + int(r)*c) / (curveSteps * curveSteps))
		}
		s.lineTo(fixed.Point26_6{X: at(from.X, control.X, to.X), Y: at(from.Y, control.Y, to.Y)})
	}
}

// roundedRect is a rectangle whose corners are quarters of circles, each two
// quadratic curves. radius is in pixels, at most half of the shorter side.
func roundedRect(r image.Rectangle, radius int) shape {
	x0, y0, x1, y1 := r.Min.X<<6, r.Min.Y<<6, r.Max.X<<6, r.Max.Y<<6
	radius = min(radius, r.Dx()/2, r.Dy()/2) << 6
	// The control points lie at tan(22.5 deg), the middle of the arc at sin(45 deg).
	tangent, middle := radius*27146>>16, radius*46341>>16
	var s shape
	point := func(x, y int) fixed.Point26_6 {
		return fixed.Point26_6{X: fixed.Int26_6(x), Y: fixed.Int26_6(y)}
	}
	// corner draws the arc around (cx, cy) from direction (ax, ay) to (bx, by).
	corner := func(cx, cy, ax, ay, bx, by int) {
		at := func(a, b int) fixed.Point26_6 { return point(cx+ax*a+bx*b, cy+ay*a+by*b) }
		s.quadTo(at(radius, tangent), at(middle, middle))
		s.quadTo(at(tangent, radius), at(0, radius))
	}
	s.moveTo(point(x0+radius, y0))
	s.lineTo(point(x1-radius, y0))
	corner(x1-radius, y0+radius, 0, -1, 1, 0)
	s.lineTo(point(x1, y1-radius))
	corner(x1-radius, y1-radius, 1, 0, 0, 1)
	s.lineTo(point(x0+radius, y1))
	corner(x0+radius, y1-radius, 0, 1, -1, 0)
	s.lineTo(point(x0, y0+radius))
	corner(x0+radius, y0+radius, -1, 0, 0, -1)
	return s
}

// edge goes down from (x0, y0) to (x1, y1).
type edge struct {
	x0, y0, x1, y1 int
	winding        int
}

// subScanlines is how often a row of pixels is crossed (count); along a row the
// coverage is exact to 1/64 pixel.
const subScanlines = 16

// fill paints the shape in one opaque colour over what is there, by nonzero
// winding, and returns the pixels that it touched.
func (s shape) fill(dst *image.RGBA, c color.RGBA) image.Rectangle {
	rows, bounds := s.edges(dst.Bounds())
	touched := image.Rectangle{}
	coverage := make([]int, bounds.Dx()+1)
	crossings := make([][2]int, 0, 16)
	for i, edges := range rows {
		if len(edges) == 0 {
			continue
		}
		clear(coverage)
		y := bounds.Min.Y + i
		for sub := range subScanlines {
			at := y<<6 + sub*64/subScanlines + 32/subScanlines
			crossings = crossings[:0]
			for _, e := range edges {
				if e.y0 <= at && at < e.y1 {
					crossings = append(crossings, [2]int{e.x0 + (e.x1-e.x0)*(at-e.y0)/(e.y1-e.y0), e.winding})
				}
			}
			slices.SortFunc(crossings, func(a, b [2]int) int { return a[0] - b[0] })
			winding := 0
			for j, crossing := range crossings {
				if winding != 0 {
					cover(coverage, crossings[j-1][0]-bounds.Min.X<<6, crossing[0]-bounds.Min.X<<6)
				}
				winding += crossing[1]
			}
		}
		for x, covered := range coverage[:bounds.Dx()] {
			if alpha := (covered*255 + 32*subScanlines) / (64 * subScanlines); alpha > 0 {
				blend(dst, bounds.Min.X+x, y, c, alpha)
				touched = touched.Union(image.Rect(bounds.Min.X+x, y, bounds.Min.X+x+1, y+1))
			}
		}
	}
	return touched
}

// edges lists the edges that cross each row of pixels, within clip.
func (s shape) edges(clip image.Rectangle) (rows [][]edge, bounds image.Rectangle) {
	for _, outline := range s {
		for _, p := range outline {
			bounds = bounds.Union(image.Rect(p.X.Floor(), p.Y.Floor(), p.X.Ceil()+1, p.Y.Ceil()+1))
		}
	}
	bounds = bounds.Intersect(clip)
	rows = make([][]edge, bounds.Dy())
	for _, outline := range s {
		for i, p := range outline {
			q := outline[(i+1)%len(outline)]
			e := edge{int(p.X), int(p.Y), int(q.X), int(q.Y), 1}
			if e.y0 > e.y1 {
				e = edge{e.x1, e.y1, e.x0, e.y0, -1}
			}
			if e.y0 == e.y1 {
				continue
			}
			first, last := max(e.y0>>6, bounds.Min.Y), min((e.y1-1)>>6, bounds.Max.Y-1)
			for y := first; y <= last; y++ {
				rows[y-bounds.Min.Y] = append(rows[y-bounds.Min.Y], e)
			}
		}
	}
	return rows, bounds
}

// cover adds a span of a sub-scanline, in 1/64 pixels behind the first one.
func cover(coverage []int, from, to int) {
	from, to = max(from, 0), min(to, (len(coverage)-1)<<6)
	for from < to {
		next := min(to, (from>>6+1)<<6)
		coverage[from>>6] += next - from
		from = next
	}
}

// blend paints an opaque colour over a premultiplied pixel, covering alpha/255 of it.
func blend(dst *image.RGBA, x, y int, c color.RGBA, alpha int) {
	p := dst.Pix[dst.PixOffset(x, y):]
	rest := 255 - alpha
	p[0] = uint8((int(c.R)*alpha + int(p[0])*rest + 127) / 255)
	p[1] = uint8((int(c.G)*alpha + int(p[1])*rest + 127) / 255)
	p[2] = uint8((int(c.B)*alpha + int(p[2])*rest + 127) / 255)
	p[3] = uint8((255*alpha + int(p[3])*rest + 127) / 255)
}
