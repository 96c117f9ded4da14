package projections

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// OpenFunc opens what was sealed for an account: vault.Open. An erased account
// reads as "[erased]".
type OpenFunc func(ctx context.Context, accountID string, sealed []byte) ([]byte, error)

// opener opens sealed fields and remembers them for one batch.
type opener struct {
	open   OpenFunc
	opened map[string][]byte
}

func newOpener(open OpenFunc) *opener { return &opener{open: open, opened: map[string][]byte{}} }

// bytes returns the plain bytes of a sealed field, nil for an absent one.
func (o *opener) bytes(ctx context.Context, accountID string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	key := accountID + string(sealed)
	if plain, ok := o.opened[key]; ok {
		return plain, nil
	}
	plain, err := o.open(ctx, accountID, sealed)
	if err != nil {
		return nil, err
	}
	o.opened[key] = plain
	return plain, nil
}

// text opens a line of text; that of an erased account is "[erased]".
func (o *opener) text(ctx context.Context, accountID string, sealed []byte) (string, error) {
	plain, err := o.bytes(ctx, accountID, sealed)
	return string(plain), err
}

// document opens a JSON document; that of an erased account is null.
func (o *opener) document(ctx context.Context, accountID string, sealed []byte) (json.RawMessage, error) {
	plain, err := o.bytes(ctx, accountID, sealed)
	if err != nil || len(plain) == 0 {
		return nil, err
	}
	return document(plain), nil
}

const (
	// documentDepthMax bounds how deep a person's document is nested; jsonb's
	// parser recurses, and a kit needs about five.
	documentDepthMax = 64
	// numberBytesMax is above every number that a document needs, and below what
	// jsonb would blow up: it writes 1e100000 out in full.
	numberBytesMax = 24
)

// document returns a person's document as jsonb takes it, and null where it is
// none: what a person wrote must not stop a partition. Escapes that are valid
// JSON but no text (lone surrogates) become U+FFFD.
func document(plain []byte) json.RawMessage {
	in := json.NewDecoder(bytes.NewReader(plain))
	in.UseNumber()
	var value any
	if err := in.Decode(&value); err != nil {
		return nil
	}
	if _, err := in.Token(); err != io.EOF {
		return nil
	}
	value, ok := storable(value, documentDepthMax)
	if !ok {
		return nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil
	}
	return out.Bytes()
}

// storable shortens numbers and refuses what is nested deeper than depth.
func storable(value any, depth int) (any, bool) {
	if depth == 0 {
		return nil, false
	}
	var ok bool
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			if v[key], ok = storable(inner, depth-1); !ok {
				return nil, false
			}
		}
	case []any:
		for i, inner := range v {
			if v[i], ok = storable(inner, depth-1); !ok {
				return nil, false
			}
		}
	case json.Number:
		if len(v) > numberBytesMax || strings.ContainsAny(string(v), "eE") {
			number, err := strconv.ParseFloat(string(v), 64)
			if err != nil || math.IsInf(number, 0) {
				return nil, true
			}
			return number, true
		}
	}
	return value, true
}

// uuidText is a UUID, null where it is empty.
type uuidText string

// asUUID is text as a UUID, and none where it is no such: a map of an event may
// hold anything.
func asUUID(text string) uuidText {
	if id, err := uuid.Parse(text); err == nil {
		return uuidText(id.String())
	}
	return ""
}

// MarshalJSON implements json.Marshaler.
func (u uuidText) MarshalJSON() ([]byte, error) {
	if u == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(u))
}

// hexBytes is a bytea in Postgres' hex form, never null.
type hexBytes []byte

// MarshalJSON implements json.Marshaler.
func (h hexBytes) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2*len(h)+5)
	out = append(out, `"\\x`...)
	out = hex.AppendEncode(out, h)
	return append(out, '"'), nil
}

// errEncode is a value that has no form in JSON, such as a time after the year 9999.
var errEncode = errors.New("changes cannot be encoded")

// encode returns changes as jsonb takes them.
func encode(changes any) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(changes); err != nil {
		return "", fmt.Errorf("%w: %w", errEncode, err)
	}
	return withoutNUL(out.String()), nil
}

// withoutNUL replaces NUL, which is valid in JSON and in Avro but in no text of
// Postgres, by U+FFFD. Encoded JSON has it as an escape only.
func withoutNUL(text string) string {
	const escape = `\u0000`
	if !strings.Contains(text, escape) {
		return text
	}
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			out.WriteByte(text[i])
		case strings.HasPrefix(text[i:], escape):
			out.WriteString(`\ufffd`)
			i += len(escape) - 1
		default: // an escape of two bytes, or the first two of another \u
			out.WriteString(text[i : i+2])
			i++
		}
	}
	return out.String()
}
