package standin

import (
	"errors"
	"math"
	"time"
)

// Latency is a distribution of how long calls take: log-normal, by its median
// and by the time that 99 of 100 calls keep to. The zero value is no time at all.
type Latency struct{ Median, P99 time.Duration }

// RealLatency returns how long the image models take, as it was seen in October
// 2026. A verdict is short: it takes as long as the quickest picture.
func RealLatency(model string) Latency {
	switch model {
	case "gemini-3-pro-image":
		return Latency{60 * time.Second, 140 * time.Second}
	case "gemini-nano-banana-2.1":
		return Latency{22 * time.Second, 40 * time.Second}
	default:
		return Latency{3 * time.Second, 6 * time.Second}
	}
}

// Validate says what is wrong with the distribution.
func (l Latency) Validate() error {
	if l.Median < 0 || l.P99 < l.Median || (l.Median == 0) != (l.P99 == 0) {
		return errors.New("latency wants a median, and a longer time that 99 of 100 keep to")
	}
	return nil
}

// of is how long one call takes; it follows from a number from 0 to below 1.
func (l Latency) of(at float64) time.Duration {
	if l.Median <= 0 {
		return 0
	}
	const z99 = 2.3263 // of the normal distribution
	sigma := math.Log(float64(l.P99)/float64(l.Median)) / z99
	// Both ends are cut off: nobody waits for ever.
	z := math.Sqrt2 * math.Erfinv(2*min(max(at, 0.001), 0.999)-1)
	return time.Duration(float64(l.Median) * math.Exp(sigma*z))
}

// Within returns a Latency option that draws from the distribution, by the seed.
func (l Latency) Within(seed uint64) func(Call) time.Duration {
	return func(c Call) time.Duration { return l.of(Storm{Seed: seed}.draw("latency", c, int(c.Index))) }
}
