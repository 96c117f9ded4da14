// Package picture decodes, orients, crops, resamples and encodes pictures. What
// it reads may be hostile: every decode is bounded before it allocates, and only
// JPEG, PNG and WebP are read. Pixels are sRGB.
package picture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"runtime"
	"sync/atomic"

	"golang.org/x/image/webp"
	"golang.org/x/sync/semaphore"
)

const (
	// PixelsMax bounds a picture (count): the largest that the image models
	// draw has 17 million pixels, usual cameras up to 25.
	PixelsMax = 25_000_000
	// BytesMax bounds an encoded picture.
	BytesMax = 32 << 20
	// SideMax bounds a side (pixels): no JPEG or WebP has a longer one, and what
	// works row by row may count on it.
	SideMax = 65_535
	// decodedBytesMax bounds what one decode may allocate by our estimate. A
	// file of 48 KB can ask for 381 MB without breaking PixelsMax: 16-bit
	// channels, interlacing, and the coefficients of a progressive JPEG. It is
	// just enough for PixelsMax in four bytes each.
	decodedBytesMax = 96 << 20
	// workBytesMax bounds what an upload may need in all, but for its files: its
	// pixels, and the same ones turned.
	workBytesMax = 112 << 20
	// decodesMax bounds concurrent decodes (count). Two give some 30 pictures of
	// 2K a second.
	decodesMax = 2
	// aloneBytesMin is what a decode needs that is to be the only one.
	aloneBytesMin = 24<<20 + 1
)

// Formats that are read.
const (
	JPEG = "jpeg"
	PNG  = "png"
	WebP = "webp"
)

var (
	// ErrFormat means that the bytes are no JPEG, PNG or WebP.
	ErrFormat = errors.New("picture is not a JPEG, PNG or WebP")
	// ErrTooLarge means that a picture has too many bytes or pixels, or would
	// need too much memory.
	ErrTooLarge = errors.New("picture too large")
	// ErrBroken means that the bytes do not decode.
	ErrBroken = errors.New("picture does not decode")
)

// decodes bounds the decodes under way, and afterLarge says that the last one may have
// left much. They belong to the process, because memory does.
var (
	decodes    = semaphore.NewWeighted(decodesMax)
	afterLarge atomic.Bool
)

// hold waits until so much memory may be used, and returns what gives it back. A
// picture that needs much waits until it is alone. Before it and after it garbage is
// collected: large pictures in a row would else stand beside what the last ones left,
// and small ones pile up on it. So all together stays under 128 MB.
func hold(bytes int64) (release func()) {
	weight := int64(1)
	if bytes >= aloneBytesMin {
		weight = decodesMax
	}
	_ = decodes.Acquire(context.Background(), weight) // only a context could fail it
	large := weight == decodesMax
	if afterLarge.Swap(large) || large {
		runtime.GC()
	}
	return func() { decodes.Release(weight) }
}

// Config is what a picture says about itself before it is decoded.
type Config struct {
	Format        string
	Width, Height int
	// decodedBytes estimates what decoding allocates.
	decodedBytes int64
}

// Sniff returns the format that the first bytes show, and empty for any that is
// not read here. What a sender calls its bytes is worth nothing.
func Sniff(data []byte) string {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return JPEG
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return PNG
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return WebP
	default:
		return ""
	}
}

// MIMEType is the one of a format, and empty for an unknown one.
func MIMEType(format string) string {
	switch format {
	case JPEG, PNG, WebP:
		return "image/" + format
	default:
		return ""
	}
}

// DecodeConfig reads format and pixels without decoding, and refuses what Decode
// would refuse for its size.
func DecodeConfig(data []byte) (c Config, err error) {
	defer recovered(&err)
	c.Format = Sniff(data)
	if c.Format == "" {
		return Config{}, ErrFormat
	}
	if len(data) > BytesMax {
		return Config{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(data), BytesMax)
	}
	config, err := readConfig(c.Format, data)
	if err != nil {
		return Config{}, fmt.Errorf("%w: %s header: %w", ErrBroken, c.Format, err)
	}
	c.Width, c.Height = config.Width, config.Height
	if c.Width <= 0 || c.Height <= 0 {
		return Config{}, fmt.Errorf("%w: %dx%d pixels", ErrBroken, c.Width, c.Height)
	}
	if int64(c.Width)*int64(c.Height) > PixelsMax || max(c.Width, c.Height) > SideMax {
		return Config{}, fmt.Errorf("%w: %dx%d pixels, at most %d, and %d a side", ErrTooLarge, c.Width, c.Height, PixelsMax, SideMax)
	}
	c.decodedBytes = decodedBytes(c.Format, config, data)
	if c.decodedBytes > decodedBytesMax {
		return Config{}, fmt.Errorf("%w: needs %d bytes of memory, at most %d", ErrTooLarge, c.decodedBytes, decodedBytesMax)
	}
	return c, nil
}

func readConfig(format string, data []byte) (image.Config, error) {
	switch format {
	case JPEG:
		return jpeg.DecodeConfig(bytes.NewReader(data))
	case PNG:
		return png.DecodeConfig(bytes.NewReader(data))
	default:
		return webp.DecodeConfig(bytes.NewReader(data))
	}
}

// Decode decodes a picture of at most 32 MiB and 25 megapixels, and returns its
// format: jpeg, png or webp. Its errors are ErrFormat, ErrTooLarge and
// ErrBroken. It waits while two other decodes are under way, or one of a picture
// so large that it has to be alone; memory is bounded while they decode, and what
// they return is the caller's to bound. Orientation and colour profile are not
// applied; see Reencode.
func Decode(data []byte) (img image.Image, format string, err error) {
	config, err := DecodeConfig(data)
	if err != nil {
		return nil, "", err
	}
	defer hold(config.decodedBytes)()
	img, err = decodeHeld(config, data)
	if err != nil {
		return nil, "", err
	}
	return img, config.Format, nil
}

// decodeHeld decodes for a caller that holds the memory.
func decodeHeld(c Config, data []byte) (image.Image, error) {
	img, err := decode(c, data)
	if err != nil {
		return nil, err
	}
	if size := img.Bounds().Size(); size.X != c.Width || size.Y != c.Height {
		return nil, fmt.Errorf("%w: header says %dx%d, pixels are %dx%d", ErrBroken, c.Width, c.Height, size.X, size.Y)
	}
	return img, nil
}

func decode(c Config, data []byte) (img image.Image, err error) {
	defer recovered(&err)
	switch c.Format {
	case JPEG:
		img, err = jpeg.Decode(bytes.NewReader(data))
	case PNG:
		img, err = png.Decode(bytes.NewReader(data))
	default:
		img, err = webp.Decode(watch(c, data))
	}
	switch {
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrBroken, c.Format, err)
	default:
		return img, nil
	}
}

// recovered turns a panic of a decoder into an error: it met bytes that its
// author did not think of.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: decoder panicked", ErrBroken)
	}
}
