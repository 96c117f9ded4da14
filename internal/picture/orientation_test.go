package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// exif is a TIFF block with an orientation and a place.
func exif(order binary.AppendByteOrder, orientation int) []byte {
	var block []byte
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		block = []byte("II*\x00")
	} else {
		block = []byte("MM\x00*")
	}
	block = order.AppendUint32(block, 8)
	block = order.AppendUint16(block, 2)
	entry := func(tag, kind uint16, count, value uint32) {
		block = order.AppendUint16(block, tag)
		block = order.AppendUint16(block, kind)
		block = order.AppendUint32(block, count)
		block = order.AppendUint32(block, value)
	}
	entry(0x010e, 2, uint32(len(place)), 100) // a description
	block = order.AppendUint16(block, exifOrientation)
	block = order.AppendUint16(block, exifShort)
	block = order.AppendUint32(block, 1)
	block = order.AppendUint16(block, uint16(orientation))
	block = order.AppendUint16(block, 0)
	block = order.AppendUint32(block, 0)
	return append(block, "GPSLatitude "+place...)
}

const place = "52.516275 13.377704"

// stored is how the letters ABC over DEF lie in a file of each orientation
// (Exif 2.32, table of tag 0x0112: which edge row 0 and column 0 are).
var stored = map[int][]string{
	1: {"ABC", "DEF"},
	2: {"CBA", "FED"},
	3: {"FED", "CBA"},
	4: {"DEF", "ABC"},
	5: {"AD", "BE", "CF"},
	6: {"CF", "BE", "AD"},
	7: {"FC", "EB", "DA"},
	8: {"DA", "EB", "FC"},
}

// ink gives each letter a colour far from the others'.
var ink = map[byte]color.NRGBA{
	'A': {R: 250, A: 255}, 'B': {G: 250, A: 255}, 'C': {B: 250, A: 255},
	'D': {R: 250, G: 250, A: 255}, 'E': {R: 250, G: 250, B: 250, A: 255}, 'F': {A: 255},
}

// cellPixels is the side of a letter: whole JPEG blocks, so that none runs.
const cellPixels = 16

// lettered draws rows of letters.
func lettered(rows []string) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, cellPixels*len(rows[0]), cellPixels*len(rows)))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.SetNRGBA(x, y, ink[rows[y/cellPixels][x/cellPixels]])
		}
	}
	return img
}

func encodedPNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, img))
	return b.Bytes()
}

func encodedJPEG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: 95}))
	return b.Bytes()
}

// withExif puts a block where each format has it.
func withExif(data, block []byte) []byte {
	if Sniff(data) == PNG {
		return slices.Concat(data[:33], pngChunkOf("eXIf", block), data[33:])
	}
	return slices.Concat(data[:2], jpegSegment(markerAPP1, slices.Concat([]byte("Exif\x00\x00"), block)), data[2:])
}

// near says whether two colours differ by no more than a JPEG's loss.
func near(a, b color.Color, loss int) bool {
	ar, ag, ab, aa := a.RGBA()
	br, bg, bb, ba := b.RGBA()
	for _, pair := range [][2]uint32{{ar, br}, {ag, bg}, {ab, bb}, {aa, ba}} {
		if d := int(pair[0]>>8) - int(pair[1]>>8); d > loss || -d > loss {
			return false
		}
	}
	return true
}

func TestReencodeTurnsThePictureUpright(t *testing.T) {
	want := lettered(stored[1])
	for n := 1; n <= 8; n++ {
		img := lettered(stored[n])
		for name, data := range map[string][]byte{
			"PNG":                withExif(encodedPNG(t, img), exif(binary.BigEndian, n)),
			"JPEG little endian": withExif(encodedJPEG(t, img), exif(binary.LittleEndian, n)),
			"JPEG big endian":    withExif(encodedJPEG(t, img), exif(binary.BigEndian, n)),
		} {
			out, _, width, height, err := Reencode(data)
			require.NoError(t, err)
			got, _, err := Decode(out)
			require.NoError(t, err)
			require.Equal(t, want.Bounds().Size(), got.Bounds().Size(), "%s %d", name, n)
			require.Equal(t, want.Bounds().Size(), image.Pt(width, height), "%s %d", name, n)
			loss := 0
			if strings.HasPrefix(name, "JPEG") {
				loss = 24
			}
			for y := range height {
				for x := range width {
					if !near(want.At(x, y), got.At(x, y), loss) {
						require.Failf(t, "wrong pixel", "%s %d at %d,%d: %v, want %v", name, n, x, y, got.At(x, y), want.At(x, y))
					}
				}
			}
		}
	}
}

func TestOrientationOfAWebP(t *testing.T) {
	lossy := sample(t, "lossy.webp")[20:]
	for name, block := range map[string][]byte{
		"as the specification has it": exif(binary.LittleEndian, 6),
		"as some write it":            append([]byte("Exif\x00\x00"), exif(binary.BigEndian, 6)...),
	} {
		data := webpFile("VP8X", vp8x(8, 150, 100), "VP8 ", lossy, "EXIF", block)
		_, mime, width, height, err := Reencode(data)
		require.NoError(t, err, name)
		require.Equal(t, "image/jpeg", mime)
		require.Equal(t, image.Pt(100, 150), image.Pt(width, height), name)
	}
}

// What is no orientation is none: a picture is never refused for its metadata.
func TestOrientationsThatAreNone(t *testing.T) {
	good := exif(binary.BigEndian, 6)
	change := func(at int, to ...byte) []byte {
		block := bytes.Clone(good)
		copy(block[at:], to)
		return block
	}
	for name, block := range map[string][]byte{
		"empty":                      {},
		"0":                          exif(binary.BigEndian, 0),
		"9":                          exif(binary.LittleEndian, 9),
		"no TIFF":                    change(0, 'X'),
		"a directory beyond the end": change(4, 0xff, 0xff, 0xff, 0xff),
		"another type":               change(24, 0, 4),
		"cut in the entry":           good[:26],
		"cut in the header":          good[:7],
		"more entries than bytes":    change(8, 0xff, 0xff, 0, 0)[:22],
		"no entries":                 change(8, 0, 0),
	} {
		assert.Equal(t, 1, tiffOrientation(block), name)
		out, _, width, height, err := Reencode(withExif(encodedPNG(t, lettered(stored[1])), block))
		require.NoError(t, err, name)
		require.Equal(t, image.Pt(3*cellPixels, 2*cellPixels), image.Pt(width, height), name)
		require.NotEmpty(t, out)
	}
	require.Equal(t, 6, tiffOrientation(good))
	require.Equal(t, 1, orientation("gif", good))
}
