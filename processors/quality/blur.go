package quality

import (
	"fmt"
	"image"
	"slices"
)

// blur asks whether anything in the picture is sharp: the variance of the
// Laplacian of its light, in the sharpest parts. A calm ground and a soft
// background are wanted, so that the mean over all says little.
var blur = Check{ID: "blur", Version: 1, Run: runBlur}

const (
	// sharpnessMin is the least variance of the Laplacian of the sharpest tiles
	// (levels squared) at which a picture counts as sharp; docs/quality.md.
	sharpnessMin = 60
	// tilePixels is the side of a tile (pixels), sharpTiles how many of the
	// sharpest are averaged, as one in so many of all.
	tilePixels = 32
	sharpTiles = 16
)

func runBlur(s Subject, _ Expectation) Finding {
	sharpness := rounded(sharpnessOf(s.Small))
	figures := map[string]float64{"sharpness_levels2": sharpness}
	if sharpness < sharpnessMin {
		return Finding{Verdict: Warn, Figures: figures, Evidence: fmt.Sprintf("nothing in the picture is sharp: %.0f, usually over %d", sharpness, sharpnessMin)}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: "the picture is sharp"}
}

// sharpnessOf is the mean of the variances of the sharpest tiles.
func sharpnessOf(img *image.YCbCr) float64 {
	var variances []float64
	size := img.Rect.Size()
	for top := 0; top < size.Y; top += tilePixels {
		for left := 0; left < size.X; left += tilePixels {
			tile := image.Rect(left, top, min(left+tilePixels, size.X), min(top+tilePixels, size.Y))
			variances = append(variances, laplacianVariance(img, tile))
		}
	}
	slices.Sort(variances)
	sharpest := variances[len(variances)-max(1, len(variances)/sharpTiles):]
	sum := 0.0
	for _, v := range sharpest {
		sum += v
	}
	return sum / float64(len(sharpest))
}

// laplacianVariance is that of the four neighbours' Laplacian over a tile, less
// the picture's own edge. The sums are integers: any order gives the same.
func laplacianVariance(img *image.YCbCr, tile image.Rectangle) float64 {
	var sum, squares, count int64
	inner := tile.Intersect(image.Rect(1, 1, img.Rect.Dx()-1, img.Rect.Dy()-1))
	for y := inner.Min.Y; y < inner.Max.Y; y++ {
		row := img.Y[(y-1)*img.YStride:]
		above, here, below := row, row[img.YStride:], row[2*img.YStride:]
		for x := inner.Min.X; x < inner.Max.X; x++ {
			v := int64(above[x]) + int64(below[x]) + int64(here[x-1]) + int64(here[x+1]) - 4*int64(here[x])
			sum += v
			squares += v * v
			count++
		}
	}
	if count == 0 {
		return 0
	}
	return float64(squares*count-sum*sum) / float64(count*count)
}
