package standin_test

import (
	"bytes"
	"image"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini/standin"
)

const coffee = "Brand colours, the leading one first: #F4E3D0, #E8B98A, #7A2E1F\n<brief>\n\"product\": \"cold brew in a glass bottle\"\n</brief>"

// Pictures repeat, and differ where anything that was asked for does.
func TestDrawIsAFunctionOfWhatWasAsked(t *testing.T) {
	const width, height = 232, 288
	first := standin.Draw(coffee, nil, 7, width, height)
	assert.Equal(t, image.Rect(0, 0, width, height), first.Bounds())
	assert.True(t, bytes.Equal(first.Pix, standin.Draw(coffee, nil, 7, width, height).Pix), "the same again")
	for name, other := range map[string]*image.RGBA{
		"seed":      standin.Draw(coffee, nil, 8, width, height),
		"prompt":    standin.Draw(coffee+" warm", nil, 7, width, height),
		"reference": standin.Draw(coffee, [][]byte{{1}}, 7, width, height),
	} {
		assert.Greater(t, distance(first, other), 2.0, name)
	}
}

// The brand's colours make the ground, and a refused one does not.
func TestDrawUsesTheBrandsColours(t *testing.T) {
	red := standin.Draw("Brand colours: #C02020, #A01818\n", nil, 1, 200, 200)
	blue := standin.Draw("Brand colours: #2030C0, #1828A0\nColours that must not appear: #C02020\n\"accent\": \"#C02020\"", nil, 1, 200, 200)
	for _, at := range []image.Point{{10, 20}, {190, 20}, {10, 190}} {
		r, _, b, _ := red.At(at.X, at.Y).RGBA()
		assert.Greater(t, r, b+b/2, "red at %v", at)
		r, _, b, _ = blue.At(at.X, at.Y).RGBA()
		assert.Greater(t, b, r+r/4, "blue at %v", at)
	}
}

// distance is the mean difference of two pictures' bytes.
func distance(a, b *image.RGBA) float64 {
	sum := 0.0
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		sum += float64(max(d, -d))
	}
	return sum / float64(len(a.Pix))
}

// Every product at every shape of canvas is drawn within it, without panics.
func TestDrawEverySolidAndRatio(t *testing.T) {
	for _, word := range []string{"bottle", "bag", "cup", "tube", "shoe", "box", "", "#12345", "<brief></brief>"} {
		for _, size := range []image.Point{{128, 128}, {116, 144}, {96, 172}, {172, 96}, {198, 84}, {1, 1}, {3, 40}} {
			img := standin.Draw(word, nil, -1, size.X, size.Y)
			require.Equal(t, size, img.Bounds().Size())
		}
	}
}

func BenchmarkDraw1K(b *testing.B) {
	for _, product := range []string{"bottle", "bag", "cup", "tube", "shoe", "box"} {
		b.Run(product, func(b *testing.B) {
			for b.Loop() {
				standin.Draw("<brief>"+product+"</brief>", nil, 7, 928, 1152)
			}
		})
	}
}
