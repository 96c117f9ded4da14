package standin

import (
	"crypto/sha256"
	"encoding/binary"
	"image"
	"math"
	"math/rand/v2"
)

// Draw makes a picture of a product on a surface before a quiet ground. Prompt
// and references choose palette and product, the seed the composition: the same
// for the same, another for another. It never draws text.
func Draw(prompt string, references [][]byte, seed int32, width, height int) *image.RGBA {
	if coarseness > 1 && width*height >= roughPixelsMin {
		return enlarge(Draw(prompt, references, seed, width/coarseness, height/coarseness), width, height)
	}
	s := compose(prompt, references, seed, width, height)
	return s.draw()
}

func (s *scene) draw() *image.RGBA {
	width, height := int(s.width), int(s.height)
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	line := make([]tint, width)
	for y := range height {
		s.ground(line, y)
		s.shadows(line, y)
		for _, b := range s.balls {
			s.ball(line, y, b)
		}
		s.object(line, y)
		s.finish(img.Pix[y*img.Stride:], line, y)
	}
	return img
}

// roughPixelsMin is from where on a picture is large (pixels): what is looked at in
// tests is smaller.
const roughPixelsMin = 1 << 19

// enlarge repeats a picture's pixels up to a larger size.
func enlarge(small *image.RGBA, width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	size, drawn := small.Rect.Size(), -1
	for y := range height {
		line, row := img.Pix[y*img.Stride:][:img.Stride], y*size.Y/height
		if row == drawn {
			copy(line, img.Pix[(y-1)*img.Stride:])
			continue
		}
		drawn = row
		for x := range width {
			copy(line[4*x:4*x+4], small.Pix[row*small.Stride+x*size.X/width*4:])
		}
	}
	return img
}

// scene is a composition, all of it in pixels.
type scene struct {
	width, height float64
	palette       palette
	light         float64 // -1: from the left, 1: from the right
	horizon       float64
	product       solid
	// x is the product's middle, top and foot its height's ends.
	x, top, foot float64
	mirrored     bool
	shape        backdrop
	balls        []ball
	grain        uint64
}

// backdrop is the one large quiet shape of the ground.
type backdrop struct {
	kind       int // 0 disc, 1 arc, 2 plane
	x, y, size float64
	share      float64
}

// ball is a prop: a sphere on the surface.
type ball struct {
	x, y, radius float64
	paint        tint
}

func hashOf(prompt string, references [][]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(prompt))
	for _, r := range references {
		sum := sha256.Sum256(r)
		h.Write(sum[:])
	}
	return [32]byte(h.Sum(nil))
}

func compose(prompt string, references [][]byte, seed int32, width, height int) scene {
	hash := hashOf(prompt, references)
	subject := binary.BigEndian.Uint64(hash[:])
	random := rand.New(rand.NewPCG(subject, uint64(uint32(seed))+binary.BigEndian.Uint64(hash[8:])))
	s := scene{
		width: float64(width), height: float64(height),
		palette: paletteOf(prompt, rand.New(rand.NewPCG(subject, 1))),
		product: chosenSolid(prompt, binary.BigEndian.Uint64(hash[16:])),
		light:   []float64{-1, 1}[random.IntN(2)],
		grain:   random.Uint64() | 1,
	}
	s.mirrored = random.IntN(2) == 1
	s.horizon = s.height * (0.62 + 0.08*random.Float64())
	s.place(random)
	s.decorate(random)
	return s
}

// place puts the product on a third in landscape, and to the middle else; in
// tall pictures it stands higher, where no platform puts its buttons.
func (s *scene) place(random *rand.Rand) {
	wide := s.width / s.height
	head, offset := 0.16, 0.05*(random.Float64()-0.5)
	var share float64
	switch {
	case wide > 1.2:
		head, share = 0.12, []float64{0.35, 0.65}[random.IntN(2)]-0.5
	case wide > 0.7:
		share = 0.08 * (random.Float64() - 0.5)
	default:
		head, share = 0.22, 0
		s.horizon = s.height * (0.6 + 0.03*random.Float64())
	}
	s.x = s.width * (0.5 + share + offset)
	s.foot = s.horizon + (s.height-s.horizon)*(0.22+0.14*random.Float64())
	if wide <= 0.7 {
		s.foot = s.height * 0.66
	}
	tall := (s.foot - s.height*head) * s.product.height * (0.9 + 0.1*random.Float64())
	// It must not be wider than its part of the picture.
	tall = min(tall, 0.4*s.width/s.product.reach)
	s.top = s.foot - tall
}

func (s *scene) decorate(random *rand.Rand) {
	small := min(s.width, s.height)
	s.shape = backdrop{
		kind: random.IntN(3), share: 0.13 + 0.06*random.Float64(),
		x: s.x + s.width*0.3*(random.Float64()-0.5), y: s.horizon * (0.42 + 0.3*random.Float64()),
		size: small * (0.36 + 0.14*random.Float64()),
	}
	tall := s.foot - s.top
	side := []float64{-1, 1}[random.IntN(2)]
	for i := range 1 + random.IntN(2) {
		radius := small * (0.035 + 0.04*random.Float64())
		far := s.product.foot*tall + radius*(1.15+0.8*random.Float64())
		y := s.foot + small*(0.015+0.05*random.Float64())
		s.balls = append(s.balls, ball{x: s.x + side*far, y: y - radius, radius: radius, paint: s.palette.props[i%len(s.palette.props)]})
		side = -side
	}
}

// ground paints a line of wall and surface.
func (s *scene) ground(line []tint, row int) {
	y := float64(row)
	below := smooth(s.horizon-0.012*s.height, s.horizon+0.012*s.height, y)
	depth := clamp((y-s.horizon)/(s.height-s.horizon), 0, 1)
	floor := s.palette.surface.mix(s.palette.near, 0.25*(1-depth)).times(1.03 - 0.2*depth)
	for column := range line {
		x := float64(column)
		across := x / s.width
		if s.light > 0 {
			across = 1 - across
		}
		fall := clamp(0.62*across+0.5*y/s.height, 0, 1)
		wall := s.palette.near.mix(s.palette.far, smooth(0, 1, fall)).times(1.06 - 0.16*fall)
		if lift := s.shape.at(x, y); lift > 0 {
			wall = wall.mix(white, lift*s.shape.share)
		}
		line[column] = wall
		if below > 0 {
			line[column] = wall.mix(floor.times(1.04-0.12*across), below)
		}
	}
}

// at is how much of the backdrop lies on a place, 0 to 1.
func (b backdrop) at(x, y float64) float64 {
	switch b.kind {
	case 0:
		return edge(b.size-hypot(x-b.x, y-b.y), 1.5)
	case 1:
		return edge(0.16*b.size-math.Abs(hypot(x-b.x, y-b.y*1.15)-b.size), 1.5)
	default:
		return edge((x-b.x)*0.82+(y-b.y)*0.57, 1.5) * 0.8
	}
}

// shadows darkens a line of the surface: a soft cast shadow away from the
// light, and a dark one where things touch the ground.
func (s *scene) shadows(line []tint, row int) {
	y := float64(row)
	tall := s.foot - s.top
	foot, seat := s.product.foot*tall, s.top+s.product.seat*tall
	flat := 0.03*tall + 0.6*(s.foot-seat)
	s.shadow(line, y, s.x-s.light*0.42*tall, seat-0.01*tall, foot+0.42*tall, 2.2*flat, 0.26)
	s.shadow(line, y, s.x-s.light*0.03*tall, seat, foot*1.12, flat, 0.5)
	for _, b := range s.balls {
		s.shadow(line, y, b.x-s.light*0.7*b.radius, b.y+b.radius*0.97, b.radius*1.5, b.radius*0.24, 0.28)
		s.shadow(line, y, b.x, b.y+b.radius*0.97, b.radius*0.75, b.radius*0.13, 0.45)
	}
}

func (s *scene) shadow(line []tint, y, x, middle, wide, high, depth float64) {
	dy := (y - middle) / high
	if dy*dy > 4 || y < s.horizon {
		return
	}
	for column := max(0, int(x-2*wide)); column < min(len(line), int(x+2*wide)); column++ {
		dx := (float64(column) - x) / wide
		if d := dx*dx*dx*dx + dy*dy; d < 4 {
			line[column] = line[column].mix(s.palette.far.mix(black, 0.8), depth*math.Exp(-1.6*d))
		}
	}
}

// object paints a line of the product.
func (s *scene) object(line []tint, row int) {
	tall := s.foot - s.top
	v := (float64(row) + 0.5 - s.top) / tall
	if v < -s.product.above || v > 1.02 {
		return
	}
	reach := s.product.reach * tall
	for column := max(0, int(s.x-reach)); column < min(len(line), int(s.x+reach)+1); column++ {
		u := (float64(column) + 0.5 - s.x) / tall
		if s.mirrored {
			u = -u
		}
		p := s.product.at(s.palette, u, v, 1/tall)
		if p.cover <= 0 {
			continue
		}
		if s.mirrored {
			p.nx = -p.nx
		}
		line[column] = line[column].mix(s.lit(p, v), p.cover)
	}
}

// ball paints a line of a sphere.
func (s *scene) ball(line []tint, row int, b ball) {
	y := float64(row) + 0.5 - b.y
	if math.Abs(y) > b.radius+1 {
		return
	}
	for column := max(0, int(b.x-b.radius-1)); column < min(len(line), int(b.x+b.radius+2)); column++ {
		x := float64(column) + 0.5 - b.x
		cover := edge(b.radius-hypot(x, y), 1)
		if cover <= 0 {
			continue
		}
		nx, ny := clamp(x/b.radius, -1, 1), clamp(y/b.radius, -1, 1)
		p := point{cover: cover, nx: nx, ny: ny, nz: math.Sqrt(max(0, 1-nx*nx-ny*ny)), paint: b.paint, gloss: 0.25}
		line[column] = line[column].mix(s.lit(p, 0.5+0.5*ny), cover)
	}
}

// ramp is how light falls off over a surface, in steps as a painter would set
// them: light, half tone, core shadow, and what the ground throws back.
var ramp = [][2]float64{{-1, 0.5}, {-0.35, 0.42}, {-0.05, 0.4}, {0.25, 0.62}, {0.55, 0.9}, {0.85, 1.06}, {1, 1.12}}

func toned(t float64) float64 {
	for i := 1; i < len(ramp); i++ {
		a, b := ramp[i-1], ramp[i]
		if t <= b[0] {
			return a[1] + (b[1]-a[1])*(t-a[0])/(b[0]-a[0])
		}
	}
	return ramp[len(ramp)-1][1]
}

// lit shades a point: tone, a highlight where the light is mirrored, a rim on
// the far edge, and some darkness towards the ground.
func (s *scene) lit(p point, v float64) tint {
	lx, ly, lz := 0.6*s.light, -0.52, 0.61
	t := p.nx*lx + p.ny*ly + p.nz*lz
	color := p.paint.times(toned(t)).mix(s.palette.far, 0.05)
	if tone := toned(t); tone > 1 {
		color = color.mix(white, 0.5*(tone-1))
	}
	// Half way between the light and the viewer.
	hx, hy, hz := 0.335*s.light, -0.29, 0.897
	if mirror := p.nx*hx + p.ny*hy + p.nz*hz; p.gloss > 0 && mirror > 0.8 {
		strength := (mirror - 0.8) / 0.2
		color = color.mix(white, p.gloss*0.75*strength*strength*strength*strength)
	}
	if far := -p.nx * s.light; far > 0.8 && p.nz < 0.6 {
		color = color.mix(white, 0.9*(far-0.8))
	}
	return color.times(1 - 0.12*smooth(0.75, 1, v))
}

// finish darkens the corners, adds grain and writes the bytes.
func (s *scene) finish(out []uint8, line []tint, row int) {
	dy := 2*float64(row)/s.height - 1
	noise := s.grain ^ uint64(row+1)*0x9E3779B97F4A7C15
	for column, c := range line {
		noise ^= noise << 13
		noise ^= noise >> 7
		noise ^= noise << 17
		dx := 2*float64(column)/s.width - 1
		shade := 1 - 0.07*(dx*dx+dy*dy)*(dx*dx+dy*dy)*0.6
		grain := (float64(noise&1023) + float64(noise>>10&1023) - 1023) / 1023 * 0.02
		at := out[4*column : 4*column+4 : 4*column+4]
		at[0], at[1], at[2], at[3] = level(c.r*shade+grain), level(c.g*shade+grain), level(c.b*shade+grain), 255
	}
}

func level(x float64) uint8 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 255
	default:
		return uint8(x*255 + 0.5)
	}
}
