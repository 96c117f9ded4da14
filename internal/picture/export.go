package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
)

const (
	// sideMax bounds each side of what is made (pixels): more than any
	// placement asks for.
	sideMax = 8192

	thumbnailQuality = 80
)

// exportQualities are the JPEG qualities that an export tries, best first. 90 is
// where generated pictures show no blocks; below 40 they do to anyone.
var exportQualities = []int{90, 85, 80, 72, 64, 56, 48, 40}

// ErrSize means that a picture of the wanted size cannot be made.
var ErrSize = errors.New("picture size is not possible")

// Target is the file that is wanted.
type Target struct {
	// Width and Height are its pixels, 1 to 8,192 each.
	Width, Height int
	// BytesMax bounds it; 0 is no limit.
	BytesMax int
	// Overlay is drawn over the picture: premultiplied, exactly Width x Height, or
	// nil for none. It is read, not kept.
	Overlay *image.RGBA
}

func (t Target) validate() error {
	if t.Width < 1 || t.Height < 1 || t.Width > sideMax || t.Height > sideMax {
		return fmt.Errorf("%w: %dx%d", ErrSize, t.Width, t.Height)
	}
	if t.Overlay != nil && t.Overlay.Rect.Size() != image.Pt(t.Width, t.Height) {
		return fmt.Errorf("%w: overlay of %v over %dx%d", ErrSize, t.Overlay.Rect.Size(), t.Width, t.Height)
	}
	return nil
}

// Export makes the file that an ad platform takes: the largest part of the
// wanted ratio around the centre, resampled to exactly the target's pixels, under
// its overlay, as a JPEG of at most its bytes with its digital source type. The
// quality starts at 90 and sinks in steps until the file fits; ErrTooLarge where it
// never does, ErrSize where the target is not possible. Transparent parts stand on
// white.
func Export(img image.Image, t Target) ([]byte, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	if img.Bounds().Empty() {
		return nil, fmt.Errorf("%w: export of nothing", ErrSize)
	}
	part := centre(img.Bounds(), t.Width, t.Height)
	pixels := resample(img, part, t.Width, t.Height, image.YCbCrSubsampleRatio420)
	if t.Overlay != nil {
		blend(pixels, t.Overlay)
	}
	for _, quality := range exportQualities {
		data, err := encodeTagged(pixels, quality)
		if err != nil {
			return nil, err
		}
		if t.BytesMax <= 0 || len(data) <= t.BytesMax {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%w: %dx%d does not fit %d bytes", ErrTooLarge, t.Width, t.Height, t.BytesMax)
}

// Thumbnail makes a JPEG whose longer side has at most side pixels. It never
// enlarges, and it carries the digital source type as an export does. Its pixels
// are those of Reduce, and may be reduced already.
func Thumbnail(img image.Image, side int) ([]byte, error) {
	if side < 1 || side > sideMax || img.Bounds().Empty() {
		return nil, fmt.Errorf("%w: thumbnail of %d from %v", ErrSize, side, img.Bounds().Size())
	}
	return encodeTagged(Reduce(img, side), thumbnailQuality)
}

// within shrinks a size until its longer side fits.
func within(size image.Point, side int) (width, height int) {
	longer := max(size.X, size.Y)
	if longer <= side {
		return size.X, size.Y
	}
	return max(1, (size.X*side+longer/2)/longer), max(1, (size.Y*side+longer/2)/longer)
}

// centre is the largest rectangle of the ratio width:height in the middle.
func centre(bounds image.Rectangle, width, height int) image.Rectangle {
	w, h := bounds.Dx(), bounds.Dy()
	if w*height > h*width {
		w = max(1, (h*width+height/2)/height)
	} else {
		h = max(1, (w*height+width/2)/width)
	}
	x, y := bounds.Min.X+(bounds.Dx()-w)/2, bounds.Min.Y+(bounds.Dy()-h)/2
	return image.Rect(x, y, x+w, y+h)
}

func encodeTagged(img image.Image, quality int) ([]byte, error) {
	data, err := encodeJPEG(img, quality)
	if err != nil {
		return nil, err
	}
	return tagTrained(data)
}

func encodeJPEG(img image.Image, quality int) ([]byte, error) {
	var buffer bytes.Buffer
	err := jpegTo(&buffer, img, quality)
	return buffer.Bytes(), err
}

func jpegTo(to io.Writer, img image.Image, quality int) error {
	if err := jpeg.Encode(to, img, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("encode jpeg: %w", err)
	}
	return nil
}
