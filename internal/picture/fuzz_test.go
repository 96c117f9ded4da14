package picture

import (
	"errors"
	"testing"
)

// fuzzPixelsMax keeps one run of the fuzz target short (count).
const fuzzPixelsMax = 1 << 17

// FuzzReencode: whatever is uploaded, what comes of it is a picture of ours, or
// one of three errors. Seeds are the samples and those in testdata/fuzz.
func FuzzReencode(f *testing.F) {
	for _, data := range samples(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := DecodeConfig(data)
		if err == nil && c.Width*c.Height > fuzzPixelsMax {
			t.Skip("too many pixels for a quick run")
		}
		out, mime, width, height, err := Reencode(data)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrBroken) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeConfig(out)
		switch {
		case err != nil:
			t.Fatalf("what Reencode made does not decode: %v", err)
		case again.Width != width || again.Height != height || MIMEType(again.Format) != mime:
			t.Fatalf("%s %dx%d is %+v", mime, width, height, again)
		case len(out) > uploadBytesMax || max(width, height) > uploadSideMax:
			t.Fatalf("%d bytes, %dx%d pixels", len(out), width, height)
		case min(width, height) != min(c.Width, c.Height) || max(width, height) != max(c.Width, c.Height):
			t.Fatalf("%dx%d became %dx%d", c.Width, c.Height, width, height)
		}
		_ = DigitalSourceType(data)
	})
}
