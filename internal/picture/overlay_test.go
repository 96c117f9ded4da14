package picture

import (
	"bytes"
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"
)

// ground is a planar picture of one colour.
func ground(width, height int, c color.Color) *image.YCbCr {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	out := image.NewYCbCr(img.Rect, image.YCbCrSubsampleRatio420)
	convert(out, img)
	return out
}

// What a layer of one colour makes of a ground is what x/image makes of it in RGB.
func TestBlendIsDrawingOver(t *testing.T) {
	for _, under := range []color.NRGBA{{A: 255}, {R: 255, G: 255, B: 255, A: 255}, {R: 200, G: 30, B: 90, A: 255}, {R: 10, G: 140, B: 250, A: 255}} {
		for _, over := range []color.NRGBA{{R: 255, A: 255}, {R: 255, G: 255, B: 255, A: 128}, {B: 255, A: 1}, {R: 20, G: 220, B: 60, A: 200}, {}} {
			for _, size := range []image.Point{{X: 8, Y: 8}, {X: 7, Y: 5}, {X: 1, Y: 1}} {
				img := ground(size.X, size.Y, under)
				layer := image.NewRGBA(image.Rectangle{Max: size})
				draw.Draw(layer, layer.Rect, image.NewUniform(over), image.Point{}, draw.Src)
				blend(img, layer)
				want := image.NewRGBA(layer.Rect)
				draw.Draw(want, want.Rect, image.NewUniform(under), image.Point{}, draw.Src)
				draw.Draw(want, want.Rect, layer, image.Point{}, draw.Over)
				for y := range size.Y {
					for x := range size.X {
						require.True(t, near(want.At(x, y), img.At(x, y), 4), "%v over %v: %v, want %v", over, under, img.At(x, y), want.At(x, y))
					}
				}
			}
		}
	}
}

func TestBlendTouchesWhatTheLayerShows(t *testing.T) {
	img := photograph(t, 64, 64).(*image.YCbCr)
	before := image.YCbCr{Y: bytes.Clone(img.Y), Cb: bytes.Clone(img.Cb), Cr: bytes.Clone(img.Cr)}
	layer := image.NewRGBA(image.Rect(0, 0, 64, 64))
	blend(img, layer)
	require.Equal(t, before.Y, img.Y, "nothing is drawn")
	require.Equal(t, before.Cb, img.Cb)

	layer.SetRGBA(20, 31, color.RGBA{R: 255, A: 255})
	blend(img, layer)
	red, redCb, _ := color.RGBToYCbCr(255, 0, 0)
	changed := 0
	for i := range img.Y {
		if img.Y[i] != before.Y[i] {
			changed++
		}
	}
	require.Equal(t, 1, changed)
	require.Equal(t, red, img.Y[img.YOffset(20, 31)])
	// It has a quarter of the chroma that it shares with three others.
	at := img.COffset(20, 31)
	require.InDelta(t, (3*int(before.Cb[at])+int(redCb))/4, int(img.Cb[at]), 1)
	img.Cb[at], img.Cr[at] = before.Cb[at], before.Cr[at]
	require.Equal(t, before.Cb, img.Cb)
	require.Equal(t, before.Cr, img.Cr)
}

func TestExportDrawsTheOverlay(t *testing.T) {
	img := ground(120, 200, color.White)
	target := Target{Width: 60, Height: 100}
	plain, err := Export(img, target)
	require.NoError(t, err)
	// A layer that is a part of another has its own origin.
	layer := image.NewRGBA(image.Rect(0, 0, 100, 140)).SubImage(image.Rect(30, 40, 90, 140)).(*image.RGBA)
	target.Overlay = layer
	same, err := Export(img, target)
	require.NoError(t, err)
	require.Equal(t, plain, same, "a layer of nothing")

	green := color.RGBA{G: 160, A: 255}
	draw.Draw(layer, image.Rect(30, 40, 90, 72), image.NewUniform(green), image.Point{}, draw.Src)
	data, err := Export(img, target)
	require.NoError(t, err)
	got, _, err := Decode(data)
	require.NoError(t, err)
	assert.True(t, near(green, got.At(30, 10), 6), "%v", got.At(30, 10))
	assert.True(t, near(color.White, got.At(30, 60), 6), "%v", got.At(30, 60))

	for _, size := range []image.Point{{X: 59, Y: 100}, {X: 60, Y: 101}, {}} {
		_, err := Export(img, Target{Width: 60, Height: 100, Overlay: image.NewRGBA(image.Rectangle{Max: size})})
		require.ErrorIs(t, err, ErrSize, "%v", size)
	}
}
