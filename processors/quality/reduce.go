package quality

import (
	"image"
	"image/color"
	"image/draw"
)

// sidePixels is the longer side of the reduction that checks look at (pixels).
// It is fixed, so that a figure means the same for a picture of any size.
const sidePixels = 480

// reduce makes a planar picture whose longer side has at most side pixels. Each
// of its pixels is the rounded mean of those that it stands for, in integers, so
// that every machine sees the same. It never enlarges. Transparent parts stand
// on white, as they do in an export.
func reduce(img image.Image, side int) *image.YCbCr {
	from := planar(img)
	size := from.Rect.Size()
	width, height := size.X, size.Y
	if longer := max(width, height); longer > side {
		width, height = max(1, (width*side+longer/2)/longer), max(1, (height*side+longer/2)/longer)
	}
	to := image.NewYCbCr(image.Rect(0, 0, width, height), from.SubsampleRatio)
	chroma, reduced := chromaSize(from), chromaSize(to)
	light, colour := from.YOffset(from.Rect.Min.X, from.Rect.Min.Y), from.COffset(from.Rect.Min.X, from.Rect.Min.Y)
	reducePlane(plane{from.Y[light:], from.YStride, size}, plane{to.Y, to.YStride, to.Rect.Size()})
	reducePlane(plane{from.Cb[colour:], from.CStride, chroma}, plane{to.Cb, to.CStride, reduced})
	reducePlane(plane{from.Cr[colour:], from.CStride, chroma}, plane{to.Cr, to.CStride, reduced})
	return to
}

// planar returns the picture itself where it is planar, as every JPEG is but
// for grey and CMYK.
func planar(img image.Image) *image.YCbCr {
	if p, ok := img.(*image.YCbCr); ok {
		return p
	}
	bounds := img.Bounds()
	flat := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), bounds.Dy()))
	draw.Draw(flat, flat.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(flat, flat.Rect, img, bounds.Min, draw.Over)
	p := image.NewYCbCr(flat.Rect, image.YCbCrSubsampleRatio444)
	for i := range p.Y {
		p.Y[i], p.Cb[i], p.Cr[i] = color.RGBToYCbCr(flat.Pix[4*i], flat.Pix[4*i+1], flat.Pix[4*i+2])
	}
	return p
}

// chromaSize is how many samples of colour a picture has, across and down.
func chromaSize(p *image.YCbCr) image.Point {
	last := p.COffset(p.Rect.Max.X-1, p.Rect.Max.Y-1) - p.COffset(p.Rect.Min.X, p.Rect.Min.Y)
	return image.Pt(last%p.CStride+1, last/p.CStride+1)
}

// plane is one channel: its samples row by row.
type plane struct {
	samples []uint8
	stride  int
	size    image.Point
}

func reducePlane(from, to plane) {
	sums := make([]uint32, from.size.X)
	for row := range to.size.Y {
		top, bottom := span(row, from.size.Y, to.size.Y)
		clear(sums)
		for y := top; y < bottom; y++ {
			line := from.samples[y*from.stride:][:len(sums)]
			for x := range sums {
				sums[x] += uint32(line[x])
			}
		}
		out := to.samples[row*to.stride : row*to.stride+to.size.X]
		for column := range out {
			left, right := span(column, from.size.X, to.size.X)
			sum, count := uint32(0), uint32((right-left)*(bottom-top))
			for _, v := range sums[left:right] {
				sum += v
			}
			out[column] = uint8((sum + count/2) / count)
		}
	}
}

// span is which of so many samples the nth of fewer stands for, at least one.
func span(n, many, few int) (from, to int) {
	from, to = n*many/few, (n+1)*many/few
	return min(from, many-1), max(to, min(from, many-1)+1)
}
