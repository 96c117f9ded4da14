package picture

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sample reads a picture of testdata.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return data
}

// samples are the pictures of testdata, and a 16-bit interlaced PNG.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{"interlaced16.png": pngSpec{width: 33, height: 17, depth: 16, colour: pngRGBA, interlaced: true}.file(t)}
	for _, name := range []string{"baseline.jpeg", "progressive.jpeg", "cmyk.jpeg", "rgb.jpeg", "gray.jpeg", "rgba16.png", "lossy.webp", "lossless.webp", "lossy-with-alpha.webp"} {
		all[name] = sample(t, name)
	}
	return all
}

func formatOf(name string) string { return strings.TrimPrefix(filepath.Ext(name), ".") }

// allocated is what f allocates in all (bytes).
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestSniff(t *testing.T) {
	for name, data := range samples(t) {
		require.Equal(t, formatOf(name), Sniff(data), name)
		require.Equal(t, "image/"+formatOf(name), MIMEType(Sniff(data)))
	}
	for name, data := range map[string]string{
		"nothing": "", "GIF": "GIF89a..........", "TIFF": "II*\x00........", "BMP": "BM..........", "PDF": "%PDF-1.7....",
		"SVG": `<svg xmlns="http://www.w3.org/2000/svg">`, "HTML": "<html>......", "AVIF": "\x00\x00\x00\x1cftypavif....",
		"short JPEG": "\xff\xd8", "short PNG": "\x89PNG\r\n", "another RIFF": "RIFF\x04\x00\x00\x00WAVE", "short WebP": "RIFF\x04\x00\x00\x00WEB",
		"a PNG behind a byte": "\n\x89PNG\r\n\x1a\n",
	} {
		require.Empty(t, Sniff([]byte(data)), name)
		_, _, err := Decode([]byte(data))
		require.ErrorIs(t, err, ErrFormat, name)
	}
	require.Empty(t, MIMEType(""))
	require.Empty(t, MIMEType("svg"))
}

func TestDecodeReadsEveryKind(t *testing.T) {
	sizes := map[string]image.Point{
		"interlaced16.png": {X: 33, Y: 17}, "baseline.jpeg": {X: 150, Y: 103}, "progressive.jpeg": {X: 150, Y: 103}, "cmyk.jpeg": {X: 150, Y: 103},
		"rgb.jpeg": {X: 150, Y: 103}, "gray.jpeg": {X: 150, Y: 103}, "rgba16.png": {X: 32, Y: 32}, "lossy.webp": {X: 150, Y: 100},
		"lossless.webp": {X: 75, Y: 100}, "lossy-with-alpha.webp": {X: 400, Y: 301},
	}
	for name, data := range samples(t) {
		c, err := DecodeConfig(data)
		require.NoError(t, err, name)
		require.Equal(t, sizes[name], image.Pt(c.Width, c.Height), name)
		img, format, err := Decode(data)
		require.NoError(t, err, name)
		require.Equal(t, formatOf(name), format)
		require.Equal(t, sizes[name], img.Bounds().Size(), name)
	}
}

// A header that claims too much is refused before anything is allocated for it.
func TestAHeaderThatClaimsTooMuch(t *testing.T) {
	for name, data := range map[string][]byte{
		"PNG a row too many":  pngSpec{width: 5000, height: 5001, depth: 8, colour: pngRGB}.head(),
		"PNG of 1 bit":        pngSpec{width: 5001, height: 5000, depth: 1, colour: pngGray}.head(),
		"PNG one pixel high":  pngSpec{width: PixelsMax + 1, height: 1, depth: 1, colour: pngGray}.head(),
		"JPEG as large as is": jpegSpec{width: 65535, height: 65535, frame: markerSOF0, components: yCbCr420}.head(),
		"JPEG a row too many": jpegSpec{width: 5000, height: 5001, frame: markerSOF0, components: yCbCr420}.head(),
		"WebP lossless":       webpFile("VP8L", vp8lHeader(16384, 16384).data),
		"WebP extended":       webpFile("VP8X", vp8x(0, 5000, 5001)),
		// Within the pixels, but not within the memory.
		"PNG of 16 bits interlaced": pngSpec{width: 5000, height: 5000, depth: 16, colour: pngRGBA, interlaced: true}.head(),
		"JPEG progressive 4:4:4":    jpegSpec{width: 5000, height: 5000, frame: markerSOF2, components: yCbCr444}.head(),
	} {
		used := allocated(func() {
			_, _, err := Decode(data)
			assert.ErrorIs(t, err, ErrTooLarge, name)
		})
		assert.Less(t, used, int64(1<<20), name)
	}
	_, _, err := Decode(append([]byte("\xff\xd8\xff"), make([]byte, BytesMax)...))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "bytes")
}

func TestTheLargestPictureIsTaken(t *testing.T) {
	data := jpegSpec{width: 5000, height: 5000, frame: markerSOF0, components: yCbCr420}.file()
	c, err := DecodeConfig(data)
	require.NoError(t, err)
	require.Equal(t, PixelsMax, c.Width*c.Height)
	img, _, err := Decode(data)
	require.NoError(t, err)
	require.Equal(t, image.Pt(5000, 5000), img.Bounds().Size())
}

func TestWhatIsBroken(t *testing.T) {
	whole := pngSpec{width: 8, height: 8, depth: 8, colour: pngRGB}.file(t)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-20] ^= 1
	lossy := sample(t, "lossy.webp")
	for name, data := range map[string][]byte{
		"PNG no width":     pngSpec{width: 0, height: 8, depth: 8, colour: pngRGB}.file(t),
		"PNG header alone": whole[:8],
		"PNG wrong sum":    flipped,
		"JPEG no height":   jpegSpec{width: 8, height: 0, frame: markerSOF0, components: yCbCr444}.file(),
		"JPEG no frame":    []byte("\xff\xd8\xff\xd9"),
		"JPEG of garbage":  []byte("\xff\xd8\xff" + strings.Repeat("garbage", 50)),
		"JPEG lossless":    jpegSpec{width: 8, height: 8, frame: 0xc3, components: yCbCr444}.file(),
		"WebP no chunks":   webpFile(),
		"WebP canvas":      webpFile("VP8X", vp8x(0, 1, 1)),
		// A small canvas before a large picture.
		"WebP two sizes": webpFile("VP8X", vp8x(0, 8, 8), "VP8 ", lossy[20:]),
	} {
		img, _, err := Decode(data)
		require.ErrorIs(t, err, ErrBroken, name)
		require.Nil(t, img, name)
	}
}

// Wherever a file ends, it is an error or the same picture, and no decoder panics.
func TestTruncatedFiles(t *testing.T) {
	for name, data := range samples(t) {
		whole, _, err := Decode(data)
		require.NoError(t, err)
		for _, n := range cuts(len(data)) {
			img, _, err := Decode(data[:n])
			if err == nil {
				require.Equal(t, whole, img, "%s cut to %d of %d bytes", name, n, len(data))
				continue
			}
			require.NotContains(t, err.Error(), "panicked", "%s cut to %d bytes", name, n)
			if n >= 12 {
				require.ErrorIs(t, err, ErrBroken, "%s cut to %d bytes", name, n)
			}
		}
	}
}

// cuts are lengths short of size: each of the header's, some between, and the last.
func cuts(size int) []int {
	var list []int
	for n := 0; n < size-10; n += 1 + n/25 {
		list = append(list, n)
	}
	for n := max(0, size-10); n < size; n++ {
		list = append(list, n)
	}
	return list
}

func TestA16BitInterlacedPNGKeepsItsPixels(t *testing.T) {
	var plain bytes.Buffer
	require.NoError(t, png.Encode(&plain, image.NewNRGBA64(image.Rect(0, 0, 33, 17))))
	want, _, err := Decode(plain.Bytes())
	require.NoError(t, err)
	got, _, err := Decode(pngSpec{width: 33, height: 17, depth: 16, colour: pngRGBA, interlaced: true}.file(t))
	require.NoError(t, err)
	require.Equal(t, want, got)
}
