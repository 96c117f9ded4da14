package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
)

// TrainedAlgorithmicMedia is the digital source type of a picture that a model
// made: IPTC NewsCodes, https://cv.iptc.org/newscodes/digitalsourcetype/. The
// EU's AI Act, article 50, wants such a mark that machines can read.
const TrainedAlgorithmicMedia = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"

// xmpNamespace opens the APP1 segment that holds XMP (XMP specification, part 3,
// section 1.1.3).
const xmpNamespace = "http://ns.adobe.com/xap/1.0/\x00"

const xmpTrained = `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>` +
	`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
	`<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" ` +
	`Iptc4xmpExt:DigitalSourceType="` + TrainedAlgorithmicMedia + `"/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>`

var errNoJPEG = errors.New("bytes are no jpeg")

// tagTrained writes the digital source type into a JPEG without one: an APP1
// segment behind SOI and the APP0 of JFIF, where readers look for it. The pixels
// stay as they are.
func tagTrained(data []byte) ([]byte, error) {
	if Sniff(data) != JPEG {
		return nil, fmt.Errorf("tag source type: %w", errNoJPEG)
	}
	at := 2
	if list := segments(data); len(list) > 0 && list[0].marker == markerAPP0 {
		at = list[0].end
	}
	payload := len(xmpNamespace) + len(xmpTrained)
	app1 := make([]byte, 0, 4+payload)
	app1 = append(app1, 0xff, markerAPP1)
	app1 = binary.BigEndian.AppendUint16(app1, uint16(2+payload))
	app1 = append(app1, xmpNamespace...)
	app1 = append(app1, xmpTrained...)
	return slices.Concat(data[:at], app1, data[at:]), nil
}

var sourceType = regexp.MustCompile(`DigitalSourceType(?:="([^"]{1,200})"|>([^<]{1,200})<)`)

// DigitalSourceType reads the IPTC digital source type from a JPEG's XMP. It is
// empty where the picture names none.
func DigitalSourceType(data []byte) string {
	if Sniff(data) != JPEG {
		return ""
	}
	for _, s := range segments(data) {
		if s.marker != markerAPP1 || !bytes.HasPrefix(s.payload, []byte(xmpNamespace)) {
			continue
		}
		if m := sourceType.FindSubmatch(s.payload); m != nil {
			return string(m[1]) + string(m[2])
		}
	}
	return ""
}
