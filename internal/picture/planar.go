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
// planar stays so: no pixel becomes RGB on the way.
func resample(img image.Image, part image.Rectangle, width, height int, ratio image.YCbCrSubsampleRatio) *image.YCbCr {
	out := image.NewYCbCr(image.Rect(0, 0, width, height), ratio)
	source := planar(img)
	part = part.Add(source.Rect.Min.Sub(img.Bounds().Min))
	to, from := componentsOf(out), componentsOf(source)
	for i := range to {
		if from[i].pix == nil { // a grey picture has no chroma
			fill(to[i].pix, neutral)
			continue
		}
		to[i].resample(from[i], part, width, height)
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
	offset := part.Min.Sub(from.origin)
	boxX, boxY := boxOf(part.Dx()/from.subX, c.width), boxOf(part.Dy()/from.subY, c.height)
	source, read := boxed(from.plane, from.row, boxX, boxY)
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

// planar is a picture as planes, on white where it is transparent: itself where it
// is planar, with chroma for 2x2 pixels else.
func planar(img image.Image) *image.YCbCr {
	switch img := img.(type) {
	case *image.YCbCr:
		return img
	case *image.Gray:
		return &image.YCbCr{Y: img.Pix, YStride: img.Stride, Rect: img.Rect}
	default:
		return flattened(img)
	}
}

// tile is how many pixels of a row are converted at a time (count, even).
const tile = 1024

// flattened converts a picture that begins at the origin then.
func flattened(img image.Image) *image.YCbCr {
	bounds := img.Bounds()
	out := image.NewYCbCr(image.Rectangle{Max: bounds.Size()}, image.YCbCrSubsampleRatio420)
	pair := image.NewRGBA(image.Rect(0, 0, tile, 2))
	for y := 0; y < bounds.Dy(); y += 2 {
		for x := 0; x < bounds.Dx(); x += tile {
			at := image.Pt(x, y)
			part := pair.Rect.Intersect(out.Rect.Sub(at))
			draw.Draw(pair, part, image.White, image.Point{}, draw.Src)
			draw.Draw(pair, part, img, bounds.Min.Add(at), draw.Over)
			convert(out, at, pair, part)
		}
	}
	return out
}

// convert writes the pixels of a part of pair to where they belong, the chroma of
// up to four as their mean.
func convert(out *image.YCbCr, at image.Point, pair *image.RGBA, part image.Rectangle) {
	for x := 0; x < part.Max.X; x += 2 {
		var r, g, b, count int
		for j := range part.Max.Y {
			for i := x; i < min(x+2, part.Max.X); i++ {
				p := pair.Pix[pair.PixOffset(i, j):][:3]
				luma, _, _ := color.RGBToYCbCr(p[0], p[1], p[2])
				out.Y[out.YOffset(at.X+i, at.Y+j)] = luma
				r, g, b, count = r+int(p[0]), g+int(p[1]), b+int(p[2]), count+1
			}
		}
		_, cb, cr := color.RGBToYCbCr(uint8((r+count/2)/count), uint8((g+count/2)/count), uint8((b+count/2)/count))
		c := out.COffset(at.X+x, at.Y)
		out.Cb[c], out.Cr[c] = cb, cr
	}
}

func fill(pix []uint8, value uint8) {
	for i := range pix {
		pix[i] = value
	}
}
