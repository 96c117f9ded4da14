package picture

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
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
// fit. The errors are those of Decode; ErrTooLarge also for what cannot be turned
// in its memory. A colour profile is dropped, not applied.
func Reencode(upload []byte) (data []byte, mimeType string, width, height int, err error) {
	config, err := DecodeConfig(upload)
	if err != nil {
		return nil, "", 0, 0, err
	}
	pixels := int64(config.Width) * int64(config.Height)
	turn, needs := orientation(config.Format, upload), config.decodedBytes
	if turn > 1 {
		needs += 4 * min(pixels, uploadSideMax*uploadSideMax)
	}
	if needs > workBytesMax {
		return nil, "", 0, 0, fmt.Errorf("%w: needs %d bytes of memory to be turned, at most %d", ErrTooLarge, needs, workBytesMax)
	}
	// The memory is held to the end: what is made of the decoded picture may have four
	// bytes a pixel.
	defer hold(max(needs, 4*pixels))()
	img, err := decodeHeld(config, upload)
	if err != nil {
		return nil, "", 0, 0, err
	}
	as := form{mimeType: MIMEType(PNG), shrink: shrunkInPlace, encode: encodePNG}
	if lossy(img, config.Format) {
		as = form{mimeType: MIMEType(JPEG), shrink: shrunk, encode: encodeUpload}
	}
	img = upright(as.shrink(ready(img), uploadSideMax), turn)
	for range shrinksMax {
		size := img.Bounds().Size()
		file := atMost{left: uploadBytesMax}
		err := as.encode(&file, img)
		switch {
		case err == nil:
			return file.data, as.mimeType, size.X, size.Y, nil
		case !errors.Is(err, errFull):
			return nil, "", 0, 0, err
		}
		img = as.shrink(img, max(1, max(size.X, size.Y)*7/10))
	}
	return nil, "", 0, 0, fmt.Errorf("%w: does not fit %d bytes", ErrTooLarge, uploadBytesMax)
}

// form is what an upload becomes.
type form struct {
	mimeType string
	shrink   func(img image.Image, side int) image.Image
	encode   func(to io.Writer, img image.Image) error
}

// atMost keeps what is written to it, up to so many bytes: a picture that no
// encoder can shrink is not kept whole to learn that it is too large.
type atMost struct {
	data []byte
	left int
}

var errFull = errors.New("file is full")

func (w *atMost) Write(p []byte) (int, error) {
	if len(p) > w.left {
		return 0, errFull
	}
	w.data, w.left = append(w.data, p...), w.left-len(p)
	return len(p), nil
}

// ready brings a picture to a kind that is shrunk and encoded in little memory. 16 bits
// a channel become the 8 that are kept of them in the end, and CMYK becomes RGB, which
// the encoder does not read pixel by pixel, each on the heap: both where they are.
func ready(img image.Image) image.Image {
	switch img := img.(type) {
	case *image.NRGBA64:
		return &image.NRGBA{Pix: highBytes(img.Pix), Stride: img.Stride / 2, Rect: img.Rect}
	case *image.RGBA64:
		return &image.RGBA{Pix: highBytes(img.Pix), Stride: img.Stride / 2, Rect: img.Rect}
	case *image.Gray16:
		return &image.Gray{Pix: highBytes(img.Pix), Stride: img.Stride / 2, Rect: img.Rect}
	case *image.CMYK:
		for i := 0; i < len(img.Pix); i += 4 {
			p := (*[4]uint8)(img.Pix[i:])
			p[0], p[1], p[2] = color.CMYKToRGB(p[0], p[1], p[2], p[3])
			p[3] = 255
		}
		return &image.RGBA{Pix: img.Pix, Stride: img.Stride, Rect: img.Rect}
	default:
		return img
	}
}

func highBytes(pix []uint8) []uint8 {
	half := pix[:len(pix)/2]
	for i := range half {
		half[i] = pix[2*i]
	}
	return half
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

// shrunk makes the longer side of a picture without transparency fit.
func shrunk(img image.Image, side int) image.Image {
	size := img.Bounds().Size()
	if max(size.X, size.Y) <= side {
		return img
	}
	width, height := within(size, side)
	return resample(img, img.Bounds(), width, height, image.YCbCrSubsampleRatio420)
}

// shrunkInPlace makes the longer side fit, and keeps transparency and colours: no
// pixel becomes planar. What it returns may lie where img did.
func shrunkInPlace(img image.Image, side int) image.Image {
	bounds := img.Bounds()
	if max(bounds.Dx(), bounds.Dy()) <= side {
		return img
	}
	width, height := within(bounds.Size(), side)
	switch img := img.(type) {
	case *image.Gray:
		out := component{subX: 1, subY: 1, plane: plane{pix: img.Pix, stride: width, step: 1, width: width, height: height}}
		out.resample(componentsOf(&image.YCbCr{Y: img.Pix, YStride: img.Stride, Rect: bounds})[0], bounds, width, height)
		return &image.Gray{Pix: img.Pix, Stride: width, Rect: image.Rect(0, 0, width, height)}
	case *image.RGBA:
		return shrunkColours(img.Pix, img, width, height)
	case *image.NRGBA:
		return shrunkColours(img.Pix, img, width, height)
	default:
		return shrunkColours(make([]uint8, 4*width*height), img, width, height)
	}
}

// shrunkColours weighs colours by their alpha: what is hidden does not show at an
// edge.
func shrunkColours(pix []uint8, img image.Image, width, height int) image.Image {
	resizePixels(pix, image.Pt(width, height), img.Bounds(), linesOf(img, nil))
	out := &image.NRGBA{Pix: pix[:4*width*height], Stride: 4 * width, Rect: image.Rect(0, 0, width, height)}
	if out.Opaque() {
		return &image.RGBA{Pix: out.Pix, Stride: out.Stride, Rect: out.Rect}
	}
	for i := 0; i < len(out.Pix); i += 4 {
		unmultiply((*[4]uint8)(out.Pix[i:]))
	}
	return out
}

// unmultiply takes the alpha out of a premultiplied pixel. The kernel overshoots, so
// that a colour may be above its alpha.
func unmultiply(p *[4]uint8) {
	alpha := int(p[3])
	for c := range p[:3] {
		if alpha == 0 {
			p[c] = 0
			continue
		}
		p[c] = uint8(min(255, (int(p[c])*255+alpha/2)/alpha))
	}
}

func encodeUpload(to io.Writer, img image.Image) error { return jpegTo(to, img, uploadQuality) }

func encodePNG(to io.Writer, img image.Image) error {
	if err := png.Encode(to, img); err != nil {
		return fmt.Errorf("encode png: %w", err)
	}
	return nil
}
