package picture

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// ReducedSide is the longer side (pixels) of the reduction that smaller ones are
// made of: checks share it.
const ReducedSide = 480

// neutral is the chroma of greys.
const neutral = 128

// Reduce makes the longer side of a picture at most side pixels, of at least 1. It
// never enlarges. The result is opaque, transparent parts stand on white, and all
// its planes have every pixel (4:4:4, JFIF's full range): Y[i], Cb[i] and Cr[i] are
// the same one. It has the same bytes on every machine. It is img itself where that
// is so already: neither may be changed then.
//
// Below ReducedSide, Reduce(img, side) is Reduce(Reduce(img, ReducedSide), side):
// who wants several keeps that one.
func Reduce(img image.Image, side int) *image.YCbCr {
	if side < ReducedSide {
		img = reduce(img, ReducedSide)
	}
	return reduce(img, side)
}

func reduce(img image.Image, side int) *image.YCbCr {
	bounds := img.Bounds()
	width, height := within(bounds.Size(), max(1, side))
	planar, ok := img.(*image.YCbCr)
	if ok && planar.SubsampleRatio == image.YCbCrSubsampleRatio444 && planar.YStride == planar.CStride && bounds.Size() == image.Pt(width, height) {
		return planar
	}
	return resample(img, bounds, width, height, image.YCbCrSubsampleRatio444)
}

// resample makes width x height opaque pixels of a part of a picture. What is
// planar stays so: no pixel becomes RGB on the way. Anything else is resized on white
// and converted when it has its size.
func resample(img image.Image, part image.Rectangle, width, height int, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	out := image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
	var from [3]component
	switch img := img.(type) {
	case *image.YCbCr:
		from = componentsOf(img)
	case *image.Gray:
		from[0] = componentsOf(&image.YCbCr{Y: img.Pix, YStride: img.Stride, Rect: img.Rect})[0]
	default:
		pixels := image.NewRGBA(out.Rect)
		resizePixels(pixels.Pix, out.Rect.Size(), part, linesOf(img, image.White))
		convert(out, pixels)
		return out
	}
	for i, to := range componentsOf(out) {
		if from[i].pix == nil { // a grey picture has no chroma
			fill(to.pix, neutral)
			continue
		}
		to.resample(from[i], part, width, height)
	}
	return out
}

// component is one of a picture's three planes: how many pixels each of its
// samples covers, and where the first one begins.
type component struct {
	plane
	subX, subY int
	origin     image.Point
}

func componentsOf(img *image.YCbCr) [3]component {
	bounds := img.Rect
	y := component{subX: 1, subY: 1, origin: bounds.Min}
	y.plane = plane{pix: img.Y[img.YOffset(bounds.Min.X, bounds.Min.Y):], stride: img.YStride, step: 1, width: bounds.Dx(), height: bounds.Dy()}
	var c component
	c.subX, c.subY = subsampling(img.SubsampleRatio)
	first := image.Pt(bounds.Min.X/c.subX, bounds.Min.Y/c.subY)
	c.origin = image.Pt(first.X*c.subX, first.Y*c.subY)
	c.plane = plane{stride: img.CStride, step: 1, width: (bounds.Max.X-1)/c.subX - first.X + 1, height: (bounds.Max.Y-1)/c.subY - first.Y + 1}
	cb, cr := c, c
	if img.Cb != nil {
		at := img.COffset(bounds.Min.X, bounds.Min.Y)
		cb.pix, cr.pix = img.Cb[at:], img.Cr[at:]
	}
	return [3]component{y, cb, cr}
}

// subsampling is how many pixels a sample of chroma covers.
func subsampling(ratio image.YCbCrSubsampleRatio) (x, y int) {
	switch ratio {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	default:
		return 1, 1
	}
}

// resample fills a component of a picture of width x height pixels from the same
// component of a part of another.
func (c component) resample(from component, part image.Rectangle, width, height int) {
	c.resampleRows(from, from.row, part, width, height)
}

// resampleRows is resample for what is not in memory as it is to be read.
func (c component) resampleRows(from component, read rows, part image.Rectangle, width, height int) {
	offset := part.Min.Sub(from.origin)
	boxX, boxY := boxOf(part.Dx()/from.subX, c.width), boxOf(part.Dy()/from.subY, c.height)
	source, read := boxed(from.plane, read, boxX, boxY)
	across := newAxis(c.width, source.width, spanOf(offset.X, part.Dx(), boxX*from.subX, width, c.subX))
	down := newAxis(c.height, source.height, spanOf(offset.Y, part.Dy(), boxY*from.subY, height, c.subY))
	resize(c.plane, read, across, down)
}

// spanOf places samples along a side: count pixels from offset on, of whose samples
// each covers sub, become toCount pixels, of whose samples each covers toSub.
func spanOf(offset, count, sub, toCount, toSub int) span {
	return span{
		at: int64(2*toCount)*int64(offset) + int64(toSub)*int64(count),
		by: int64(2*toSub) * int64(count),
		of: int64(2*toCount) * int64(sub),
	}
}

// lines reads a picture of any kind row by row, as premultiplied RGBA, so that it is
// never there twice.
type lines struct {
	bounds image.Rectangle
	read   rows
}

// linesOf draws the rows of a picture over a ground, or over nothing where that is nil.
func linesOf(img image.Image, ground image.Image) lines {
	bounds := img.Bounds()
	line := image.NewRGBA(image.Rect(0, 0, bounds.Dx(), 1))
	return lines{bounds: bounds, read: func(y int) []uint8 {
		at := bounds.Min.Add(image.Pt(0, y))
		if ground == nil {
			draw.Draw(line, line.Rect, img, at, draw.Src)
		} else {
			draw.Draw(line, line.Rect, ground, image.Point{}, draw.Src)
			draw.Draw(line, line.Rect, img, at, draw.Over)
		}
		return line.Pix
	}}
}

// resizePixels makes premultiplied RGBA of a part of a picture. Where nothing is cut
// off and no side grows, pix may be where the picture is.
func resizePixels(pix []uint8, size image.Point, part image.Rectangle, from lines) {
	c := component{subX: 1, subY: 1, plane: plane{pix: pix, stride: 4 * size.X, step: 4, width: size.X, height: size.Y}}
	source := component{subX: 1, subY: 1, origin: from.bounds.Min, plane: plane{step: 4, width: from.bounds.Dx(), height: from.bounds.Dy()}}
	c.resampleRows(source, from.read, part, size.X, size.Y)
}

// convert writes opaque pixels as planes, the chroma of those that share it as their
// mean.
func convert(out *image.YCbCr, pixels *image.RGBA) {
	subX, subY := subsampling(out.SubsampleRatio)
	size := out.Rect.Size()
	for y := 0; y < size.Y; y += subY {
		for x := 0; x < size.X; x += subX {
			var r, g, b, count int
			for j := y; j < min(y+subY, size.Y); j++ {
				for i := x; i < min(x+subX, size.X); i++ {
					p := pixels.Pix[pixels.PixOffset(i, j):][:3]
					out.Y[out.YOffset(i, j)], _, _ = color.RGBToYCbCr(p[0], p[1], p[2])
					r, g, b, count = r+int(p[0]), g+int(p[1]), b+int(p[2]), count+1
				}
			}
			at := out.COffset(x, y)
			_, out.Cb[at], out.Cr[at] = color.RGBToYCbCr(uint8((r+count/2)/count), uint8((g+count/2)/count), uint8((b+count/2)/count))
		}
	}
}

func fill(pix []uint8, value uint8) {
	for i := range pix {
		pix[i] = value
	}
}
