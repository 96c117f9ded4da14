package quality

import (
	"encoding/binary"
)

// animated refuses pictures that move: platforms take them as video or not at
// all, and only their first picture would be checked.
var animated = Check{ID: "animated", Version: 1, Bytes: true, Run: runAnimated}

func runAnimated(s Subject, _ Expectation) Finding {
	for name, payload := range parts(s.Data) {
		moves := false
		switch name {
		case "acTL": // the animation control of a PNG
			frames := uint32(0)
			if len(payload) >= 4 {
				frames = binary.BigEndian.Uint32(payload)
			}
			return moving(map[string]float64{"frames": float64(frames)})
		case "ANIM", "ANMF":
			moves = true
		case "VP8X": // bit 1 of the flags says that the WebP moves
			moves = len(payload) > 0 && payload[0]&0x02 != 0
		}
		if moves {
			return moving(nil)
		}
	}
	return Finding{Verdict: Pass, Evidence: "the picture stands still"}
}

func moving(figures map[string]float64) Finding {
	return Finding{Verdict: Block, Figures: figures, Evidence: "the picture is animated"}
}
