package quality

import (
	"encoding/binary"
	"fmt"
	"iter"

	"atelier/internal/picture"
)

// parts walks the parts of a file that stand before its pixels or around them:
// the segments of a JPEG before its first scan (APP0 to APP15, and others by
// number), the chunks of a PNG, the chunks of a WebP. It ends early where the
// bytes are not what they seem. Payloads are slices of data.
func parts(data []byte) iter.Seq2[string, []byte] {
	switch picture.Sniff(data) {
	case picture.JPEG:
		return segments(data)
	case picture.PNG:
		return func(yield func(string, []byte) bool) {
			// Length, name, payload, checksum (RFC 2083, section 3.2).
			for rest := data[8:]; len(rest) >= 12; {
				size := uint64(binary.BigEndian.Uint32(rest))
				if size > uint64(len(rest)-12) || !yield(string(rest[4:8]), rest[8:8+size]) {
					return
				}
				rest = rest[12+size:]
			}
		}
	case picture.WebP:
		return func(yield func(string, []byte) bool) {
			// Name, length, payload, padded to an even length (RFC 9649, section 2.3).
			for rest := data[12:]; len(rest) >= 8; {
				size := uint64(binary.LittleEndian.Uint32(rest[4:]))
				if size > uint64(len(rest)-8) || !yield(string(rest[:4]), rest[8:8+size]) {
					return
				}
				rest = rest[min(8+size+size&1, uint64(len(rest))):]
			}
		}
	default:
		return func(func(string, []byte) bool) {}
	}
}

// segments walks those of a JPEG (ITU-T T.81, annex B).
func segments(data []byte) iter.Seq2[string, []byte] {
	const startOfScan, endOfImage, app0, app15 = 0xda, 0xd9, 0xe0, 0xef
	return func(yield func(string, []byte) bool) {
		for rest := data[2:]; len(rest) >= 4 && rest[0] == 0xff; {
			marker := rest[1]
			if marker == 0xff { // a fill byte
				rest = rest[1:]
				continue
			}
			size := int(binary.BigEndian.Uint16(rest[2:]))
			if marker == startOfScan || marker == endOfImage || size < 2 || size > len(rest)-2 {
				return
			}
			name := fmt.Sprintf("%02x", marker)
			if marker >= app0 && marker <= app15 {
				name = fmt.Sprintf("APP%d", marker-app0)
			}
			if !yield(name, rest[4:2+size]) {
				return
			}
			rest = rest[2+size:]
		}
	}
}
