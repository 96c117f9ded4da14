package standin

import (
	"math"
	"strings"
	"unicode"
)

// point is one of a solid's visible points: how much of the pixel it covers,
// which way its surface looks (x right, y down, z to the viewer), and its paint.
type point struct {
	cover      float64
	nx, ny, nz float64
	paint      tint
	gloss      float64
}

// solid is a product in simple geometry. Its own coordinates are u to the right
// from its middle and v down from its top, both in units of its height.
type solid struct {
	name string
	// words choose it, whole words in lower case.
	words []string
	// height is its share of the free space, reach and foot its half width
	// overall and on the ground, in units of its height; above is how far it
	// goes over its top, seat the height of its footprint's middle.
	height, reach, foot, above, seat float64
	// at returns a point; pixel is the size of one in units of the height.
	at func(p palette, u, v, pixel float64) point
}

var solids = []solid{
	{"bottle", []string{"bottle", "bottles", "wine", "water", "drink", "juice", "perfume", "serum", "oil", "beer", "shampoo", "lemonade", "syrup", "soda", "kombucha", "spirit", "gin"}, 0.98, 0.2, 0.17, 0.035, 0.985, bottleAt},
	{"bag", []string{"bag", "bags", "tote", "backpack", "pouch", "shopper", "handbag", "beans", "granola", "crisps", "snack", "snacks"}, 0.86, 0.46, 0.4, 0.02, 0.955, bagAt},
	{"cup", []string{"cup", "cups", "mug", "mugs", "coffee", "tea", "espresso", "latte", "cappuccino", "cocoa", "soup"}, 0.62, 0.72, 0.34, 0.19, 0.96, cupAt},
	{"tube", []string{"tube", "tubes", "cream", "lotion", "toothpaste", "sunscreen", "balm", "gel", "skincare", "cosmetic", "cosmetics", "moisturizer"}, 0.95, 0.24, 0.16, 0.01, 0.985, tubeAt},
	{"shoe", []string{"shoe", "shoes", "sneaker", "sneakers", "boot", "boots", "trainer", "trainers", "running", "footwear"}, 0.42, 1.3, 1.15, 0.01, 0.975, shoeAt},
	{"box", []string{"box", "boxes", "gift", "gifts", "package", "packaging", "parcel", "cereal", "chocolate", "chocolates", "subscription", "kit"}, 0.72, 0.56, 0.46, 0.01, 0.9, boxAt},
}

// chosenSolid finds what a prompt is about: the solid whose words come most
// often in the brief, or in the brand's description, or anywhere; else one by
// the hash.
func chosenSolid(prompt string, hash uint64) solid {
	for _, text := range []string{between(prompt, "<brief>", "</brief>"), between(prompt, "<brand>", "</brand>"), prompt} {
		if found, ok := mostNamed(text); ok {
			return found
		}
	}
	return solids[hash%uint64(len(solids))]
}

func mostNamed(text string) (solid, bool) {
	counts := make([]int, len(solids))
	for _, word := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		for i, s := range solids {
			for _, w := range s.words {
				if w == word {
					counts[i]++
					if w == s.name || w == s.name+"s" {
						counts[i] += 2 // the thing itself, not what is in it
					}
				}
			}
		}
	}
	best := 0
	for i := range counts {
		if counts[i] > counts[best] {
			best = i
		}
	}
	return solids[best], counts[best] > 0
}

func between(text, open, end string) string {
	_, text, ok := strings.Cut(text, open)
	if !ok {
		return ""
	}
	text, _, _ = strings.Cut(text, end)
	return text
}

// tilt is how much of a round solid's top is seen from above.
const tilt = 0.2

// turned is a point on a solid of revolution: radius gives its half width at a
// height. The heights of bands bend round it by tilt, as seen a little from above.
func turned(u, v, pixel, tilt float64, radius func(v float64) float64, paint func(angle, s float64) (tint, float64)) point {
	r := radius(clamp(v, 0, 1))
	if math.Abs(u) > r+0.05 {
		return point{}
	}
	x := clamp(u/r, -1, 1)
	s := v + tilt*r*(1-math.Sqrt(1-x*x))
	at := clamp(s, 0.005, 0.995)
	r = radius(at)
	inside := min(r-math.Abs(u), min(1-s, s))
	if inside < -pixel {
		return point{}
	}
	slope := (radius(at+0.005) - r) / 0.005
	x = clamp(u/r, -1, 1)
	z := math.Sqrt(1 - x*x)
	color, gloss := paint(math.Asin(x), s)
	nx, ny, nz := unit(x, -0.9*slope*z, z)
	return point{cover: edge(inside, pixel), nx: nx, ny: ny, nz: nz, paint: color, gloss: gloss}
}

// disc is how deep a place lies within a level disc round the axis, whose middle
// is at a height.
func disc(u, v, middle, radius float64) float64 {
	return (1 - hypot(u/radius, (v-middle)/(tilt*radius))) * tilt * radius
}

// lid lays a disc in front of a point.
func lid(p point, depth, pixel float64, paint tint) point {
	if depth < -pixel {
		return p
	}
	return over(p, point{cover: edge(depth, pixel), ny: -0.94, nz: 0.34, paint: paint, gloss: 0.1})
}

// over puts one point in front of another.
func over(back, front point) point {
	if front.cover >= 1 || back.cover <= 0 {
		front.cover = max(front.cover, back.cover)
		return front
	}
	share := front.cover
	return point{
		cover: max(back.cover, share),
		nx:    back.nx + (front.nx-back.nx)*share, ny: back.ny + (front.ny-back.ny)*share, nz: back.nz + (front.nz-back.nz)*share,
		paint: back.paint.mix(front.paint, share), gloss: back.gloss + (front.gloss-back.gloss)*share,
	}
}

func bottleAt(p palette, u, v, pixel float64) point {
	radius := func(s float64) float64 {
		switch {
		case s < 0.13:
			return 0.078
		case s < 0.25:
			return 0.062 + 0.01*smooth(0.19, 0.25, s)
		case s < 0.46:
			return 0.072 + 0.098*smooth(0.25, 0.46, s)
		default:
			return 0.17 - 0.022*smooth(0.965, 1, s)
		}
	}
	body := turned(u, v, pixel, tilt, radius, func(angle, s float64) (tint, float64) {
		switch {
		case s < 0.13:
			return p.detail, 0.35
		case s > 0.56 && s < 0.86 && math.Abs(angle) < 1.22:
			if mark(angle*0.17, s-0.71) {
				return p.product, 0.2
			}
			return p.detail, 0.15
		default:
			return p.product, 0.9
		}
	})
	return lid(body, disc(u, v, -tilt*0.078, 0.078), pixel, p.detail.mix(white, 0.2))
}

// mark is a plain figure on a label: a disc with a slit. It stands for no sign.
func mark(x, y float64) bool {
	d := hypot(x, y)
	return d < 0.058 && (math.Abs(y+x*0.6) > 0.011 || d > 0.05)
}

func tubeAt(p palette, u, v, pixel float64) point {
	radius := func(s float64) float64 {
		if s > 0.84 {
			return 0.138 + 0.012*smooth(0.84, 0.87, s)
		}
		return 0.215 - 0.05*s
	}
	// Its seam is straight: only lower down it is round.
	body := turned(u, v, pixel, tilt*smooth(0.05, 0.6, v), radius, func(angle, s float64) (tint, float64) {
		switch {
		case s > 0.84:
			return p.detail, 0.3
		case s < 0.06:
			return p.product.times(0.9), 0.2
		case s > 0.3 && s < 0.36, s > 0.66 && s < 0.675:
			return p.detail, 0.3
		case mark(angle*0.17*0.9, s-0.5):
			return p.detail, 0.3
		default:
			return p.product, 0.55
		}
	})
	// Towards the seam the tube is flat: its surface looks at the viewer.
	flat := 1 - smooth(0, 0.7, v)
	body.nx, body.ny, body.nz = unit(body.nx*(1-0.75*flat), body.ny, body.nz+flat)
	if v >= 0.005 && v < 0.055 && math.Mod(v, 0.012) < 0.004 {
		body.paint = body.paint.times(0.93)
	}
	return body
}

func cupAt(p palette, u, v, pixel float64) point {
	radius := func(s float64) float64 { return 0.46 - 0.13*s*s - 0.05*smooth(0.9, 1, s) }
	ring := hypot((u-0.47)/0.2, (v-0.42)/0.27)
	around := 0.05 - math.Abs(ring-1)*0.22
	var handle point
	if u > 0.3 {
		nx, ny, nz := unit((u-0.47)*2*sign(ring-1), (v-0.42)*1.2*sign(ring-1), 0.35+8*max(0, around))
		handle = point{cover: edge(around, pixel), nx: nx, ny: ny, nz: nz, paint: p.product, gloss: 0.5}
	}
	body := turned(u, v, pixel, tilt, radius, func(_, s float64) (tint, float64) {
		if s > 0.62 && s < 0.70 {
			return p.detail, 0.4
		}
		return p.product, 0.6
	})
	cup := handle
	if body.cover > 0 {
		cup = over(handle, body)
	}
	if v > 0.01 {
		return cup
	}
	const rim, middle = 0.46, -tilt * 0.46
	cup = lid(cup, disc(u, v, middle, rim), pixel, p.product.mix(white, 0.25))
	hollow := disc(u, v, middle+0.004, 0.425)
	cup = lid(cup, hollow, pixel, p.product.times(0.5))
	return lid(cup, min(hollow, disc(u, v, middle+0.03, 0.4)), pixel, rgb(0x4A2B1A))
}

// face is a convex four-sided side of a box: corners clockwise on the screen.
type face struct {
	corners    [4][2]float64
	nx, ny, nz float64
}

// inside is how deep a place lies within the face, and where on it: across and
// down, 0 to 1.
func (f *face) inside(u, v float64) (depth, across, down float64) {
	depth = math.Inf(1)
	for i := range 4 {
		a, b := f.corners[i], f.corners[(i+1)%4]
		ex, ey := b[0]-a[0], b[1]-a[1]
		depth = min(depth, (ex*(v-a[1])-ey*(u-a[0]))/hypot(ex, ey))
		if depth < -0.01 {
			return depth, 0, 0
		}
	}
	left, right := f.corners[0], f.corners[1]
	across = (u - left[0]) / (right[0] - left[0])
	top := left[1] + (right[1]-left[1])*across
	bottom := f.corners[3][1] + (f.corners[2][1]-f.corners[3][1])*across
	return depth, across, (v - top) / (bottom - top)
}

func faced(faces []face, u, v, pixel float64, paint func(face int, across, down float64) (tint, float64)) point {
	var found point
	for i := range faces {
		f := &faces[i]
		depth, across, down := f.inside(u, v)
		cover := edge(depth, pixel)
		if cover <= 0 {
			continue
		}
		color, gloss := paint(i, across, down)
		found = over(found, point{cover: cover, nx: f.nx, ny: f.ny, nz: f.nz, paint: color, gloss: gloss})
	}
	return found
}

var boxFaces = []face{
	{[4][2]float64{{-0.5, 0.2}, {0.06, 0.04}, {0.53, 0.19}, {-0.02, 0.36}}, 0, -0.95, 0.3},
	{[4][2]float64{{-0.5, 0.2}, {-0.02, 0.36}, {-0.02, 1}, {-0.47, 0.8}}, -0.62, 0, 0.78},
	{[4][2]float64{{-0.02, 0.36}, {0.53, 0.19}, {0.5, 0.79}, {-0.02, 1}}, 0.62, 0, 0.78},
}

func boxAt(p palette, u, v, pixel float64) point {
	return faced(boxFaces, u, v, pixel, func(i int, across, down float64) (tint, float64) {
		switch {
		case i == 0:
			// The ribbon goes over the lid along both sides.
			if ribbon(u, v) {
				return p.detail, 0.3
			}
			return p.product.mix(white, 0.06), 0.15
		case across > 0.42 && across < 0.58:
			return p.detail, 0.3
		case down < 0.16:
			return p.product.mix(white, 0.05), 0.2
		case down < 0.175:
			return p.product.times(0.72), 0
		default:
			return p.product, 0.2
		}
	})
}

// ribbon is the cross on the box's lid: two bands between the middles of its
// edges.
func ribbon(u, v float64) bool {
	band := func(ax, ay, bx, by float64) bool {
		ex, ey := bx-ax, by-ay
		return math.Abs(ex*(v-ay)-ey*(u-ax))/hypot(ex, ey) < 0.026
	}
	return band(-0.26, 0.28, 0.295, 0.115) || band(0.255, 0.275, -0.22, 0.12)
}

var bagFaces = []face{
	{[4][2]float64{{-0.4, 0.26}, {0.22, 0.28}, {0.2, 1}, {-0.38, 0.95}}, -0.2, -0.05, 0.97},
	{[4][2]float64{{0.22, 0.28}, {0.44, 0.24}, {0.42, 0.91}, {0.2, 1}}, 0.75, 0, 0.62},
}

func bagAt(p palette, u, v, pixel float64) point {
	handle := func(cx, top, low float64) float64 {
		return 0.017 - math.Abs(hypot((u-cx)/0.15, min(0, v-low)/(low-top))-1)*0.15
	}
	var bag point
	if v < 0.3 {
		if c := edge(handle(0.02, 0.06, 0.25), pixel); c > 0 && v < 0.26 {
			bag = point{cover: c, nx: 0.2, ny: -0.3, nz: 0.9, paint: p.detail.times(0.75)}
		}
	}
	front := faced(bagFaces, u, v, pixel, func(i int, across, down float64) (tint, float64) {
		switch {
		case i == 1 && across > 0.48 && across < 0.56:
			return p.product.times(0.72), 0
		case i == 1 && across >= 0.56:
			return p.product.times(0.94), 0.1
		case down < 0.05:
			return p.product.mix(white, 0.1), 0.1
		case i == 0 && mark((across-0.5)*0.36, (down-0.52)*0.42):
			return p.detail, 0.1
		case i == 0 && down > 0.8 && down < 0.83:
			return p.detail, 0.1
		default:
			return p.product, 0.15
		}
	})
	if front.cover > 0 {
		bag = over(bag, front)
	}
	if c := edge(handle(-0.09, 0.02, 0.3), pixel); c > 0 && v < 0.34 {
		bag = over(bag, point{cover: c, nx: -0.3, ny: -0.4, nz: 0.85, paint: p.detail, gloss: 0.1})
	}
	return bag
}

// shoeReach is half the length of a shoe in units of its height.
const shoeReach = 1.25

// shoeTop is the upper edge of a shoe from toe to heel: along its length and up
// from the sole, both 0 to 1.
var shoeTop = [][2]float64{{0, 0.16}, {0.05, 0.3}, {0.16, 0.38}, {0.3, 0.46}, {0.42, 0.66}, {0.54, 0.92}, {0.6, 0.98}, {0.67, 0.88}, {0.8, 0.8}, {0.9, 0.88}, {0.955, 0.97}, {0.985, 0.75}, {1, 0.35}}

func shoeHeight(along float64) float64 {
	for i := 1; i < len(shoeTop); i++ {
		a, b := shoeTop[i-1], shoeTop[i]
		if along <= b[0] {
			return a[1] + (b[1]-a[1])*smooth(a[0], b[0], along)
		}
	}
	return 0
}

func shoeAt(p palette, u, v, pixel float64) point {
	along, up := (u/shoeReach+1)/2, 1-v
	sole := 0.15 + 0.07*smooth(0.75, 1, along)
	lift := 0.06*(1-smooth(0, 0.16, along)) + 0.015*smooth(0.9, 1, along)
	if along < 0 || along > 1 {
		return point{}
	}
	height := shoeHeight(along)
	slope := (shoeHeight(min(1, along+0.01)) - shoeHeight(max(0, along-0.01))) / (0.04 * shoeReach)
	ends := min(along, 1-along) * 2 * shoeReach
	var shoe point
	if body := edge(min((height-up)/hypot(1, slope), ends-0.015), pixel); body > 0 && up > sole-0.02 {
		rise := clamp((up-sole)/max(0.05, height-sole), 0, 1)
		nx, ny, nz := unit(-slope*0.35*rise+0.5*(smooth(0.85, 1, along)-1+smooth(0, 0.16, along)), -0.9*rise*rise, 0.75)
		paint := p.product
		diagonal := along - 0.55 + 0.35*rise
		switch {
		case along < 0.17+0.04*rise || (along > 0.86 && rise < 0.6):
			paint = p.product.times(0.86)
		case rise < 0.82 && rise > 0.05 && (math.Abs(diagonal) < 0.018 || math.Abs(diagonal-0.075) < 0.018):
			paint = p.detail
		case along > 0.3 && along < 0.56 && rise > 0.72 && math.Mod(along*26, 1) < 0.36:
			paint = p.detail
		case along > 0.6 && along < 0.95 && rise > 0.93:
			paint = p.product.times(0.6)
		}
		shoe = point{cover: body, nx: nx, ny: ny, nz: nz, paint: paint, gloss: 0.2}
	}
	if depth := min(min(sole-up, up-lift), ends+0.0); depth > -pixel {
		round := clamp((up-lift)/max(0.02, sole-lift), 0, 1)
		paint := p.detail
		if round < 0.3 {
			paint = p.detail.times(0.8)
		}
		nx, ny, nz := unit(0.3*(2*along-1), 0.5-1.1*round, 0.8)
		shoe = over(shoe, point{cover: edge(depth, pixel), nx: nx, ny: ny, nz: nz, paint: paint, gloss: 0.1})
	}
	return shoe
}

// edge turns a depth into a pixel's coverage, with one pixel of soft edge.
func edge(depth, pixel float64) float64 { return clamp(0.5+depth/pixel, 0, 1) }

func clamp(x, low, high float64) float64 { return max(low, min(high, x)) }

// hypot is math.Hypot without its care for huge numbers, several times faster.
func hypot(x, y float64) float64 { return math.Sqrt(x*x + y*y) }

func smooth(from, to, x float64) float64 {
	t := clamp((x-from)/(to-from), 0, 1)
	return t * t * (3 - 2*t)
}

func sign(x float64) float64 {
	if x < 0 {
		return -1
	}
	return 1
}

func unit(x, y, z float64) (float64, float64, float64) {
	n := math.Sqrt(x*x + y*y + z*z)
	return x / n, y / n, z / n
}
