package quality

import (
	"fmt"
	"image"
	"math/bits"
)

// duplicate asks whether the picture is nearly one that its batch has already:
// nobody pays for the same picture twice. Another seed gives another picture, so
// it is Retry and not Block.
var duplicate = Check{ID: "duplicate", Version: 1, Run: runDuplicate}

const (
	// hashColumns and hashRows are the grid that the light is averaged on.
	hashColumns, hashRows = 9, 8
	// bitsApartMax is how many of the 64 comparisons may differ in pictures that
	// are nearly the same; docs/quality.md.
	bitsApartMax = 6
	// tintColumns and tintRows are the grid that the colour is averaged on; each
	// cell keeps 4 bits of Cb and of Cr. tintStepsMax is how many steps of 16
	// levels one of them may be off: a step is what rounding alone can do.
	tintColumns, tintRows = 2, 2
	tintStepsMax          = 1
)

// The figures that carry a signature, each a whole number below 2^32: a double
// holds it exactly.
const (
	figureLightHigh = "hash_light_high"
	figureLightLow  = "hash_light_low"
	figureTint      = "hash_tint"
)

// Signature is what a picture is recognised by: a difference hash of its light
// (dHash, 9x8, a bit for each neighbour that is lighter) and its colour in four
// quarters, because one that differs in colour alone is another picture. It is
// made of integers alone: the same on every machine.
type Signature struct {
	Light uint64
	Tint  uint32
}

// Signature returns that of a picture, and false where it did not decode.
func (s Subject) Signature() (Signature, bool) {
	if s.small == nil {
		return Signature{}, false
	}
	return signatureOf(s.small), true
}

// SignatureOf reads the signature from the figures of a duplicate verdict, and
// false where they have none.
func SignatureOf(check string, figures map[string]float64) (Signature, bool) {
	high, some := figures[figureLightHigh]
	if check != duplicate.ID || !some {
		return Signature{}, false
	}
	return Signature{
		Light: uint64(uint32(high))<<32 | uint64(uint32(figures[figureLightLow])), Tint: uint32(figures[figureTint]),
	}, true
}

// Near says whether two signatures are those of nearly the same picture.
func (s Signature) Near(o Signature) bool {
	return bits.OnesCount64(s.Light^o.Light) <= bitsApartMax && tintSteps(s.Tint, o.Tint) <= tintStepsMax
}

func runDuplicate(s Subject, e Expectation) Finding {
	own := signatureOf(s.small)
	figures := map[string]float64{
		figureLightHigh: float64(own.Light >> 32), figureLightLow: float64(uint32(own.Light)), figureTint: float64(own.Tint),
	}
	least := 64
	for _, other := range e.Batch {
		least = min(least, bits.OnesCount64(own.Light^other.Light))
		if own.Near(other) {
			return Finding{Verdict: Retry, Figures: figures,
				Evidence: "the picture is nearly the same as another of this batch: choose another viewpoint and arrangement"}
		}
	}
	if len(e.Batch) == 0 {
		return Finding{Verdict: Pass, Figures: figures, Evidence: "the first picture of its shape in this batch"}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: fmt.Sprintf("unlike the %d others of its shape in this batch: %d of 64 bits apart at least", len(e.Batch), least)}
}

func signatureOf(img *image.YCbCr) Signature {
	var s Signature
	light := grid(plane{img.Y, img.YStride, img.Rect.Size()}, hashColumns, hashRows)
	for row := range hashRows {
		for column := range hashColumns - 1 {
			s.Light <<= 1
			if light[row*hashColumns+column] > light[row*hashColumns+column+1] {
				s.Light |= 1
			}
		}
	}
	size := chromaSize(img)
	blue := grid(plane{img.Cb, img.CStride, size}, tintColumns, tintRows)
	red := grid(plane{img.Cr, img.CStride, size}, tintColumns, tintRows)
	for i := range blue {
		s.Tint = s.Tint<<8 | uint32(blue[i]>>4)<<4 | uint32(red[i]>>4)
	}
	return s
}

// grid averages a plane on so many cells, row by row. A cell has one sample at
// least, where there are fewer than cells.
func grid(p plane, columns, rows int) []uint8 {
	means := make([]uint8, 0, columns*rows)
	for row := range rows {
		top, bottom := span(row, p.size.Y, rows)
		for column := range columns {
			left, right := span(column, p.size.X, columns)
			sum := 0
			for y := top; y < bottom; y++ {
				for _, v := range p.samples[y*p.stride+left : y*p.stride+right] {
					sum += int(v)
				}
			}
			count := (bottom - top) * (right - left)
			means = append(means, uint8((sum+count/2)/count))
		}
	}
	return means
}

// tintSteps is the most that one of the eight averages of colour is off.
func tintSteps(a, b uint32) int {
	most := 0
	for range 8 {
		step := int(a&15) - int(b&15)
		most = max(most, step, -step)
		a, b = a>>4, b>>4
	}
	return most
}
