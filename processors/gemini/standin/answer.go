package standin

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"image/jpeg"
	"math/bits"
)

// jpegQuality is about that of the real models' files: a megabyte at 2K.
const jpegQuality = 93

// thoughtSignature is opaque to callers; the real one is as unreadable.
var thoughtSignature = base64.StdEncoding.EncodeToString([]byte("atelier stand-in"))

// answer is the body of a call that went through, drawn or withheld, as a fault
// asks for.
func answer(t task, fault string) map[string]any {
	body := map[string]any{"modelVersion": t.model.ID, "responseId": rand.Text()}
	if fault == FaultBlocked {
		body["promptFeedback"] = map[string]any{"blockReason": "PROHIBITED_CONTENT"}
		body["usageMetadata"] = t.usage(0)
		return body
	}
	var parts []any
	var reason string
	if t.model.Text != nil {
		parts, reason = wordsOf(t, fault)
	} else {
		parts, reason = partsOf(t, fault)
	}
	candidate := map[string]any{"finishReason": reason, "index": 0}
	switch {
	case fault == FaultImageProhibited:
		candidate["content"] = map[string]any{"parts": nil, "role": "model"}
	case parts == nil:
		candidate["content"] = map[string]any{}
	default:
		candidate["content"] = map[string]any{"parts": parts, "role": "model"}
	}
	if fault == FaultContinuation {
		candidate["continuationToken"] = thoughtSignature
	}
	body["candidates"] = []any{candidate}
	if fault == FaultNullCandidate {
		body["candidates"] = []any{nil}
	}
	if t.model.Text != nil {
		body["usageMetadata"] = t.textUsage(parts)
	} else {
		body["usageMetadata"] = t.usage(t.imageTokens(fault))
	}
	return body
}

// withheldReasons are the finish reasons of the faults that bring no picture.
var withheldReasons = map[string]string{
	FaultSafety: "SAFETY", FaultImageSafety: "IMAGE_SAFETY", FaultImageProhibited: "IMAGE_PROHIBITED_CONTENT",
	FaultImageRecitation: "IMAGE_RECITATION", FaultImageOther: "IMAGE_OTHER", FaultNoImage: "NO_IMAGE",
	FaultNullCandidate: "STOP",
}

func partsOf(t task, fault string) (parts []any, reason string) {
	if reason, ok := withheldReasons[fault]; ok {
		return nil, reason
	}
	if fault == FaultTextOnly || !t.image {
		return []any{map[string]any{"text": "Here is an idea for your advertisement."}}, "STOP"
	}
	label, data := t.model.MIMEType, ""
	switch fault {
	case FaultEmptyData:
	case FaultBadBase64:
		data = "@@@not base64@@@"
	case FaultNotAPicture:
		data = base64.StdEncoding.EncodeToString([]byte("GIF89a is not drawn here"))
	default:
		data = base64.StdEncoding.EncodeToString(drawn(t, fault))
	}
	if fault == FaultMislabelled {
		label = "image/png"
	}
	if fault == FaultSeveral {
		small := t
		small.width, small.height = t.width/2, t.height/2
		draft := base64.StdEncoding.EncodeToString(drawn(small, ""))
		parts = append(parts, thought("A first sketch."), picturePart(label, draft, true), picturePart(label, draft, false))
	} else if t.text {
		parts = append(parts, thought("Composing the scene."))
	}
	reason = "STOP"
	if fault == FaultContinuation {
		reason = "CONTINUATION"
	}
	return append(parts, picturePart(label, data, false)), reason
}

func thought(text string) map[string]any { return map[string]any{"text": text, "thought": true} }

func picturePart(mimeType, data string, isThought bool) map[string]any {
	part := map[string]any{"inlineData": map[string]any{"mimeType": mimeType, "data": data}, "thoughtSignature": thoughtSignature}
	if isThought {
		part["thought"] = true
	}
	return part
}

// drawn is the JPEG.
func drawn(t task, fault string) []byte {
	width, height := t.width, t.height
	switch fault {
	case FaultWrongRatio:
		height = height * 3 / 4
	case FaultWrongSize:
		width, height = width/2, height/2
	}
	var buffer bytes.Buffer
	if err := jpeg.Encode(&buffer, defective(t, fault, width, height), &jpeg.Options{Quality: jpegQuality}); err != nil {
		return nil // a buffer takes everything, and the sizes of the table are valid
	}
	return buffer.Bytes()
}

func (t *task) imageTokens(fault string) int {
	if !isBilled(fault) || !t.image {
		return 0
	}
	return int(t.model.Sizes[t.size].Tokens)
}

// usage counts as the real API does: the parts are less than the whole, and
// their details less than the parts.
func (t *task) usage(imageTokens int) map[string]any {
	prompt := t.promptTokens()
	details := []any{map[string]any{"modality": "TEXT", "tokenCount": t.textTokens()}}
	if n := len(t.references); n > 0 {
		details = append(details, map[string]any{"modality": "IMAGE", "tokenCount": tokensPerReference * n})
	}
	if imageTokens == 0 {
		return map[string]any{"promptTokenCount": prompt, "totalTokenCount": prompt, "promptTokensDetails": details}
	}
	// Thoughts vary from call to call; here with the task, so that it repeats.
	thoughts := 120 + bits.Reverse8(uint8(t.seed))%100
	words := 40 + len(t.prompt)%60
	return map[string]any{
		"promptTokenCount": prompt, "candidatesTokenCount": imageTokens + words, "thoughtsTokenCount": int(thoughts),
		"totalTokenCount":     prompt + imageTokens + words + int(thoughts),
		"promptTokensDetails": details, "candidatesTokensDetails": []any{map[string]any{"modality": "IMAGE", "tokenCount": imageTokens}},
	}
}

// textUsage counts an answer in words: what it says, and the thoughts before.
func (t *task) textUsage(parts []any) map[string]any {
	usage := t.usage(0)
	words := 0
	for _, p := range parts {
		text, _ := p.(map[string]any)["text"].(string)
		words += (len(text) + 3) / 4
	}
	if words == 0 {
		return usage
	}
	prompt, thoughts := t.promptTokens(), 60+len(t.prompt)%90
	usage["candidatesTokenCount"], usage["thoughtsTokenCount"] = words, thoughts
	usage["totalTokenCount"] = prompt + words + thoughts
	return usage
}
