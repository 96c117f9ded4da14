package standin

import (
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// paletteMax bounds the colours that are read from a prompt (count).
const paletteMax = 6

// tint is a colour in sRGB, 0 to 1 each.
type tint struct{ r, g, b float64 }

var (
	white = tint{0.98, 0.975, 0.965}
	black = tint{0.09, 0.09, 0.10}
)

// fallbacks are palettes for prompts that name no colours: ground, its
// neighbour, and what stands on it.
var fallbacks = [][]tint{
	{rgb(0xE8D9C5), rgb(0xD4B896), rgb(0x7A4B2B), rgb(0x2F4F4A)},
	{rgb(0xCFE3E2), rgb(0x9CC5C9), rgb(0x1F5F6B), rgb(0xF2A65A)},
	{rgb(0xF3D5CE), rgb(0xE3A79B), rgb(0x8C2F39), rgb(0xF7EDE2)},
	{rgb(0xDDE5D0), rgb(0xA9BF92), rgb(0x35523A), rgb(0xE0A458)},
	{rgb(0x2A3550), rgb(0x41507A), rgb(0xE9C46A), rgb(0xE76F51)},
	{rgb(0xE6DDF0), rgb(0xB9A5D3), rgb(0x4B3B78), rgb(0xF4D06F)},
	{rgb(0xF6E7B4), rgb(0xEFC75E), rgb(0x3A5A78), rgb(0xD1495B)},
	{rgb(0xD9DEE3), rgb(0xAEB8C2), rgb(0x22303C), rgb(0xE4572E)},
}

func rgb(hex uint32) tint {
	return tint{float64(hex>>16&255) / 255, float64(hex>>8&255) / 255, float64(hex&255) / 255}
}

var hexColor = regexp.MustCompile(`#([0-9a-fA-F]{6})\b`)

// unwanted finds the lines that name colours which must not appear.
var unwanted = regexp.MustCompile(`(?i)must not|never|avoid|forbid|free of|without`)

// colorsOf reads the #rrggbb values of a prompt in their order, without those
// that it refuses anywhere.
func colorsOf(prompt string) []tint {
	refused := map[string]bool{}
	for line := range strings.Lines(prompt) {
		if unwanted.MatchString(line) {
			for _, m := range hexColor.FindAllStringSubmatch(line, -1) {
				refused[strings.ToLower(m[1])] = true
			}
		}
	}
	var found []tint
	seen := map[string]bool{}
	for _, m := range hexColor.FindAllStringSubmatch(prompt, -1) {
		hex := strings.ToLower(m[1])
		if refused[hex] || seen[hex] || len(found) == paletteMax {
			continue
		}
		seen[hex] = true
		value, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			continue
		}
		found = append(found, rgb(uint32(value)))
	}
	return found
}

// palette is what a scene is painted with.
type palette struct {
	near, far tint   // the ground, lit side and other side
	surface   tint   // what the product stands on
	product   tint   // its body
	detail    tint   // its cap, label or sole
	props     []tint // what lies beside it
}

// paletteOf makes a palette of the prompt's colours: two neighbours for the
// ground, the one that stands out most for the product.
func paletteOf(prompt string, random *rand.Rand) palette {
	colors := colorsOf(prompt)
	if len(colors) == 0 {
		colors = slices.Clone(fallbacks[random.IntN(len(fallbacks))])
	}
	lead := colors[0]
	rest := slices.Clone(colors[1:])
	neighbour := lead.mix(lead.opposite(), 0.22)
	if len(rest) > 0 {
		slices.SortStableFunc(rest, func(a, b tint) int { return compare(a.distance(lead), b.distance(lead)) })
		if rest[0].distance(lead) < 0.55 {
			neighbour, rest = rest[0], rest[1:]
		}
	}
	p := palette{near: lead.mix(white, 0.22), far: neighbour.mix(lead, 0.25), surface: neighbour.mix(white, 0.12)}
	candidates := append(slices.Clone(rest), white, lead.opposite(), black)
	ground := p.near.mix(p.far, 0.5)
	slices.SortStableFunc(candidates, func(a, b tint) int { return compare(b.standsOut(ground), a.standsOut(ground)) })
	if len(rest) > 0 && rest[len(rest)-1].standsOut(ground) > 0.25 {
		p.product = rest[len(rest)-1]
	} else {
		p.product = candidates[0]
	}
	p.detail = white
	if p.product.distance(white) < 0.45 {
		p.detail = lead.mix(black, 0.15)
	}
	p.props = append(rest, lead.mix(white, 0.35), neighbour.mix(black, 0.25))
	return p
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func (t tint) mix(o tint, share float64) tint {
	return tint{t.r + (o.r-t.r)*share, t.g + (o.g-t.g)*share, t.b + (o.b-t.b)*share}
}

func (t tint) times(f float64) tint { return tint{t.r * f, t.g * f, t.b * f} }

func (t tint) light() float64 { return 0.2126*t.r + 0.7152*t.g + 0.0722*t.b }

func (t tint) distance(o tint) float64 {
	return math.Sqrt((t.r-o.r)*(t.r-o.r) + (t.g-o.g)*(t.g-o.g) + (t.b-o.b)*(t.b-o.b))
}

// standsOut weighs difference in light above difference in hue.
func (t tint) standsOut(o tint) float64 { return math.Abs(t.light()-o.light()) + 0.4*t.distance(o) }

// opposite is dark for a light colour and light for a dark one, of its hue.
func (t tint) opposite() tint {
	if t.light() > 0.5 {
		return t.mix(black, 0.72)
	}
	return t.mix(white, 0.78)
}
