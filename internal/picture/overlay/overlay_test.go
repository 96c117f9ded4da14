package overlay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	xdraw "golang.org/x/image/draw"

	"atelier/internal/picture"
	"atelier/internal/picture/overlay"
	"atelier/processors/gemini/standin"
	"atelier/schemas"
)

var sheet = flag.String("sheet", "", "directory for a sheet of every placement, kit and headline, for people to look at")

// kit is a brand's part of a layout.
type kit struct {
	name    string
	prompt  string
	palette []overlay.PaletteColour
	logo    image.Image
}

func colour(hex string) color.RGBA {
	c, ok := overlay.ParseColour(hex)
	if !ok {
		panic(hex)
	}
	return c
}

func palette(pairs ...string) (colours []overlay.PaletteColour) {
	for i := 0; i < len(pairs); i += 2 {
		colours = append(colours, overlay.PaletteColour{Role: pairs[i], Colour: colour(pairs[i+1])})
	}
	return colours
}

// mark is a wide logo: a ring and a bar on nothing.
func mark(c color.RGBA) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, 640, 200))
	for y := range 200 {
		for x := range 640 {
			dx, dy := x-100, y-100
			ring := dx*dx+dy*dy < 90*90 && dx*dx+dy*dy > 55*55
			if ring || x > 230 && x < 620 && (y > 40 && y < 90 || y > 110 && y < 160 && x < 500) {
				img.SetNRGBA(x, y, color.NRGBA(c))
			}
		}
	}
	return img
}

func kits() []kit {
	return []kit{
		{"light", "a steel bottle, palette #f4efe6 #d9cdb8 #1f3a4d", palette("primary", "#1f3a4d", "background", "#f4efe6", "accent", "#c8552b"), mark(colour("#1f3a4d"))},
		{"dark", "a perfume bottle at night, palette #101322 #2a2f4f #c9a45c", palette("primary", "#101322", "secondary", "#2a2f4f", "accent", "#c9a45c", "text", "#f5f1e8"), mark(colour("#f5f1e8"))},
		{"odd", "a running shoe, palette #ff4fa3 #e6ff3f #7a00ff", palette("primary", "#ff4fa3", "secondary", "#e6ff3f", "accent", "#7a00ff"), mark(colour("#7a00ff"))},
	}
}

var headlines = []struct{ name, headline, call string }{
	{"short", "Heiß.", "Kaufen"},
	{"long", "Bleibt zwölf Stunden heiß, auch über der Baumgrenze", "Jetzt entdecken"},
	{"very long", "Donaudampfschifffahrtsgesellschaftskapitäne schwören auf Überlandgepäckversicherungen 2026", "Jetzt unverbindlich beraten!!!"},
}

func frameOf(p schemas.Placement) overlay.Frame {
	f := overlay.Frame{Width: p.Width, Height: p.Height, Top: p.Safe.Top, Bottom: p.Safe.Bottom, Sides: p.Safe.Sides}
	if p.Platform == "google" {
		f.ShareMax = 0.2
	}
	return f
}

// masterOf is what the model draws for a ratio, smaller: cells are what is measured.
// For the sheet it has the pixels of an export.
func masterOf(k kit, ratio string) image.Image {
	size := map[string][2]int{"1:1": {1024, 1024}, "4:5": {896, 1120}, "9:16": {768, 1376}, "16:9": {1376, 768}}[ratio]
	if *sheet == "" {
		size = [2]int{size[0] / 4, size[1] / 4}
	}
	return standin.Draw(k.prompt, nil, 7, size[0], size[1])
}

func part(img image.Image, f overlay.Frame) image.Rectangle {
	return picture.Crop(img.Bounds(), f.Width, f.Height)
}

// Every placement, kit and headline: the layout is set, passes its own checks, and
// says so before there is a picture too.
func TestEverythingIsSet(t *testing.T) {
	for i, k := range kits() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			masters := map[string]image.Image{}
			for _, p := range schemas.Placements {
				f := frameOf(p)
				if masters[p.Ratio] == nil {
					masters[p.Ratio] = masterOf(k, p.Ratio)
				}
				for j, h := range headlines {
					if *sheet == "" && i > 0 && j != 1 {
						continue // that every kit is set is seen with one headline
					}
					name, master := p.ID+", "+h.name, masters[p.Ratio]
					l := overlay.Layout{Headline: h.headline, CallToAction: h.call, Logo: k.logo, Palette: k.palette}
					c := overlay.Compose(master, part(master, f), l, f)
					require.Empty(t, c.Problems, name)
					require.Empty(t, overlay.Check(l, f), name)
					require.Len(t, c.Findings, 5, name)
					for _, found := range c.Findings {
						require.Equal(t, overlay.Pass, found.Verdict, "%s: %s", name, found.Evidence)
					}
					require.Equal(t, image.Rect(0, 0, p.Width, p.Height), c.Layer.Bounds(), name)
					if *sheet != "" {
						save(t, fmt.Sprintf("%s-%s-%s", k.name, p.ID, h.name), master, f, c)
					}
				}
			}
		})
	}
}

// save writes what the export would show, a third as large.
func save(t *testing.T, name string, master image.Image, f overlay.Frame, c overlay.Composition) {
	t.Helper()
	full := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	xdraw.BiLinear.Scale(full, full.Bounds(), master, part(master, f), draw.Src, nil)
	if c.Layer != nil {
		draw.Draw(full, full.Bounds(), c.Layer, image.Point{}, draw.Over)
	}
	small := image.NewRGBA(image.Rect(0, 0, f.Width/3, f.Height/3))
	xdraw.BiLinear.Scale(small, small.Bounds(), full, full.Bounds(), draw.Src, nil)
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, small, nil))
	require.NoError(t, os.MkdirAll(*sheet, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(*sheet, name+".jpg"), out.Bytes(), 0o644))
}

// The bytes of a layer are the same on every machine. A change of them is a change of
// overlay.Version, so that exports that are kept are made anew.
func TestLayersAreTheSameEverywhere(t *testing.T) {
	require.Equal(t, 1, overlay.Version, "and these hashes with it")
	k := kits()[0]
	for name, tt := range map[string]struct {
		layout overlay.Layout
		hash   string
	}{
		"all":    {overlay.Layout{Headline: "Größe, die trägt", CallToAction: "Kaufen", Logo: k.logo, Palette: k.palette, Position: overlay.Bottom}, "fbf24c67058653e0"},
		"words":  {overlay.Layout{Headline: "AVAToday", Position: overlay.Top}, "18e1618502f5486a"},
		"veiled": {overlay.Layout{Headline: "Ride", CallToAction: "Go", Text: new(colour("#ffffff")), Ground: new(colour("#7a00ff")), Position: overlay.Left}, "8930a062acab1b9e"},
	} {
		c := overlay.Compose(noise(64, 64, 40, 220), image.Rect(0, 0, 64, 64), tt.layout, overlay.Frame{Width: 600, Height: 600, Top: 10, Bottom: 10, Sides: 10})
		require.Empty(t, c.Problems, name)
		assert.Equal(t, tt.hash, hashOf(c.Layer), name)
	}
}

func hashOf(img *image.RGBA) string {
	sum := sha256.Sum256(img.Pix)
	return hex.EncodeToString(sum[:8])
}

// noise is grey dots between two values, the same each time.
func noise(width, height int, from, to uint32) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, width, height))
	state := uint32(1)
	for i := range img.Pix {
		state = state*1664525 + 1013904223
		img.Pix[i] = uint8(from + (state>>16)%(to-from+1))
	}
	return img
}

func grey(width, height int, v uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

// On an even ground no veil is needed: what is painted is headline, button and logo,
// and all of it lies within the safe zone of each placement.
func TestWhatIsPaintedLiesWithinTheSafeZone(t *testing.T) {
	k := kits()[1]
	for _, p := range schemas.Placements {
		f := frameOf(p)
		safe := image.Rect(p.Width*p.Safe.Sides/100, p.Height*p.Safe.Top/100, p.Width-p.Width*p.Safe.Sides/100, p.Height-p.Height*p.Safe.Bottom/100)
		master := grey(90, 90*p.Height/p.Width, 20)
		for _, position := range []string{overlay.Top, overlay.Bottom, overlay.Left, overlay.Right} {
			l := overlay.Layout{Headline: "ÄÅÇ Überlang, jäh und gültig: Ậ", CallToAction: "Jetzt kaufen", Logo: k.logo, Palette: k.palette, Position: position}
			c := overlay.Compose(master, part(master, f), l, f)
			require.Empty(t, c.Problems, "%s %s", p.ID, position)
			require.Equal(t, position, c.Position)
			painted, area := image.Rectangle{}, 0
			for y := range p.Height {
				for x := range p.Width {
					if c.Layer.Pix[c.Layer.PixOffset(x, y)+3] > 0 {
						painted = painted.Union(image.Rect(x, y, x+1, y+1))
						area++
					}
				}
			}
			require.True(t, painted.In(safe), "%s %s: %v in %v", p.ID, position, painted, safe)
			require.False(t, painted.Empty())
			if p.Platform == "google" {
				require.LessOrEqual(t, float64(area), 0.2*float64(p.Width*p.Height), p.ID)
			}
		}
	}
}

// Whatever lies beneath, the words keep their contrast: measured here in the picture
// with its layer, and not as the check does it.
func TestWordsCanBeReadOnAnything(t *testing.T) {
	frame := overlay.Frame{Width: 480, Height: 600}
	for name, master := range map[string]image.Image{
		"black": grey(60, 75, 0), "white": grey(60, 75, 255), "grey": grey(60, 75, 118), "noise": noise(60, 75, 0, 255), "dim": noise(60, 75, 90, 150),
	} {
		for _, k := range append(kits(), kit{name: "no kit"}) {
			l := overlay.Layout{Headline: "MMMM", Palette: k.palette, Position: overlay.Top}
			c := overlay.Compose(master, part(master, frame), l, frame)
			require.Empty(t, c.Problems, "%s on %s", k.name, name)
			full := image.NewRGBA(image.Rect(0, 0, frame.Width, frame.Height))
			xdraw.NearestNeighbor.Scale(full, full.Bounds(), master, part(master, frame), draw.Src, nil)
			draw.Draw(full, full.Bounds(), c.Layer, image.Point{}, draw.Over)
			// The stems of the Ms are the words' colour; 3 pixels left of the first is what they stand on.
			words, ground := stem(c.Layer, full)
			require.GreaterOrEqual(t, ratio(words, ground), 4.4, "%s on %s: %v on %v", k.name, name, words, ground)
		}
	}
}

// stem finds the first opaque run of one colour in the middle rows of the layer, and
// what is seen before it.
func stem(layer, full *image.RGBA) (words, ground color.RGBA) {
	for y := 60; y < 100; y++ {
		for x := 10; x < 400; x++ {
			if c := layer.RGBAAt(x, y); c.A == 255 && layer.RGBAAt(x+6, y) == c && layer.RGBAAt(x-4, y).A != 255 {
				return full.RGBAAt(x+3, y), full.RGBAAt(x-4, y)
			}
		}
	}
	return color.RGBA{}, color.RGBA{}
}

// ratio is WCAG's, in floating point.
func ratio(a, b color.RGBA) float64 {
	light := func(c color.RGBA) float64 {
		channel := func(v uint8) float64 {
			if s := float64(v) / 255; s > 0.04045 {
				return math.Pow((s+0.055)/1.055, 2.4)
			} else {
				return s / 12.92
			}
		}
		return 0.2126*channel(c.R) + 0.7152*channel(c.G) + 0.0722*channel(c.B) + 0.05
	}
	return max(light(a), light(b)) / min(light(a), light(b))
}

func TestWhatCannotBeSet(t *testing.T) {
	story := frameOf(schemas.Placements[2])
	master := grey(90, 160, 60)
	long := strings.Repeat("Überlandgepäckversicherung", 3)
	for name, tt := range map[string]struct {
		layout        overlay.Layout
		field, detail string
	}{
		"Arabic":              {overlay.Layout{Headline: "مرحبا"}, overlay.FieldHeadline, "U+0645"},
		"Devanagari":          {overlay.Layout{Headline: "नमस्ते"}, overlay.FieldHeadline, "U+0928"},
		"Chinese":             {overlay.Layout{Headline: "Hot 热"}, overlay.FieldHeadline, `'热' (U+70ED)`},
		"emoji":               {overlay.Layout{CallToAction: "Go 🔥"}, overlay.FieldCallToAction, "U+1F525"},
		"many":                {overlay.Layout{Headline: "ابتثجحخدذرز"}, overlay.FieldHeadline, "and 3 more"},
		"a mark on its own":   {overlay.Layout{Headline: "q\u0308"}, overlay.FieldHeadline, "U+0308"},
		"another direction":   {overlay.Layout{Headline: "a\u202eb"}, overlay.FieldHeadline, "U+202E"},
		"a word too long":     {overlay.Layout{Headline: long}, overlay.FieldHeadline, "a word that is too long"},
		"a headline too long": {overlay.Layout{Headline: strings.Repeat("sehr langer Text ", 40)}, overlay.FieldHeadline, "too long"},
		"a call too long":     {overlay.Layout{Headline: "Hot", CallToAction: long}, overlay.FieldCallToAction, "too long"},
		"picked colours":      {overlay.Layout{Headline: "Hot", Text: new(colour("#777777")), Ground: new(colour("#999999"))}, overlay.FieldColours, "at least 4.5 is needed"},
	} {
		c := overlay.Compose(master, part(master, story), tt.layout, story)
		require.Len(t, c.Problems, 1, name)
		require.Equal(t, tt.field, c.Problems[0].Field, name)
		require.Contains(t, c.Problems[0].Detail, tt.detail, name)
		if tt.field != overlay.FieldColours { // which are seen on the picture alone
			require.Nil(t, c.Layer, name)
			require.Equal(t, c.Problems, overlay.Check(tt.layout, story), name)
		}
	}
	require.Equal(t, overlay.Composition{}, overlay.Compose(master, part(master, story), overlay.Layout{Headline: " \u00ad "}, story))
	// A letter that is two characters is one; spaces are one; a soft hyphen is none.
	a := overlay.Compose(master, part(master, story), overlay.Layout{Headline: "U\u0308ber  hier\u00adher\n"}, story)
	b := overlay.Compose(master, part(master, story), overlay.Layout{Headline: "Über hierher"}, story)
	require.Equal(t, hashOf(a.Layer), hashOf(b.Layer))
	// Greek, Cyrillic and Vietnamese have their letters.
	for _, text := range []string{"Ζεστό στην κορυφή", "Горячо на вершине", "Nóng trên đỉnh núi", "Çok sıcak €5 – „jetzt“"} {
		require.Empty(t, overlay.Check(overlay.Layout{Headline: text}, story), text)
	}
}

// A brand's colours come first, and never one that it forbids.
func TestColoursAreTheBrands(t *testing.T) {
	frame := overlay.Frame{Width: 400, Height: 400}
	has := func(c overlay.Composition, want color.RGBA) bool {
		for i := 0; i < len(c.Layer.Pix); i += 4 {
			if (color.RGBA{R: c.Layer.Pix[i], G: c.Layer.Pix[i+1], B: c.Layer.Pix[i+2], A: c.Layer.Pix[i+3]}) == want {
				return true
			}
		}
		return false
	}
	master := grey(50, 50, 250)
	l := overlay.Layout{Headline: "Hot", CallToAction: "Go", Palette: palette("primary", "#1f3a4d", "background", "#f4efe6", "accent", "#c8552b")}
	c := overlay.Compose(master, part(master, frame), l, frame)
	require.True(t, has(c, colour("#1f3a4d")), "the words")
	require.True(t, has(c, colour("#c8552b")), "the button")
	l.Forbidden = []color.RGBA{colour("#1f3a4d"), colour("#c8552b")}
	c = overlay.Compose(master, part(master, frame), l, frame)
	require.False(t, has(c, colour("#1f3a4d")) || has(c, colour("#c8552b")))
	// A logo that could not be seen stands on a plate.
	dark := grey(50, 50, 10)
	seen := overlay.Compose(dark, part(dark, frame), overlay.Layout{Logo: mark(colour("#101010"))}, frame)
	require.True(t, has(seen, colour("#ffffff")))
	require.False(t, has(overlay.Compose(master, part(master, frame), overlay.Layout{Logo: mark(colour("#101010"))}, frame), colour("#ffffff")))
}

func BenchmarkCompose(b *testing.B) {
	k, p := kits()[1], schemas.Placements[2]
	f, master := frameOf(p), masterOf(k, p.Ratio)
	l := overlay.Layout{Headline: headlines[1].headline, CallToAction: headlines[1].call, Logo: k.logo, Palette: k.palette}
	for b.Loop() {
		overlay.Compose(master, part(master, f), l, f)
	}
}

// The dearest layout to fit: ninety letters that nearly fit everywhere, in a call to
// action too.
func BenchmarkCheck(b *testing.B) {
	l := overlay.Layout{Headline: strings.Repeat("mm ", 30), CallToAction: strings.Repeat("m", 30), Logo: kits()[0].logo}
	for b.Loop() {
		for _, p := range schemas.Placements {
			overlay.Check(l, frameOf(p))
		}
	}
}
