package quality

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"io"
	"math"
)

// srgb asks whether the numbers in the file are sRGB. Nothing converts
// colours on the way to an export, and the profile does not go with it: under
// another one the export would have other colours. Without a profile the numbers
// are sRGB, as every platform takes them.
var srgb = Check{ID: "srgb", Version: 1, Bytes: true, Run: runSRGB}

const (
	// profileBytesMax bounds an unpacked profile: those of displays have a few
	// KB, those of printers up to some 2 MB.
	profileBytesMax = 4 << 20
	// primariesOffMax is how far a primary may be off sRGB's, in XYZ: small
	// profiles round them.
	primariesOffMax = 0.005
	// tagsMax bounds the tags that are looked at (count).
	tagsMax = 100
)

// srgbPrimaries are those of IEC 61966-2-1 as a profile has them, adapted to D50.
var srgbPrimaries = map[string][3]float64{
	"rXYZ": {0.4361, 0.2225, 0.0139}, "gXYZ": {0.3851, 0.7169, 0.0971}, "bXYZ": {0.1431, 0.0606, 0.7141},
}

func runSRGB(s Subject, _ Expectation) Finding {
	icc := iccOf(s.Data)
	if len(icc) == 0 {
		return Finding{Verdict: Pass, Evidence: "no colour profile: sRGB"}
	}
	figures := map[string]float64{"profile_bytes": float64(len(icc))}
	off, ok := primariesOff(icc)
	if !ok {
		return Finding{Verdict: Warn, Figures: figures, Evidence: "the colour profile cannot be read; the colours may be off"}
	}
	figures["primaries_off_xyz"] = rounded(off)
	if off > primariesOffMax {
		return Finding{Verdict: Block, Figures: figures, Evidence: "the colour profile is not sRGB"}
	}
	return Finding{Verdict: Pass, Figures: figures, Evidence: "the colour profile is sRGB"}
}

// iccOf is the embedded profile, empty where there is none. One that cannot be
// unpacked is a single byte, which no profile is.
func iccOf(data []byte) []byte {
	unreadable := []byte{0}
	var whole []byte
	for name, payload := range parts(data) {
		switch name {
		case "APP2": // in pieces of 64 KB, in order (ICC.1, annex B.4)
			const header = len("ICC_PROFILE\x00") + 2
			if bytes.HasPrefix(payload, []byte("ICC_PROFILE\x00")) && len(payload) > header {
				whole = append(whole, payload[header:]...)
			}
		case "iCCP": // a name, a method, and the profile deflated (RFC 2083)
			_, packed, found := bytes.Cut(payload, []byte{0})
			if !found || len(packed) < 1 {
				return unreadable
			}
			reader, err := zlib.NewReader(bytes.NewReader(packed[1:]))
			if err != nil {
				return unreadable
			}
			if whole, err = io.ReadAll(io.LimitReader(reader, profileBytesMax)); err != nil {
				return unreadable
			}
		case "ICCP":
			whole = payload
		}
		if len(whole) > profileBytesMax {
			return unreadable
		}
	}
	return whole
}

// primariesOff is how far the profile's primaries are off sRGB's at most, and
// false where it has none that can be read.
func primariesOff(icc []byte) (off float64, ok bool) {
	const header, entry = 128, 12
	if len(icc) < header+4 {
		return 0, false
	}
	found := 0
	for i := range min(int(binary.BigEndian.Uint32(icc[header:])), tagsMax) {
		at := header + 4 + i*entry
		if at+entry > len(icc) {
			return 0, false
		}
		want, primary := srgbPrimaries[string(icc[at:at+4])]
		if !primary {
			continue
		}
		got, readable := xyzAt(icc, uint64(binary.BigEndian.Uint32(icc[at+4:])))
		if !readable {
			return 0, false
		}
		found++
		for k := range want {
			off = max(off, math.Abs(got[k]-want[k]))
		}
	}
	return off, found == len(srgbPrimaries)
}

// xyzAt reads an XYZType: its name, four bytes of nothing, three s15Fixed16.
func xyzAt(icc []byte, at uint64) (xyz [3]float64, ok bool) {
	if at+20 > uint64(len(icc)) || string(icc[at:at+4]) != "XYZ " {
		return xyz, false
	}
	for k := range xyz {
		xyz[k] = float64(int32(binary.BigEndian.Uint32(icc[at+8+4*uint64(k):]))) / 65536
	}
	return xyz, true
}
