package picture

import (
	"bytes"
	"encoding/binary"
	"image"

	"golang.org/x/image/draw"
)

const (
	// exifOrientation is the tag (Exif 2.32, section 4.6.4).
	exifOrientation = 0x0112
	exifShort       = 3
	// exifEntriesMax bounds the entries of a directory that are looked at
	// (count). Cameras write some 15.
	exifEntriesMax = 200
	// chunksMax bounds the chunks of a PNG or WebP that are looked at (count).
	chunksMax = 1000
)

// orientation returns the EXIF orientation, 1 to 8, and 1 where there is none.
func orientation(format string, data []byte) int {
	switch format {
	case JPEG:
		for _, s := range segments(data) {
			if exif, ok := bytes.CutPrefix(s.payload, []byte("Exif\x00\x00")); ok && s.marker == markerAPP1 {
				return tiffOrientation(exif)
			}
		}
	case PNG:
		return tiffOrientation(chunk(data, len("\x89PNG\r\n\x1a\n"), "eXIf", pngChunk))
	case WebP:
		exif := chunk(data, len("RIFF....WEBP"), "EXIF", riffChunk)
		return tiffOrientation(bytes.TrimPrefix(exif, []byte("Exif\x00\x00")))
	}
	return 1
}

// chunkReader reads the chunk at an offset: its name, its payload and where the
// next one is.
type chunkReader func(data []byte, at int) (name string, payload []byte, next int, ok bool)

func pngChunk(data []byte, at int) (string, []byte, int, bool) {
	if at+12 > len(data) {
		return "", nil, 0, false
	}
	size := int64(binary.BigEndian.Uint32(data[at:]))
	if size > int64(len(data)-at-12) {
		return "", nil, 0, false
	}
	start := at + 8
	end := start + int(size)
	return string(data[at+4 : at+8]), data[start:end], end + 4, true
}

func riffChunk(data []byte, at int) (string, []byte, int, bool) {
	if at+8 > len(data) {
		return "", nil, 0, false
	}
	size := int64(binary.LittleEndian.Uint32(data[at+4:]))
	if size > int64(len(data)-at-8) {
		return "", nil, 0, false
	}
	start := at + 8
	end := start + int(size)
	return string(data[at : at+4]), data[start:end], end + int(size&1), true
}

func chunk(data []byte, at int, wanted string, read chunkReader) []byte {
	for range chunksMax {
		name, payload, next, ok := read(data, at)
		if !ok {
			return nil
		}
		if name == wanted {
			return payload
		}
		at = next
	}
	return nil
}

// tiffOrientation reads the tag from the first directory of a TIFF block.
func tiffOrientation(block []byte) int {
	if len(block) < 8 {
		return 1
	}
	var order binary.ByteOrder
	switch string(block[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := int64(order.Uint32(block[4:]))
	if at+2 > int64(len(block)) {
		return 1
	}
	entries := min(int(order.Uint16(block[at:])), exifEntriesMax)
	for i := range int64(entries) {
		entry := at + 2 + 12*i
		if entry+12 > int64(len(block)) {
			return 1
		}
		if order.Uint16(block[entry:]) != exifOrientation || order.Uint16(block[entry+2:]) != exifShort {
			continue
		}
		if value := int(order.Uint16(block[entry+8:])); value >= 1 && value <= 8 {
			return value
		}
		return 1
	}
	return 1
}

// upright turns a picture as its orientation says. Orientation 1 is as it is.
func upright(img image.Image, orientation int) image.Image {
	if orientation <= 1 || orientation > 8 {
		return img
	}
	bounds := img.Bounds()
	w, h := bounds.Dx(), bounds.Dy()
	rect := image.Rect(0, 0, w, h)
	if orientation >= 5 {
		rect = image.Rect(0, 0, h, w)
	}
	if planar, ok := img.(*image.YCbCr); ok && turnsWhole(planar) {
		return turnedPlanes(planar, orientation, rect)
	}
	turned := image.NewNRGBA(rect)
	line := image.NewNRGBA(image.Rect(0, 0, w, 1))
	var over draw.Image = line
	if opaque(img) {
		// The same bytes, under the type that is drawn and encoded row by row.
		over = &image.RGBA{Pix: line.Pix, Stride: line.Stride, Rect: line.Rect}
	}
	for y := range h {
		draw.Draw(over, line.Rect, img, bounds.Min.Add(image.Pt(0, y)), draw.Src)
		for x := range w {
			tx, ty := origin(inverse(orientation), x, y, w, h)
			copy(turned.Pix[turned.PixOffset(tx, ty):][:4], line.Pix[4*x:][:4])
		}
	}
	if over != draw.Image(line) {
		return &image.RGBA{Pix: turned.Pix, Stride: turned.Stride, Rect: turned.Rect}
	}
	return turned
}

// turnsWhole says whether the samples of chroma cover the same pixels after any turn.
func turnsWhole(img *image.YCbCr) bool {
	x, y := subsampling(img.SubsampleRatio)
	size := img.Rect.Size()
	return x == y && size.X%x == 0 && size.Y%y == 0 && img.Rect.Min == image.Point{}
}

func turnedPlanes(img *image.YCbCr, orientation int, rect image.Rectangle) *image.YCbCr {
	out := image.NewYCbCr(rect, img.SubsampleRatio)
	to, from := componentsOf(out), componentsOf(img)
	for i := range to {
		for y := range to[i].height {
			row := to[i].row(y)
			for x := range row {
				sx, sy := origin(orientation, x, y, to[i].width, to[i].height)
				row[x] = from[i].pix[sy*from[i].stride+sx]
			}
		}
	}
	return out
}

func opaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
}

// inverse is the orientation that turns a picture back: the quarter turns change
// places.
func inverse(orientation int) int {
	switch orientation {
	case 6:
		return 8
	case 8:
		return 6
	default:
		return orientation
	}
}

// origin is the pixel of the stored picture that belongs at x, y of the upright
// one, whose size is w x h (Exif 2.32, figure of tag 0x0112).
func origin(orientation, x, y, w, h int) (sx, sy int) {
	switch orientation {
	case 2: // mirrored left to right
		return w - 1 - x, y
	case 3: // half a turn
		return w - 1 - x, h - 1 - y
	case 4: // mirrored top to bottom
		return x, h - 1 - y
	case 5: // mirrored along the falling diagonal
		return y, x
	case 6: // needs a quarter turn clockwise
		return y, w - 1 - x
	case 7: // mirrored along the rising diagonal
		return h - 1 - y, w - 1 - x
	case 8: // needs a quarter turn counterclockwise
		return h - 1 - y, x
	default:
		return x, y
	}
}
