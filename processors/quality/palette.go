package quality

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"github.com/lucasb-eyer/go-colorful"
)

// palette compares the picture's colours with the brand's. Its figures are CIEDE2000 as
// its authors count it: 1 is a difference that one just sees, 100 black to white.
var palette = Check{ID: "palette", Version: 1, Run: runPalette}

const (
	// paletteSide is the longer side of what is looked at (pixels).
	paletteSide = 64
	// clusterCount is into how many colours a picture is divided, and
	// clusterRounds bounds the rounds of k-means, which settles in some 10.
	clusterCount  = 5
	clusterRounds = 20
	// clusterSeed makes the first choice of centres the same each time.
	clusterSeed = 1
	// lightWeight is CIEDE2000's kL. Light and shade on a surface change its
	// lightness and leave it the brand's; with 2 they count half, as in textiles.
	lightWeight = 2
	// paletteDistanceMax is the coverage-weighted distance from which on a
	// picture counts as off the palette; docs/quality.md.
	paletteDistanceMax = 12
	// forbiddenDistance is how near a pixel must be to a forbidden colour to be
	// it, and forbiddenShareMax how much of the picture may be.
	forbiddenDistance = 10
	forbiddenShareMax = 0.02
	// forbiddenLabMax is a cheap bound: colours further apart in Lab (go-colorful's
	// unit, lightness 0 to 1) are further than forbiddenDistance by CIEDE2000,
	// whose weights shrink no difference more than sixfold.
	forbiddenLabMax = 0.6
)

// lab is a colour with its place in CIE L*a*b*, go-colorful's unit.
type lab struct {
	color colorful.Color
	at    [3]float64
}

func labOf(c colorful.Color) lab {
	l, a, b := c.Lab()
	return lab{c, [3]float64{l, a, b}}
}

func runPalette(s Subject, e Expectation) Finding {
	wanted, forbidden := labsOf(e.Colours), labsOf(e.ForbiddenColours)
	if len(wanted) == 0 && len(forbidden) == 0 {
		return Finding{Verdict: Pass, Evidence: "the brand names no colours"}
	}
	pixels := labPixels(reduce(s.small, paletteSide))
	figures := map[string]float64{}
	if len(forbidden) > 0 {
		share, worst := forbiddenShare(pixels, forbidden, wanted)
		figures["forbidden_share"] = rounded(share)
		if share > forbiddenShareMax {
			return Finding{Verdict: Block, Figures: figures,
				Evidence: fmt.Sprintf("%.1f %% of the picture has the forbidden colour %s", 100*share, forbidden[worst].color.Hex())}
		}
	}
	if len(wanted) == 0 {
		return Finding{Verdict: Pass, Figures: figures, Evidence: "no forbidden colour"}
	}
	distance, furthest := paletteDistance(pixels, wanted)
	figures["distance_ciede2000"] = rounded(distance)
	if distance > paletteDistanceMax {
		return Finding{Verdict: Warn, Figures: figures,
			Evidence: fmt.Sprintf("the colours are not the brand's: %.1f off on average, at most %d; %s stands out", distance, paletteDistanceMax, furthest)}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: fmt.Sprintf("the colours are the brand's: %.1f off on average", distance)}
}

// labsOf reads #rrggbb colours; others are left out.
func labsOf(hex []string) []lab {
	var read []lab
	for _, h := range hex {
		if c, err := colorful.Hex(h); err == nil {
			read = append(read, labOf(c))
		}
	}
	return read
}

func labPixels(img *image.YCbCr) []lab {
	pixels := make([]lab, 0, img.Rect.Dx()*img.Rect.Dy())
	for y := img.Rect.Min.Y; y < img.Rect.Max.Y; y++ {
		for x := img.Rect.Min.X; x < img.Rect.Max.X; x++ {
			c := img.COffset(x, y)
			r, g, b := color.YCbCrToRGB(img.Y[img.YOffset(x, y)], img.Cb[c], img.Cr[c])
			pixels = append(pixels, labOf(colorful.Color{R: float64(r) / 255, G: float64(g) / 255, B: float64(b) / 255}))
		}
	}
	return pixels
}

// forbiddenShare is how much of the picture has the forbidden colour that it has
// most of. A pixel that is nearer to one of the brand's own is not counted.
func forbiddenShare(pixels, forbidden, wanted []lab) (share float64, worst int) {
	counts := make([]int, len(forbidden))
	for _, p := range pixels {
		for i, f := range forbidden {
			if square(p.at, f.at) > forbiddenLabMax*forbiddenLabMax {
				continue
			}
			d := 100 * p.color.DistanceCIEDE2000(f.color)
			if d < forbiddenDistance && d < nearest(p.color, wanted, 1) {
				counts[i]++
			}
		}
	}
	for i, count := range counts {
		if count > counts[worst] {
			worst = i
		}
	}
	return float64(counts[worst]) / float64(len(pixels)), worst
}

// paletteDistance is the distance of the picture's colours from the brand's,
// each weighted with how much of the picture it covers, and the colour that
// weighs most in it. Greys are everybody's.
func paletteDistance(pixels, wanted []lab) (distance float64, furthest string) {
	most := -1.0
	for _, c := range clusters(pixels) {
		mean := colorful.Lab(c.at[0], c.at[1], c.at[2]).Clamped()
		grey := colorful.Lab(c.at[0], 0, 0).Clamped()
		weight := c.share * min(nearest(mean, wanted, lightWeight), 100*mean.DistanceCIEDE2000klch(grey, lightWeight, 1, 1))
		distance += weight
		if weight > most {
			most, furthest = weight, mean.Hex()
		}
	}
	return distance, furthest
}

// nearest is the distance to the nearest of some colours.
func nearest(c colorful.Color, of []lab, kL float64) float64 {
	least := math.Inf(1)
	for _, o := range of {
		least = min(least, 100*c.DistanceCIEDE2000klch(o.color, kL, 1, 1))
	}
	return least
}

// cluster is one of a picture's colours, with how much of it has it.
type cluster struct {
	at    [3]float64
	share float64
}

// clusters divides pixels by k-means in Lab. The centres begin far apart
// (k-means++) by a seed of our own: the same picture, the same clusters.
func clusters(pixels []lab) []cluster {
	centres := firstCentres(pixels, rand.New(rand.NewPCG(clusterSeed, clusterSeed)))
	belongs, counts := make([]int, len(pixels)), make([]int, len(centres))
	for round := range clusterRounds {
		moved := false
		sums := make([][3]float64, len(centres))
		clear(counts)
		for i, p := range pixels {
			home := closest(p.at, centres)
			moved = moved || round == 0 || home != belongs[i]
			belongs[i] = home
			counts[home]++
			for k := range p.at {
				sums[home][k] += p.at[k]
			}
		}
		if !moved {
			break
		}
		for c, count := range counts {
			for k := range sums[c] {
				if count > 0 {
					centres[c][k] = sums[c][k] / float64(count)
				}
			}
		}
	}
	found := make([]cluster, len(centres))
	for c := range centres {
		found[c] = cluster{centres[c], float64(counts[c]) / float64(len(pixels))}
	}
	return found
}

func firstCentres(pixels []lab, random *rand.Rand) [][3]float64 {
	centres := [][3]float64{pixels[random.IntN(len(pixels))].at}
	far := make([]float64, len(pixels)) // square of the way to the nearest centre
	for len(centres) < clusterCount {
		total := 0.0
		for i, p := range pixels {
			if d := square(p.at, centres[len(centres)-1]); len(centres) == 1 || d < far[i] {
				far[i] = d
			}
			total += far[i]
		}
		if total == 0 {
			break // fewer colours than centres
		}
		drawn, next := random.Float64()*total, len(pixels)-1
		for i, d := range far {
			if drawn -= d; drawn < 0 {
				next = i
				break
			}
		}
		centres = append(centres, pixels[next].at)
	}
	return centres
}

func closest(at [3]float64, centres [][3]float64) int {
	best, least := 0, math.Inf(1)
	for i, c := range centres {
		if d := square(at, c); d < least {
			best, least = i, d
		}
	}
	return best
}

func square(a, b [3]float64) float64 {
	x, y, z := a[0]-b[0], a[1]-b[1], a[2]-b[2]
	return x*x + y*y + z*z
}
