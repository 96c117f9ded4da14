package standin

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schema is a JSON Schema as it was sent, or the API's own form of one.
type schema map[string]any

const (
	// schemaDepthMax bounds what is filled: references may go in circles.
	schemaDepthMax = 16
	// itemsMax bounds an array that says no bound of its own (count).
	itemsMax = 64
)

// schemaOf picks the schema of a request; nil where it is not usable.
func schemaOf(own, plain any) schema {
	if plain == nil {
		plain = own
	}
	s, _ := plain.(map[string]any)
	if s["type"] == nil && s["anyOf"] == nil && s["$ref"] == nil && s["enum"] == nil && s["properties"] == nil {
		return nil
	}
	return s
}

// wordsOf is what a text model answers.
func wordsOf(t task, fault string) (parts []any, reason string) {
	if reason, ok := withheldReasons[fault]; ok {
		return nil, reason
	}
	text := "I looked at the picture and all seems fine."
	if t.json && fault != FaultNotJSON {
		text = newJudge(t, fault).answer()
	}
	reason = "STOP"
	switch {
	case fault == FaultMaxTokens, t.maxOutputTokens > 0 && len(text)/4 > t.maxOutputTokens:
		text, reason = text[:len(text)/2], "MAX_TOKENS"
	case fault == FaultContinuation:
		reason = "CONTINUATION"
	}
	return []any{thought("Looking at the picture."), map[string]any{"text": text, "thoughtSignature": thoughtSignature}}, reason
}

// judge fills a schema with what it sees.
type judge struct {
	task  task
	fault string
	root  schema
	seen  sight
	sees  bool
	// wanted are the palette's colours.
	wanted []tint
	looked map[string]seenAs // by question
}

func newJudge(t task, fault string) *judge {
	j := &judge{task: t, fault: fault, root: t.schema, wanted: colorsOf(t.system + "\n" + t.prompt), looked: map[string]seenAs{}}
	if len(t.references) > 0 {
		j.seen, j.sees = see(t.references[0])
	}
	return j
}

// answer is the JSON text.
func (j *judge) answer() string {
	var value any
	switch {
	case j.fault == FaultWrongShape:
		value = []any{map[string]any{"verdict": 7}}
	case j.root == nil:
		v := j.look("scene")
		value = map[string]any{"answer": v.answer, "evidence": v.evidence}
	default:
		value = j.fill(j.root, "", schemaDepthMax)
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // of what a JSON document held
	}
	return string(text)
}

// resolved follows a reference within the schema, and takes the first choice.
func (j *judge) resolved(s schema) schema {
	for range schemaDepthMax {
		if name, ok := s["$ref"].(string); ok {
			s = j.definition(name)
			continue
		}
		choices, _ := s["anyOf"].([]any)
		if len(choices) == 0 {
			choices, _ = s["oneOf"].([]any)
		}
		if len(choices) == 0 {
			return s
		}
		s, _ = choices[0].(map[string]any)
	}
	return s
}

func (j *judge) definition(name string) schema {
	at := any(map[string]any(j.root))
	for part := range strings.SplitSeq(strings.TrimPrefix(name, "#/"), "/") {
		inner, _ := at.(map[string]any)
		at = inner[part]
	}
	found, _ := at.(map[string]any)
	return found
}

// kind is the schema's type in lower case; of several, the first that is not null.
func (s schema) kind() string {
	switch t := s["type"].(type) {
	case string:
		return strings.ToLower(t)
	case []any:
		for _, one := range t {
			if name, ok := one.(string); ok && name != "null" {
				return strings.ToLower(name)
			}
		}
	}
	switch {
	case s["properties"] != nil:
		return "object"
	case s["items"] != nil:
		return "array"
	default:
		return "string"
	}
}

func (s schema) properties() map[string]any {
	p, _ := s["properties"].(map[string]any)
	return p
}

// number is a bound, with a default. The API's own form has them as text.
func (s schema) number(name string, otherwise float64) float64 {
	switch v := s[name].(type) {
	case float64:
		return v
	case string:
		var n float64
		if _, err := fmt.Sscan(v, &n); err == nil {
			return n
		}
	}
	return otherwise
}

// choices are the texts that a schema allows, none where it allows all.
func (s schema) choices() []string {
	if one, ok := s["const"].(string); ok {
		return []string{one}
	}
	var texts []string
	all, _ := s["enum"].([]any)
	for _, v := range all {
		if text, ok := v.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// fill returns a value that fits the schema; id is the question that it is about.
func (j *judge) fill(s schema, id string, depth int) any {
	s = j.resolved(s)
	if depth == 0 {
		return nil
	}
	switch s.kind() {
	case "object":
		return j.object(s, id, depth)
	case "array":
		return j.array(s, id, depth)
	case "boolean":
		return j.look(id).answer == yes
	case "integer":
		return int(j.confidence(s, 100))
	case "number":
		return j.confidence(s, 1)
	case "null":
		return nil
	default:
		return j.text(s, id)
	}
}

// confidence is a number for an answer: the most that the schema allows, the least for one that is unsure.
func (j *judge) confidence(s schema, most float64) float64 {
	if j.look("").answer == unsure {
		return s.number("minimum", 0)
	}
	return s.number("maximum", max(most, s.number("minimum", 0)))
}

// own are the names of properties that tell of the question that they stand
// with, and are none themselves.
var own = []string{"id", "question", "answer", "verdict", "result", "value", "evidence", "reason", "reasons", "explanation", "confidence", "score", "pass", "passed"}

func (j *judge) object(s schema, id string, depth int) map[string]any {
	value := map[string]any{}
	properties := s.properties()
	for name, inner := range properties {
		one, _ := inner.(map[string]any)
		about := id
		if !slices.Contains(own, name) && j.asks(one) {
			about = name
		}
		value[name] = j.fill(one, about, depth-1)
	}
	if _, has := properties["id"]; has && id != "" {
		if ids := j.ids(properties); len(ids) == 0 || slices.Contains(ids, id) {
			value["id"] = id
		}
	}
	return value
}

// asks says whether a property is a question of its own: an answer, or an object
// that holds one.
func (j *judge) asks(s schema) bool {
	s = j.resolved(s)
	if s.kind() == "object" {
		for _, name := range []string{"answer", "verdict", "result", "value", "pass", "passed"} {
			if s.properties()[name] != nil {
				return true
			}
		}
		return false
	}
	return s.kind() == "boolean" || slices.Contains(s.choices(), yes)
}

// ids are what a property "id" may be.
func (j *judge) ids(properties map[string]any) []string {
	id, _ := properties["id"].(map[string]any)
	return j.resolved(id).choices()
}

// array has one item for each question where its items are answers, and as few
// as may be else.
func (j *judge) array(s schema, id string, depth int) []any {
	inner, _ := s["items"].(map[string]any)
	items := []any{}
	least, most := int(s.number("minItems", 0)), int(s.number("maxItems", itemsMax))
	item := j.resolved(inner)
	if item.kind() == "object" && item.properties()["id"] != nil {
		ids := j.ids(item.properties())
		if len(ids) == 0 {
			ids = j.asked()
		}
		for _, about := range ids[:min(len(ids), most)] {
			items = append(items, j.fill(inner, about, depth-1))
		}
	}
	for len(items) < min(least, itemsMax) {
		items = append(items, j.fill(inner, id, depth-1))
	}
	return items
}

// askedPattern finds a question's ID at the beginning of a line.
var askedPattern = regexp.MustCompile(`(?m)^[\s\-*\d.)("']*([a-z][a-z0-9_]{1,63})["')]*\s*[:(].*\?`)

// asked are the IDs of the prompt's questions.
func (j *judge) asked() []string {
	var ids []string
	for _, m := range askedPattern.FindAllStringSubmatch(j.task.prompt, -1) {
		if !slices.Contains(ids, m[1]) {
			ids = append(ids, m[1])
		}
	}
	return ids
}

// text is an answer where the schema has a choice of them, and evidence else.
func (j *judge) text(s schema, id string) string {
	v := j.look(id)
	choices := s.choices()
	if len(choices) > 0 {
		if slices.Contains(choices, v.answer) {
			return v.answer
		}
		return choices[0]
	}
	text := v.evidence
	if most := int(s.number("maxLength", 400)); len(text) > most {
		text = text[:max(most, 0)]
	}
	for len(text) < int(min(s.number("minLength", 0), 1000)) {
		text += "."
	}
	return text
}

// question is the line that asks, from the prompt or from the schema.
func (j *judge) question(id string) string {
	for line := range strings.Lines(j.task.prompt) {
		if strings.Contains(line, id) {
			return line
		}
	}
	return ""
}
