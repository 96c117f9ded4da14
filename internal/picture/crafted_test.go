package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// zeros reads as so many zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zeroReader{}, n) }

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// PNG colour types (RFC 2083, section 4.1.1).
const (
	pngGray, pngRGB, pngPalette, pngGrayAlpha, pngRGBA = 0, 2, 3, 4, 6
)

// pngSpec is a PNG whose samples are all 0.
type pngSpec struct {
	width, height, depth, colour int
	interlaced, transparent      bool
	// first stands before IHDR, where no encoder puts anything.
	first []byte
}

func (s pngSpec) file(t testing.TB) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	_, err := io.Copy(z, zeros(s.rawBytes()))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return slices.Concat(s.head(), pngChunkOf("IDAT", packed.Bytes()), pngChunkOf("IEND", nil))
}

// head is all that stands before the pixels.
func (s pngSpec) head() []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(s.width))
	header = binary.BigEndian.AppendUint32(header, uint32(s.height))
	header = append(header, byte(s.depth), byte(s.colour), 0, 0, 0)
	if s.interlaced {
		header[12] = 1
	}
	data := append([]byte("\x89PNG\r\n\x1a\n"), s.first...)
	data = append(data, pngChunkOf("IHDR", header)...)
	if s.colour == pngPalette {
		data = append(data, pngChunkOf("PLTE", make([]byte, 3*256))...)
	}
	if s.transparent {
		data = append(data, pngChunkOf("tRNS", make([]byte, map[int]int{pngGray: 2, pngRGB: 6, pngPalette: 256}[s.colour]))...)
	}
	return data
}

// rawBytes counts the filtered rows, of all seven passes where it is interlaced.
func (s pngSpec) rawBytes() int64 {
	channels := map[int]int{pngGray: 1, pngRGB: 3, pngPalette: 1, pngGrayAlpha: 2, pngRGBA: 4}[s.colour]
	rows := func(width, height int) int64 {
		if width <= 0 || height <= 0 {
			return 0
		}
		return int64(height) * (1 + (int64(width)*int64(channels*s.depth)+7)/8)
	}
	if !s.interlaced {
		return rows(s.width, s.height)
	}
	var sum int64
	for _, p := range [7][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}} {
		sum += rows((s.width-p[0]+p[2]-1)/p[2], (s.height-p[1]+p[3]-1)/p[3])
	}
	return sum
}

func pngChunkOf(name string, payload []byte) []byte {
	c := binary.BigEndian.AppendUint32(nil, uint32(len(payload)))
	c = append(append(c, name...), payload...)
	return binary.BigEndian.AppendUint32(c, crc32.ChecksumIEEE(c[4:]))
}

// jpegSpec is a JPEG of one colour. Each component is its ID and its sampling.
type jpegSpec struct {
	width, height int
	frame         byte // markerSOF0 or markerSOF2
	components    [][2]byte
	// first stands before the frame, last between the scan and the end.
	first, last []byte
}

var (
	yCbCr444 = [][2]byte{{1, 0x11}, {2, 0x11}, {3, 0x11}}
	yCbCr420 = [][2]byte{{1, 0x22}, {2, 0x11}, {3, 0x11}}
	rgb444   = [][2]byte{{'R', 0x11}, {'G', 0x11}, {'B', 0x11}}
	cmyk     = [][2]byte{{1, 0x11}, {2, 0x11}, {3, 0x11}, {4, 0x11}}
)

func (s jpegSpec) file() []byte {
	blocks, across, down := 0, 1, 1
	for _, c := range s.components {
		h, v := int(c[1]>>4), int(c[1]&15)
		blocks += h * v
		across, down = max(across, h), max(down, v)
	}
	mcus := ((s.width + 8*across - 1) / (8 * across)) * ((s.height + 8*down - 1) / (8 * down))
	return slices.Concat(s.head(), make([]byte, (2*mcus*blocks+7)/8+8), s.last, []byte{0xff, markerEOI})
}

// head is all that stands before the scan's bits.
func (s jpegSpec) head() []byte {
	n := byte(len(s.components))
	frame := []byte{8, byte(s.height >> 8), byte(s.height), byte(s.width >> 8), byte(s.width), n}
	scan := []byte{n}
	for _, c := range s.components {
		frame = append(frame, c[0], c[1], 0)
		scan = append(scan, c[0], 0)
	}
	lastCoefficient := byte(63)
	if s.frame == markerSOF2 {
		lastCoefficient = 0 // one scan of DC: every coefficient is allocated
	}
	scan = append(scan, 0, lastCoefficient, 0)
	// Both tables have one code, a zero bit: no difference, and end of block.
	table := append([]byte{1}, make([]byte, 16)...)
	return slices.Concat([]byte{0xff, markerSOI}, s.first,
		jpegSegment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)),
		jpegSegment(s.frame, frame),
		jpegSegment(0xc4, append([]byte{0x00}, table...)), jpegSegment(0xc4, append([]byte{0x10}, table...)),
		jpegSegment(markerSOS, scan))
}

func jpegSegment(marker byte, payload []byte) []byte {
	s := binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(payload)))
	return append(s, payload...)
}

// adobeRGB says that the three components are red, green and blue.
func adobeRGB() []byte { return jpegSegment(0xee, []byte("Adobe\x00\x64\x00\x00\x00\x00\x00")) }

// webpFile wraps chunks in their order: name, payload, name, payload ...
func webpFile(chunks ...any) []byte {
	body := []byte("WEBP")
	for i := 0; i < len(chunks); i += 2 {
		payload := chunks[i+1].([]byte)
		body = append(body, chunks[i].(string)...)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(payload)))
		body = append(body, payload...)
		if len(payload)%2 == 1 {
			body = append(body, 0)
		}
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// vp8x is the payload of a VP8X chunk with its flags.
func vp8x(flags byte, width, height int) []byte {
	w, h := width-1, height-1
	return []byte{flags, 0, 0, 0, byte(w), byte(w >> 8), byte(w >> 16), byte(h), byte(h >> 8), byte(h >> 16)}
}

// bitStream is one of VP8L, the least bit first.
type bitStream struct {
	data []byte
	n    uint
}

func (b *bitStream) put(value, n uint) {
	for i := range n {
		if b.n%8 == 0 {
			b.data = append(b.data, 0)
		}
		b.data[b.n/8] |= byte(value>>i&1) << (b.n % 8)
		b.n++
	}
}

// code puts a Huffman code, whose first bit is its highest.
func (b *bitStream) code(value, n uint) {
	for i := range n {
		b.put(value>>(n-1-i), 1)
	}
}

// oneSymbol is a tree whose only symbol, 0, takes no bits.
func (b *bitStream) oneSymbol() { b.put(1, 4) }

// lengths are those of a complete code of n symbols: the first so many have
// short bits, the others one more.
func lengths(n int) (first int, short uint) {
	longer := uint(bits.Len(uint(n - 1)))
	return 1<<longer - n, longer - 1
}

// symbol puts one of n.
func (b *bitStream) symbol(value, n int) {
	if first, short := lengths(n); value < first {
		b.code(uint(value), short)
	} else {
		b.code(uint(first+value), short+1)
	}
}

// allSymbols is a tree of n symbols, each with a code.
func (b *bitStream) allSymbols(n int) {
	first, short := lengths(n)
	order := []uint{17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	b.put(0, 1)
	b.put(uint(len(order)-4), 4)
	for _, length := range order {
		switch length {
		case 16: // repeats the length before it: code 0
			b.put(1, 3)
		case short, short + 1: // codes 10 and 11
			b.put(2, 3)
		default:
			b.put(0, 3)
		}
	}
	b.put(0, 1) // as many lengths as symbols
	b.run(first, 0b10)
	b.run(n-first, 0b11)
}

// run puts a code length of two bits so many times.
func (b *bitStream) run(times int, code uint) {
	if times == 0 {
		return
	}
	b.code(code, 2)
	for left := times - 1; left > 0; {
		if repeat := min(left, 6); repeat >= 3 {
			b.put(0, 1)
			b.put(uint(repeat-3), 2)
			left -= repeat
			continue
		}
		b.code(code, 2)
		left--
	}
}

// plain is a small picture inside the stream, all of one value.
func (b *bitStream) plain() {
	b.put(0, 1) // no colour cache
	for range 5 {
		b.oneSymbol()
	}
}

// vp8lHeader is the header of a lossless picture.
func vp8lHeader(width, height int) *bitStream {
	b := &bitStream{}
	b.put(0x2f, 8)
	b.put(uint(width-1), 14)
	b.put(uint(height-1), 14)
	b.put(0, 4)
	return b
}

// hostileVP8L is a lossless stream that makes the decoder of x/image allocate as
// much as it can: both transforms, and trees of the largest alphabets.
func hostileVP8L(width, height, trees int) []byte {
	b := vp8lHeader(width, height)
	for _, transform := range []uint{0, 1} { // predictor, cross colour
		b.put(1, 1)
		b.put(transform, 2)
		b.put(0, 3)
		b.plain()
	}
	b.put(0, 1)
	b.put(1, 1) // a colour cache of 2,048
	b.put(11, 4)
	b.put(1, 1) // a tree group a tile of 4x4
	b.put(0, 3)
	b.put(0, 1)
	b.allSymbols(280)
	b.allSymbols(256)
	for range 3 {
		b.oneSymbol()
	}
	tiles := ((width + 3) / 4) * ((height + 3) / 4)
	for i := range tiles {
		group := i % trees
		b.symbol(group&0xff, 280)
		b.symbol(group>>8, 256)
	}
	for range trees {
		b.allSymbols(280 + 2048)
		for range 3 {
			b.allSymbols(256)
		}
		b.allSymbols(40)
	}
	// Every pixel is literal 0, the same zero bits for all trees.
	b.data = append(b.data, make([]byte, width*height*(12+3*8)/8+1)...)
	return b.data
}
