package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// colorsMax bounds the colours that a prompt names (count). A palette of more
// is none, and the model follows the first few.
const colorsMax = 8

// document is a JSON object that a person wrote, with its keys in order.
type document struct {
	keys   []string
	values map[string]json.RawMessage
}

var errNoObject = errors.New("is no JSON object")

// parse reads a JSON object. An empty document is an empty object.
func parse(raw []byte) (document, error) {
	d := document{values: map[string]json.RawMessage{}}
	if len(bytes.TrimSpace(raw)) == 0 {
		return d, nil
	}
	in := json.NewDecoder(bytes.NewReader(raw))
	open, err := in.Token()
	if err != nil || open != json.Delim('{') {
		return d, errNoObject
	}
	for in.More() {
		key, err := in.Token()
		if err != nil {
			return d, errNoObject
		}
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return d, errNoObject
		}
		name := key.(string) // a key of an object is a string, by the grammar
		if _, twice := d.values[name]; !twice {
			d.keys = append(d.keys, name)
		}
		d.values[name] = value
	}
	if _, err := in.Token(); err != nil {
		return d, errNoObject
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return d, errNoObject
	}
	return d, nil
}

// without returns the document less some keys.
func (d document) without(drop func(key string) bool) document {
	rest := document{values: d.values}
	for _, key := range d.keys {
		if !drop(key) {
			rest.keys = append(rest.keys, key)
		}
	}
	return rest
}

// block writes the document as data between markers. JSON encoding turns < and >
// into escapes, so that no text inside can end its block or begin another.
func (d document) block(name string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<%s>\n", name)
	for _, key := range d.keys {
		var value bytes.Buffer
		if json.Compact(&value, d.values[key]) != nil || empty(value.String()) {
			continue
		}
		var escaped bytes.Buffer
		json.HTMLEscape(&escaped, value.Bytes())
		fmt.Fprintf(&b, "%s: %s\n", quoted(key), escaped.String())
	}
	fmt.Fprintf(&b, "</%s>\n", name)
	return b.String()
}

// empty says whether a value says nothing.
func empty(value string) bool {
	return slices.Contains([]string{`""`, "null", "[]", "{}"}, value)
}

// quoted is text as a JSON string, without < and >.
func quoted(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		return `""`
	}
	return string(encoded)
}

var hexColor = regexp.MustCompile(`"#[0-9a-fA-F]{6}"`)

// colors returns the #rrggbb values of a document in the order that they stand
// there, upper case, without repetition: those that are wanted, and those under
// a key that speaks of what is not.
func (d document) colors() (wanted, unwanted []string) {
	for _, key := range d.keys {
		collectColors(key, d.values[key], false, &wanted, &unwanted)
	}
	wanted = slices.DeleteFunc(wanted, func(c string) bool { return slices.Contains(unwanted, c) })
	return wanted[:min(len(wanted), colorsMax)], unwanted[:min(len(unwanted), colorsMax)]
}

func collectColors(key string, raw json.RawMessage, refused bool, wanted, unwanted *[]string) {
	refused = refused || speaksOfRefusal(key)
	if inner, err := parse(raw); err == nil {
		for _, k := range inner.keys {
			collectColors(k, inner.values[k], refused, wanted, unwanted)
		}
		return
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) == nil {
		for _, item := range items {
			collectColors("", item, refused, wanted, unwanted)
		}
		return
	}
	for _, match := range hexColor.FindAllString(string(raw), -1) {
		into := wanted
		if refused {
			into = unwanted
		}
		if color := strings.ToUpper(strings.Trim(match, `"`)); !slices.Contains(*into, color) {
			*into = append(*into, color)
		}
	}
}

func speaksOfRefusal(key string) bool {
	key = strings.ToLower(key)
	return slices.ContainsFunc([]string{"forbid", "never", "avoid", "banned", "dont"},
		func(word string) bool { return strings.Contains(key, word) })
}
