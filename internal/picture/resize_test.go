package picture

import (
	"crypto/sha256"
	"fmt"
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/basicfont"
	"golang.org/x/image/math/fixed"
)

// ratios are all that a decoder may return.
var ratios = []image.YCbCrSubsampleRatio{
	image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
	image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
}

// page is small black text on white, with hard edges and hairlines.
func page(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	for y := 13; y < height; y += 15 {
		d := font.Drawer{Dst: img, Src: image.Black, Face: basicfont.Face7x13, Dot: fixed.P(2, y)}
		for d.Dot.X.Ceil() < width {
			d.DrawString("Sphinx of black quartz, judge my vow. ")
		}
	}
	return img
}

// planarOf is a picture as planes, with chroma for each pixel.
func planarOf(img *image.RGBA) *image.YCbCr {
	out := image.NewYCbCr(img.Rect, image.YCbCrSubsampleRatio444)
	convert(out, img)
	return out
}

// psnr compares colours, in dB; more is better, 40 is what no eye sees.
func psnr(a, b image.Image) float64 {
	var sum, count float64
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			ar, ag, ab, _ := a.At(a.Bounds().Min.X+x, a.Bounds().Min.Y+y).RGBA()
			br, bg, bb, _ := b.At(b.Bounds().Min.X+x, b.Bounds().Min.Y+y).RGBA()
			for _, pair := range [][2]uint32{{ar, br}, {ag, bg}, {ab, bb}} {
				d := float64(pair[0]>>8) - float64(pair[1]>>8)
				sum, count = sum+d*d, count+1
			}
		}
	}
	return 10 * math.Log10(255*255*count/max(sum, 1e-9))
}

func TestResizeIsAsGoodAsTheFloatingOne(t *testing.T) {
	photo := image.NewRGBA(image.Rect(0, 0, 432, 768))
	draw.Draw(photo, photo.Rect, photograph(t, 432, 768), image.Point{}, draw.Src)
	for name, img := range map[string]*image.RGBA{"photograph": photo, "text": page(432, 768)} {
		for _, to := range []image.Point{{X: 304, Y: 540}, {X: 203, Y: 361}, {X: 81, Y: 144}, {X: 36, Y: 64}, {X: 500, Y: 889}} {
			want := image.NewRGBA(image.Rectangle{Max: to})
			draw.CatmullRom.Scale(want, want.Rect, img, img.Rect, draw.Src, nil)
			planes := resample(planarOf(img), img.Rect, to.X, to.Y, image.YCbCrSubsampleRatio444)
			assert.GreaterOrEqual(t, psnr(want, planes), 40.0, "%s to %v, as planes", name, to)
			pixels := image.NewRGBA(want.Rect)
			resizePixels(pixels.Pix, to, img.Rect, linesOf(img, nil))
			assert.GreaterOrEqual(t, psnr(want, pixels), 40.0, "%s to %v, as pixels", name, to)
		}
	}
}

// A zone plate has every frequency, higher and higher from the middle on. What is too
// fine for the result has to become grey: a cheap kernel makes rings of it.
func TestResizeDoesNotAlias(t *testing.T) {
	const side, to = 600, 150
	plate := image.NewYCbCr(image.Rect(0, 0, side, side), image.YCbCrSubsampleRatio420)
	fill(plate.Cb, neutral)
	fill(plate.Cr, neutral)
	for y := range side {
		for x := range side {
			dx, dy := float64(x)-side/2+0.5, float64(y)-side/2+0.5
			// The frequency at the edge is half a period a pixel.
			plate.Y[plate.YOffset(x, y)] = uint8(128 + 100*math.Cos(math.Pi*(dx*dx+dy*dy)/side))
		}
	}
	// Twice what the result can show lies at the half of the way to the edge.
	rings := func(img image.Image) float64 {
		var sum, count float64
		for y := range to {
			for x := range to {
				dx, dy := float64(x)-to/2+0.5, float64(y)-to/2+0.5
				if r := math.Hypot(dx, dy); r > to/4 && r < to/2 {
					luma := float64(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
					sum, count = sum+(luma-128)*(luma-128), count+1
				}
			}
		}
		return math.Sqrt(sum / count)
	}
	cheap := image.NewRGBA(image.Rect(0, 0, to, to))
	draw.ApproxBiLinear.Scale(cheap, cheap.Rect, plate, plate.Rect, draw.Src, nil)
	require.Greater(t, rings(cheap), 20.0)
	require.Less(t, rings(Reduce(plate, to)), 3.0)
	require.Less(t, rings(resample(plate, plate.Rect, to, to, image.YCbCrSubsampleRatio420)), 3.0)
}

// One colour stays that colour, to the last bit, whatever the sizes.
func TestResizeKeepsOneColour(t *testing.T) {
	for _, size := range []image.Point{{X: 1, Y: 1}, {X: 2, Y: 3}, {X: 7, Y: 5}, {X: 64, Y: 33}, {X: 1000, Y: 1}, {X: 3, Y: 777}} {
		for _, to := range []image.Point{{X: 1, Y: 1}, {X: 1, Y: 9}, {X: 5, Y: 2}, {X: 13, Y: 17}, {X: 64, Y: 64}} {
			for n, ratio := range ratios {
				img := image.NewYCbCr(image.Rectangle{Max: size}, ratio)
				values := [3]uint8{uint8(255 - n), uint8(31 * n), uint8(17 + n)}
				fill(img.Y, values[0])
				fill(img.Cb, values[1])
				fill(img.Cr, values[2])
				for _, toRatio := range []image.YCbCrSubsampleRatio{image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio420} {
					out := resample(img, img.Rect, to.X, to.Y, toRatio)
					for i, pix := range [][]uint8{out.Y, out.Cb, out.Cr} {
						for _, v := range pix {
							require.Equal(t, values[i], v, "%v %v to %v %v, plane %d", size, ratio, to, toRatio, i)
						}
					}
				}
			}
		}
	}
}

// A picture whose luma and chroma are one and the same ramp keeps them together, up to
// the rounding: chroma sits in the middle of its pixels, not on the first of them.
func TestChromaStaysWhereItIs(t *testing.T) {
	const side, slope = 60, 4
	for _, ratio := range ratios {
		img := image.NewYCbCr(image.Rect(0, 0, side, side), ratio)
		subX, subY := subsampling(ratio)
		for y := range side {
			for x := range side {
				img.Y[img.YOffset(x, y)] = uint8(slope/2*x + slope/2*y)
				// The mean of those that share it.
				middle := slope/2*(x/subX*subX) + slope/2*(y/subY*subY) + slope/4*(subX-1) + slope/4*(subY-1)
				img.Cb[img.COffset(x, y)], img.Cr[img.COffset(x, y)] = uint8(middle), uint8(255-middle)
			}
		}
		for _, to := range []int{60, 43, 29, 13, 90} {
			out := resample(img, img.Rect, to, to, image.YCbCrSubsampleRatio444)
			for y := to / 5; y < to-to/5; y++ {
				for x := to / 5; x < to-to/5; x++ {
					luma, c := int(out.Y[out.YOffset(x, y)]), out.COffset(x, y)
					require.InDelta(t, luma, int(out.Cb[c]), 1.5, "%v to %d at %d,%d", ratio, to, x, y)
					require.InDelta(t, 255-luma, int(out.Cr[c]), 1.5, "%v to %d at %d,%d", ratio, to, x, y)
				}
			}
		}
	}
}

// A part that begins between two samples of chroma is the same part as that of the
// picture with chroma for each pixel.
func TestAPartOfAPicture(t *testing.T) {
	whole := photograph(t, 96, 80).(*image.YCbCr)
	for _, part := range []image.Rectangle{image.Rect(16, 8, 80, 72), image.Rect(17, 9, 81, 73)} {
		cut := resample(whole, part, 32, 32, image.YCbCrSubsampleRatio420)
		sub := resample(whole.SubImage(part), part, 32, 32, image.YCbCrSubsampleRatio420)
		moved := image.NewRGBA(image.Rect(0, 0, 64, 64))
		draw.Draw(moved, moved.Rect, whole, part.Min, draw.Src)
		alone := resample(moved, moved.Rect, 32, 32, image.YCbCrSubsampleRatio420)
		assert.Greater(t, psnr(cut, alone), 35.0, "%v", part)
		assert.Greater(t, psnr(sub, alone), 35.0, "%v", part)
	}
}

func TestResizingInPlaceIsResizing(t *testing.T) {
	for _, size := range []image.Point{{X: 90, Y: 70}, {X: 300, Y: 20}, {X: 5, Y: 400}} {
		for _, side := range []int{3, 16, 65} {
			img := noise(size.X, size.Y)
			for i := 3; i < len(img.Pix); i += 16 {
				img.Pix[i] = uint8(i)
			}
			fresh := shrunkColours(make([]uint8, len(img.Pix)), img, min(size.X, side), min(size.Y, side))
			placed := shrunkColours(img.Pix, img, min(size.X, side), min(size.Y, side))
			require.Equal(t, fresh, placed, "%v to %d", size, side)
		}
	}
}

// The bytes of a resize are the same on every machine and for ever: figures of checks
// stand on them. Change exportVersion and the checks' versions with these sums.
func TestResizeHasTheSameBytesEverywhere(t *testing.T) {
	img := image.NewYCbCr(image.Rect(0, 0, 301, 203), image.YCbCrSubsampleRatio420)
	state := uint32(1)
	for _, pix := range [][]uint8{img.Y, img.Cb, img.Cr} {
		for i := range pix {
			state = state*1664525 + 1013904223
			pix[i] = uint8(state >> 24)
		}
	}
	for _, c := range []struct {
		width, height int
		ratio         image.YCbCrSubsampleRatio
		want          string
	}{
		{211, 143, image.YCbCrSubsampleRatio420, "46067c1b943f1ec9"},
		{60, 40, image.YCbCrSubsampleRatio444, "85d9987d4932872e"},
		{400, 300, image.YCbCrSubsampleRatio420, "65fac9e2cc7a10ec"},
	} {
		out := resample(img, img.Rect, c.width, c.height, c.ratio)
		sum := sha256.New()
		sum.Write(out.Y)
		sum.Write(out.Cb)
		sum.Write(out.Cr)
		assert.Equal(t, c.want, fmt.Sprintf("%x", sum.Sum(nil)[:8]), "%dx%d", c.width, c.height)
	}
}

func TestCatmullRom(t *testing.T) {
	for at, want := range map[float64]float64{0: 1, 0.25: 0.8671875, 0.5: 0.5625, 1: 0, 1.5: -0.0625, 2: 0, 3: 0} {
		require.InDelta(t, want, float64(catmullRom(int64(at*65536)))/65536, 1e-4, "at %v", at)
	}
	for _, c := range [][2]int{{1536, 1080}, {480, 128}, {1, 7}, {5, 4}} {
		a := newAxis(c[1], c[0], spanOf(0, c[0], 1, c[1], 1))
		for n := range c[1] {
			sum := int64(0)
			for _, w := range a.weights[n*a.taps:][:a.taps] {
				sum += w
			}
			require.EqualValues(t, weightOne, sum)
			require.LessOrEqual(t, a.starts[n]+a.taps, c[0])
		}
	}
}
