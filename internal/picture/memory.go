package picture

import (
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
		// VP8L keeps four bytes a pixel twice while it undoes its transforms.
		return 8 * pixels
	}
}

// pngInterlaceOffset is where IHDR says whether the picture is interlaced
// (RFC 2083, section 4.1.1).
const pngInterlaceOffset = 28

func pngBytes(pixels int64, model color.Model, data []byte) int64 {
	perPixel := int64(4)
	switch model {
	case color.RGBA64Model, color.NRGBA64Model:
		perPixel = 8
	case color.Gray16Model:
		perPixel = 2
	case color.GrayModel:
		perPixel = 1
	default:
		if _, paletted := model.(color.Palette); paletted {
			perPixel = 1
		}
	}
	if len(data) > pngInterlaceOffset && data[pngInterlaceOffset] == 1 {
		// Each pass is decoded into a picture of its own; the last has half of
		// the pixels.
		perPixel += (perPixel + 1) / 2
	}
	return perPixel * pixels
}

// JPEG markers (ITU-T T.81, table B.1).
const (
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerSOF0 = 0xc0
	markerSOF2 = 0xc2
	markerAPP0 = 0xe0
	markerAPP1 = 0xe1
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
		if marker == markerSOS || marker == markerEOI {
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

// jpegBytes counts one byte a sample, five in a progressive file (its
// coefficients are int32), and four a pixel more for CMYK, which is converted.
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
		bytes := samples
		if s.marker == markerSOF2 {
			bytes += 4 * samples
		}
		if components == 4 {
			bytes += 4 * pixels
		}
		return bytes
	}
	// No frame that could be read: the decoder will say so. Until then, the worst.
	return 20 * pixels
}
