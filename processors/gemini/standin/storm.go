package standin

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Storm plays faults at random, each with its share of the calls that it can
// meet. The zero value plays none. Which call meets which fault follows from the
// seed, the model, the prompt and the picture's seed, and from how often the
// very same was asked for before: a repeated run meets the same whatever order
// its calls come in, and a call that is made again may do better.
type Storm struct {
	Seed  uint64
	Rates []Rate
}

// Rate is the share of a fault, 0 to 1.
type Rate struct {
	Fault string
	Share float64
}

// Rough returns the storm that the whole is measured in: three calls in ten go
// wrong.
func Rough(seed uint64) Storm {
	return Storm{Seed: seed, Rates: []Rate{
		{FaultQuotaMinute, 0.10}, {FaultOverloaded, 0.05}, {FaultBlocked, 0.03}, {FaultWrongRatio, 0.03},
		{FaultCut, 0.02}, {FaultNoImage, 0.02}, {FaultOffPalette, 0.05},
	}}
}

// Validate says what is wrong with the rates.
func (s Storm) Validate() error {
	sum := 0.0
	for _, r := range s.Rates {
		if _, known := faultByName(r.Fault); !known {
			return fmt.Errorf("unknown fault %q", r.Fault)
		}
		if !(r.Share >= 0 && r.Share <= 1) {
			return fmt.Errorf("share of %s is %v, want 0 to 1", r.Fault, r.Share)
		}
		sum += r.Share
	}
	if sum > 1 {
		return fmt.Errorf("shares add up to %v, at most 1", sum)
	}
	return nil
}

// fault is what a call meets that was made so often before, empty for none.
func (s Storm) fault(c Call, before int) string {
	if len(s.Rates) == 0 {
		return ""
	}
	at := s.draw("fault", c, before)
	for _, r := range s.Rates {
		if at -= r.Share; at < 0 {
			if f, known := faultByName(r.Fault); known && f.meets(c.drawing()) {
				return r.Fault
			}
			return ""
		}
	}
	return ""
}

// draw is a number from 0 to below 1 that follows from a call.
func (s Storm) draw(purpose string, c Call, before int) float64 {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%s\n%s\n%d\n%d", purpose, s.Seed, c.Model, c.PromptHash, c.Seed, before)
	return float64(binary.BigEndian.Uint64(h.Sum(nil))>>11) / (1 << 53)
}
