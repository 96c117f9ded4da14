// Package quality holds the checks that a generated picture must pass, one file
// each. A check is a pure function of the picture and of what was asked for: the
// same bytes give the same verdict, figures and evidence on every machine.
package quality

import (
	"image"
	"math"
	"strings"

	"atelier/internal/picture"
)

// Verdict is what a check decides. The strings are part of the events' contract.
type Verdict string

// Verdicts, from the mildest to the hardest.
const (
	// Pass: nothing was found.
	Pass Verdict = "pass"
	// Warn: a person should look; the picture may leave.
	Warn Verdict = "warn"
	// Retry: this picture must not leave, another attempt with another seed
	// may well be good.
	Retry Verdict = "retry"
	// Block: this picture must not leave, and the next attempt is told why.
	Block Verdict = "block"
)

// evidenceBytesMax bounds the evidence of one result, as the events do.
const evidenceBytesMax = 500

// checks is the list of checks, in the order that they run and are shown: the
// file, then its pixels, then what it is beside others.
var checks = []Check{decodes, animated, srgb, border, blur, palette, duplicate}

// Check is one rule about a picture.
type Check struct {
	// ID is stable; events carry it. Version rises with every change of what
	// Run decides.
	ID      string
	Version int
	// Bytes is set for a check that looks at the file and not at its pixels. The
	// others do not run on what does not decode.
	Bytes bool
	// Run looks at a picture. It neither keeps nor changes it.
	Run func(Subject, Expectation) Finding
}

// Subject is a picture under check.
type Subject struct {
	Data []byte
	// MIMEType is what the sender or the store says that Data is.
	MIMEType string
	// Image is Data decoded, nil where it does not decode; Err says why then.
	Image  image.Image
	Format string
	Err    error
	// Small is Image reduced to picture.ReducedSide, for the checks and for what is
	// smaller still; nil where there is none.
	Small *image.YCbCr
}

// Open decodes a picture for its checks and for whatever comes after them.
// Bytes that do not decode are a subject too: a check says so.
func Open(data []byte, mimeType string) Subject {
	img, format, err := picture.Decode(data)
	s := Subject{Data: data, MIMEType: mimeType, Image: img, Format: format, Err: err}
	if img != nil {
		s.Small = picture.Reduce(img, picture.ReducedSide)
	}
	return s
}

// Expectation is what was asked for, in plain numbers. Zero means anything.
type Expectation struct {
	// Width and Height are the pixels that the model was asked for; a picture
	// may be larger, not smaller.
	Width, Height int
	// Ratio is width divided by height as asked for, and RatioTolerance how far
	// the picture may be off, as a share of it.
	Ratio, RatioTolerance float64
	// BytesMax bounds the file.
	BytesMax int
	// Colours are the brand's, ForbiddenColours those that must not appear, as
	// #rrggbb. What is written otherwise is left out.
	Colours, ForbiddenColours []string
	// Batch are the pictures of the same shape that the batch has already.
	Batch []Signature
}

// Finding is what one check saw.
type Finding struct {
	Verdict Verdict
	// Figures are measured, by name with the unit in it.
	Figures map[string]float64
	// Evidence says in words what was seen, for a person. It names no prompt and
	// no customer text.
	Evidence string
}

// Result is a finding with the check that made it.
type Result struct {
	Check   string
	Version int
	// Question is what the judge was asked, in our words, and Answer its yes, no
	// or unsure. Both are empty for the checks of this package.
	Question, Answer string
	Finding
}

// Inspect runs the checks and returns one result for each, in their order: all of
// them, or those of the file alone where it does not decode, which one of them
// then says.
func Inspect(s Subject, e Expectation) []Result {
	results := make([]Result, 0, len(checks))
	for _, c := range checks {
		if s.Image == nil && !c.Bytes {
			continue
		}
		found := c.Run(s, e)
		found.Evidence = clip(found.Evidence, evidenceBytesMax)
		results = append(results, Result{Check: c.ID, Version: c.Version, Finding: found})
	}
	return results
}

// clip cuts text to at most limit bytes, between runes.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "")
}

// rounded is a figure to a thousandth. Machines may differ in the last bits of a
// product and its sum; what is kept and compared does not.
func rounded(figure float64) float64 { return math.Round(figure*1000) / 1000 }

// Worst is the hardest verdict of results, and Pass where there are none.
func Worst(results []Result) Verdict {
	worst := Pass
	for _, r := range results {
		if hardness(r.Verdict) > hardness(worst) {
			worst = r.Verdict
		}
	}
	return worst
}

// hardness orders verdicts. One that it does not know is the hardest, so that a
// slip of a check never lets a picture out.
func hardness(v Verdict) int {
	switch v {
	case Pass:
		return 0
	case Warn:
		return 1
	case Retry:
		return 2
	default:
		return 3
	}
}
