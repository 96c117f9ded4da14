package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
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

// vp8lTreesBytesMax is what the Huffman trees of a lossless WebP take at most,
// whatever its pixels: x/image reads up to 2,600 groups, the largest of some
// 53,000 bytes (a tree of 2,328 symbols, three of 256 and one of 40, each symbol
// two nodes of 8 bytes, and 512 bytes a tree to look up).
const vp8lTreesBytesMax = 2600 * 53_000

// webpBytes counts 1.5 bytes a pixel for a lossy picture, and 7 for a lossless
// one: its pixels, the packed ones that they are unfolded from, and three maps of
// a sixteenth each. Transparency beside a lossy picture is a lossless one whose
// green is copied out. The chunks are not walked but looked for: what is not
// there by name cannot be decoded.
func webpBytes(pixels int64, data []byte) int64 {
	size := 2*pixels + int64(len(data))
	if bytes.Contains(data, []byte("VP8L")) {
		size = max(size, 7*pixels+vp8lTreesBytesMax)
	}
	if bytes.Contains(data, []byte("ALPH")) {
		size = max(size, 10*pixels+vp8lTreesBytesMax)
	}
	return size
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
