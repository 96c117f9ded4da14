package quality

import (
	"fmt"
	"image"
	"strings"
)

// border looks for bars of one colour along opposite edges: a letterbox, or a
// frame where all four edges have one. Platforms discourage both, and the bars
// would be cut into every export.
//
// A quiet ground is no bar: a bar ends in one straight line along its whole
// length, and has its like on the other side. A wall that ends in a floor has
// not.
var border = Check{ID: "border", Version: 1, Run: runBorder}

const (
	// barShareMin is the least bar, as a share of the side it lies across; below
	// it is what a codec or a crop leaves.
	barShareMin = 0.008
	// barShareMax is the most: two of them leave a fifth of the picture.
	barShareMax = 0.4
	// barLevels is how far a bar's pixels may be off its mean, in light and in
	// colour (levels of 255): what JPEG and the rings of the reduction make of one.
	barLevels = 7
	// likeLevels is how far the means of two opposite bars may be apart.
	likeLevels = 14
	// edgeLevels is how far two lines must be apart (levels) for a pixel of them to
	// lie on an edge, and edgeShareMin how many along the line must: what a bar is
	// cut with, and no ground that darkens slowly.
	edgeLevels   = 9
	edgeShareMin = 0.5
	// edgeBlend is how many lines an edge takes once it is reduced, and edgeReach
	// how far behind the bar it may be: the codec's blocks ring before it (pixels).
	edgeBlend, edgeReach = 2, 10
)

func runBorder(s Subject, _ Expectation) Finding {
	top, bottom := barOf(lines{s.Small, false, false}), barOf(lines{s.Small, false, true})
	left, right := barOf(lines{s.Small, true, false}), barOf(lines{s.Small, true, true})
	across, down := facing(top, bottom), facing(left, right)
	figures := map[string]float64{
		"top_share": top.share, "bottom_share": bottom.share, "left_share": left.share, "right_share": right.share,
		"edge_share": rounded(max(min(top.edge, bottom.edge), min(left.edge, right.edge))),
	}
	var found []string
	if across {
		found = append(found, fmt.Sprintf("top and bottom (%.1f %% and %.1f %% of the height)", 100*top.share, 100*bottom.share))
	}
	if down {
		found = append(found, fmt.Sprintf("left and right (%.1f %% and %.1f %% of the width)", 100*left.share, 100*right.share))
	}
	switch len(found) {
	case 0:
		return Finding{Verdict: Pass, Figures: figures, Evidence: "no bars along the edges"}
	case 1:
		return Finding{Verdict: Block, Figures: figures, Evidence: "the picture has bars of one colour at " + found[0]}
	default:
		return Finding{Verdict: Block, Figures: figures, Evidence: "the picture stands in a frame: " + strings.Join(found, ", ")}
	}
}

// lines are the rows of a picture, or its columns, from one edge inwards.
type lines struct {
	img      *image.YCbCr
	columns  bool
	fromBack bool
}

// length is how many lines there are, and how many pixels each has.
func (l lines) length() (count, pixels int) {
	if l.columns {
		return l.img.Rect.Dx(), l.img.Rect.Dy()
	}
	return l.img.Rect.Dy(), l.img.Rect.Dx()
}

// at is the pixel i of line n.
func (l lines) at(n, i int) [3]int {
	if l.fromBack {
		count, _ := l.length()
		n = count - 1 - n
	}
	x, y := i, n
	if l.columns {
		x, y = n, i
	}
	x, y = x+l.img.Rect.Min.X, y+l.img.Rect.Min.Y
	c := l.img.COffset(x, y)
	return [3]int{int(l.img.Y[l.img.YOffset(x, y)]), int(l.img.Cb[c]), int(l.img.Cr[c])}
}

// bar is what lies along one edge.
type bar struct {
	mean [3]int
	// share is how much of the side it takes, edge how much of its inner line is
	// an edge: 1 for a cut, 0 where it fades.
	share, edge float64
}

// barOf measures the lines along an edge that have one colour and the same.
func barOf(l lines) bar {
	count, pixels := l.length()
	b := bar{mean: meanOf(l, 0)}
	thick := 0
	for thick < count && many(pixels, func(i int) bool { return !alike(l.at(thick, i), b.mean, barLevels) }) == 0 {
		thick++
	}
	if thick == 0 {
		return b
	}
	for n, end := thick-1, min(thick+edgeReach, count-edgeBlend); n < end; n++ {
		apart := many(pixels, func(i int) bool { return !alike(l.at(n, i), l.at(n+edgeBlend, i), edgeLevels) })
		if edge := float64(apart) / float64(pixels); edge > b.edge {
			b.edge, thick = edge, n+1
		}
	}
	b.share = rounded(float64(thick) / float64(count))
	return b
}

func meanOf(l lines, n int) (mean [3]int) {
	_, pixels := l.length()
	for i := range pixels {
		p := l.at(n, i)
		for k := range mean {
			mean[k] += p[k]
		}
	}
	for k := range mean {
		mean[k] = (mean[k] + pixels/2) / pixels
	}
	return mean
}

// many is how many of n have something.
func many(n int, has func(i int) bool) int {
	count := 0
	for i := range n {
		if has(i) {
			count++
		}
	}
	return count
}

func alike(a, b [3]int, levels int) bool {
	for k := range a {
		if d := a[k] - b[k]; d > levels || d < -levels {
			return false
		}
	}
	return true
}

// facing says whether two opposite edges have bars.
func facing(a, b bar) bool {
	bars := true
	for _, one := range []bar{a, b} {
		bars = bars && one.share >= barShareMin && one.share <= barShareMax && one.edge >= edgeShareMin
	}
	return bars && alike(a.mean, b.mean, likeLevels)
}
