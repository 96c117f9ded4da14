package api

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
)

const (
	idempotencyHeader = "Idempotency-Key"
	// idempotencyKeyBytesMax is what the command's schema takes.
	idempotencyKeyBytesMax = 255
)

// attempt is a client's request for a command: whose it is, and by what a retry
// is known.
type attempt struct {
	account, correlation string
	// key is the Idempotency-Key, empty where there is none.
	key string
	// hash is the SHA-256 of the request; nil without a key.
	hash []byte
}

// attemptOf reads the key and hashes the request: method, path, and what the body
// says (its canonical form, or the fields and files of a form). conditions are
// headers that change what is asked, such as If-Match.
func attemptOf(c *fiber.Ctx, body []byte, conditions ...string) (attempt, error) {
	a := attempt{account: accountOf(c), correlation: correlationOf(c)}
	values := c.Request().Header.PeekAll(idempotencyHeader)
	if len(values) == 0 {
		return a, nil
	}
	a.key = string(values[0])
	if len(values) > 1 || !validKey(a.key) {
		return a, &refusal{code: codeMalformed, detail: "Idempotency-Key is not one text of 1 to 255 printable ASCII characters",
			fields: []FieldProblem{{Pointer: idempotencyHeader, Detail: "must be 1 to 255 printable ASCII characters"}}}
	}
	a.hash = requestHash(c.Method(), c.Path(), body, conditions)
	return a, nil
}

func validKey(key string) bool {
	return len(key) >= 1 && len(key) <= idempotencyKeyBytesMax &&
		!strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
}

// requestHash hashes the parts with their lengths, so that no two requests share
// a text.
func requestHash(method, path string, body []byte, conditions []string) []byte {
	h := sha256.New()
	for _, part := range append([]string{method, path}, conditions...) {
		writePart(h, part)
	}
	writePart(h, string(body))
	return h.Sum(nil)
}

func writePart(w io.Writer, part string) {
	_, _ = io.WriteString(w, strconv.Itoa(len(part))+":"+part) // a hash takes everything
}

// canonicalForm is what a form says, whatever its boundary and order: its fields
// and the SHA-256 of its file. The file's own name says nothing.
func canonicalForm(fields map[string]string, file []byte) []byte {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		writePart(&b, name)
		writePart(&b, fields[name])
	}
	sum := sha256.Sum256(file)
	writePart(&b, hex.EncodeToString(sum[:]))
	return []byte(b.String())
}
