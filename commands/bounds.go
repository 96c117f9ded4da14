package commands

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"atelier/schemas"
)

// Bounds of what commands carry. Those of the schemas' docs are repeated here;
// the others are chosen so that the largest event, a GenerationSucceeded with
// every field full, stays below 320 KB: no record may outgrow the codec's 512 KiB.
const (
	// sealedBytesMore is how much longer a sealed text may be than a plain one;
	// today's format adds 29 bytes.
	sealedBytesMore = 64

	kitBytesMax      = 16 << 10
	briefBytesMax    = 8 << 10
	feedbackBytesMax = 2 << 10
	campaignBytesMax = 100
	nameBytesMax     = 200
	emailBytesMax    = 320 // RFC 3696: 64 + @ + 255

	idempotencyKeyBytesMax = 255
	actorIDBytesMax        = 64
	actorViaBytesMax       = 32
	reasonBytesMax         = 200
	codeBytesMax           = 64
	labelBytesMax          = 200 // models, templates, checks
	mediaKeyBytesMax       = 512

	referencesMax      = 14
	paramsMax          = 16
	paramKeyBytesMax   = 64
	paramValueBytesMax = 500

	attemptsMax        = 3
	verdictsMax        = 64 // of one attempt: the checks, and the judge with 40 rules of a brand
	evidenceBytesMax   = 500
	figuresMax         = 8 // of one verdict
	figureNameBytesMax = 64
	questionBytesMax   = 250

	mediaBytesMax = 256 << 20
	sidePixelsMax = 32_768

	// costMicrosMax bounds what one generation can have cost upstream: US$1,000.
	// No call costs that; a sum of such over a day still fits 64 bits.
	costMicrosMax = 1_000_000_000
	// versionMax bounds versions, which are 32-bit on the wire.
	versionMax = math.MaxInt32
)

var (
	mimeTypes = []string{"image/jpeg", "image/png", "image/webp"}
	kinds     = []string{"logo", "product", "reference"}
	verdicts  = []string{"pass", "warn", "retry", "block"}
	answers   = []string{"", "yes", "no", "unsure"}
)

// bounds checks the fields of one command, and keeps the first that is out of its
// bounds. What it lets through, every reader of the events can store: text is
// valid UTF-8 without NUL, which Postgres refuses, and numbers are finite.
type bounds struct{ broken string }

func (b *bounds) refuse(format string, args ...any) {
	if b.broken == "" {
		b.broken = fmt.Sprintf(format, args...)
	}
}

// err is nil, or the rejection that names the field.
func (b *bounds) err() error {
	if b.broken == "" {
		return nil
	}
	return reject(ErrInvalid, b.broken)
}

func (b *bounds) id(field, s string) {
	if !isID(s) {
		b.refuse("%s is no UUID in lower case", field)
	}
}

// text checks the length (bytes) and that every reader can store it.
func (b *bounds) text(field, s string, bytesMin, bytesMax int) {
	switch {
	case len(s) < bytesMin || len(s) > bytesMax:
		b.refuse("%s has %d bytes, not %d to %d", field, len(s), bytesMin, bytesMax)
	case !storable(s):
		b.refuse("%s is no valid UTF-8 without NUL", field)
	}
}

// sealed checks the length of a text that only its sealed form is known of.
func (b *bounds) sealed(field string, sealed []byte, plainBytesMax int) {
	if len(sealed) > plainBytesMax+sealedBytesMore {
		b.refuse("%s has %d bytes sealed, at most %d", field, len(sealed), plainBytesMax+sealedBytesMore)
	}
}

// exactly checks the length of a hash, bytes.
func (b *bounds) exactly(field string, hash []byte, bytes int) {
	if len(hash) != bytes {
		b.refuse("%s has %d bytes, not %d", field, len(hash), bytes)
	}
}

func (b *bounds) between(field string, n, least, most int64) {
	if n < least || n > most {
		b.refuse("%s is %d, not %d to %d", field, n, least, most)
	}
}

func (b *bounds) oneOf(field, s string, known []string) {
	if !slices.Contains(known, s) {
		b.refuse("%s is not one of %s", field, strings.Join(known, ", "))
	}
}

func (b *bounds) media(m *schemas.Media) {
	b.text("media.key", m.Key, 1, mediaKeyBytesMax)
	b.exactly("media.sha256", m.SHA256, 32)
	b.between("media.bytes", m.Bytes, 1, mediaBytesMax)
	b.between("media.width", int64(m.Width), 1, sidePixelsMax)
	b.between("media.height", int64(m.Height), 1, sidePixelsMax)
	b.oneOf("media.mime_type", m.MIMEType, mimeTypes)
}

func (b *bounds) attempts(attempts []schemas.Attempt) {
	b.between("count of attempts", int64(len(attempts)), 0, attemptsMax)
	for i := range attempts {
		a := &attempts[i]
		b.between("attempts.number", int64(a.Number), 1, attemptsMax)
		b.text("attempts.model", a.Model, 0, labelBytesMax)
		b.text("attempts.outcome", a.Outcome, 0, codeBytesMax)
		b.between("attempts.cost_micros", a.CostMicros, 0, costMicrosMax)
		b.between("count of attempts.verdicts", int64(len(a.Verdicts)), 0, verdictsMax)
		for j := range a.Verdicts {
			b.verdict(&a.Verdicts[j])
		}
	}
}

func (b *bounds) verdict(v *schemas.Verdict) {
	b.text("attempts.verdicts.check", v.Check, 1, labelBytesMax)
	b.between("attempts.verdicts.version", int64(v.Version), 1, versionMax)
	b.oneOf("attempts.verdicts.verdict", v.Verdict, verdicts)
	b.text("attempts.verdicts.evidence", v.Evidence, 0, evidenceBytesMax)
	b.text("attempts.verdicts.question", v.Question, 0, questionBytesMax)
	b.oneOf("attempts.verdicts.answer", v.Answer, answers)
	b.between("count of attempts.verdicts.figures", int64(len(v.Figures)), 0, figuresMax)
	for name, figure := range v.Figures {
		// One text for all of them: which comes first is up to the map.
		if len(name) > figureNameBytesMax || !storable(name) || math.IsNaN(figure) || math.IsInf(figure, 0) {
			b.refuse("attempts.verdicts.figures has a name over %d bytes, or a figure that is not finite", figureNameBytesMax)
		}
	}
}

// isID says whether s is a UUID in its usual form, lower case. One form only, so
// that IDs can be compared as text everywhere.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// cut returns at most bytesMax bytes of s, as text that every reader can store.
func cut(s string, bytesMax int) string {
	if len(s) <= bytesMax && storable(s) {
		return s
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) <= bytesMax {
		return s
	}
	end := bytesMax
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
