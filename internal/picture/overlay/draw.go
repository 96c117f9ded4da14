package overlay

import (
	"image"
	"image/color"
	"slices"

	"golang.org/x/image/math/fixed"
)

const (
	// contrastMin is what words need against what lies beneath (WCAG 2.2, 1.4.3).
	contrastMin = 4.5
	// contrastAim is what is chosen for on a calm picture; unrest adds up to
	// contrastAimMore, because contrast alone does not make words on leaves readable.
	contrastAim     = 5.5
	contrastAimMore = 2.5
	// pairContrast is what a pair of text and veil has by itself.
	pairContrast = 7
	// buttonContrast is what makes a button stand out from what it stands on.
	buttonContrast = 2
	// logoContrast is what a logo without a plate has at least against what it stands on.
	logoContrast = 2
	// veilStep is by how much a veil gets thicker, of 255, until words can be read.
	veilStep = 5
	// thickCost makes a veil that hides the picture (200 of 255) cost as much as the
	// smallest headline; a thin one costs nothing.
	thickCost = 400
	// pairCost is how much more a pair that comes earlier may change the picture, as a
	// distance of colours.
	pairCost = 8
)

// drawing is a block being drawn. It is for one goroutine.
type drawing struct {
	*setting
	block
	colours
	beneath ground
	layer   *image.RGBA

	// What was painted, in pixels; empty: nothing.
	headlineInk, callInk, buttonInk, logoInk image.Rectangle
	headlineContrast                         float64
}

func (d *drawing) draw() error {
	d.chooseButton()
	d.drawVeil()
	if d.setting.logo != nil {
		d.drawLogo()
	}
	if len(d.lines) > 0 {
		d.headlineContrast = d.seen(d.text, d.lineBoxes())
	}
	for i, set := range d.lines {
		s, err := d.outline(set, d.size, fixed.I(d.baseline[i].X), fixed.I(d.baseline[i].Y))
		if err != nil {
			return err
		}
		d.headlineInk = d.headlineInk.Union(s.fill(d.layer, d.text))
	}
	if d.setting.call == "" {
		return nil
	}
	d.buttonInk = roundedRect(d.button, d.button.Dy()/2).fill(d.layer, d.fill)
	s, err := d.outline(d.block.call, d.callSize, fixed.I(d.callAt.X), fixed.I(d.callAt.Y))
	if err != nil {
		return err
	}
	d.callInk = s.fill(d.layer, d.label)
	return nil
}

// words are where words without a ground of their own stand.
func (b block) words() []image.Rectangle {
	if len(b.lines) > 0 {
		return b.lineBoxes()
	}
	return []image.Rectangle{b.bounds}
}

// colours are those of a block.
type colours struct {
	text, veil color.RGBA
	// thickness is the veil's, of 255.
	thickness int
	// cost is how much the veil changes what it covers, as a distance of colours.
	cost        int
	fill, label color.RGBA // of the button and the words on it
}

// pair is a colour of words and the one of the veil behind them.
type pair struct{ text, veil color.RGBA }

// colours takes the pair that changes the picture least, earlier pairs first.
func (s *setting) colours(b block, beneath ground) (chosen colours) {
	darkest, lightest, mean := beneath.under(b.words()...)
	aim := contrastAim + min(contrastAimMore, float64(beneath.unrest(b.bounds))/400)
	pairs := s.pairs()
	if s.Text != nil && s.Ground != nil {
		pairs, aim = []pair{{*s.Text, *s.Ground}}, min(aim, contrast(*s.Text, *s.Ground))
	}
	chosen.cost = -1
	for i, p := range pairs {
		thickness := 0
		for thickness < 255 && contrastBetween(p.text, mix(darkest, p.veil, thickness), mix(lightest, p.veil, thickness)) < aim {
			thickness = min(255, thickness+veilStep)
		}
		if cost := distance(mean, mix(mean, p.veil, thickness)) + thickness*thickness/thickCost + i*pairCost; chosen.cost < 0 || cost < chosen.cost {
			chosen = colours{text: p.text, veil: p.veil, thickness: thickness, cost: cost}
		}
	}
	// The ends were measured for the choice; what holds is every cell.
	for chosen.thickness < 255 && chosen.least(b.words(), beneath) < min(contrastMin, aim) {
		chosen.thickness = min(255, chosen.thickness+veilStep)
	}
	return chosen
}

// least is the least contrast of the words with the cells behind the veil.
func (c colours) least(boxes []image.Rectangle, beneath ground) float64 {
	least := 21.0
	for _, box := range boxes {
		beneath.each(box, func(cell color.RGBA, _, _ int) { least = min(least, contrast(c.text, mix(cell, c.veil, c.thickness))) })
	}
	return least
}

// contrastBetween is the least contrast of a colour with any between two others.
func contrastBetween(c, darkest, lightest color.RGBA) float64 {
	if luminance(darkest) <= luminance(c) && luminance(c) <= luminance(lightest) {
		return 1
	}
	return min(contrast(c, darkest), contrast(c, lightest))
}

// roles are the order in which a brand's colours become veils.
var roles = []string{"primary", "secondary", "background", "text", "neutral", "", "accent"}

// pairs are those of the brand, then ink and white.
func (s *setting) pairs() (pairs []pair) {
	texts := []color.RGBA{white}
	texts = append(texts, s.ofRole("background", "text", "primary", "secondary", "neutral")...)
	texts = s.allowed(append(texts, ink))
	for _, veil := range s.allowed(append(s.ofRole(roles...), ink, white)) {
		for _, text := range texts {
			if contrast(text, veil) >= pairContrast {
				pairs = append(pairs, pair{text, veil})
				break
			}
		}
	}
	if len(pairs) == 0 { // a brand that forbids light or dark
		pairs = []pair{{white, ink}, {ink, white}}
	}
	return pairs
}

// ofRole are the brand's colours of some roles, in the order of these.
func (s *setting) ofRole(wanted ...string) (colours []color.RGBA) {
	for _, role := range wanted {
		for _, c := range s.Palette {
			if c.Role == role {
				colours = append(colours, c.Colour)
			}
		}
	}
	return colours
}

// allowed leaves out what the brand forbids.
func (s *setting) allowed(colours []color.RGBA) (left []color.RGBA) {
	for _, c := range colours {
		if !slices.ContainsFunc(s.Forbidden, func(f color.RGBA) bool { return alike(c, f) }) {
			left = append(left, c)
		}
	}
	return left
}

// chooseButton takes the brand's colour that stands out, and words for it.
func (d *drawing) chooseButton() {
	d.fill, d.label = d.text, d.veil
	if contrast(d.fill, d.label) < contrastMin {
		d.label = readable(d.fill, []color.RGBA{black, white})
	}
	if d.Text != nil {
		return
	}
	_, _, mean := d.beneath.under(d.button)
	mean = mix(mean, d.veil, d.thickness)
	// Of white and black one can be read on any colour.
	labels := d.allowed(append(d.ofRole("text", "background"), white, ink, black))
	for _, fill := range d.allowed(d.ofRole("accent", "primary", "secondary", "", "neutral")) {
		label := readable(fill, labels)
		if contrast(fill, mean) >= buttonContrast && contrast(fill, label) >= contrastMin {
			d.fill, d.label = fill, label
			return
		}
	}
}

// readable is the colour that can be read best on another; of none it is ink or white.
func readable(on color.RGBA, colours []color.RGBA) color.RGBA {
	if len(colours) == 0 {
		colours = []color.RGBA{ink, white}
	}
	return slices.MaxFunc(colours, func(a, b color.RGBA) int {
		if contrast(a, on) < contrast(b, on) {
			return -1
		}
		return 1
	})
}

// drawVeil covers the side of the words, evenly beneath them and fading away behind
// them. What is covered is as wide as the frame: a box would look like a sticker.
func (d *drawing) drawVeil() {
	if d.thickness == 0 {
		return
	}
	pad := d.units(veilPadUnits)
	switch d.position {
	case Top:
		d.veilRows(func(y int) int { return y - d.bounds.Max.Y - pad })
	case Bottom:
		d.veilRows(func(y int) int { return d.bounds.Min.Y - pad - y })
	case Left:
		d.veilColumns(func(x int) int { return x - d.bounds.Max.X - pad })
	case Right:
		d.veilColumns(func(x int) int { return d.bounds.Min.X - pad - x })
	}
}

func (d *drawing) veilRows(behind func(y int) int) {
	for y := range d.Height {
		row := d.layer.Pix[y*d.layer.Stride : (y+1)*d.layer.Stride]
		c := d.veilAt(behind(y), d.Height/5)
		for x := range d.Width {
			copy(row[4*x:], c[:])
		}
	}
}

func (d *drawing) veilColumns(behind func(x int) int) {
	first := d.layer.Pix[:d.layer.Stride]
	for x := range d.Width {
		c := d.veilAt(behind(x), d.Width/4)
		copy(first[4*x:], c[:])
	}
	for y := 1; y < d.Height; y++ {
		copy(d.layer.Pix[y*d.layer.Stride:], first)
	}
}

// veilAt is the veil's premultiplied colour some pixels behind its even part, which
// fades away over fade pixels (smoothstep).
func (d *drawing) veilAt(behind, fade int) [4]uint8 {
	t := min(max(behind, 0), fade) * 256 / fade
	alpha := d.thickness * (1<<24 - t*t*(768-2*t)) >> 24
	channel := func(v uint8) uint8 { return uint8((int(v)*alpha + 127) / 255) }
	return [4]uint8{channel(d.veil.R), channel(d.veil.G), channel(d.veil.B), uint8(alpha)}
}

// seen is the least contrast of a colour with what is seen beneath boxes: the
// master's cells through the layer as it is drawn so far.
func (d *drawing) seen(c color.RGBA, boxes []image.Rectangle) float64 {
	least := 21.0
	for _, box := range boxes {
		d.beneath.each(box, func(cell color.RGBA, column, row int) {
			x := min(column*cellPixels+cellPixels/2, d.Width-1)
			y := min(row*cellPixels+cellPixels/2, d.Height-1)
			least = min(least, contrast(c, through(cell, d.layer.RGBAAt(x, y))))
		})
	}
	return least
}

// through is an opaque colour seen through a premultiplied one.
func through(c, layer color.RGBA) color.RGBA {
	channel := func(c, over uint8) uint8 { return uint8(int(over) + (int(c)*(255-int(layer.A))+127)/255) }
	return color.RGBA{R: channel(c.R, layer.R), G: channel(c.G, layer.G), B: channel(c.B, layer.B), A: 0xff}
}

// drawLogo draws the logo into its box, on a plate where it could not be seen.
func (d *drawing) drawLogo() {
	box := d.block.logo
	small := Shrink(d.setting.logo, box.Dx(), box.Dy())
	mean, covers := meanOf(small)
	_, _, beneath := d.beneath.under(box)
	if !covers && contrast(mean, mix(beneath, d.veil, d.thickness)) < logoContrast {
		plate := readable(mean, d.allowed([]color.RGBA{white, ink}))
		d.logoInk = roundedRect(box, box.Dy()/6).fill(d.layer, plate)
		box = box.Inset(box.Dy() / 7)
		small = Shrink(d.setting.logo, max(1, box.Dx()), max(1, box.Dx()*d.block.logo.Dy()/max(1, d.block.logo.Dx())))
		box = centred(small.Bounds().Size(), d.block.logo)
	}
	for y := range small.Bounds().Dy() {
		for x := range small.Bounds().Dx() {
			if c := small.RGBAAt(x, y); c.A > 0 {
				at := d.layer.PixOffset(box.Min.X+x, box.Min.Y+y)
				over(d.layer.Pix[at:at+4], c)
				d.logoInk = d.logoInk.Union(image.Rect(box.Min.X+x, box.Min.Y+y, box.Min.X+x+1, box.Min.Y+y+1))
			}
		}
	}
}

// centred puts a size into the middle of a box.
func centred(size image.Point, box image.Rectangle) image.Rectangle {
	at := box.Min.Add(box.Size().Sub(size).Div(2))
	return image.Rectangle{Min: at, Max: at.Add(size)}
}

// over puts a premultiplied colour over a premultiplied pixel.
func over(p []uint8, c color.RGBA) {
	rest := 255 - int(c.A)
	for i, v := range [4]uint8{c.R, c.G, c.B, c.A} {
		p[i] = uint8(int(v) + (int(p[i])*rest+127)/255)
	}
}

// meanOf is the mean of a picture's visible part, and whether all of it is visible.
func meanOf(img *image.RGBA) (mean color.RGBA, covers bool) {
	var r, g, b, a int
	covers = true
	for i := 0; i < len(img.Pix); i += 4 {
		r, g, b, a = r+int(img.Pix[i]), g+int(img.Pix[i+1]), b+int(img.Pix[i+2]), a+int(img.Pix[i+3])
		covers = covers && img.Pix[i+3] > 250
	}
	if a == 0 {
		return white, covers
	}
	return color.RGBA{R: uint8(r * 255 / a), G: uint8(g * 255 / a), B: uint8(b * 255 / a), A: 0xff}, covers
}

// Shrink makes a picture width x height, each pixel the mean of what it covers, in
// premultiplied integers. A layer that is shrunk so lies over a picture that is.
func Shrink(img image.Image, width, height int) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	bounds, at := img.Bounds(), premultiplied(img)
	columns := make([][]part, width)
	for x := range columns {
		columns[x] = covered(x, width, bounds.Dx())
	}
	for y := range height {
		rows := covered(y, height, bounds.Dy())
		for x := range width {
			var sum [4]uint64
			var weight uint64
			for _, row := range rows {
				for _, column := range columns[x] {
					w := row.weight * column.weight
					for i, v := range at(bounds.Min.X+column.at, bounds.Min.Y+row.at) {
						sum[i] += uint64(v) * w
					}
					weight += w
				}
			}
			p := out.Pix[out.PixOffset(x, y):]
			for i := range sum {
				p[i] = uint8((sum[i] + weight/2) / weight)
			}
		}
	}
	return out
}

// premultiplied reads single pixels of a picture.
func premultiplied(img image.Image) func(x, y int) [4]uint8 {
	if layer, ok := img.(*image.RGBA); ok {
		return func(x, y int) [4]uint8 { return [4]uint8(layer.Pix[layer.PixOffset(x, y):]) }
	}
	return func(x, y int) [4]uint8 {
		r, g, b, a := img.At(x, y).RGBA()
		return [4]uint8{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}
	}
}

// part is a pixel that is covered by a share.
type part struct {
	at     int
	weight uint64
}

// covered lists which of from pixels the i-th of to pixels covers, by their shares
// of 1/to.
func covered(i, to, from int) (parts []part) {
	begin, end := i*from, (i+1)*from
	for at := begin / to; at*to < end; at++ {
		parts = append(parts, part{at, uint64(min(end, (at+1)*to) - max(begin, at*to))})
	}
	return parts
}
