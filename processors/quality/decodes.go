package quality

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"atelier/internal/picture"
)

// decodes asks whether the bytes are a picture at all, of the type, pixels and
// ratio that were asked for, and with something on it.
var decodes = Check{ID: "decodes", Version: 2, Bytes: true, Run: runDecodes}

const (
	// entropyBitsMin is the least entropy of a picture's light and dark, bits.
	// One colour has 0, one colour with grain under 1, a product on an empty
	// ground some 2, a photograph 6 to 7.
	entropyBitsMin = 1.25
	// lightRangeMin is the least difference of the lightest and the darkest part
	// (levels of 255): a ground that darkens a little has more entropy than one
	// colour, and as little on it.
	lightRangeMin = 12
	// entropyCells is the grid that light is averaged on (cells a side), so that
	// grain does not count as content; entropySamples the points read of each.
	entropyCells   = 64
	entropySamples = 8
	// defaultRatioTolerance is used where none is asked for: the pixels of the
	// models' own tables are up to 0.8 % off the ratio that names them.
	defaultRatioTolerance = 0.01
)

func runDecodes(s Subject, e Expectation) Finding {
	figures := map[string]float64{"bytes": float64(len(s.Data))}
	if s.Image == nil {
		return Finding{Verdict: Block, Figures: figures, Evidence: undecodable(s.Err)}
	}
	size := s.Image.Bounds().Size()
	light := lightHistogram(s.Image)
	entropy := entropyBits(light)
	figures["width_pixels"], figures["height_pixels"] = float64(size.X), float64(size.Y)
	figures["entropy_bits"], figures["light_range_levels"] = rounded(entropy), float64(lightRange(light))
	if e.Ratio > 0 {
		figures["ratio_off_share"] = rounded(ratioOff(size, e.Ratio))
	}
	if evidence := refuse(s, e, size, light); evidence != "" {
		return Finding{Verdict: Block, Figures: figures, Evidence: evidence}
	}
	return Finding{Verdict: Pass, Figures: figures,
		Evidence: fmt.Sprintf("%s of %dx%d pixels, %d bytes", s.Format, size.X, size.Y, len(s.Data))}
}

// refuse says what is wrong, and nothing where all is right.
func refuse(s Subject, e Expectation, size image.Point, light histogram) string {
	entropy := entropyBits(light)
	tolerance := e.RatioTolerance
	if tolerance == 0 {
		tolerance = defaultRatioTolerance
	}
	switch {
	case s.MIMEType != picture.MIMEType(s.Format):
		return fmt.Sprintf("the bytes are %s, not what they are called", picture.MIMEType(s.Format))
	case e.BytesMax > 0 && len(s.Data) > e.BytesMax:
		return fmt.Sprintf("%d bytes, at most %d", len(s.Data), e.BytesMax)
	case size.X < e.Width || size.Y < e.Height:
		return fmt.Sprintf("%dx%d pixels, at least %dx%d", size.X, size.Y, e.Width, e.Height)
	case e.Ratio > 0 && ratioOff(size, e.Ratio) > tolerance:
		return fmt.Sprintf("%dx%d pixels are off the ratio by %.1f %%, at most %.1f %%", size.X, size.Y, 100*ratioOff(size, e.Ratio), 100*tolerance)
	case entropy < entropyBitsMin:
		return fmt.Sprintf("the picture is blank: %.2f bits of light and dark, at least %.2f", entropy, entropyBitsMin)
	case lightRange(light) < lightRangeMin:
		return fmt.Sprintf("the picture is blank: its light differs by %d levels, at least %d", lightRange(light), lightRangeMin)
	default:
		return ""
	}
}

func undecodable(err error) string {
	switch {
	case errors.Is(err, picture.ErrFormat):
		return "the bytes are no JPEG, PNG or WebP"
	case errors.Is(err, picture.ErrTooLarge):
		return "the picture is too large"
	default:
		return "the bytes do not decode"
	}
}

func ratioOff(size image.Point, ratio float64) float64 {
	return math.Abs(float64(size.X)/float64(size.Y)/ratio - 1)
}

// histogram counts cells by their light.
type histogram [256]int

// lightHistogram averages a picture's light on a grid.
func lightHistogram(img image.Image) (h histogram) {
	light := lightOf(img)
	bounds := img.Bounds()
	columns, rows := min(entropyCells, bounds.Dx()), min(entropyCells, bounds.Dy())
	for row := range rows {
		for column := range columns {
			cell := image.Rect(
				bounds.Min.X+column*bounds.Dx()/columns, bounds.Min.Y+row*bounds.Dy()/rows,
				bounds.Min.X+(column+1)*bounds.Dx()/columns, bounds.Min.Y+(row+1)*bounds.Dy()/rows)
			h[meanLight(light, cell)]++
		}
	}
	return h
}

// entropyBits is the Shannon entropy, in bits: 0 for one colour, at most 8.
func entropyBits(h histogram) float64 {
	bits, cells := 0.0, 0.0
	for _, count := range h {
		cells += float64(count)
	}
	for _, count := range h {
		if count > 0 {
			share := float64(count) / cells
			bits -= share * math.Log2(share)
		}
	}
	return bits
}

// lightRange is from the darkest cell to the lightest, levels.
func lightRange(h histogram) int {
	some := func(count int) bool { return count > 0 }
	first := slices.IndexFunc(h[:], some)
	for last := len(h) - 1; last > first; last-- {
		if h[last] > 0 {
			return last - first
		}
	}
	return 0
}

func meanLight(light func(x, y int) uint8, cell image.Rectangle) uint8 {
	across, down := min(entropySamples, cell.Dx()), min(entropySamples, cell.Dy())
	sum := 0
	for j := range down {
		for i := range across {
			sum += int(light(cell.Min.X+i*cell.Dx()/across, cell.Min.Y+j*cell.Dy()/down))
		}
	}
	return uint8(sum / (across * down))
}

// lightOf reads the luma of a pixel (ITU-R BT.601, as in JPEG).
func lightOf(img image.Image) func(x, y int) uint8 {
	if planar, ok := img.(*image.YCbCr); ok {
		return func(x, y int) uint8 { return planar.Y[planar.YOffset(x, y)] }
	}
	return func(x, y int) uint8 {
		r, g, b, _ := img.At(x, y).RGBA()
		return uint8((19595*r + 38470*g + 7471*b + 1<<15) >> 24)
	}
}
