package picture

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The estimate is what keeps hostile files from the memory: no picture may cost
// more than it says, however its file is put together.
func TestDecodingAllocatesNoMoreThanEstimated(t *testing.T) {
	const w, h = 480, 360
	baseline := func(components [][2]byte) jpegSpec {
		return jpegSpec{width: w, height: h, frame: markerSOF0, components: components}
	}
	progressive := func(components [][2]byte) jpegSpec {
		return jpegSpec{width: w, height: h, frame: markerSOF2, components: components}
	}
	with := func(s jpegSpec, first, last []byte) []byte {
		s.first, s.last = first, last
		return s.file()
	}
	files := map[string][]byte{
		"JPEG 4:2:0":             baseline(yCbCr420).file(),
		"JPEG 4:4:4":             baseline(yCbCr444).file(),
		"JPEG 4:1:0":             baseline([][2]byte{{1, 0x42}, {2, 0x11}, {3, 0x11}}).file(),
		"JPEG grey":              baseline([][2]byte{{1, 0x22}}).file(),
		"JPEG CMYK":              with(baseline(cmyk), adobeRGB(), nil),
		"JPEG RGB":               baseline(rgb444).file(),
		"JPEG progressive 4:2:0": progressive(yCbCr420).file(),
		"JPEG progressive 4:4:4": progressive(yCbCr444).file(),
		"JPEG progressive CMYK":  with(progressive(cmyk), adobeRGB(), nil),
		"JPEG progressive RGB":   progressive(rgb444).file(),
		// What says RGB may stand behind the scan.
		"JPEG RGB as an afterthought": with(progressive(yCbCr420), nil, adobeRGB()),
		// Go's decoder steps over a restart marker and takes what follows it for
		// the next marker; who takes it for a length jumps over the true frame to
		// a harmless one.
		"JPEG behind a restart marker": with(progressive(yCbCr444), disguise(0xd0), nil),
		"JPEG behind a stuffed byte":   with(progressive(yCbCr444), disguise(0x00), nil),
	}
	for _, s := range []pngSpec{
		{depth: 8, colour: pngGray}, {depth: 16, colour: pngGray}, {depth: 8, colour: pngRGB}, {depth: 16, colour: pngRGB},
		{depth: 8, colour: pngPalette}, {depth: 8, colour: pngGrayAlpha}, {depth: 16, colour: pngGrayAlpha},
		{depth: 8, colour: pngRGBA}, {depth: 16, colour: pngRGBA}, {depth: 1, colour: pngGray},
		{depth: 8, colour: pngGray, transparent: true}, {depth: 16, colour: pngGray, transparent: true}, {depth: 1, colour: pngGray, transparent: true},
		{depth: 8, colour: pngRGB, transparent: true}, {depth: 16, colour: pngRGB, transparent: true}, {depth: 8, colour: pngPalette, transparent: true},
	} {
		s.width, s.height = w, h
		for _, s.interlaced = range []bool{false, true} {
			files[pngName(s)] = s.file(t)
		}
	}
	files["PNG behind a text"] = pngSpec{width: w, height: h, depth: 16, colour: pngRGBA, interlaced: true,
		first: pngChunkOf("tEXt", []byte("Comment\x00before the header"))}.file(t)
	for name, data := range files {
		assertEstimated(t, name, data, 1)
	}
}

func pngName(s pngSpec) string {
	name := "PNG " + map[int]string{pngGray: "grey", pngRGB: "RGB", pngPalette: "palette", pngGrayAlpha: "grey and alpha", pngRGBA: "RGBA"}[s.colour]
	name += map[int]string{1: " 1 bit", 8: " 8 bits", 16: " 16 bits"}[s.depth]
	if s.transparent {
		name += " with a transparent colour"
	}
	if s.interlaced {
		name += " interlaced"
	}
	return name
}

// disguise is a marker of no length at the beginning of a file. Who takes the
// marker that follows for its length, 0xfffe, jumps into a later comment, where
// the frame of a small picture stands.
func disguise(marker byte) []byte {
	const jump = 2 + 0xfffe
	small := jpegSegment(markerSOF0, []byte{8, 0, 8, 0, 8, 1, 1, 0x11, 0})
	const gap = 1000 // from the end of the first comment to the landing
	first := jpegSegment(0xfe, make([]byte, jump-2-4-gap))
	second := jpegSegment(0xfe, slices.Concat(make([]byte, gap-4), small))
	return slices.Concat([]byte{0xff, marker}, first, second)
}

// assertEstimated decodes a file and measures. short is how often the memory
// that stays is allocated in all, with what is thrown away at once.
func assertEstimated(t *testing.T, name string, data []byte, short float64) {
	t.Helper()
	c, err := DecodeConfig(data)
	require.NoError(t, err, name)
	used := allocated(func() {
		_, _, err := Decode(data)
		assert.NoError(t, err, name)
	})
	// Tables, buffers and rounding to whole blocks.
	allowed := int64(short*float64(c.decodedBytes)*1.03) + 96<<10
	assert.LessOrEqual(t, used, allowed, "%s: estimated %d", name, c.decodedBytes)
}

func TestDecodingAWebPAllocatesNoMoreThanEstimated(t *testing.T) {
	for _, name := range []string{"lossy.webp", "lossless.webp", "lossy-with-alpha.webp"} {
		assertEstimated(t, name, sample(t, name), 1)
	}
	assertEstimated(t, "trees", webpFile("VP8X", vp8x(0, 160, 160), "VP8L", hostileVP8L(160, 160, 1500)), 1.6)
}

// x/image takes 2,600 groups of trees, whatever the pixels.
func TestTreesThatNeedTooMuchMemory(t *testing.T) {
	data := webpFile("VP8X", vp8x(0, 208, 208), "VP8L", hostileVP8L(208, 208, 2600))
	c, err := DecodeConfig(data)
	require.NoError(t, err)
	require.EqualValues(t, decodedBytesMax, c.decodedBytes, "it is decoded alone")
	_, _, err = Decode(data)
	require.ErrorIs(t, err, ErrTooLarge)
	require.NotErrorIs(t, err, ErrBroken)
}
