package standin

import (
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"slices"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// defective draws a picture with the defect that a fault asks for, or without.
func defective(t task, fault string, width, height int) *image.RGBA {
	switch fault {
	case FaultBlank:
		img := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{Y: 200}), image.Point{}, draw.Src)
		return img
	case FaultOffPalette:
		s := compose(t.prompt, t.references, t.seed, width, height)
		s.palette = foreign(colorsOf(t.prompt))
		return s.draw()
	case FaultNearDuplicate:
		return duplicate(t, width, height)
	}
	img := Draw(t.prompt, t.references, t.seed, width, height)
	switch fault {
	case FaultLetterboxed:
		letterbox(img)
	case FaultBlurred:
		// Far beyond what a lens does on purpose: a twentieth of the picture.
		for range 3 {
			blur(img, max(1, min(width, height)/50))
		}
	case FaultGarbledText:
		scribble(img, rand.New(rand.NewPCG(uint64(uint32(t.seed)), binary.BigEndian.Uint64([]byte(t.hash())))))
	}
	return img
}

// duplicate is one picture for all seeds and wordings of the same colours and
// product: only its grain is another each time, so that no two files are equal.
func duplicate(t task, width, height int) *image.RGBA {
	subject := hashOf(t.prompt, nil)
	product := chosenSolid(t.prompt, binary.BigEndian.Uint64(subject[16:]))
	s := compose(product.name, nil, 0, width, height)
	s.palette, s.grain = paletteOf(t.prompt, rand.New(rand.NewPCG(0, 1))), uint64(uint32(t.seed))<<1|1
	return s.draw()
}

// foreign is a palette of the hue that lies farthest from all of a brand's.
func foreign(brand []tint) palette {
	best, farthest := 0.0, -1.0
	for turn := range 36 {
		hue := float64(turn) * math.Pi / 18
		near := math.Pi
		for _, c := range brand {
			if own, strength := c.chroma(); strength >= chromaMin {
				near = min(near, turnBetween(hue, own))
			}
		}
		if near > farthest {
			best, farthest = hue, near
		}
	}
	at := func(light, strength float64) tint { return chromatic(light, best, strength) }
	return palette{
		near: at(0.62, 0.2), far: at(0.5, 0.22), surface: at(0.56, 0.2),
		product: at(0.3, 0.16), detail: white, props: []tint{at(0.75, 0.14), at(0.4, 0.2)},
	}
}

// letterbox lays black bars over an eighth of the picture at both ends of its
// shorter side.
func letterbox(img *image.RGBA) {
	b := img.Bounds()
	first, last := b, b
	if b.Dy() >= b.Dx() {
		first.Max.Y, last.Min.Y = b.Dy()/8, b.Dy()-b.Dy()/8
	} else {
		first.Max.X, last.Min.X = b.Dx()/8, b.Dx()-b.Dx()/8
	}
	for _, bar := range []image.Rectangle{first, last} {
		draw.Draw(img, bar, image.Black, image.Point{}, draw.Src)
	}
}

// blur is a box blur of both directions.
func blur(img *image.RGBA, radius int) {
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	line := make([]uint8, 4*max(width, height))
	for y := range height {
		blurLine(img.Pix[y*img.Stride:], 4, width, radius, line)
	}
	for x := range width {
		blurLine(img.Pix[4*x:], img.Stride, height, radius, line)
	}
}

// blurLine blurs n pixels that lie step bytes apart; line holds them meanwhile.
func blurLine(pix []uint8, step, n, radius int, line []uint8) {
	for i := range n {
		copy(line[4*i:4*i+4], pix[i*step:i*step+4])
	}
	for c := range 3 {
		sum := 0
		at := func(i int) int { return int(line[4*min(max(i, 0), n-1)+c]) }
		for i := -radius; i <= radius; i++ {
			sum += at(i)
		}
		for i := range n {
			pix[i*step+c] = uint8(sum / (2*radius + 1))
			sum += at(i+radius+1) - at(i-radius)
		}
	}
}

// babble are syllables of which image models make words that are none.
var babble = []string{"FRES", "JCO", "FEE", "NAT", "URL", "BRW", "GLO", "SKN", "OFR", "RTE", "SUM", "MRE", "LIM", "TDE", "ORG", "NIC"}

// scribble sets three lines of such words across the upper part of the picture.
func scribble(img *image.RGBA, random *rand.Rand) {
	face := basicfont.Face7x13
	width, height := img.Bounds().Dx(), img.Bounds().Dy()
	ink := color.Color(color.White)
	if brightness(img) > 0.5 {
		ink = color.Black
	}
	for line := range 3 {
		text := ""
		for len(text) < 15 {
			text += babble[random.IntN(len(babble))]
			if random.IntN(2) == 0 {
				text += " "
			}
		}
		text = text[:15]
		small := image.NewAlpha(image.Rect(0, 0, face.Advance*len(text), face.Height))
		d := font.Drawer{Dst: small, Src: image.Opaque, Face: face, Dot: fixed.P(0, face.Ascent)}
		d.DrawString(text)
		wide := width * 4 / 5
		tall := wide * face.Height / (face.Advance * len(text))
		at := image.Pt(width/10, height/12+line*tall*5/4)
		mask := image.NewAlpha(image.Rect(0, 0, wide, tall))
		xdraw.ApproxBiLinear.Scale(mask, mask.Bounds(), small, small.Bounds(), draw.Src, nil)
		draw.DrawMask(img, mask.Bounds().Add(at), image.NewUniform(ink), image.Point{}, mask, image.Point{}, draw.Over)
	}
}

// brightness is the mean light of the upper third, 0 to 1, from every 16th pixel.
func brightness(img *image.RGBA) float64 {
	var lights []float64
	for y := 0; y < max(1, img.Bounds().Dy()/3); y += 16 {
		for x := 0; x < img.Bounds().Dx(); x += 16 {
			p := img.Pix[y*img.Stride+4*x:]
			lights = append(lights, tint{float64(p[0]) / 255, float64(p[1]) / 255, float64(p[2]) / 255}.light())
		}
	}
	slices.Sort(lights)
	return lights[len(lights)/2]
}
