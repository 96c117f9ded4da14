package picture

import (
	"image"
	"image/color"
)

// blend draws a premultiplied layer over a picture of the same size with chroma for
// 2x2 pixels. Rows that the layer leaves alone are not touched. Luma is blended pixel
// by pixel; chroma by the mean of the four that share it, so that the edge of a
// letter bleeds no further than the picture's own edges do.
func blend(img *image.YCbCr, layer *image.RGBA) {
	size := layer.Rect.Size()
	for y := 0; y < size.Y; y += 2 {
		upper := layerRow(layer, y)
		lower := layerRow(layer, min(y+1, size.Y-1))
		if !shows(upper) && !shows(lower) {
			continue
		}
		blendLuma(img.Y[y*img.YStride:], upper)
		if y+1 < size.Y {
			blendLuma(img.Y[(y+1)*img.YStride:], lower)
		}
		at := y / 2 * img.CStride
		blendChroma(img.Cb[at:], img.Cr[at:], upper, lower)
	}
}

func layerRow(layer *image.RGBA, y int) []uint8 {
	return layer.Pix[y*layer.Stride:][:4*layer.Rect.Dx()]
}

// shows says whether anything of a row is not wholly transparent.
func shows(row []uint8) bool {
	for i := 3; i < len(row); i += 4 {
		if row[i] != 0 {
			return true
		}
	}
	return false
}

func blendLuma(luma, row []uint8) {
	for x := range len(row) / 4 {
		p := row[4*x:][:4]
		if p[3] == 0 {
			continue
		}
		// Premultiplied black has luma 0, so that what is left of the picture adds up.
		over, _, _ := color.RGBToYCbCr(p[0], p[1], p[2])
		luma[x] = uint8(min(255, int(over)+through(int(luma[x]), 255-int(p[3]))))
	}
}

func blendChroma(cb, cr, upper, lower []uint8) {
	pixels := len(upper) / 4
	for x := 0; x < pixels; x += 2 {
		a, b := 4*x, 4*min(x+1, pixels-1)
		alpha := int(upper[a+3]) + int(upper[b+3]) + int(lower[a+3]) + int(lower[b+3])
		if alpha == 0 {
			continue
		}
		mean := func(c int) uint8 {
			return uint8((int(upper[a+c]) + int(upper[b+c]) + int(lower[a+c]) + int(lower[b+c]) + 2) / 4)
		}
		_, overCb, overCr := color.RGBToYCbCr(mean(0), mean(1), mean(2))
		left := 255 - (alpha+2)/4
		cb[x/2] = blendedChroma(cb[x/2], overCb, left)
		cr[x/2] = blendedChroma(cr[x/2], overCr, left)
	}
}

func blendedChroma(under, over uint8, left int) uint8 {
	return uint8(max(0, min(255, int(over)+through(int(under)-neutral, left))))
}

// through is what shines through a layer that leaves left of 255, rounded half away
// from zero.
func through(value, left int) int {
	if value < 0 {
		return -through(-value, left)
	}
	return (value*left + 127) / 255
}
