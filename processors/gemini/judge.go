package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genai"
)

const (
	// outputTokensDefault bounds an answer in words, its thoughts included,
	// where the request does not (count).
	outputTokensDefault = 8192
	// outputTokensMax is what the API takes (count).
	outputTokensMax = 65_536
	// schemaBytesMax bounds the schema of an answer: some hundred questions.
	schemaBytesMax = 64 << 10
	// pictureTokensMax is what a picture counts in a prompt at most (count), at
	// the resolution that the API chooses by itself.
	pictureTokensMax = 1120
)

// JudgeRequest asks a text model about pictures.
type JudgeRequest struct {
	Model string
	// System are the rules, Prompt the questions.
	System, Prompt string
	// Pictures go with the prompt in their order: PNG, JPEG or WebP of at most
	// 7 MB each.
	Pictures []Reference
	// Schema is the JSON Schema of the answer, an object of at most 64 KiB.
	Schema []byte
	// MaxOutputTokens bounds the answer with the model's thoughts; 0 means 8192,
	// the most is 65536. An answer that would be longer is an error.
	MaxOutputTokens int32
}

// JudgeResult is an answer and what it took.
type JudgeResult struct {
	// JSON is one JSON value. That it fits the schema is the API's promise, and
	// for the caller to check.
	JSON         []byte
	ModelVersion string
	Usage        Usage
	// CostMicros is what it cost at most, millionths of a US dollar.
	CostMicros int64
}

func (r JudgeRequest) validate(m Model, known bool) error {
	switch {
	case !known:
		return errors.New("model is not in the table")
	case m.Text == nil:
		return errors.New("model answers no JSON")
	case len(r.Schema) > schemaBytesMax:
		return fmt.Errorf("schema has %d bytes, at most %d", len(r.Schema), schemaBytesMax)
	case !bytes.HasPrefix(bytes.TrimSpace(r.Schema), []byte("{")) || !json.Valid(r.Schema):
		return errors.New("schema is no JSON object")
	case r.MaxOutputTokens < 0 || r.MaxOutputTokens > outputTokensMax:
		return fmt.Errorf("%d output tokens, want 0 to %d", r.MaxOutputTokens, outputTokensMax)
	}
	return validateInput(m, r.Prompt, r.System, r.Pictures)
}

// Judge makes one call and returns its answer. Every error is an *Error, of the
// codes that GenerateImage has: CodeCut also for an answer that came to its
// bound, CodeEmpty for one without words, CodeMalformed for one that is not
// JSON. It never calls twice.
func (c *Client) Judge(ctx context.Context, r JudgeRequest) (JudgeResult, error) {
	model, known := ModelByID(r.Model)
	if err := r.validate(model, known); err != nil {
		refused := newError(CodeBadRequest, err.Error())
		refused.Model = r.Model
		return JudgeResult{}, refused
	}
	if r.MaxOutputTokens == 0 {
		r.MaxOutputTokens = outputTokensDefault
	}
	made := call{
		model: r.Model, contents: contents(r.Prompt, r.Pictures), options: r.options(),
		bytesMax: textAnswerBytesMax, mostMicros: r.mostMicros(*model.Text), private: []string{r.Prompt, r.System, string(r.Schema)},
	}
	var result JudgeResult
	failed := c.do(ctx, made, func(response *genai.GenerateContentResponse) (failed *Error) {
		result, failed = r.read(response, *model.Text, made.mostMicros)
		return failed
	})
	if failed != nil {
		return JudgeResult{}, failed
	}
	return result, nil
}

// read turns an answer into its verdict, or says why it is none.
func (r JudgeRequest) read(response *genai.GenerateContentResponse, rates TextRates, mostMicros int64) (JudgeResult, *Error) {
	usage := usageOf(response)
	cost := rates.costMicros(usage.PromptTokens, usage.TotalTokens)
	answer, failed := verdict(response)
	if failed != nil {
		failed.spent(r.Model, usage, cost, mostMicros)
		return JudgeResult{}, failed
	}
	if usage.TotalTokens == 0 {
		cost = mostMicros // it was delivered, and so it was billed
	}
	return JudgeResult{JSON: answer, ModelVersion: clean(response.ModelVersion, reasonBytesMax), Usage: usage, CostMicros: cost}, nil
}

// options is made anew for each call, because the SDK changes what it is given.
func (r JudgeRequest) options() *genai.GenerateContentConfig {
	config := &genai.GenerateContentConfig{
		CandidateCount:     1,
		MaxOutputTokens:    r.MaxOutputTokens,
		ResponseMIMEType:   "application/json",
		ResponseJsonSchema: json.RawMessage(r.Schema),
		// As in ImageRequest.options.
		AutomaticContinuation: genai.Ptr(false),
	}
	if r.System != "" {
		config.SystemInstruction = genai.NewContentFromText(r.System, genai.RoleUser)
	}
	return config
}

// mostMicros is what the call costs at most: no token is shorter than a byte.
func (r JudgeRequest) mostMicros(rates TextRates) int64 {
	prompt := int64(len(r.Prompt) + len(r.System) + len(r.Schema) + pictureTokensMax*len(r.Pictures))
	return rates.costMicros(prompt, prompt+int64(r.MaxOutputTokens))
}

// verdict finds the JSON of an answer. Half an answer is none.
func verdict(response *genai.GenerateContentResponse) ([]byte, *Error) {
	candidate, failed := answered(response)
	if failed != nil {
		return nil, failed
	}
	switch candidate.FinishReason {
	case genai.FinishReasonStop:
	case genai.FinishReasonMaxTokens:
		return nil, finished(CodeCut, candidate)
	default:
		return nil, finished(CodeMalformed, candidate)
	}
	var text strings.Builder
	if candidate.Content != nil {
		for _, part := range candidate.Content.Parts {
			if part != nil && !part.Thought {
				text.WriteString(part.Text)
			}
		}
	}
	answer := bytes.TrimSpace([]byte(text.String()))
	switch {
	case len(answer) == 0:
		return nil, finished(CodeEmpty, candidate)
	case !json.Valid(answer):
		return nil, finished(CodeMalformed, candidate)
	}
	return answer, nil
}
