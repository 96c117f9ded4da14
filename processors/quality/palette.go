package quality

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"github.com/lucasb-eyer/go-colorful"

	"atelier/internal/picture"
)

// palette compares the picture's colours with the brand's. Its figures are CIEDE2000 as
// its authors count it: 1 is a difference that one just sees, 100 black to white.
var palette = Check{ID: "palette", Version: 1, Run: runPalette}

const (
	// paletteSide is the longer side of what is looked at (pixels).
	paletteSide = 64
	// swatchBits is how many bits of each channel tell colours apart.
	swatchBits = 4
	// clusterCount is into how many colours a picture is divided, and
	// clusterRounds bounds the rounds of k-means, which settles in some 10.
	clusterCount  = 5
	clusterRounds = 20
	// clusterSeed makes the first choice of centres the same each time.
	clusterSeed = 1
	// lightWeight is CIEDE2000's kL. Light and shade on a surface change its
	// lightness and leave it the brand's; with 2 they count half, as in textiles.
	lightWeight = 2
	// greyChromaMax is the chroma below which a colour counts as grey.
	greyChromaMax = 0.1
	// paletteDistanceMax is the coverage-weighted distance from which on a
	// picture counts as off the palette; docs/quality.md.
	paletteDistanceMax = 10
	// forbiddenDistance is how near a pixel must be to a forbidden colour to be
	// it, and forbiddenShareMax how much of the picture may be.
	forbiddenDistance = 10
	forbiddenShareMax = 0.02
	// forbiddenLabMax is a cheap bound: colours further apart in Lab (go-colorful's
	// unit, lightness 0 to 1) are further than forbiddenDistance by CIEDE2000,
	// whose weights shrink no difference more than sixfold.
	forbiddenLabMax = 0.6
)

// swatch is one of the colours of a picture, with its place in CIE L*a*b* in
// go-colorful's unit, and how much of the picture has it.
type swatch struct {
	color colorful.Color
	at    [3]float64
	share float64
}

func swatchOf(c colorful.Color, share float64) swatch {
	l, a, b := c.Lab()
	return swatch{c, [3]float64{l, a, b}, share}
}

func runPalette(s Subject, e Expectation) Finding {
	wanted, forbidden := swatchesOf(e.Colours), swatchesOf(e.ForbiddenColours)
	if len(wanted) == 0 && len(forbidden) == 0 {
		return Finding{Verdict: Pass, Evidence: "the brand names no colours"}
	}
	drawn := swatches(picture.Reduce(s.Small, paletteSide))
	share, worst := forbiddenShare(drawn, forbidden, wanted)
	distance, furthest := paletteDistance(drawn, wanted)
	figures := map[string]float64{"forbidden_share": rounded(share), "distance_ciede2000": rounded(distance)}
	switch {
	case share > forbiddenShareMax:
		return Finding{Verdict: Block, Figures: figures,
			Evidence: fmt.Sprintf("%.1f %% of the picture has the forbidden colour %s", 100*share, forbidden[worst].color.Hex())}
	case distance > paletteDistanceMax:
		return Finding{Verdict: Warn, Figures: figures,
			Evidence: fmt.Sprintf("the colours are not the brand's: %.1f off on average, at most %d; %s stands out", distance, paletteDistanceMax, furthest)}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: "the colours are the brand's"}
}

// swatchesOf reads #rrggbb colours; others are left out.
func swatchesOf(hex []string) []swatch {
	var read []swatch
	for _, h := range hex {
		if c, err := colorful.Hex(h); err == nil {
			read = append(read, swatchOf(c, 0))
		}
	}
	return read
}

// swatches are the colours of a picture: the means of its pixels whose red, green
// and blue begin with the same bits, in the order of these.
func swatches(img *image.YCbCr) []swatch {
	var bins [1 << (3 * swatchBits)][4]int // sums of red, green and blue, and how many
	for y := img.Rect.Min.Y; y < img.Rect.Max.Y; y++ {
		for x := img.Rect.Min.X; x < img.Rect.Max.X; x++ {
			c := img.COffset(x, y)
			r, g, b := color.YCbCrToRGB(img.Y[img.YOffset(x, y)], img.Cb[c], img.Cr[c])
			const low = 8 - swatchBits
			bin := &bins[int(r>>low)<<(2*swatchBits)|int(g>>low)<<swatchBits|int(b>>low)]
			bin[0], bin[1], bin[2], bin[3] = bin[0]+int(r), bin[1]+int(g), bin[2]+int(b), bin[3]+1
		}
	}
	var found []swatch
	pixels := float64(img.Rect.Dx() * img.Rect.Dy())
	for _, bin := range bins {
		if count := float64(bin[3]); count > 0 {
			full := 255 * count
			mean := colorful.Color{R: float64(bin[0]) / full, G: float64(bin[1]) / full, B: float64(bin[2]) / full}
			found = append(found, swatchOf(mean, count/pixels))
		}
	}
	return found
}

// forbiddenShare is how much of the picture has the forbidden colour that it has
// most of. A colour that is nearer to one of the brand's own is not counted.
func forbiddenShare(drawn, forbidden, wanted []swatch) (share float64, worst int) {
	if len(forbidden) == 0 {
		return 0, 0
	}
	shares := make([]float64, len(forbidden))
	for _, p := range drawn {
		for i, f := range forbidden {
			if square(p.at, f.at) > forbiddenLabMax*forbiddenLabMax {
				continue
			}
			d := 100 * p.color.DistanceCIEDE2000(f.color)
			if d < forbiddenDistance && d < nearest(p.color, wanted, 1) {
				shares[i] += p.share
			}
		}
	}
	for i, has := range shares {
		if has > shares[worst] {
			worst = i
		}
	}
	return shares[worst], worst
}

// paletteDistance is the distance of the picture's colours from the brand's,
// each weighted with how much of the picture it covers, and the colour that
// weighs most in it. Greys are everybody's.
func paletteDistance(drawn, wanted []swatch) (distance float64, furthest string) {
	if len(wanted) == 0 {
		return 0, ""
	}
	most := -1.0
	for _, c := range clusters(drawn) {
		weight := 0.0
		if math.Hypot(c.at[1], c.at[2]) > greyChromaMax {
			weight = c.share * nearest(c.color, wanted, lightWeight)
		}
		distance += weight
		if weight > most {
			most, furthest = weight, c.color.Hex()
		}
	}
	return distance, furthest
}

// nearest is the distance to the nearest of some colours.
func nearest(c colorful.Color, of []swatch, kL float64) float64 {
	least := math.Inf(1)
	for _, o := range of {
		least = min(least, 100*c.DistanceCIEDE2000klch(o.color, kL, 1, 1))
	}
	return least
}

// clusters divides the swatches into a few by k-means in Lab. The centres begin
// far apart (k-means++) by a seed of our own: the same picture, the same clusters.
func clusters(drawn []swatch) []swatch {
	centres := firstCentres(drawn, rand.New(rand.NewPCG(clusterSeed, clusterSeed)))
	belongs, shares := make([]int, len(drawn)), make([]float64, len(centres))
	for round := range clusterRounds {
		moved := round == 0
		sums := make([][3]float64, len(centres))
		clear(shares)
		for i, s := range drawn {
			home := closest(s.at, centres)
			moved = moved || home != belongs[i]
			belongs[i] = home
			shares[home] += s.share
			for k := range s.at {
				sums[home][k] += s.share * s.at[k]
			}
		}
		if !moved {
			break
		}
		for c, share := range shares {
			for k := range sums[c] {
				if share > 0 {
					centres[c][k] = sums[c][k] / share
				}
			}
		}
	}
	found := make([]swatch, len(centres))
	for c, at := range centres {
		found[c] = swatch{colorful.Lab(at[0], at[1], at[2]).Clamped(), at, shares[c]}
	}
	return found
}

func firstCentres(drawn []swatch, random *rand.Rand) [][3]float64 {
	centres := [][3]float64{drawn[random.IntN(len(drawn))].at}
	far := make([]float64, len(drawn)) // square of the way to the nearest centre, by share
	for len(centres) < clusterCount {
		total := 0.0
		for i, s := range drawn {
			if d := s.share * square(s.at, centres[len(centres)-1]); len(centres) == 1 || d < far[i] {
				far[i] = d
			}
			total += far[i]
		}
		if total == 0 {
			break // fewer colours than centres
		}
		left, next := random.Float64()*total, len(drawn)-1
		for i, d := range far {
			if left -= d; left < 0 {
				next = i
				break
			}
		}
		centres = append(centres, drawn[next].at)
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
