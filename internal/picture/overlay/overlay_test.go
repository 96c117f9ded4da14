package overlay_test

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"testing"

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

// masters are drawn once: what the model draws for a ratio, at half of its pixels.
func masterOf(k kit, ratio string) image.Image {
	size := map[string][2]int{"1:1": {1024, 1024}, "4:5": {896, 1120}, "9:16": {768, 1376}, "16:9": {1376, 768}}[ratio]
	return standin.Draw(k.prompt, nil, 7, size[0], size[1])
}

func part(img image.Image, f overlay.Frame) image.Rectangle {
	return picture.Crop(img.Bounds(), f.Width, f.Height)
}

// Every placement, kit and headline: what is drawn passes its own checks, and what is
// said about it holds in the pixels too.
func TestEverythingIsSetRight(t *testing.T) {
	for _, k := range kits() {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			masters := map[string]image.Image{}
			for _, p := range schemas.Placements {
				f := frameOf(p)
				if masters[p.Ratio] == nil {
					masters[p.Ratio] = masterOf(k, p.Ratio)
				}
				master := masters[p.Ratio]
				for _, h := range headlines {
					name := p.ID + ", " + h.name
					l := overlay.Layout{Headline: h.headline, CallToAction: h.call, Logo: k.logo, Palette: k.palette}
					c := overlay.Compose(master, part(master, f), l, f)
					require.Empty(t, c.Problems, name)
					require.Empty(t, overlay.Check(l, f), name)
					require.Len(t, c.Findings, 5, name)
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

func hashOf(img *image.RGBA) string {
	sum := sha256.Sum256(img.Pix)
	return hex.EncodeToString(sum[:8])
}

var _ = png.Encode

func BenchmarkCompose(b *testing.B) {
	k, p := kits()[1], schemas.Placements[2]
	f, master := frameOf(p), masterOf(k, p.Ratio)
	l := overlay.Layout{Headline: headlines[1].headline, CallToAction: headlines[1].call, Logo: k.logo, Palette: k.palette}
	for b.Loop() {
		overlay.Compose(master, part(master, f), l, f)
	}
}
