package overlay

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

//go:embed inter/InterDisplay-Bold.ttf
var interBold []byte

// typeface is the one font of the overlay. It is safe for concurrent use; buffers
// are not.
var typeface = sync.OnceValue(func() *sfnt.Font {
	f, err := sfnt.Parse(interBold)
	if err != nil {
		panic(fmt.Sprintf("overlay: the embedded font is broken: %v", err))
	}
	return f
})

// typesetter sets lines of text. It is for one goroutine. Letters are measured once,
// at the em of measureSize, because every size that is tried asks for them.
type typesetter struct {
	font    *sfnt.Font
	buffer  sfnt.Buffer
	letters map[rune]letter
	kerns   map[[2]sfnt.GlyphIndex]fixed.Int26_6
}

func newTypesetter() typesetter {
	return typesetter{font: typeface(), letters: map[rune]letter{}, kerns: map[[2]sfnt.GlyphIndex]fixed.Int26_6{}}
}

// measureSize is the em at which letters are measured, pixels: the font's own units.
const measureSize = 2048

// letter is a glyph with its measures at measureSize.
type letter struct {
	glyph       sfnt.GlyphIndex
	advance     fixed.Int26_6
	left, right fixed.Int26_6 // where it is painted
	rise, fall  fixed.Int26_6
}

func (t *typesetter) letter(r rune) letter {
	if known, ok := t.letters[r]; ok {
		return known
	}
	var l letter
	l.glyph, _ = t.font.GlyphIndex(&t.buffer, r) // 0 where there is none; unsettable has looked
	if bounds, advance, err := t.font.GlyphBounds(&t.buffer, l.glyph, fixed.I(measureSize), font.HintingNone); err == nil {
		l.advance, l.left, l.right, l.rise, l.fall = advance, bounds.Min.X, bounds.Max.X, -bounds.Min.Y, bounds.Max.Y
	}
	t.letters[r] = l
	return l
}

func (t *typesetter) kern(a, b sfnt.GlyphIndex) fixed.Int26_6 {
	known, ok := t.kerns[[2]sfnt.GlyphIndex{a, b}]
	if !ok {
		known, _ = t.font.Kern(&t.buffer, a, b, fixed.I(measureSize), font.HintingNone) // 0 where there is none
		t.kerns[[2]sfnt.GlyphIndex{a, b}] = known
	}
	return known
}

// plain is a text as it is set: composed letters (NFC), one space between words,
// none around them, no soft hyphens.
func plain(text string) string {
	text = strings.ReplaceAll(norm.NFC.String(text), "\u00ad", "")
	return strings.Join(strings.Fields(text), " ")
}

// scripts are those that are set right without more than kerning. What needs
// shaping (Arabic, Indic) or has no glyphs here is refused, never drawn wrong.
var scripts = []*unicode.RangeTable{unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Common}

// unsettable lists the letters of a plain text that cannot be set, each once.
func (t *typesetter) unsettable(text string) (letters []rune) {
	for _, r := range text {
		glyph, err := t.font.GlyphIndex(&t.buffer, r)
		known := err == nil && glyph != 0 && unicode.In(r, scripts...) && unicode.IsPrint(r)
		if r != nonBreaking && !known && !slices.Contains(letters, r) {
			letters = append(letters, r)
		}
	}
	return letters
}

const nonBreaking = '\u00a0'

// line is a set line: glyphs at their places behind its beginning, which is where the
// first one is painted. So lines stand exactly under each other, and within their box.
type line struct {
	glyphs []glyph
	// width is how far the glyphs reach, kerning included; rise and fall how far above
	// and below the baseline.
	width, rise, fall fixed.Int26_6
}

type glyph struct {
	index sfnt.GlyphIndex
	x     fixed.Int26_6
}

// set sets a text on one line. size is that of the em in pixels.
func (t *typesetter) set(text string, size int) line {
	var set line
	scaled := func(v fixed.Int26_6) fixed.Int26_6 { return fixed.Int26_6(int64(v) * int64(size) / measureSize) }
	var before sfnt.GlyphIndex
	var at fixed.Int26_6 // at measureSize
	for i, r := range text {
		if r == nonBreaking {
			r = ' '
		}
		l := t.letter(r)
		if i == 0 {
			at = -l.left
		} else {
			at += t.kern(before, l.glyph)
		}
		set.glyphs = append(set.glyphs, glyph{index: l.glyph, x: scaled(at)})
		set.width = max(set.width, scaled(at+l.right))
		at += l.advance
		set.rise, set.fall = max(set.rise, scaled(l.rise)), max(set.fall, scaled(l.fall))
		before = l.glyph
	}
	return set
}

// outline is the shape of a set line whose baseline begins at (x, y).
func (t *typesetter) outline(set line, size int, x, y fixed.Int26_6) (shape, error) {
	var s shape
	for _, g := range set.glyphs {
		segments, err := t.font.LoadGlyph(&t.buffer, g.index, fixed.I(size), nil)
		if err != nil {
			return nil, fmt.Errorf("overlay: glyph %d: %w", g.index, err)
		}
		at := fixed.Point26_6{X: x + g.x, Y: y}
		for _, segment := range segments {
			switch segment.Op {
			case sfnt.SegmentOpMoveTo:
				s.moveTo(segment.Args[0].Add(at))
			case sfnt.SegmentOpLineTo:
				s.lineTo(segment.Args[0].Add(at))
			case sfnt.SegmentOpQuadTo:
				s.quadTo(segment.Args[0].Add(at), segment.Args[1].Add(at))
			case sfnt.SegmentOpCubeTo:
				return nil, fmt.Errorf("overlay: glyph %d has a cubic outline", g.index)
			}
		}
	}
	return s, nil
}

// wrap breaks words into lines of at most width, between words alone, as few as can
// be. It is nil where a word is wider, or where there would be more than most.
func (t *typesetter) wrap(words []string, size int, width fixed.Int26_6, most int) (lines []line) {
	for begin := 0; begin < len(words); {
		end, last := begin, line{}
		for end < len(words) {
			tried := t.set(strings.Join(words[begin:end+1], " "), size)
			if tried.width > width {
				break
			}
			last = tried
			end++
		}
		if end == begin || len(lines) == most {
			return nil
		}
		lines, begin = append(lines, last), end
	}
	return lines
}

// equal breaks words into as many lines as they have, as equal as can be: the
// narrowest column that needs no more has them.
func (t *typesetter) equal(words []string, lines []line, size int, width fixed.Int26_6) []line {
	least, most := width/fixed.Int26_6(len(lines)), width
	for len(lines) > 1 && most-least > fixed.I(1) {
		middle := (least + most) / 2
		if tried := t.wrap(words, size, middle, len(lines)); tried != nil {
			lines, most = tried, middle
		} else {
			least = middle
		}
	}
	return lines
}
