package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// noise is what no encoder can shrink. It is the same in every run.
func noise(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(img.Pix) // never fails
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	return img
}

func TestReencodeKeepsThePixelsAndNothingElse(t *testing.T) {
	secret := []byte(place)
	block := exif(binary.LittleEndian, 1)
	comment := jpegSegment(0xfe, secret)
	xmp := jpegSegment(markerAPP1, slices.Concat([]byte(xmpNamespace), secret))
	jpg, pic := encodedJPEG(t, lettered(stored[1])), encodedPNG(t, lettered(stored[1]))
	for name, data := range map[string][]byte{
		"JPEG EXIF":      withExif(jpg, block),
		"JPEG comment":   slices.Concat(jpg[:2], comment, xmp, jpg[2:]),
		"JPEG trailer":   slices.Concat(jpg, secret),
		"PNG EXIF":       withExif(pic, block),
		"PNG text":       slices.Concat(pic[:33], pngChunkOf("tEXt", slices.Concat([]byte("GPS\x00"), secret)), pic[33:]),
		"PNG trailer":    slices.Concat(pic, secret),
		"WebP EXIF, XMP": webpFile("VP8X", vp8x(8+4, 150, 100), "VP8 ", sample(t, "lossy.webp")[20:], "EXIF", block, "XMP ", secret),
	} {
		require.True(t, bytes.Contains(data, secret), name)
		out, _, _, _, err := Reencode(data)
		require.NoError(t, err, name)
		assert.False(t, bytes.Contains(out, secret), name)
		assert.False(t, bytes.Contains(out, []byte("Exif")), name)
		for _, s := range segments(out) {
			assert.False(t, s.marker >= markerAPP1 && s.marker <= 0xef || s.marker == 0xfe, "%s: segment %x", name, s.marker)
		}
	}
}

func TestReencodeChoosesTheFormat(t *testing.T) {
	for name, want := range map[string]string{
		"baseline.jpeg": JPEG, "progressive.jpeg": JPEG, "cmyk.jpeg": JPEG, "rgb.jpeg": JPEG, "gray.jpeg": JPEG, "lossy.webp": JPEG,
		"rgba16.png": PNG, "interlaced16.png": PNG, "lossless.webp": PNG, "lossy-with-alpha.webp": PNG,
	} {
		data := samples(t)[name]
		out, mime, width, height, err := Reencode(data)
		require.NoError(t, err, name)
		require.Equal(t, MIMEType(want), mime, name)
		require.Equal(t, want, Sniff(out), name)
		c, err := DecodeConfig(out)
		require.NoError(t, err)
		require.Equal(t, image.Pt(c.Width, c.Height), image.Pt(width, height), name)
	}
}

func TestReencodeKeepsTransparency(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 1))
	for x, alpha := range []uint8{0, 1, 128, 255} {
		img.SetNRGBA(x, 0, color.NRGBA{R: 200, G: 100, B: 50, A: alpha})
	}
	out, mime, _, _, err := Reencode(encodedPNG(t, img))
	require.NoError(t, err)
	require.Equal(t, "image/png", mime)
	got, _, err := Decode(out)
	require.NoError(t, err)
	require.Equal(t, img.Pix, got.(*image.NRGBA).Pix)

	// And where the picture has to be made smaller.
	wide := image.NewNRGBA(image.Rect(0, 0, uploadSideMax+2, 2))
	for x := uploadSideMax / 2; x < wide.Rect.Dx(); x++ {
		wide.SetNRGBA(x, 0, color.NRGBA{R: 200, A: 255})
		wide.SetNRGBA(x, 1, color.NRGBA{R: 200, A: 255})
	}
	out, mime, width, height, err := Reencode(encodedPNG(t, wide))
	require.NoError(t, err)
	require.Equal(t, "image/png", mime)
	require.Equal(t, image.Pt(uploadSideMax, 2), image.Pt(width, height))
	got, _, err = Decode(out)
	require.NoError(t, err)
	require.True(t, near(color.NRGBA{}, got.At(10, 0), 0), "%v", got.At(10, 0))
	require.True(t, near(color.NRGBA{R: 200, A: 255}, got.At(width-10, 1), 1), "%v", got.At(width-10, 1))
}

// 1,320 x 1,310 pixels of noise, the alpha too, are 6.9 MB as a PNG and a little
// more.
func TestReencodeMakesThePictureSmallerUntilItFits(t *testing.T) {
	img := noise(1320, 1310)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = img.Pix[i-1]
	}
	var raw bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&raw, img))
	data := raw.Bytes()
	require.Greater(t, len(data), uploadBytesMax)
	out, mime, width, height, err := Reencode(data)
	require.NoError(t, err)
	require.Equal(t, "image/png", mime)
	require.LessOrEqual(t, len(out), uploadBytesMax)
	require.Equal(t, image.Pt(924, 917), image.Pt(width, height), "one step of 0.7")
	c, err := DecodeConfig(out)
	require.NoError(t, err)
	require.Equal(t, image.Pt(width, height), image.Pt(c.Width, c.Height))
}

func TestReencodeBoundsTheSides(t *testing.T) {
	flat := jpegSpec{width: 5000, height: 40, frame: markerSOF0, components: yCbCr420}
	for _, turned := range []int{1, 6} {
		out, mime, width, height, err := Reencode(withExif(flat.file(), exif(binary.BigEndian, turned)))
		require.NoError(t, err)
		require.Equal(t, "image/jpeg", mime)
		want := image.Pt(4096, 33)
		if turned == 6 {
			want = image.Pt(33, 4096)
		}
		require.Equal(t, want, image.Pt(width, height))
		require.NotEmpty(t, out)
	}
}

func TestReencodeRefusesWhatDecodeRefuses(t *testing.T) {
	for want, data := range map[error][]byte{
		ErrFormat:   []byte("<svg onload=alert(1)>"),
		ErrTooLarge: pngSpec{width: 5000, height: 5001, depth: 8, colour: pngRGB}.head(),
		ErrBroken:   sample(t, "baseline.jpeg")[:1000],
	} {
		out, mime, _, _, err := Reencode(data)
		require.ErrorIs(t, err, want)
		require.Nil(t, out)
		require.Empty(t, mime)
	}
}
