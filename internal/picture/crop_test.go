package picture

import (
	"image"
	"image/color"
	"image/draw"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCropIsWhatAnExportShows(t *testing.T) {
	for name, tt := range map[string]struct {
		bounds        image.Rectangle
		width, height int
		want          image.Rectangle
	}{
		"the same ratio": {image.Rect(0, 0, 90, 160), 9, 16, image.Rect(0, 0, 90, 160)},
		"wider":          {image.Rect(0, 0, 100, 50), 1, 1, image.Rect(25, 0, 75, 50)},
		"taller":         {image.Rect(10, 10, 60, 110), 1, 1, image.Rect(10, 35, 60, 85)},
	} {
		require.Equal(t, tt.want, Crop(tt.bounds, tt.width, tt.height), name)
	}
}

// Half of the overlay covers, half of it lets half of the picture through.
func TestAnOverlayLiesOverTheExport(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	layer := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(layer, image.Rect(0, 0, 16, 32), image.NewUniform(color.RGBA{R: 200, A: 255}), image.Point{}, draw.Src)
	draw.Draw(layer, image.Rect(16, 0, 32, 32), image.NewUniform(color.RGBA{A: 128}), image.Point{}, draw.Src)
	data, err := Export(img, Target{Width: 32, Height: 32, Overlay: layer})
	require.NoError(t, err)
	got, _, err := Decode(data)
	require.NoError(t, err)
	for at, want := range map[image.Point]color.RGBA{{X: 6, Y: 16}: {R: 200}, {X: 25, Y: 16}: {R: 127, G: 127, B: 127}} {
		r, g, b, _ := got.At(at.X, at.Y).RGBA()
		for i, d := range []int{int(r>>8) - int(want.R), int(g>>8) - int(want.G), int(b>>8) - int(want.B)} {
			require.Less(t, max(d, -d), 6, "%v channel %d", at, i)
		}
	}
	require.Equal(t, TrainedAlgorithmicMedia, DigitalSourceType(data))
}
