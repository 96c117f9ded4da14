package quality

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"image/color"
	"image/draw"
	"math"
	"testing"

	"atelier/internal/picture"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// subject is a picture under check without the file around it.
func subject(img image.Image) Subject {
	return Subject{Image: img, Small: picture.Reduce(img, picture.ReducedSide)}
}

// filled is one colour.
func filled(width, height int, c color.Color) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

// with paints a part over a picture.
func with(img *image.RGBA, part image.Rectangle, c color.Color) *image.RGBA {
	draw.Draw(img, part, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

func TestBorder(t *testing.T) {
	sky, sand, ink := color.RGBA{R: 90, G: 140, B: 220, A: 255}, color.RGBA{R: 220, G: 190, B: 140, A: 255}, color.RGBA{A: 255}
	busy := func() *image.RGBA {
		img := filled(240, 400, sky)
		for i := range img.Pix {
			if i%4 != 3 {
				img.Pix[i] = uint8(40 + (i*7919)%170)
			}
		}
		return img
	}
	fading := image.NewRGBA(image.Rect(0, 0, 240, 400))
	for y := range 400 {
		with(fading, image.Rect(0, y, 240, y+1), color.Gray{Y: uint8(230 - min(y, 400-y)/2)})
	}
	for name, c := range map[string]struct {
		img     image.Image
		verdict Verdict
		says    string
	}{
		"a full picture":               {busy(), Pass, "no bars"},
		"a wall and a floor":           {with(filled(240, 400, sky), image.Rect(0, 250, 240, 400), sand), Pass, "no bars"},
		"a wall, a floor, a bottle":    {with(with(filled(240, 400, sky), image.Rect(0, 250, 240, 400), sand), image.Rect(80, 100, 160, 320), ink), Pass, "no bars"},
		"one bar":                      {with(busy(), image.Rect(0, 0, 240, 40), ink), Pass, "no bars"},
		"bars above and below":         {with(with(busy(), image.Rect(0, 0, 240, 40), ink), image.Rect(0, 360, 240, 400), ink), Block, "top and bottom (10.0 % and 10.0 % of the height)"},
		"bars of two colours":          {with(with(busy(), image.Rect(0, 0, 240, 40), ink), image.Rect(0, 360, 240, 400), sand), Pass, "no bars"},
		"bars beside":                  {with(with(busy(), image.Rect(0, 0, 12, 400), sand), image.Rect(228, 0, 240, 400), sand), Block, "left and right"},
		"a frame":                      {framed(busy(), 8, sky), Block, "stands in a frame: top and bottom (2.0 % and 2.0 % of the height), left and right"},
		"a line that a crop leaves":    {framed(busy(), 1, sky), Pass, "no bars"},
		"a ground that darkens inward": {fading, Pass, "no bars"},
		"one colour":                   {filled(240, 400, sky), Pass, "no bars"},
		"one pixel":                    {filled(1, 1, sky), Pass, "no bars"},
	} {
		got := runBorder(subject(c.img), Expectation{})
		assert.Equal(t, c.verdict, got.Verdict, "%s: %v", name, got.Figures)
		assert.Contains(t, got.Evidence, c.says, name)
	}
}

func framed(img *image.RGBA, thick int, c color.Color) *image.RGBA {
	b := img.Rect
	for _, bar := range []image.Rectangle{
		image.Rect(0, 0, b.Dx(), thick), image.Rect(0, b.Dy()-thick, b.Dx(), b.Dy()),
		image.Rect(0, 0, thick, b.Dy()), image.Rect(b.Dx()-thick, 0, b.Dx(), b.Dy()),
	} {
		with(img, bar, c)
	}
	return img
}

// A sharp product on a calm ground is sharp, wherever it stands; a shade is not.
func TestBlur(t *testing.T) {
	product := with(filled(300, 500, color.White), image.Rect(200, 380, 260, 450), color.Black)
	require.Equal(t, Pass, runBlur(subject(product), Expectation{}).Verdict)
	shade := image.NewGray(image.Rect(0, 0, 300, 500))
	for i := range shade.Pix {
		shade.Pix[i] = uint8(60 + 100*(i/300)/500 + 50*(i%300)/300)
	}
	got := runBlur(subject(shade), Expectation{})
	require.Equal(t, Warn, got.Verdict)
	require.Less(t, got.Figures["sharpness_levels2"], 5.0)
	require.Equal(t, Warn, runBlur(subject(filled(2, 2, color.White)), Expectation{}).Verdict, "no pixel has four neighbours")
}

func TestPalette(t *testing.T) {
	blue, amber, green := color.RGBA{R: 0x0b, G: 0x1f, B: 0x3a, A: 255}, color.RGBA{R: 0xf2, G: 0xa9, A: 255}, color.RGBA{G: 0xb0, B: 0x30, A: 255}
	half := func(a, b color.Color, columns int) image.Image {
		return with(filled(100, 100, a), image.Rect(0, 0, columns, 100), b)
	}
	brand := Expectation{Colours: []string{"#0b1f3a", "#F2A900"}}
	forbids := Expectation{Colours: brand.Colours, ForbiddenColours: []string{"#00b030"}}
	for name, c := range map[string]struct {
		img     image.Image
		asked   Expectation
		verdict Verdict
		says    string
	}{
		"no colours are named":               {half(green, green, 50), Expectation{}, Pass, "names no colours"},
		"what is no colour is left out":      {half(green, green, 50), Expectation{Colours: []string{"green", "#12345", ""}}, Pass, "names no colours"},
		"the brand's":                        {half(blue, amber, 30), brand, Pass, "the brand's"},
		"in the shade":                       {half(blue, color.RGBA{R: 0xb6, G: 0x7f, A: 255}, 30), brand, Pass, "the brand's"},
		"greys are everybody's":              {half(color.Gray{Y: 240}, color.Gray{Y: 60}, 50), brand, Pass, "the brand's"},
		"another's":                          {half(green, blue, 30), brand, Warn, "the colours are not the brand's"},
		"a little of another's":              {half(blue, green, 10), brand, Pass, "the brand's"},
		"a forbidden one":                    {half(blue, green, 5), forbids, Block, "% of the picture has the forbidden colour #00b030"},
		"a little of it":                     {half(blue, green, 1), forbids, Pass, "the brand's"},
		"forbidden without a palette":        {half(blue, green, 5), Expectation{ForbiddenColours: []string{"#ff0000", "#00b030"}}, Block, "#00b030"},
		"the brand's own beside a forbidden": {half(blue, amber, 50), Expectation{Colours: brand.Colours, ForbiddenColours: []string{"#f5b010"}}, Pass, "the brand's"},
		"nothing but forbidden, not there":   {half(blue, blue, 5), Expectation{ForbiddenColours: []string{"#ff0000"}}, Pass, "the brand's"},
	} {
		got := runPalette(subject(c.img), c.asked)
		assert.Equal(t, c.verdict, got.Verdict, "%s: %s %v", name, got.Evidence, got.Figures)
		assert.Contains(t, got.Evidence, c.says, name)
		assert.Equal(t, got, runPalette(subject(c.img), c.asked), name)
		for figure, v := range got.Figures {
			assert.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s: %s", name, figure)
		}
	}
}

// What a verdict carries is enough to know the picture again.
func TestSignaturesSurviveTheirFigures(t *testing.T) {
	for _, s := range []Signature{{}, {Across: math.MaxUint64, Down: math.MaxUint64, Tint: 1<<48 - 1}, {Across: 0x8000000180000001, Down: 1 << 63, Tint: 0x123456789abc}} {
		got, ok := SignatureOf("duplicate", s.figures())
		require.True(t, ok)
		require.Equal(t, s, got)
	}
	_, ok := SignatureOf("duplicate", nil)
	require.False(t, ok)
	_, ok = SignatureOf("blur", Signature{}.figures())
	require.False(t, ok)
	d := drawGood(3)
	s := Open(encoded(t, d.img, 93), "image/jpeg")
	own, ok := s.Signature()
	require.True(t, ok)
	got, ok := SignatureOf("duplicate", runDuplicate(s, Expectation{}).Figures)
	require.True(t, ok)
	require.Equal(t, own, got)
	_, ok = Open([]byte("x"), "").Signature()
	require.False(t, ok)
}

func TestDuplicate(t *testing.T) {
	d := drawGood(5)
	s := Open(encoded(t, d.img, 93), "image/jpeg")
	own, _ := s.Signature()
	near, far, tinted := own, own, own
	near.Across ^= 0xff << 20 // 8 bits
	far.Across ^= 0x1ff << 20 // 9
	tinted.Tint ^= 2
	require.True(t, own.Near(near))
	require.True(t, near.Near(own))
	require.False(t, own.Near(far))
	require.False(t, own.Near(tinted), "another colour is another picture")
	for _, c := range []struct {
		batch   []Signature
		verdict Verdict
	}{{nil, Pass}, {[]Signature{far}, Pass}, {[]Signature{far, tinted}, Pass}, {[]Signature{far, near}, Retry}, {[]Signature{own}, Retry}} {
		require.Equal(t, c.verdict, runDuplicate(s, Expectation{Batch: c.batch}).Verdict)
	}
}

// icc is a profile of three primaries, as small as one may be.
func icc(primaries map[string][3]float64) []byte {
	p := make([]byte, 128+4)
	binary.BigEndian.PutUint32(p[128:], uint32(len(primaries)))
	var values []byte
	for name, xyz := range primaries {
		p = append(p, name...)
		p = binary.BigEndian.AppendUint32(p, uint32(128+4+12*len(primaries)+len(values)))
		p = binary.BigEndian.AppendUint32(p, 20)
		values = append(values, "XYZ \x00\x00\x00\x00"...)
		for _, v := range xyz {
			values = binary.BigEndian.AppendUint32(values, uint32(int32(math.Round(v*65536))))
		}
	}
	return append(p, values...)
}

// displayP3 are the primaries of Display P3, adapted to D50.
var displayP3 = map[string][3]float64{
	"rXYZ": {0.5151, 0.2412, -0.0011}, "gXYZ": {0.2919, 0.6922, 0.0419}, "bXYZ": {0.1571, 0.0666, 0.7841},
}

func inJPEG(segment string, pieces ...[]byte) []byte {
	data := []byte("\xff\xd8\xff\xff") // a fill byte
	for i, p := range pieces {
		header := segment + "\x00" + string([]byte{byte(i + 1), byte(len(pieces))})
		data = append(data, 0xff, 0xe2)
		data = binary.BigEndian.AppendUint16(data, uint16(2+len(header)+len(p)))
		data = append(append(data, header...), p...)
	}
	return append(data, 0xff, 0xda, 0, 2)
}

func chunkPNG(name string, payload []byte) []byte {
	data := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), uint32(len(payload)))
	return append(append(append(data, name...), payload...), 0, 0, 0, 0)
}

func chunkWebP(name string, payload []byte) []byte {
	data := binary.LittleEndian.AppendUint32([]byte("RIFF\x00\x00\x00\x00WEBPVP8X\x01\x00\x00\x00\x00\x00"+name), uint32(len(payload)))
	return append(data, payload...)
}

func deflated(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestSRGB(t *testing.T) {
	standard, wide := icc(srgbPrimaries), icc(displayP3)
	long := append(bytes.Clone(wide), make([]byte, 1000)...)
	for name, c := range map[string]struct {
		data    []byte
		verdict Verdict
	}{
		"none":                     {jpegOf(t, flat(8, 8, 0)), Pass},
		"sRGB in a JPEG":           {inJPEG("ICC_PROFILE", standard), Pass},
		"Display P3 in a JPEG":     {inJPEG("ICC_PROFILE", wide), Block},
		"in pieces":                {inJPEG("ICC_PROFILE", long[:100], long[100:300], long[300:]), Block},
		"another APP2":             {inJPEG("MPF", wide), Pass},
		"sRGB in a PNG":            {chunkPNG("iCCP", append([]byte("icc\x00\x00"), deflated(t, standard)...)), Pass},
		"Display P3 in a PNG":      {chunkPNG("iCCP", append([]byte("icc\x00\x00"), deflated(t, wide)...)), Block},
		"a PNG that does not open": {chunkPNG("iCCP", []byte("icc\x00\x00nothing")), Warn},
		"a PNG without a name":     {chunkPNG("iCCP", []byte("icc")), Warn},
		"sRGB in a WebP":           {chunkWebP("ICCP", standard), Pass},
		"Display P3 in a WebP":     {chunkWebP("ICCP", wide), Block},
		"a profile of greys":       {inJPEG("ICC_PROFILE", icc(nil)), Warn},
		"cut":                      {inJPEG("ICC_PROFILE", wide[:150]), Warn},
		"a bomb":                   {chunkPNG("iCCP", append([]byte("icc\x00\x00"), deflated(t, make([]byte, 2*profileBytesMax))...)), Warn},
	} {
		got := runSRGB(Subject{Data: c.data}, Expectation{})
		assert.Equal(t, c.verdict, got.Verdict, "%s: %s", name, got.Evidence)
	}
}

func TestAnimated(t *testing.T) {
	vp8x := []byte("RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	for name, c := range map[string]struct {
		data    []byte
		verdict Verdict
	}{
		"a JPEG":               {jpegOf(t, flat(8, 8, 0)), Pass},
		"a PNG":                {pngOf(t, flat(8, 8, 0)), Pass},
		"a PNG that moves":     {chunkPNG("acTL", []byte{0, 0, 0, 7, 0, 0, 0, 0}), Block},
		"one that says little": {chunkPNG("acTL", nil), Block},
		"a WebP":               {chunkWebP("VP8 ", nil), Pass},
		"a WebP that moves":    {chunkWebP("ANIM", make([]byte, 6)), Block},
		"one that says so":     {vp8x, Block},
		"nothing":              {nil, Pass},
	} {
		got := runAnimated(Subject{Data: c.data}, Expectation{})
		assert.Equal(t, c.verdict, got.Verdict, "%s: %s", name, got.Evidence)
	}
	require.EqualValues(t, 7, runAnimated(Subject{Data: chunkPNG("acTL", []byte{0, 0, 0, 7, 0, 0, 0, 0})}, Expectation{}).Figures["frames"])
}

// Whatever a file says of its parts, walking them ends within it.
func FuzzParts(f *testing.F) {
	f.Add(inJPEG("ICC_PROFILE", icc(displayP3)))
	f.Add(chunkPNG("acTL", []byte{0, 0, 0, 7, 0, 0, 0, 0}))
	f.Add(chunkWebP("ICCP", []byte{1, 2, 3}))
	f.Add([]byte("\x89PNG\r\n\x1a\n\xff\xff\xff\xffacTL"))
	f.Add([]byte("RIFF\x00\x00\x00\x00WEBPANIM\xff\xff\xff\xff"))
	f.Add([]byte("\xff\xd8\xff\xe2\x00\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, payload := range parts(data) {
			require.LessOrEqual(t, len(payload), len(data))
		}
		runSRGB(Subject{Data: data}, Expectation{})
		runAnimated(Subject{Data: data}, Expectation{})
	})
}
