package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"

	"golang.org/x/image/draw"
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

// Export makes the file that an ad platform takes: the largest part of the
// wanted ratio around the centre, resampled to exactly width x height pixels, as
// a JPEG of at most bytesMax bytes (0: no limit) with its digital source type.
// The quality starts at 90 and sinks in steps until the file fits; ErrTooLarge
// where it never does. Transparent parts stand on white.
func Export(img image.Image, width, height, bytesMax int) ([]byte, error) {
	if width < 1 || height < 1 || width > sideMax || height > sideMax || img.Bounds().Empty() {
		return nil, fmt.Errorf("%w: %dx%d from %v", ErrSize, width, height, img.Bounds().Size())
	}
	pixels := resample(img, centre(img.Bounds(), width, height), width, height)
	for _, quality := range exportQualities {
		data, err := encodeTagged(pixels, quality)
		if err != nil {
			return nil, err
		}
		if bytesMax <= 0 || len(data) <= bytesMax {
			return data, nil
		}
	}
	return nil, fmt.Errorf("%w: %dx%d does not fit %d bytes", ErrTooLarge, width, height, bytesMax)
}

// Thumbnail makes a JPEG whose longer side has at most side pixels. It never
// enlarges, and it carries the digital source type as an export does.
func Thumbnail(img image.Image, side int) ([]byte, error) {
	size := img.Bounds().Size()
	if side < 1 || side > sideMax || img.Bounds().Empty() {
		return nil, fmt.Errorf("%w: thumbnail of %d from %v", ErrSize, side, size)
	}
	width, height := within(size, side)
	return encodeTagged(resample(img, img.Bounds(), width, height), thumbnailQuality)
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

// resample draws a part of a picture into width x height opaque pixels. It uses
// Catmull-Rom with the support that shrinking needs: the cheaper kernels of
// x/image alias.
func resample(img image.Image, part image.Rectangle, width, height int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	if opaque(img) {
		draw.CatmullRom.Scale(out, out.Bounds(), img, part, draw.Src, nil)
		return out
	}
	draw.Draw(out, out.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.CatmullRom.Scale(out, out.Bounds(), img, part, draw.Over, nil)
	return out
}

func opaque(img image.Image) bool {
	o, ok := img.(interface{ Opaque() bool })
	return ok && o.Opaque()
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
	if err := jpeg.Encode(&buffer, img, &jpeg.Options{Quality: quality}); err != nil {
		return nil, fmt.Errorf("encode jpeg: %w", err)
	}
	return buffer.Bytes(), nil
}
