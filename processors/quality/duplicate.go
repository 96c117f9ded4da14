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
	// hashSide is how many neighbours are compared across and down: of a grid of
	// 9x8 cells, and of one of 8x9.
	hashSide = 8
	// bitsApartMax is how many of the 128 comparisons may differ in pictures that
	// are nearly the same; docs/quality.md.
	bitsApartMax = 8
	// tintColumns and tintRows are the grid that the colour is averaged on; each
	// cell keeps 6 bits of Cb and of Cr. tintStepsMax is how many steps of 4
	// levels one of them may be off: a step is what rounding alone can do.
	tintColumns, tintRows = 2, 2
	tintBits              = 6
	tintStepsMax          = 1
)

// The figures that carry a signature, each a whole number below 2^48: a double
// holds it exactly.
const (
	figureAcrossHigh = "hash_across_high"
	figureAcrossLow  = "hash_across_low"
	figureDownHigh   = "hash_down_high"
	figureDownLow    = "hash_down_low"
	figureTint       = "hash_tint"
)

// Signature is what a picture is recognised by: difference hashes of its light
// (dHash: a bit for each cell that is lighter than its neighbour), across and
// down, and its colour in four quarters, because one that differs in colour
// alone is another picture. It is made of integers: the same on every machine.
type Signature struct {
	Across, Down uint64
	Tint         uint64
}

// Signature returns that of a picture, and false where it did not decode.
func (s Subject) Signature() (Signature, bool) {
	if s.Small == nil {
		return Signature{}, false
	}
	return signatureOf(s.Small), true
}

// SignatureOf reads the signature from the figures of a duplicate verdict, and
// false where they have none.
func SignatureOf(check string, figures map[string]float64) (Signature, bool) {
	if _, some := figures[figureTint]; check != duplicate.ID || !some {
		return Signature{}, false
	}
	whole := func(high, low string) uint64 {
		return uint64(uint32(figures[high]))<<32 | uint64(uint32(figures[low]))
	}
	return Signature{
		Across: whole(figureAcrossHigh, figureAcrossLow), Down: whole(figureDownHigh, figureDownLow), Tint: uint64(figures[figureTint]),
	}, true
}

func (s Signature) figures() map[string]float64 {
	return map[string]float64{
		figureAcrossHigh: float64(s.Across >> 32), figureAcrossLow: float64(uint32(s.Across)),
		figureDownHigh: float64(s.Down >> 32), figureDownLow: float64(uint32(s.Down)), figureTint: float64(s.Tint),
	}
}

// bitsApart is how many of the 128 comparisons of light differ.
func (s Signature) bitsApart(o Signature) int {
	return bits.OnesCount64(s.Across^o.Across) + bits.OnesCount64(s.Down^o.Down)
}

// Near says whether two signatures are those of nearly the same picture.
func (s Signature) Near(o Signature) bool {
	return s.bitsApart(o) <= bitsApartMax && tintSteps(s.Tint, o.Tint) <= tintStepsMax
}

func runDuplicate(s Subject, e Expectation) Finding {
	own := signatureOf(s.Small)
	figures := own.figures()
	least := 128
	for _, other := range e.Batch {
		least = min(least, own.bitsApart(other))
		if own.Near(other) {
			return Finding{Verdict: Retry, Figures: figures,
				Evidence: "the picture is nearly the same as another of this batch: choose another viewpoint and arrangement"}
		}
	}
	if len(e.Batch) == 0 {
		return Finding{Verdict: Pass, Figures: figures, Evidence: "the first picture of its shape in this batch"}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: fmt.Sprintf("unlike the %d others of its shape in this batch: %d of 128 bits apart at least", len(e.Batch), least)}
}

func signatureOf(img *image.YCbCr) Signature {
	var s Signature
	size := img.Rect.Size() // of colour too: 4:4:4
	light := plane{img.Y, img.YStride, size}
	across, down := grid(light, hashSide+1, hashSide), grid(light, hashSide, hashSide+1)
	for row := range hashSide {
		for column := range hashSide {
			s.Across, s.Down = s.Across<<1, s.Down<<1
			if i := row*(hashSide+1) + column; across[i] > across[i+1] {
				s.Across |= 1
			}
			if i := row*hashSide + column; down[i] > down[i+hashSide] {
				s.Down |= 1
			}
		}
	}
	blue := grid(plane{img.Cb, img.CStride, size}, tintColumns, tintRows)
	red := grid(plane{img.Cr, img.CStride, size}, tintColumns, tintRows)
	for i := range blue {
		const low = 8 - tintBits
		s.Tint = s.Tint<<(2*tintBits) | uint64(blue[i]>>low)<<tintBits | uint64(red[i]>>low)
	}
	return s
}

// plane is one channel: its samples row by row.
type plane struct {
	samples []uint8
	stride  int
	size    image.Point
}

// span is which of so many samples the nth of fewer stands for, at least one.
func span(n, many, few int) (from, to int) {
	from, to = n*many/few, (n+1)*many/few
	return min(from, many-1), max(to, min(from, many-1)+1)
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

// tintSteps is the most that one of the averages of colour is off.
func tintSteps(a, b uint64) int {
	const mask = 1<<tintBits - 1
	most := 0
	for range 2 * tintColumns * tintRows {
		step := int(a&mask) - int(b&mask)
		most = max(most, step, -step)
		a, b = a>>tintBits, b>>tintBits
	}
	return most
}
