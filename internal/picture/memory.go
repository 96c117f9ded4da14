package picture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"runtime"
	"runtime/metrics"
)

// decodedBytes estimates what the decoders of Go 1.26 and x/image allocate, high
// rather than low.
func decodedBytes(format string, config image.Config, data []byte) int64 {
	pixels := int64(config.Width) * int64(config.Height)
	switch format {
	case JPEG:
		return jpegBytes(pixels, data)
	case PNG:
		return pngBytes(pixels, config.ColorModel, data)
	default:
		return webpBytes(pixels, data)
	}
}

// Where a PNG has the name of its header, and says there whether the picture is
// interlaced (RFC 2083, section 4.1.1): as long as the header comes first. The
// decoder takes a file where it does not.
const (
	pngHeaderNameOffset = 12
	pngInterlaceOffset  = 28
)

func pngBytes(pixels int64, model color.Model, data []byte) int64 {
	perPixel := int64(4) // grey too: a transparent grey makes it NRGBA
	switch model {
	case color.RGBA64Model, color.NRGBA64Model, color.Gray16Model:
		perPixel = 8
	default:
		if _, paletted := model.(color.Palette); paletted {
			perPixel = 1
		}
	}
	headerFirst := len(data) > pngInterlaceOffset && string(data[pngHeaderNameOffset:pngHeaderNameOffset+4]) == "IHDR"
	if !headerFirst || data[pngInterlaceOffset] != 0 {
		perPixel *= 2 // each of the seven passes is decoded into a picture of its own
	}
	return perPixel * pixels
}

// What the Huffman trees of a lossless WebP take, whatever its pixels. x/image
// reads up to 2,600 groups of five: 2,720 bytes for each, and two nodes of 8 bytes
// for a symbol, 2,328 of them in the largest tree, 256 in three and 40 in the
// last. A run of six symbols takes two bits of the file at least.
const (
	vp8lGroupsMax          = 2600
	vp8lGroupBytes         = 2720
	vp8lTreesBytesMax      = vp8lGroupsMax * 57_000
	vp8lTreeBytesPerByte   = 300
	vp8lWatchedEvery       = 16 << 10
	losslessPixelBytes     = 7
	losslessAlphaOverBytes = 10
)

// webpBytes counts 1.5 bytes a pixel for a lossy picture, and 7 for a lossless
// one: its pixels, the packed ones that they are unfolded from, and three maps of
// a sixteenth each. Transparency beside a lossy picture is a lossless one whose
// green is copied out. The chunks are not walked but looked for: what is not
// there by name cannot be decoded. How many trees there are, only the decoder
// learns: it is watched, so that they are counted up to decodedBytesMax here.
func webpBytes(pixels int64, data []byte) int64 {
	if perPixel := losslessBytes(data); perPixel > 0 {
		trees := min(vp8lTreesBytesMax, vp8lGroupsMax*vp8lGroupBytes+vp8lTreeBytesPerByte*int64(len(data)))
		return max(perPixel*pixels, min(perPixel*pixels+trees, decodedBytesMax))
	}
	return 2*pixels + int64(len(data))
}

// losslessBytes is what a pixel of a lossless part takes, and 0 where there is none.
func losslessBytes(webp []byte) int64 {
	switch {
	case bytes.Contains(webp, []byte("ALPH")):
		return losslessAlphaOverBytes
	case bytes.Contains(webp, []byte("VP8L")):
		return losslessPixelBytes
	default:
		return 0
	}
}

// watched reads a WebP for its decoder until the process has taken bytesMax more
// than at the beginning: half a megabyte of a lossless one can ask for 147 MB of
// trees. Others may allocate meanwhile; legitimate pictures have so few trees that
// there is room for them.
type watched struct {
	file     *bytes.Reader
	atStart  int64
	bytesMax int64
	// unwatched is what was read since the last look (bytes).
	unwatched int
}

func watch(config Config, data []byte) *watched {
	pixels := int64(config.Width) * int64(config.Height)
	return &watched{file: bytes.NewReader(data), atStart: heapBytes(), bytesMax: decodedBytesMax - losslessBytes(data)*pixels}
}

func (w *watched) Read(p []byte) (int, error) {
	if w.unwatched >= vp8lWatchedEvery {
		w.unwatched = 0
		if w.exceeded() {
			runtime.GC() // what is garbage does not count
			if w.exceeded() {
				return 0, fmt.Errorf("%w: needs more than %d bytes of memory", ErrTooLarge, decodedBytesMax)
			}
		}
	}
	n, err := w.file.Read(p)
	w.unwatched += n
	return n, err
}

func (w *watched) exceeded() bool { return heapBytes()-w.atStart > w.bytesMax }

// heapBytes is what objects take, garbage too.
func heapBytes() int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// JPEG markers (ITU-T T.81, table B.1).
const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerSOF0 = 0xc0
	markerSOF2 = 0xc2
	markerRST0 = 0xd0
	markerRST7 = 0xd7
	markerAPP0 = 0xe0
	markerAPP1 = 0xe1

	markerAPP14 = 0xee
)

// segment is one marker of a JPEG, before its first scan.
type segment struct {
	marker byte
	// start is the offset of the marker's 0xff, end the one behind the payload.
	start, end int
	payload    []byte
}

// segments lists those before the first scan. It ends early where the bytes are
// not a JPEG's.
func segments(data []byte) []segment {
	var list []segment
	at := 2 // behind SOI
	for at+4 <= len(data) && data[at] == 0xff {
		marker := data[at+1]
		if marker == 0xff { // fill byte
			at++
			continue
		}
		if marker == markerSOS || marker == markerEOI || !sized(marker) {
			break
		}
		size := int(binary.BigEndian.Uint16(data[at+2:]))
		if size < 2 || at+2+size > len(data) {
			break
		}
		list = append(list, segment{marker: marker, start: at, end: at + 2 + size, payload: data[at+4 : at+2+size]})
		at += 2 + size
	}
	return list
}

// sized says whether a length follows a marker. The decoder steps over those
// without; to take what follows for a length would be to read another file.
func sized(marker byte) bool {
	return marker >= markerSOF0 && (marker < markerRST0 || marker > markerRST7)
}

// jpegBytes counts one byte a sample, five in a progressive file (its
// coefficients are int32), and four a pixel more for CMYK and RGB, which are
// converted.
func jpegBytes(pixels int64, data []byte) int64 {
	for _, s := range segments(data) {
		if s.marker < markerSOF0 || s.marker > markerSOF2 || len(s.payload) < 6 {
			continue
		}
		components := int(s.payload[5])
		if components == 0 || len(s.payload) < 6+3*components {
			break
		}
		var sum, across, down int64
		for i := range components {
			sampling := s.payload[6+3*i+1]
			h, v := int64(sampling>>4), int64(sampling&15)
			sum += h * v
			across, down = max(across, h), max(down, v)
		}
		if across == 0 || down == 0 {
			break
		}
		samples := pixels * sum / (across * down)
		size := samples
		if s.marker == markerSOF2 {
			size += 4 * samples
		}
		if components == 4 || components == 3 && saysRGB(s.payload[6:], data) {
			size += 4 * pixels
		}
		return size
	}
	// No frame that could be read: the decoder will say so. Until then, the worst.
	return 20 * pixels
}

// saysRGB says whether a JPEG of three components may be decoded as RGB: they are
// called so, or an Adobe segment anywhere, also behind the first scan, has
// transform 0.
func saysRGB(components, data []byte) bool {
	if components[0] == 'R' && components[3] == 'G' && components[6] == 'B' {
		return true
	}
	const transformOffset = 11 // behind the name's first byte
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte("Adobe"))
		if i < 0 {
			return false
		}
		at += i
		if at >= 4 && data[at-4] == 0xff && data[at-3] == markerAPP14 && at+transformOffset < len(data) && data[at+transformOffset] == 0 {
			return true
		}
		at += len("Adobe")
	}
}
