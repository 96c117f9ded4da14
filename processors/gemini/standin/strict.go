package standin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// shape is the set of fields that an object of the API takes, each with the
// shape of what it holds, nil for anything. Names are as in JSON; the API takes
// them in snake case too.
type shape map[string]shape

var (
	anything shape

	partShape = shape{
		"text": anything, "thought": anything, "thoughtSignature": anything, "mediaResolution": anything,
		"inlineData": {"mimeType": anything, "data": anything, "displayName": anything},
		"fileData":   {"mimeType": anything, "fileUri": anything, "displayName": anything},
	}
	contentShape = shape{"role": anything, "parts": partShape}

	generationShape = shape{
		"candidateCount": anything, "maxOutputTokens": anything, "temperature": anything, "topP": anything, "topK": anything,
		"seed": anything, "stopSequences": anything, "presencePenalty": anything, "frequencyPenalty": anything,
		"responseModalities": anything, "responseMimeType": anything, "responseSchema": anything, "responseJsonSchema": anything,
		"responseLogprobs": anything, "logprobs": anything, "mediaResolution": anything,
		"thinkingConfig": {"includeThoughts": anything, "thinkingBudget": anything, "thinkingLevel": anything},
		"imageConfig":    {"aspectRatio": anything, "imageSize": anything},
	}

	requestShape = shape{
		"contents": contentShape, "systemInstruction": contentShape, "generationConfig": generationShape,
		"safetySettings": {"category": anything, "threshold": anything, "method": anything},
		"tools":          anything, "toolConfig": anything, "cachedContent": anything, "labels": anything, "serviceTier": anything,
		"store": anything, "model": anything,
	}
	countShape = shape{
		"contents": contentShape, "generateContentRequest": requestShape, "systemInstruction": contentShape, "tools": anything, "model": anything,
	}
)

// unknownFields names the fields of a decoded document that a shape does not
// know, as the API words them.
func unknownFields(document any, known shape, path string) []string {
	var found []string
	switch value := document.(type) {
	case []any:
		for i, item := range value {
			found = append(found, unknownFields(item, known, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case map[string]any:
		if known == nil {
			return nil
		}
		for name, inner := range value {
			next, ok := known[camel(name)]
			if !ok {
				found = append(found, unknownName(name, path))
				continue
			}
			found = append(found, unknownFields(inner, next, strings.TrimPrefix(path+"."+snake(name), "."))...)
		}
	}
	slices.Sort(found)
	return found
}

func unknownName(name, path string) string {
	if path == "" {
		return fmt.Sprintf("Invalid JSON payload received. Unknown name %q: Cannot find field.", name)
	}
	return fmt.Sprintf("Invalid JSON payload received. Unknown name %q at '%s': Cannot find field.", name, path)
}

func snake(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func camel(name string) string {
	first, rest, found := strings.Cut(name, "_")
	for found {
		var part string
		part, rest, found = strings.Cut(rest, "_")
		if part != "" {
			first += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return first
}

// parse reads a request strictly: JSON of the known fields. The message is the
// API's own, empty where all is well.
func parse(body []byte, known shape, into any) (message string) {
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return "Invalid JSON payload received. Unexpected token."
	}
	if _, ok := document.(map[string]any); !ok {
		return "Invalid JSON payload received. Root element must be a message."
	}
	if unknown := unknownFields(document, known, ""); len(unknown) > 0 {
		return strings.Join(unknown, "\n")
	}
	tidy, err := json.Marshal(camelKeys(document, known))
	if err != nil {
		return "Invalid JSON payload received."
	}
	if err := json.Unmarshal(tidy, into); err != nil {
		return "Invalid value in JSON payload: " + err.Error()
	}
	return ""
}

// camelKeys renames the known fields to their JSON names.
func camelKeys(document any, known shape) any {
	switch value := document.(type) {
	case []any:
		for i := range value {
			value[i] = camelKeys(value[i], known)
		}
		return value
	case map[string]any:
		if known == nil {
			return value
		}
		renamed := make(map[string]any, len(value))
		for name, inner := range value {
			renamed[camel(name)] = camelKeys(inner, known[camel(name)])
		}
		return renamed
	default:
		return document
	}
}
