package quality

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
)

// product is a picture with something on it: a ball on a ground that darkens.
func product(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	radius := min(width, height) / 3
	for y := range height {
		for x := range width {
			c := color.NRGBA{R: uint8(200 * y / height), G: uint8(150 * y / height), B: 120, A: 255}
			if dx, dy := x-width/2, y-height/2; dx*dx+dy*dy < radius*radius {
				c = color.NRGBA{R: 240, G: uint8(255 * x / width), B: 30, A: 255}
			}
			img.SetNRGBA(x, y, c)
		}
	}
	return img
}

// flat is one colour, with so many black pixels at its beginning.
func flat(width, height, marks int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	for i := range marks {
		img.SetNRGBA(i%width, i/width, color.NRGBA{A: 255})
	}
	return img
}

func jpegOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, nil))
	return b.Bytes()
}

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func TestDecodes(t *testing.T) {
	story, wide := jpegOf(t, product(144, 256)), pngOf(t, product(256, 144))
	huge := bytes.Clone(wide)
	copy(huge[16:], []byte{0, 1, 0, 0, 0, 1, 0, 0}) // 65,536 x 65,536: the sum no longer fits either
	asked := Expectation{Width: 144, Height: 256, Ratio: 9.0 / 16, BytesMax: 1 << 20}
	for name, c := range map[string]struct {
		data     []byte
		mime     string
		asked    Expectation
		verdict  Verdict
		evidence string
	}{
		"as asked for":              {story, "image/jpeg", asked, Pass, "jpeg of 144x256 pixels"},
		"nothing asked":             {wide, "image/png", Expectation{}, Pass, "png of 256x144 pixels"},
		"larger than asked for":     {story, "image/jpeg", Expectation{Width: 72, Height: 128, Ratio: 9.0 / 16}, Pass, "jpeg"},
		"exactly so many bytes":     {story, "image/jpeg", Expectation{BytesMax: len(story)}, Pass, "jpeg"},
		"a byte too many":           {story, "image/jpeg", Expectation{BytesMax: len(story) - 1}, Block, "bytes, at most"},
		"wrong ratio":               {wide, "image/png", Expectation{Ratio: 9.0 / 16}, Block, "256x144 pixels are off the ratio by 216.0 %, at most 1.0 %"},
		"a little off":              {story, "image/jpeg", Expectation{Ratio: 0.57}, Block, "off the ratio by 1.3 %"},
		"within its tolerance":      {story, "image/jpeg", Expectation{Ratio: 0.57, RatioTolerance: 0.02}, Pass, "jpeg"},
		"within the usual one":      {story, "image/jpeg", Expectation{Ratio: 0.567}, Pass, "jpeg"},
		"a column too few":          {story, "image/jpeg", Expectation{Width: 145, Height: 256}, Block, "144x256 pixels, at least 145x256"},
		"a row too few":             {story, "image/jpeg", Expectation{Width: 144, Height: 257}, Block, "at least 144x257"},
		"turned":                    {wide, "image/png", asked, Block, "256x144 pixels, at least 144x256"},
		"a JPEG called PNG":         {story, "image/png", asked, Block, "the bytes are image/jpeg, not what they are called"},
		"a PNG called JPEG":         {wide, "image/jpeg", Expectation{}, Block, "the bytes are image/png"},
		"a picture called nothing":  {wide, "", Expectation{}, Block, "not what they are called"},
		"a page called a picture":   {[]byte("<html>"), "image/png", Expectation{}, Block, "the bytes are no JPEG, PNG or WebP"},
		"nothing":                   {nil, "", Expectation{}, Block, "the bytes are no JPEG, PNG or WebP"},
		"cut":                       {story[:len(story)/2], "image/jpeg", asked, Block, "the bytes do not decode"},
		"too many pixels":           {tooLarge(t), "image/png", Expectation{}, Block, "the picture is too large"},
		"a header of nonsense":      {huge, "image/png", Expectation{}, Block, "the bytes do not decode"},
		"one colour":                {pngOf(t, flat(256, 256, 0)), "image/png", Expectation{}, Block, "the picture is blank: 0.00 bits"},
		"one colour and a corner":   {pngOf(t, flat(256, 256, 256*8)), "image/png", Expectation{}, Block, "the picture is blank: 0."},
		"one that darkens a little": {pngOf(t, darkening(8)), "image/png", Expectation{}, Block, "its light differs by 8 levels"},
		"one that darkens":          {pngOf(t, darkening(16)), "image/png", Expectation{}, Pass, "png"},
		"transparent":               {pngOf(t, image.NewNRGBA(image.Rect(0, 0, 64, 64))), "image/png", Expectation{}, Block, "blank"},
		"one pixel":                 {pngOf(t, product(1, 1)), "image/png", Expectation{}, Block, "blank"},
	} {
		got := runDecodes(Open(c.data, c.mime), c.asked)
		assert.Equal(t, c.verdict, got.Verdict, "%s: %s", name, got.Evidence)
		assert.Contains(t, got.Evidence, c.evidence, name)
		assert.EqualValues(t, len(c.data), got.Figures["bytes"], name)
	}
}

// darkening is grey that darkens downwards by so many levels.
func darkening(levels int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range img.Pix {
		img.Pix[i] = uint8(200 - (levels+1)*(i/64)/64)
	}
	return img
}

// tooLarge is the header of a PNG of 5,000 x 5,001 pixels, in one bit.
func tooLarge(t *testing.T) []byte {
	t.Helper()
	data := pngOf(t, image.NewPaletted(image.Rect(0, 0, 5000, 5001), color.Palette{color.Black, color.White}))
	_, _, err := picture.Decode(data)
	require.ErrorIs(t, err, picture.ErrTooLarge)
	return data
}

func TestDecodesMeasures(t *testing.T) {
	data := jpegOf(t, product(144, 256))
	got := runDecodes(Open(data, "image/jpeg"), Expectation{Ratio: 0.5, RatioTolerance: 0.2})
	require.Equal(t, Pass, got.Verdict)
	require.EqualValues(t, 144, got.Figures["width_pixels"])
	require.EqualValues(t, 256, got.Figures["height_pixels"])
	require.InDelta(t, 0.125, got.Figures["ratio_off_share"], 1e-9)
	require.Greater(t, got.Figures["entropy_bits"], 3.0)
	got = runDecodes(Open(data, "image/jpeg"), Expectation{})
	require.NotContains(t, got.Figures, "ratio_off_share", "no ratio was asked for")
	got = runDecodes(Open([]byte("x"), ""), Expectation{})
	require.Equal(t, map[string]float64{"bytes": 1}, got.Figures)
}

// The same picture has the same entropy whatever holds its pixels, and wherever
// its bounds begin.
func TestEntropy(t *testing.T) {
	half := image.NewNRGBA(image.Rect(0, 0, 128, 128))
	quarters := image.NewNRGBA(half.Rect)
	for y := range 128 {
		for x := range 128 {
			half.SetNRGBA(x, y, color.NRGBA{R: uint8(x / 64 * 255), G: uint8(x / 64 * 255), B: uint8(x / 64 * 255), A: 255})
			v := uint8(x/64*80 + y/64*40)
			quarters.SetNRGBA(x, y, color.NRGBA{R: v, G: v, B: v, A: 255})
		}
	}
	require.InDelta(t, 0, entropyBits(lightHistogram(flat(128, 128, 0))), 1e-9)
	require.InDelta(t, 1, entropyBits(lightHistogram(half)), 1e-9)
	require.InDelta(t, 2, entropyBits(lightHistogram(quarters)), 1e-9)

	planar := image.NewYCbCr(half.Rect, image.YCbCrSubsampleRatio420)
	grey := image.NewGray16(half.Rect)
	for y := range 128 {
		for x := range 128 {
			planar.Y[planar.YOffset(x, y)] = uint8(x / 64 * 255)
			grey.SetGray16(x, y, color.Gray16{Y: uint16(x / 64 * 65535)})
		}
	}
	require.InDelta(t, 1, entropyBits(lightHistogram(planar)), 1e-9)
	require.InDelta(t, 1, entropyBits(lightHistogram(grey)), 1e-9)
	require.InDelta(t, 0, entropyBits(lightHistogram(half.SubImage(image.Rect(64, 64, 128, 128)))), 1e-9)
	require.InDelta(t, 0, entropyBits(lightHistogram(planar.SubImage(image.Rect(0, 3, 64, 70)))), 1e-9)
}

// Luma is that of BT.601, and white is 255 without running over.
func TestLight(t *testing.T) {
	for c, want := range map[color.NRGBA]uint8{
		{A: 255}: 0, {R: 255, G: 255, B: 255, A: 255}: 255, {R: 255, A: 255}: 76, {G: 255, A: 255}: 150, {B: 255, A: 255}: 29,
	} {
		img := image.NewNRGBA(image.Rect(0, 0, 1, 1))
		img.SetNRGBA(0, 0, c)
		assert.Equal(t, want, lightOf(img)(0, 0), "%v", c)
	}
}

func TestInspect(t *testing.T) {
	results := Inspect(Open(jpegOf(t, product(64, 64)), "image/jpeg"), Expectation{})
	require.Len(t, results, len(checks))
	for i, r := range results {
		require.Equal(t, checks[i].ID, r.Check)
		require.Equal(t, checks[i].Version, r.Version)
		require.Equal(t, Pass, r.Verdict)
		require.NotEmpty(t, r.Evidence)
	}
	require.Equal(t, Pass, Worst(results))
	require.Equal(t, Block, Worst(Inspect(Open(nil, ""), Expectation{})))
}

func TestEvidenceIsBounded(t *testing.T) {
	whole := checks
	defer func() { checks = whole }()
	checks = []Check{{ID: "wordy", Version: 3, Run: func(Subject, Expectation) Finding {
		return Finding{Verdict: Warn, Evidence: strings.Repeat("x", evidenceBytesMax+1)}
	}}}
	results := Inspect(Subject{Image: image.White}, Expectation{})
	require.Len(t, results[0].Evidence, evidenceBytesMax)
	require.Equal(t, Result{Check: "wordy", Version: 3, Finding: Finding{Verdict: Warn, Evidence: strings.Repeat("x", evidenceBytesMax)}}, results[0])
}

func TestWorst(t *testing.T) {
	of := func(verdicts ...Verdict) []Result {
		var results []Result
		for _, v := range verdicts {
			results = append(results, Result{Finding: Finding{Verdict: v}})
		}
		return results
	}
	for _, c := range []struct {
		results []Result
		want    Verdict
	}{
		{nil, Pass}, {of(Pass), Pass}, {of(Pass, Warn, Pass), Warn}, {of(Retry, Warn), Retry}, {of(Retry, Block, Pass), Block},
		{of(Pass, "a slip"), "a slip"},
	} {
		assert.Equal(t, c.want, Worst(c.results))
	}
}

func TestASubjectThatDoesNotDecodeSaysWhy(t *testing.T) {
	s := Open([]byte("x"), "image/png")
	require.Nil(t, s.Image)
	require.True(t, errors.Is(s.Err, picture.ErrFormat))
}
