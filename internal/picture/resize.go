package picture

import "math/bits"

// Weights are fixed-point numbers and everything here is integer, so that a
// picture has the same bytes on every CPU: floats do not, because some fuse a
// multiplication with an addition and round once.
const (
	weightBits = 14
	weightOne  = 1 << weightBits
	// midBits are kept behind the point between the two passes. A sum of samples of
	// 8 bits with all of these fits 32 bits, for weights whose sizes add up to four.
	midBits = 6
)

// Two samples are multiplied at once: a pair is low + high<<32, and so is the sum of
// pairs by the same weights, as long as each half fits 32 bits. It halves the time.
const (
	both     = 1<<32 + 1
	highHalf = 1 << 31 // rounds the high half to what it was before low was added
)

// rows yields row y of a plane, which is not to be changed and is good until the
// next call. It is asked for rising rows.
type rows func(y int) []uint8

// plane is a rectangle of samples of 8 bits: one component, or several side by
// side (step of them in a pixel).
type plane struct {
	pix           []uint8
	stride, step  int
	width, height int
}

func (p plane) row(y int) []uint8 { return p.pix[y*p.stride:][:p.width*p.step] }

// axis says what each sample of the result is made of, along one side: taps
// of the source's from samples, starts[i] the first, by weights[i*taps:], whose sum
// is weightOne.
type axis struct {
	from, taps int
	starts     []int
	weights    []int64
}

// span places the samples of a result on those of its source, along one side:
// the middle of the n-th lies (at + n*by)/of source samples behind the source's
// first edge. Chroma sits in the middle of the luma that it covers (JFIF 1.02),
// so a plane of half the samples has a span of its own and not half the other's.
type span struct{ at, by, of int64 }

// newAxis weighs by Catmull-Rom (Keys 1981, a = -1/2), stretched where samples
// become fewer, so that what is too fine to be shown is averaged instead of
// aliased. What lies outside the source does not count.
func newAxis(count, from int, s span) axis {
	const half = 1 << 15 // of a sample; positions have 16 bits behind the point
	wide := max(s.by, s.of)
	a := axis{from: from, taps: min(from, int((4*wide+s.of-1)/s.of))}
	a.starts, a.weights = make([]int, count), make([]int64, count*a.taps)
	raw := make([]int64, a.taps)
	for n := range count {
		middle := (s.at+int64(n)*s.by)<<16/s.of - half
		first := int((middle-(2*wide<<16)/s.of)>>16) + 1
		first = max(0, min(first, from-a.taps))
		var sum int64
		for k := range raw {
			distance := int64(first+k)<<16 - middle
			raw[k] = catmullRom(max(distance, -distance) * s.of / wide)
			sum += raw[k]
		}
		a.starts[n] = first
		normalise(a.weights[n*a.taps:][:a.taps], raw, sum)
	}
	return a
}

// normalise rounds weights so that their sum is exactly one: the largest takes
// what rounding leaves.
func normalise(weights, raw []int64, sum int64) {
	left, largest := int64(weightOne), 0
	for k, r := range raw {
		w := (2*r*weightOne + sum) / (2 * sum)
		weights[k] = w
		left -= w
		if r > raw[largest] {
			largest = k
		}
	}
	weights[largest] += left
}

// catmullRom is the kernel at a distance of t samples, t and value with 16 bits
// behind the point.
func catmullRom(t int64) int64 {
	const one = 1 << 16
	t2 := t * t >> 16
	t3 := t2 * t >> 16
	switch {
	case t < one:
		return (3*t3 - 5*t2 + 2*one) / 2
	case t < 2*one:
		return (-t3 + 5*t2 - 8*t + 4*one) / 2
	default:
		return 0
	}
}

// resize writes a plane from the rows of its source, across and then down. Only
// as many rows are kept as one row of the result is made of, so that it may be
// written over its own source where no side grows.
func resize(to plane, read rows, across, down axis) {
	width := to.width * to.step
	pairs := (width + 1) / 2
	kept, ordered := make([][]int64, down.taps+1), make([][]int64, down.taps)
	all := make([]int64, len(kept)*pairs)
	for k := range kept {
		kept[k] = all[k*pairs:][:pairs:pairs]
	}
	source, resized, sums := make([]int64, across.from*to.step), make([]int64, 2*pairs), make([]int64, pairs)
	next := 0
	for y := range to.height {
		first := down.starts[y]
		for next = max(next, first); next < first+down.taps; next += 2 {
			for x, v := range read(next) {
				source[x] = int64(v)
			}
			if next+1 < down.from {
				for x, v := range read(next + 1) {
					source[x] |= int64(v) << 32
				}
			}
			across.apply(resized[:width], source, to.step)
			split(kept[next%len(kept)], kept[(next+1)%len(kept)], resized)
		}
		for k := range ordered {
			ordered[k] = kept[(first+k)%len(kept)]
		}
		mix(to.row(y), ordered, down.weights[y*down.taps:][:down.taps], sums)
	}
}

const (
	midShift = weightBits - midBits
	midRound = 1 << (midShift - 1) * both
	outShift = weightBits + midBits
	outRound = 1 << (outShift - 1) * both
)

// apply resizes two rows, which are the halves of the pairs, of pixels of step
// samples.
func (a axis) apply(to, from []int64, step int) {
	switch {
	case step > 1:
		a.interleaved(to, from, step)
	case a.taps == 6:
		a.six(to, from)
	default:
		for i := range to {
			weights := a.weights[i*a.taps:][:a.taps]
			samples := from[a.starts[i]:][:len(weights)]
			sum := int64(midRound)
			for ; len(weights) >= 2 && len(samples) >= 2; weights, samples = weights[2:], samples[2:] {
				sum += weights[0]*samples[0] + weights[1]*samples[1]
			}
			if len(weights) == 1 {
				sum += weights[0] * samples[0]
			}
			to[i] = sum
		}
	}
}

// six is for six taps, which the largest export of a picture of 2K has.
func (a axis) six(to, from []int64) {
	starts, weights := a.starts[:len(to)], a.weights
	for i := range to {
		w, s := (*[6]int64)(weights), (*[6]int64)(from[starts[i]:])
		to[i] = midRound + w[0]*s[0] + w[1]*s[1] + w[2]*s[2] + w[3]*s[3] + w[4]*s[4] + w[5]*s[5]
		weights = weights[6:]
	}
}

func (a axis) interleaved(to, from []int64, step int) {
	for i := range len(to) / step {
		weights := a.weights[i*a.taps:][:a.taps]
		for c := range step {
			at := a.starts[i]*step + c
			sum := int64(midRound)
			for _, w := range weights {
				sum += w * from[at]
				at += step
			}
			to[i*step+c] = sum
		}
	}
}

// split makes rows of neighbours from what holds two rows in its halves.
func split(upper, lower, from []int64) {
	upper, lower = upper[:len(from)/2], lower[:len(from)/2]
	for i := range upper {
		left, right := from[2*i], from[2*i+1]
		upper[i] = int64(int32(left)>>midShift) + int64(int32(right)>>midShift)<<32
		lower[i] = (left+highHalf)>>(32+midShift) + (right+highHalf)>>(32+midShift)<<32
	}
}

// mix makes a row of as many as there are weights.
func mix(to []uint8, rows [][]int64, weights, sums []int64) {
	if len(weights) == 6 {
		mixSix(sums, rows, weights)
	} else {
		mixAny(sums, rows, weights)
	}
	for i, sum := range sums[:len(to)/2] {
		to[2*i] = clamped(int32(sum) >> outShift)
		to[2*i+1] = clamped(int32((sum + highHalf) >> (32 + outShift)))
	}
	if len(to)%2 == 1 {
		to[len(to)-1] = clamped(int32(sums[len(to)/2]) >> outShift)
	}
}

func mixAny(sums []int64, rows [][]int64, weights []int64) {
	for i := range sums {
		sums[i] = outRound
	}
	for ; len(weights) > 1; rows, weights = rows[2:], weights[2:] {
		a, b := rows[0][:len(sums)], rows[1][:len(sums)]
		for i := range sums {
			sums[i] += weights[0]*a[i] + weights[1]*b[i]
		}
	}
	if len(weights) == 1 {
		for i, v := range rows[0][:len(sums)] {
			sums[i] += weights[0] * v
		}
	}
}

func mixSix(sums []int64, rows [][]int64, weights []int64) {
	n := len(sums)
	r0, r1, r2, r3, r4, r5 := rows[0][:n], rows[1][:n], rows[2][:n], rows[3][:n], rows[4][:n], rows[5][:n]
	w0, w1, w2, w3, w4, w5 := weights[0], weights[1], weights[2], weights[3], weights[4], weights[5]
	for i := range sums {
		sums[i] = outRound + w0*r0[i] + w1*r1[i] + w2*r2[i] + w3*r3[i] + w4*r4[i] + w5*r5[i]
	}
}

func clamped(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}

// boxOf is the power of two by which a side is averaged before it is resized: so
// much that four to eight samples are left for each of the result, where it shows no
// difference. It bounds the taps to 32, however long the side.
func boxOf(from, to int) int {
	return 1 << max(0, bits.Len(uint(from/(4*to)))-1)
}

// boxed averages blocks of wide x high pixels. The last column and row stand on
// what there is.
func boxed(from plane, read rows, wide, high int) (plane, rows) {
	if wide == 1 && high == 1 {
		return from, read
	}
	out := plane{step: from.step, width: (from.width + wide - 1) / wide, height: (from.height + high - 1) / high}
	row, sums := make([]uint8, out.width*out.step), make([]uint32, out.width*out.step)
	return out, func(y int) []uint8 {
		clear(sums)
		last := min(from.height, (y+1)*high)
		for line := y * high; line < last; line++ {
			sumBlocks(sums, read(line), from.step, wide)
		}
		deep := uint32(last - y*high)
		average(row[:len(row)-out.step], sums, deep*uint32(wide))
		rest := uint32(from.width - (out.width-1)*wide)
		average(row[len(row)-out.step:], sums[len(sums)-out.step:], deep*rest)
		return row
	}
}

// sumBlocks adds a row to the sums of its blocks.
func sumBlocks(sums []uint32, from []uint8, step, wide int) {
	if step == 1 && wide == 2 {
		for i := range len(from) / 2 {
			sums[i] += uint32(from[2*i]) + uint32(from[2*i+1])
		}
		if len(from)%2 == 1 {
			sums[len(from)/2] += uint32(from[len(from)-1])
		}
		return
	}
	for x := 0; x*step < len(from); x++ {
		into := sums[x/wide*step:][:step]
		for c, v := range from[x*step:][:step] {
			into[c] += uint32(v)
		}
	}
}

func average(to []uint8, sums []uint32, count uint32) {
	if count&(count-1) == 0 {
		shift := bits.TrailingZeros32(count)
		for i := range to {
			to[i] = uint8((sums[i] + count/2) >> shift)
		}
		return
	}
	for i := range to {
		to[i] = uint8((sums[i] + count/2) / count)
	}
}
