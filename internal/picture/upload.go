package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"sync"

	"golang.org/x/image/draw"
)

const (
	// uploadSideMax bounds the longer side of what an upload becomes (pixels):
	// the largest square that an image model draws.
	uploadSideMax = 4096
	// uploadBytesMax bounds what an upload becomes. An image model takes
	// references of at most 7 MB each; a little is left for a sender that counts
	// in other megabytes.
	uploadBytesMax = 6_900_000
	uploadQuality  = 92
	// shrinksMax bounds the attempts to fit uploadBytesMax (count). Each leaves
	// about half of the pixels, so that the last has a hundredth.
	shrinksMax = 7
)

// Reencode turns an upload into a picture of our own: decoded, upright,
// encoded again, so that nothing of the file survives but its pixels. The result
// is image/jpeg where a lossy picture came without transparency, and image/png
// else; it has at most 4,096 pixels a side and 6.9 MB, and is made smaller to
// fit. The errors are those of Decode. A colour profile is dropped, not applied.
func Reencode(upload []byte) (data []byte, mimeType string, width, height int, err error) {
	// The token is held to the end: what follows copies the decoded picture.
	decodes <- struct{}{}
	defer func() { <-decodes }()
	img, format, err := decodeHeld(upload)
	if err != nil {
		return nil, "", 0, 0, err
	}
	img = shallow(img)
	encode, mimeType := encodePNG, MIMEType(PNG)
	if lossy(img, format) {
		encode, mimeType = encodeUpload, MIMEType(JPEG)
	}
	img = shrunk(upright(img, orientation(format, upload)), uploadSideMax)
	for range shrinksMax {
		data, err = encode(img)
		if err != nil {
			return nil, "", 0, 0, err
		}
		size := img.Bounds().Size()
		if len(data) <= uploadBytesMax {
			return data, mimeType, size.X, size.Y, nil
		}
		img = shrunk(img, max(size.X, size.Y)*7/10)
	}
	return nil, "", 0, 0, fmt.Errorf("%w: does not fit %d bytes", ErrTooLarge, uploadBytesMax)
}

// shallow brings a picture of 16 bits a channel to 8, which is all that is kept of
// it in the end, before it is copied.
func shallow(img image.Image) image.Image {
	switch img.(type) {
	case *image.NRGBA64, *image.RGBA64, *image.Gray16:
	default:
		return img
	}
	out := image.NewNRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(out, out.Bounds(), img, img.Bounds().Min, draw.Src)
	return out
}

// lossy says whether a picture was stored with loss and shows no transparency:
// another JPEG costs it little, and a PNG would be ten times larger.
func lossy(img image.Image, format string) bool {
	switch format {
	case JPEG:
		return true
	case WebP:
		_, planar := img.(*image.YCbCr)
		return planar
	default:
		return false
	}
}

// shrinking lets one picture be shrunk at a time: x/image keeps 32 bytes for each
// pixel of an intermediate as wide as the result and as high as the source, some
// 650 MB for the largest.
var shrinking sync.Mutex

// shrunk makes the longer side fit, and keeps transparency.
func shrunk(img image.Image, side int) image.Image {
	size := img.Bounds().Size()
	if max(size.X, size.Y) <= side {
		return img
	}
	shrinking.Lock()
	defer shrinking.Unlock()
	width, height := within(size, max(1, side))
	if opaque(img) {
		return resample(img, img.Bounds(), width, height)
	}
	out := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.CatmullRom.Scale(out, out.Bounds(), img, img.Bounds(), draw.Src, nil)
	return out
}

func encodeUpload(img image.Image) ([]byte, error) { return encodeJPEG(img, uploadQuality) }

func encodePNG(img image.Image) ([]byte, error) {
	var buffer bytes.Buffer
	if err := png.Encode(&buffer, img); err != nil {
		return nil, fmt.Errorf("encode png: %w", err)
	}
	return buffer.Bytes(), nil
}
