package picture

import (
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"
)

func TestReduce(t *testing.T) {
	img := photograph(t, 540, 960)
	small := Reduce(img, ReducedSide)
	require.Equal(t, image.Pt(270, 480), small.Rect.Size())
	require.Equal(t, image.YCbCrSubsampleRatio444, small.SubsampleRatio)
	require.Len(t, small.Cb, len(small.Y))
	require.Equal(t, small.YStride, small.CStride)
	require.Same(t, small, Reduce(small, ReducedSide), "it is so already")
	require.Same(t, small, Reduce(small, 5000), "nothing is enlarged")

	smaller := Reduce(img, 128)
	require.Equal(t, image.Pt(72, 128), smaller.Rect.Size())
	require.Equal(t, smaller, Reduce(small, 128))
	require.Equal(t, image.Pt(540, 960), Reduce(img, 4096).Rect.Size())
	require.Equal(t, image.Pt(1, 1), Reduce(img, 1).Rect.Size())
	require.Equal(t, image.Pt(1, 1), Reduce(img, -5).Rect.Size())

	fromFile, err := Thumbnail(img, ReducedSide)
	require.NoError(t, err)
	reduced, err := Thumbnail(small, ReducedSide)
	require.NoError(t, err)
	require.Equal(t, fromFile, reduced)
}

// The same picture is the same planes, whatever holds its pixels and wherever its
// bounds begin.
func TestEveryKindOfPictureIsMadePlanar(t *testing.T) {
	const width, height = 90, 70
	bounds := image.Rect(-7, 5, width-7, height+5)
	colour := func(x, y int) color.NRGBA {
		return color.NRGBA{R: uint8(2 * x), G: uint8(3 * y), B: uint8(x + y), A: 255}
	}
	grey := func(x, y int) color.NRGBA {
		return color.NRGBA{R: uint8(x + y), G: uint8(x + y), B: uint8(x + y), A: 255}
	}
	var steps color.Palette
	for v := range 256 {
		steps = append(steps, color.Gray{Y: uint8(v)})
	}
	for name, c := range map[string]struct {
		img  draw.Image
		of   func(x, y int) color.NRGBA
		loss int
	}{
		"RGBA":    {image.NewRGBA(bounds), colour, 6},
		"NRGBA":   {image.NewNRGBA(bounds), colour, 6},
		"RGBA64":  {image.NewRGBA64(bounds), colour, 6},
		"NRGBA64": {image.NewNRGBA64(bounds), colour, 6},
		"CMYK":    {image.NewCMYK(bounds), colour, 8},
		"grey":    {image.NewGray(bounds), grey, 3},
		"Gray16":  {image.NewGray16(bounds), grey, 3},
		"palette": {image.NewPaletted(bounds, steps), grey, 3},
	} {
		for y := range height {
			for x := range width {
				c.img.Set(bounds.Min.X+x, bounds.Min.Y+y, c.of(x, y))
			}
		}
		small := Reduce(c.img, 45)
		require.Equal(t, image.Pt(45, 35), small.Rect.Size(), name)
		whole := Reduce(c.img, 1000)
		for y := 4; y < height-4; y += 5 {
			for x := 4; x < width-4; x += 5 {
				assert.True(t, near(c.of(x, y), whole.At(x, y), c.loss), "%s at %d,%d: %v, want %v", name, x, y, whole.At(x, y), c.of(x, y))
				assert.True(t, near(c.of(x, y), small.At(x/2, y/2), c.loss+4), "%s at %d,%d of the small one: %v", name, x, y, small.At(x/2, y/2))
			}
		}
	}
}

// counted counts how often its pixels are read.
type counted struct {
	*image.NRGBA
	reads int
}

func (c *counted) At(x, y int) color.Color {
	c.reads++
	return c.NRGBA.At(x, y)
}

func (c *counted) RGBA64At(x, y int) color.RGBA64 {
	c.reads++
	return c.NRGBA.RGBA64At(x, y)
}

// A lower quality encodes again; it does not resize again.
func TestAnExportIsResizedOnce(t *testing.T) {
	img := noise(200, 160)
	best, err := Export(img, Target{Width: 100, Height: 80})
	require.NoError(t, err)
	once := &counted{NRGBA: img}
	_, err = Export(once, Target{Width: 100, Height: 80})
	require.NoError(t, err)
	again := &counted{NRGBA: img}
	low, err := Export(again, Target{Width: 100, Height: 80, BytesMax: len(best) / 2})
	require.NoError(t, err)
	require.Less(t, len(low), len(best)/2+1)
	require.Positive(t, once.reads)
	require.Equal(t, once.reads, again.reads)
}

// All that is done with an image of 2K: garbage that stays until it is collected is
// memory too, so that everything allocated is counted.
func TestAnImageTakesLittleMemory(t *testing.T) {
	data := encodedJPEG(t, photograph(t, 1536, 2752))
	used := allocated(func() {
		img, _, err := Decode(data)
		require.NoError(t, err)
		small := Reduce(img, ReducedSide)
		Reduce(small, 128)
		_, err = Thumbnail(small, ReducedSide)
		require.NoError(t, err)
		_, err = Export(img, Target{Width: 1080, Height: 1920, Overlay: image.NewRGBA(image.Rect(0, 0, 1080, 1920))})
		require.NoError(t, err)
	})
	require.Less(t, used, int64(32<<20))
}
