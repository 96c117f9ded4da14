package picture

import (
	"bytes"
	"image"
	"image/color"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/image/draw"

	"atelier/schemas"
)

// modelPixels are what the image models draw for a ratio at 1K; 2K has twice as
// many a side.
var modelPixels = map[string]image.Point{"1:1": {X: 1024, Y: 1024}, "4:5": {X: 928, Y: 1152}, "9:16": {X: 768, Y: 1376}, "16:9": {X: 1376, Y: 768}}

// photograph is a JPEG as a model sends it, decoded: planar, smooth, with detail.
func photograph(t testing.TB, width, height int) image.Image {
	t.Helper()
	small, big := noise(max(1, width/16), max(1, height/16)), image.NewRGBA(image.Rect(0, 0, width, height))
	draw.ApproxBiLinear.Scale(big, big.Rect, small, small.Rect, draw.Src, nil)
	img, _, err := Decode(encodedJPEG(t, big))
	require.NoError(t, err)
	require.IsType(t, &image.YCbCr{}, img)
	return img
}

func TestExportMakesTheFileOfEveryPlacement(t *testing.T) {
	done := map[image.Point]bool{} // several placements take the same pixels
	for _, p := range schemas.Placements {
		if done[image.Pt(p.Width, p.Height)] {
			continue
		}
		done[image.Pt(p.Width, p.Height)] = true
		t.Run(p.ID, func(t *testing.T) {
			t.Parallel()
			drawn, ok := modelPixels[p.Ratio]
			require.True(t, ok, p.Ratio)
			if p.Height < p.Width {
				drawn = drawn.Mul(2) // one that is made smaller; the others are enlarged
			}
			data, err := Export(photograph(t, drawn.X, drawn.Y), Target{Width: p.Width, Height: p.Height, BytesMax: p.BytesMax})
			require.NoError(t, err)
			require.LessOrEqual(t, len(data), p.BytesMax)
			require.Equal(t, TrainedAlgorithmicMedia, DigitalSourceType(data))
			img, format, err := Decode(data)
			require.NoError(t, err)
			require.Equal(t, JPEG, format)
			require.Equal(t, image.Pt(p.Width, p.Height), img.Bounds().Size())
		})
	}
}

func TestExportLowersTheQualityUntilTheFileFits(t *testing.T) {
	img := noise(300, 200)
	best, err := Export(img, Target{Width: 300, Height: 200})
	require.NoError(t, err)
	lowest := len(best)
	for _, quality := range exportQualities {
		tagged, err := encodeTagged(resample(img, img.Rect, 300, 200, image.YCbCrSubsampleRatio420), quality)
		require.NoError(t, err)
		lowest = len(tagged)
		got, err := Export(img, Target{Width: 300, Height: 200, BytesMax: len(tagged)})
		require.NoError(t, err)
		require.Equal(t, tagged, got, "exactly the limit is enough for quality %d", quality)
		if quality == exportQualities[0] {
			require.Equal(t, best, got)
		}
	}
	data, err := Export(img, Target{Width: 300, Height: 200, BytesMax: lowest - 1})
	require.ErrorIs(t, err, ErrTooLarge)
	require.Nil(t, data)
}

// thirds is red, green and blue side by side, or one above the other.
func thirds(bounds image.Rectangle, across bool) *image.NRGBA {
	img := image.NewNRGBA(bounds)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			third := 3 * (y - bounds.Min.Y) / bounds.Dy()
			if across {
				third = 3 * (x - bounds.Min.X) / bounds.Dx()
			}
			img.SetNRGBA(x, y, []color.NRGBA{{R: 250, A: 255}, {G: 250, A: 255}, {B: 250, A: 255}}[third])
		}
	}
	return img
}

func TestExportCropsToTheCentre(t *testing.T) {
	green := color.NRGBA{G: 250, A: 255}
	for name, img := range map[string]image.Image{
		"wide": thirds(image.Rect(0, 0, 300, 100), true), "tall": thirds(image.Rect(0, 0, 100, 300), false),
		"wide, off the origin": thirds(image.Rect(-70, 30, 230, 130), true),
		"a part":               thirds(image.Rect(0, 0, 500, 300), false).SubImage(image.Rect(200, 0, 300, 300)),
	} {
		data, err := Export(img, Target{Width: 50, Height: 50})
		require.NoError(t, err, name)
		got, _, err := Decode(data)
		require.NoError(t, err)
		// The kernel reaches over the edge of the crop by a pixel or two.
		for _, at := range []image.Point{{X: 3, Y: 3}, {X: 46, Y: 3}, {X: 3, Y: 46}, {X: 46, Y: 46}, {X: 25, Y: 25}} {
			assert.True(t, near(green, got.At(at.X, at.Y), 30), "%s at %v: %v", name, at, got.At(at.X, at.Y))
		}
	}
}

func TestCentreIsTheLargestPartOfTheRatio(t *testing.T) {
	for _, c := range []struct {
		bounds        image.Rectangle
		width, height int
		want          image.Rectangle
	}{
		{image.Rect(0, 0, 1376, 768), 1200, 628, image.Rect(0, 24, 1376, 744)},
		{image.Rect(0, 0, 928, 1152), 1080, 1350, image.Rect(3, 0, 925, 1152)},
		{image.Rect(0, 0, 768, 1376), 1080, 1920, image.Rect(0, 5, 768, 1370)},
		{image.Rect(0, 0, 1024, 1024), 1, 1, image.Rect(0, 0, 1024, 1024)},
		{image.Rect(10, 20, 110, 320), 1, 1, image.Rect(10, 120, 110, 220)},
		{image.Rect(0, 0, 1, 1), 8192, 1, image.Rect(0, 0, 1, 1)},
		{image.Rect(0, 0, 1, 8192), 8192, 1, image.Rect(0, 4095, 1, 4096)},
	} {
		got := centre(c.bounds, c.width, c.height)
		assert.Equal(t, c.want, got, "%v to %dx%d", c.bounds, c.width, c.height)
		assert.True(t, got.In(c.bounds))
	}
}

func TestTransparentPartsStandOnWhite(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 40, 40))
	for x := range 40 {
		for y := 20; y < 40; y++ {
			img.SetNRGBA(x, y, color.NRGBA{R: 255, A: 128})
		}
	}
	export, err := Export(img, Target{Width: 20, Height: 20})
	require.NoError(t, err)
	thumbnail, err := Thumbnail(img, 20)
	require.NoError(t, err)
	for _, data := range [][]byte{export, thumbnail} {
		got, _, err := Decode(data)
		require.NoError(t, err)
		require.True(t, near(color.White, got.At(10, 2), 8), "%v", got.At(10, 2))
		require.True(t, near(color.NRGBA{R: 255, G: 127, B: 127, A: 255}, got.At(10, 17), 10), "%v", got.At(10, 17))
	}
}

func TestThumbnailNeverEnlarges(t *testing.T) {
	for _, c := range []struct {
		width, height, side int
		want                image.Point
	}{
		{100, 60, 480, image.Pt(100, 60)}, {480, 480, 480, image.Pt(480, 480)}, {481, 10, 480, image.Pt(480, 10)},
		{768, 1376, 480, image.Pt(268, 480)}, {1376, 768, 480, image.Pt(480, 268)}, {1, 1, 1, image.Pt(1, 1)},
		{2000, 1, 480, image.Pt(480, 1)}, {1, 2000, 480, image.Pt(1, 480)},
	} {
		data, err := Thumbnail(noise(c.width, c.height), c.side)
		require.NoError(t, err)
		require.Equal(t, TrainedAlgorithmicMedia, DigitalSourceType(data))
		img, format, err := Decode(data)
		require.NoError(t, err)
		require.Equal(t, JPEG, format)
		require.Equal(t, c.want, img.Bounds().Size(), "%dx%d", c.width, c.height)
	}
}

func TestSizesThatAreNotPossible(t *testing.T) {
	img, empty := noise(10, 10), image.NewNRGBA(image.Rect(0, 0, 0, 10))
	for _, c := range []struct {
		img           image.Image
		width, height int
	}{{img, 0, 10}, {img, 10, 0}, {img, -1, 10}, {img, sideMax + 1, 10}, {img, 10, sideMax + 1}, {empty, 10, 10}} {
		_, err := Export(c.img, Target{Width: c.width, Height: c.height})
		assert.ErrorIs(t, err, ErrSize, "%dx%d", c.width, c.height)
	}
	for _, side := range []int{0, -1, sideMax + 1} {
		_, err := Thumbnail(img, side)
		assert.ErrorIs(t, err, ErrSize, side)
	}
	_, err := Thumbnail(empty, 10)
	require.ErrorIs(t, err, ErrSize)
}

func TestDigitalSourceType(t *testing.T) {
	jpg := encodedJPEG(t, lettered(stored[1]))
	tagged, err := tagTrained(jpg)
	require.NoError(t, err)
	with := func(xmp string) []byte {
		return append(append([]byte{0xff, markerSOI}, jpegSegment(markerAPP1, []byte(xmpNamespace+xmp))...), jpg[2:]...)
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"tagged":            {tagged, TrainedAlgorithmicMedia},
		"as an element":     {with("<Iptc4xmpExt:DigitalSourceType>http://x/captured</Iptc4xmpExt:DigitalSourceType>"), "http://x/captured"},
		"as an attribute":   {with(`<rdf:Description Iptc4xmpExt:DigitalSourceType="http://x/composite"/>`), "http://x/composite"},
		"XMP without":       {with("<rdf:Description/>"), ""},
		"none":              {jpg, ""},
		"not in an APP1":    {append(bytes.Clone(jpg), `DigitalSourceType="x"`...), ""},
		"a PNG":             {encodedPNG(t, lettered(stored[1])), ""},
		"cut in the middle": {tagged[:60], ""},
	} {
		assert.Equal(t, c.want, DigitalSourceType(c.data), name)
	}

	// The mark changes no pixel, and stands behind the header of JFIF.
	before, _, err := Decode(jpg)
	require.NoError(t, err)
	after, _, err := Decode(tagged)
	require.NoError(t, err)
	require.Equal(t, before, after)
	jfif := jpegSegment(markerAPP0, []byte("JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00"))
	tagged, err = tagTrained(append(append([]byte{0xff, markerSOI}, jfif...), jpg[2:]...))
	require.NoError(t, err)
	list := segments(tagged)
	require.Equal(t, []byte{markerAPP0, markerAPP1}, []byte{list[0].marker, list[1].marker})
	_, err = tagTrained(encodedPNG(t, lettered(stored[1])))
	require.ErrorIs(t, err, errNoJPEG)
}
