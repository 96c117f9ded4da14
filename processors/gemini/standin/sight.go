package standin

import (
	"image"
	"image/draw"
	"math"

	xdraw "golang.org/x/image/draw"

	"atelier/internal/picture"
)

const (
	// sightSide is the longer side of the picture that is looked at (pixels).
	sightSide = 640
	// chromaMin is how strong a colour must be to have a hue, 0 to about 0.6.
	chromaMin = 0.045
	// hueReach is how far a hue may lie from the palette's, because surfaces mix
	// what lies beside them (radians).
	hueReach = 35 * math.Pi / 180
	// foreignMost is the share of foreign hues at which a picture is off its
	// palette.
	foreignMost = 0.3
)

// sight is a picture as the judge sees it.
type sight struct {
	pixels *image.RGBA
	light  []uint8 // of each pixel
}

// see reads a picture; false where it is none that can be decoded.
func see(data []byte) (sight, bool) {
	img, _, err := picture.Decode(data)
	if err != nil {
		return sight{}, false
	}
	size := img.Bounds().Size()
	if longer := max(size.X, size.Y); longer > sightSide {
		size = image.Pt(max(1, size.X*sightSide/longer), max(1, size.Y*sightSide/longer))
	}
	s := sight{pixels: image.NewRGBA(image.Rectangle{Max: size}), light: make([]uint8, size.X*size.Y)}
	xdraw.ApproxBiLinear.Scale(s.pixels, s.pixels.Bounds(), img, img.Bounds(), draw.Src, nil)
	for i := range s.light {
		p := s.pixels.Pix[4*i:]
		s.light[i] = uint8((54*int(p[0]) + 183*int(p[1]) + 19*int(p[2])) >> 8)
	}
	return s, true
}

func (s sight) size() (width, height int) { return s.pixels.Rect.Dx(), s.pixels.Rect.Dy() }

// at is the colour of the i-th pixel.
func (s sight) at(i int) tint {
	p := s.pixels.Pix[4*i:]
	return tint{float64(p[0]) / 255, float64(p[1]) / 255, float64(p[2]) / 255}
}

// linesOfText counts the rows that look like written ones: many strokes, light
// and dark by turns, each as narrow as a letter's. A row of letters has several
// such rows; nothing else that is drawn has.
func (s sight) linesOfText() int {
	width, height := s.size()
	rows := 0
	for y := range height {
		if strokes(s.light[y*width:(y+1)*width]) >= strokesMin {
			rows++
		}
	}
	return rows
}

const (
	// strokesMin is how many strokes make a row of text (count).
	strokesMin = 18
	// strokeContrast is the least difference of light of a stroke, 0 to 255.
	strokeContrast = 45
	// strokeWide is the most of a row that one stroke takes (share).
	strokeWide = 1.0 / 20
)

// strokes counts the turns from light to dark and back that follow each other
// within a stroke's width.
func strokes(row []uint8) int {
	if len(row) == 0 {
		return 0
	}
	wide := int(strokeWide*float64(len(row))) + 1
	low, high := int(row[0]), int(row[0])
	rising, last, count := 0, -wide, 0
	for x, value := range row {
		v := int(value)
		low, high = min(low, v), max(high, v)
		turned := 0
		switch {
		case rising <= 0 && v-low >= strokeContrast:
			turned = 1
		case rising >= 0 && high-v >= strokeContrast:
			turned = -1
		}
		if turned == 0 {
			continue
		}
		if x-last <= wide {
			count++
		}
		rising, last, low, high = turned, x, v, v
	}
	return count
}

// foreignShare is the share of pixels whose hue the palette does not have, with
// the mean of them. Greys belong to every palette.
func (s sight) foreignShare(wanted []tint) (share float64, mean tint) {
	var hues []float64
	for _, c := range wanted {
		if hue, strength := c.chroma(); strength >= chromaMin {
			hues = append(hues, hue)
		}
	}
	count := 0.0
	for i := range s.light {
		c := s.at(i)
		hue, strength := c.chroma()
		if strength < chromaMin || within(hue, hues) {
			continue
		}
		count++
		mean = tint{mean.r + c.r, mean.g + c.g, mean.b + c.b}
	}
	if count == 0 {
		return 0, tint{}
	}
	return count / float64(len(s.light)), mean.times(1 / count)
}

func within(hue float64, hues []float64) bool {
	for _, h := range hues {
		if turnBetween(hue, h) <= hueReach {
			return true
		}
	}
	return false
}

// nearShare is the share of pixels close to a colour.
func (s sight) nearShare(c tint) float64 {
	count := 0
	for i := range s.light {
		if s.at(i).distance(c) < 0.12 {
			count++
		}
	}
	return float64(count) / float64(len(s.light))
}

// sharpness is the steepest light between neighbours that one in a thousand
// reaches, 0 to 255.
func (s sight) sharpness() int {
	width, height := s.size()
	var steps [256]int
	for y := range height {
		row := s.light[y*width : (y+1)*width]
		for x := 1; x < width; x++ {
			d := int(row[x]) - int(row[x-1])
			steps[max(d, -d)]++
		}
	}
	left := len(s.light) / 1000
	for d := 255; d > 0; d-- {
		if left -= steps[d]; left < 0 {
			return d
		}
	}
	return 0
}

// blank says whether there is nothing but one colour.
func (s sight) blank() bool {
	low, high := uint8(255), uint8(0)
	for _, v := range s.light {
		low, high = min(low, v), max(high, v)
	}
	return high-low < 12
}

// bars says whether both ends of a side are strips of one dark colour.
func (s sight) bars() bool {
	width, height := s.size()
	dark := func(x, y int) bool { return s.light[y*width+x] < 24 }
	rows, columns := true, true
	for x := range width {
		for y := range max(1, height/25) {
			rows = rows && dark(x, y) && dark(x, height-1-y)
		}
	}
	for y := range height {
		for x := range max(1, width/25) {
			columns = columns && dark(x, y) && dark(width-1-x, y)
		}
	}
	return rows || columns
}

// chroma is a colour's hue (radians) and strength, from its colour differences
// (ITU-R BT.601): a mix with grey keeps the hue.
func (t tint) chroma() (hue, strength float64) {
	y := 0.299*t.r + 0.587*t.g + 0.114*t.b
	u, v := 0.564*(t.b-y), 0.713*(t.r-y)
	return math.Atan2(v, u), math.Hypot(u, v)
}

// chromatic is the colour of a light, hue and strength, as far as there is one.
func chromatic(light, hue, strength float64) tint {
	b, r := light+strength*math.Cos(hue)/0.564, light+strength*math.Sin(hue)/0.713
	g := (light - 0.299*r - 0.114*b) / 0.587
	return tint{clamp(r, 0, 1), clamp(g, 0, 1), clamp(b, 0, 1)}
}

// turnBetween is the angle between two hues, 0 to pi.
func turnBetween(a, b float64) float64 {
	d := math.Mod(math.Abs(a-b), 2*math.Pi)
	return min(d, 2*math.Pi-d)
}
