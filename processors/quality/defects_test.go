package quality

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/lucasb-eyer/go-colorful"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini/standin"
)

// Pictures with known defects, each made of a good one by code. A number makes
// the same picture each time.

const (
	drawnWidth, drawnHeight = 360, 640 // reduced as real ones are, and still cheap
	drawnRatio              = 9.0 / 16
)

// example is a picture with what was asked for.
type example struct {
	data  []byte
	asked Expectation
}

// drawing is how an advert is drawn, before anything is wrong with it.
type drawing struct {
	img    *image.RGBA
	random *rand.Rand
	brand  Expectation
	hue    float64 // of the leading colour, degrees
	prompt string
	number int
}

// draw makes a good picture: that of a brand of its own, by the stand-in.
func drawGood(number int) drawing {
	random := rand.New(rand.NewPCG(uint64(number), 7))
	d := drawing{random: random, number: number}
	d.hue = 360 * random.Float64()
	hue := d.hue
	d.brand = Expectation{
		Width: drawnWidth, Height: drawnHeight, Ratio: drawnRatio, BytesMax: 1 << 22,
		Colours: []string{
			colorful.Hcl(hue, 0.1+0.3*random.Float64(), 0.3+0.5*random.Float64()).Clamped().Hex(),
			colorful.Hcl(hue+30+60*random.Float64(), 0.2+0.4*random.Float64(), 0.4+0.4*random.Float64()).Clamped().Hex(),
			colorful.Hcl(hue+150*random.Float64(), 0.1*random.Float64(), 0.85).Clamped().Hex(),
		},
		ForbiddenColours: []string{colorful.Hcl(hue+180+40*random.Float64(), 0.7, 0.55).Clamped().Hex()},
	}
	d.prompt = promptOf(d.brand.Colours, number)
	d.img = standin.Draw(d.prompt, nil, int32(number), drawnWidth, drawnHeight)
	return d
}

func promptOf(colours []string, number int) string {
	return fmt.Sprintf("An advert for product %d. Brand colours: %s, %s, %s\n", number, colours[0], colours[1], colours[2])
}

// encoded is the file that a model would answer with.
func encoded(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: quality}))
	return b.Bytes()
}

// kinds are the pictures of the table, the good ones first. Each is made of a
// good one; finds names the check that should see it, empty for those that
// nothing should be found in.
var kinds = []struct {
	name  string
	finds string
	make  func(t testing.TB, d drawing) example
}{
	{"good", "", func(t testing.TB, d drawing) example { return d.as(t, d.img) }},
	{"another of the same prompt", "", func(t testing.TB, d drawing) example {
		e := d.as(t, standin.Draw(d.prompt, nil, int32(d.number+100_000), drawnWidth, drawnHeight))
		return e.beside(t, d.img)
	}},
	{"the same in other colours", "", func(t testing.TB, d drawing) example {
		return d.as(t, d.img).beside(t, recoloured(d.img, 90))
	}},
	{"blank", "decodes", func(t testing.TB, d drawing) example { return d.as(t, blank(d)) }},
	{"wrong ratio", "decodes", func(t testing.TB, d drawing) example {
		return d.as(t, standin.Draw(d.prompt, nil, int32(d.number), drawnHeight*4/5, drawnHeight))
	}},
	{"letterboxed", "border", func(t testing.TB, d drawing) example { return d.as(t, letterboxed(d)) }},
	{"bordered", "border", func(t testing.TB, d drawing) example { return d.as(t, bordered(d)) }},
	{"blurred", "blur", func(t testing.TB, d drawing) example { return d.as(t, blurred(d)) }},
	{"off-palette", "palette", func(t testing.TB, d drawing) example { return d.as(t, offPalette(d)) }},
	{"forbidden colour", "palette", func(t testing.TB, d drawing) example { return d.as(t, forbidden(d)) }},
	{"near duplicate", "duplicate", func(t testing.TB, d drawing) example { return d.as(t, repeated(d)).beside(t, d.img) }},
}

func (d drawing) as(t testing.TB, img image.Image) example {
	return example{data: encoded(t, img, 93), asked: d.brand}
}

// beside puts another picture into the batch.
func (e example) beside(t testing.TB, other image.Image) example {
	signature, ok := Open(encoded(t, other, 93), "image/jpeg").Signature()
	require.True(t, ok)
	e.asked.Batch = append(e.asked.Batch, signature)
	return e
}

// blank is a ground without anything on it: one colour with grain, or one that
// darkens a little.
func blank(d drawing) image.Image {
	img := image.NewRGBA(d.img.Rect)
	base, fall := 60+d.random.IntN(150), d.random.IntN(3)
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			v := uint8(base - fall*y/img.Rect.Dy() + d.random.IntN(9) - 4)
			img.SetRGBA(x, y, color.RGBA{R: v, G: v, B: v - 10, A: 255})
		}
	}
	return img
}

// ground is the colour of a bar: black, white, or one of the brand's.
func (d drawing) ground() image.Image {
	c, _ := colorful.Hex(d.brand.Colours[d.random.IntN(2)])
	return image.NewUniform([]color.Color{color.Black, color.White, c}[d.random.IntN(3)])
}

func copied(img *image.RGBA) *image.RGBA {
	c := image.NewRGBA(img.Rect)
	copy(c.Pix, img.Pix)
	return c
}

// letterboxed has bars of 3 to 15 % above and below, or beside.
func letterboxed(d drawing) image.Image {
	img, ground, share := copied(d.img), d.ground(), 0.03+0.12*d.random.Float64()
	size := img.Rect.Size()
	if d.random.IntN(3) == 0 {
		bar := int(share * float64(size.X))
		draw.Draw(img, image.Rect(0, 0, bar, size.Y), ground, image.Point{}, draw.Src)
		draw.Draw(img, image.Rect(size.X-bar, 0, size.X, size.Y), ground, image.Point{}, draw.Src)
		return img
	}
	bar := int(share * float64(size.Y))
	draw.Draw(img, image.Rect(0, 0, size.X, bar), ground, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(0, size.Y-bar, size.X, size.Y), ground, image.Point{}, draw.Src)
	return img
}

// bordered stands in a frame of 2 to 6 % of its width.
func bordered(d drawing) image.Image {
	img := image.NewRGBA(d.img.Rect)
	draw.Draw(img, img.Rect, d.ground(), image.Point{}, draw.Src)
	inner := img.Rect.Inset(int((0.02 + 0.04*d.random.Float64()) * drawnWidth))
	draw.Draw(img, inner, d.img, inner.Min, draw.Src)
	return img
}

// blurred is out of focus: three box blurs, which make nearly a Gaussian, of 0.8
// to 2 % of the width.
func blurred(d drawing) image.Image {
	img := copied(d.img)
	radius := int((0.008 + 0.012*d.random.Float64()) * drawnWidth)
	for range 3 {
		boxBlur(img, radius, 4, img.Rect.Dx(), img.Stride, img.Rect.Dy())
		boxBlur(img, radius, img.Stride, img.Rect.Dy(), 4, img.Rect.Dx())
	}
	return img
}

// boxBlur averages along lines of so many pixels, step bytes apart.
func boxBlur(img *image.RGBA, radius, step, length, lineStep, lines int) {
	line := make([]int, length)
	for l := range lines {
		for channel := range 3 {
			at := l*lineStep + channel
			sum, count := 0, 0
			for i := range line {
				line[i] = int(img.Pix[at+i*step])
			}
			for i := -radius; i < length; i++ {
				if i+radius < length {
					sum, count = sum+line[i+radius], count+1
				}
				if i-radius-1 >= 0 {
					sum, count = sum-line[i-radius-1], count-1
				}
				if i >= 0 {
					img.Pix[at+i*step] = uint8(sum / count)
				}
			}
		}
	}
}

// recoloured turns every hue by so many degrees.
func recoloured(img *image.RGBA, degrees float64) *image.RGBA {
	c := copied(img)
	known := map[[3]uint8][3]uint8{}
	for i := 0; i < len(c.Pix); i += 4 {
		from := [3]uint8(c.Pix[i : i+3])
		to, ok := known[from]
		if !ok {
			h, s, v := colorful.Color{R: float64(from[0]) / 255, G: float64(from[1]) / 255, B: float64(from[2]) / 255}.Hsv()
			if h += degrees; h >= 360 {
				h -= 360
			}
			to[0], to[1], to[2] = colorful.Hsv(h, s, v).RGB255()
			known[from] = to
		}
		copy(c.Pix[i:], to[:])
	}
	return c
}

// offPalette is drawn in the colours of somebody else: the leading hue turned by a
// third of the circle at least, and nothing of it pale.
func offPalette(d drawing) image.Image {
	hue := d.hue + 120 + 120*d.random.Float64()
	var others []string
	for _, turn := range []float64{0, 25, -25} {
		others = append(others, colorful.Hcl(math.Mod(hue+turn+360, 360), 0.35+0.3*d.random.Float64(), 0.35+0.4*d.random.Float64()).Clamped().Hex())
	}
	return standin.Draw(promptOf(others, d.number), nil, int32(d.number), drawnWidth, drawnHeight)
}

// forbidden shows something of the forbidden colour, on 4 to 15 % of the picture.
func forbidden(d drawing) image.Image {
	img := copied(d.img)
	c, _ := colorful.Hex(d.brand.ForbiddenColours[0])
	area := (0.04 + 0.11*d.random.Float64()) * drawnWidth * drawnHeight
	x, y := drawnWidth/4+d.random.IntN(drawnWidth/2), drawnHeight/4+d.random.IntN(drawnHeight/2)
	for dy := -drawnHeight; dy < drawnHeight; dy++ {
		for dx := -drawnWidth; dx < drawnWidth; dx++ {
			if square := float64(dx*dx + dy*dy); 3.1416*square < area && image.Pt(x+dx, y+dy).In(img.Rect) {
				shade := 1 - 0.25*3.1416*square/area
				r, g, b := colorful.Color{R: c.R * shade, G: c.G * shade, B: c.B * shade}.RGB255()
				img.SetRGBA(x+dx, y+dy, color.RGBA{R: r, G: g, B: b, A: 255})
			}
		}
	}
	return img
}

// repeated is the same picture a little otherwise: lighter or darker, with other
// grain, and cut by up to 2 % a side.
func repeated(d drawing) image.Image {
	img := copied(d.img)
	lift := d.random.IntN(17) - 8
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = uint8(min(255, max(0, int(img.Pix[i])+lift+d.random.IntN(7)-3)))
		}
	}
	cut := 1 + d.random.IntN(drawnWidth/50)
	out := image.NewRGBA(img.Rect)
	for y := range drawnHeight {
		for x := range drawnWidth {
			out.SetRGBA(x, y, img.RGBAAt(cut+x*(drawnWidth-2*cut)/drawnWidth, cut+y*(drawnHeight-2*cut)/drawnHeight))
		}
	}
	return out
}
