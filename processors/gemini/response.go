package gemini

import (
	"bytes"
	"errors"
	"fmt"

	"google.golang.org/genai"

	"atelier/internal/picture"
)

// withheld maps the reasons for which a picture does not come to their codes.
// A reason that is not here leaves it to what came.
var withheld = map[genai.FinishReason]string{
	"IMAGE_SAFETY":             CodeImageSafety,
	"IMAGE_PROHIBITED_CONTENT": CodeImageSafety,
	"IMAGE_RECITATION":         CodeImageSafety,
	"SAFETY":                   CodeImageSafety,
	"PROHIBITED_CONTENT":       CodeImageSafety,
	"BLOCKLIST":                CodeImageSafety,
	"RECITATION":               CodeImageSafety,
	"SPII":                     CodeImageSafety,
	"IMAGE_OTHER":              CodeImageOther,
	"OTHER":                    CodeImageOther,
}

// read turns an answer into its picture, or says why there is none.
func read(response *genai.GenerateContentResponse, request ImageRequest, model Model) (ImageResult, *Error) {
	usage := usageOf(response)
	data, failed := choose(response)
	var config picture.Config
	if failed == nil {
		config, failed = inspect(data)
	}
	if failed != nil {
		failed.spent(model.ID, usage, model.costMicros(request.Size, usage.TotalTokens, false), model.PriceMicros(request.Size))
		return ImageResult{}, failed
	}
	return ImageResult{
		Bytes: data, MIMEType: picture.MIMEType(config.Format), Width: config.Width, Height: config.Height,
		Model: request.Model, ModelVersion: clean(response.ModelVersion, reasonBytesMax), ResponseID: clean(response.ResponseID, reasonBytesMax),
		Usage: usage, CostMicros: model.costMicros(request.Size, usage.TotalTokens, true),
	}, nil
}

func usageOf(response *genai.GenerateContentResponse) Usage {
	if response == nil || response.UsageMetadata == nil {
		return Usage{}
	}
	u := response.UsageMetadata
	return Usage{
		PromptTokens: int64(u.PromptTokenCount), OutputTokens: int64(u.CandidatesTokenCount),
		ThoughtTokens: int64(u.ThoughtsTokenCount), TotalTokens: int64(u.TotalTokenCount),
	}
}

// spent says what a call cost that was answered without what was asked for: by
// its usage where it has one, else at most the most that it may cost.
func (e *Error) spent(model string, usage Usage, usedMicros, mostMicros int64) {
	e.Model, e.Usage = model, usage
	switch {
	case usage.TotalTokens > 0:
		e.SpendCertain, e.CostMicros = true, usedMicros
	case e.SpendCertain:
		e.CostMicros = 0
	default:
		e.CostMicros = mostMicros
	}
}

// answered finds what a model said, or why it said nothing.
func answered(response *genai.GenerateContentResponse) (*genai.Candidate, *Error) {
	if response == nil {
		return nil, newError(CodeEmpty, "no answer")
	}
	if feedback := response.PromptFeedback; feedback != nil && feedback.BlockReason != "" {
		blocked := newError(CodePromptBlocked, "")
		blocked.Reason = clean(string(feedback.BlockReason), reasonBytesMax)
		return nil, blocked
	}
	if len(response.Candidates) == 0 || response.Candidates[0] == nil {
		return nil, newError(CodeEmpty, "no candidates")
	}
	candidate := response.Candidates[0]
	if code, is := withheld[candidate.FinishReason]; is {
		// Whatever came with a refusal is not used.
		return nil, finished(code, candidate)
	}
	return candidate, nil
}

// finished is a failure that carries the answer's own reason.
func finished(code string, candidate *genai.Candidate) *Error {
	failed := newError(code, "")
	failed.Reason = clean(string(candidate.FinishReason), reasonBytesMax)
	return failed
}

// choose finds the picture of an answer.
func choose(response *genai.GenerateContentResponse) ([]byte, *Error) {
	candidate, failed := answered(response)
	if failed != nil {
		return nil, failed
	}
	data := lastImage(candidate.Content)
	if data == nil {
		return nil, finished(CodeNoImage, candidate)
	}
	return data, nil
}

// lastImage is the last picture that is not a thought, or, where all are, the
// last of them: drafts come first, in both.
func lastImage(content *genai.Content) []byte {
	if content == nil {
		return nil
	}
	var final, draft []byte
	for _, part := range content.Parts {
		if part == nil || part.InlineData == nil || len(part.InlineData.Data) == 0 {
			continue
		}
		if part.Thought {
			draft = part.InlineData.Data
		} else {
			final = part.InlineData.Data
		}
	}
	if final != nil {
		return final
	}
	return draft
}

// inspect reads what the bytes say of themselves; what the answer calls them is
// often wrong. Nothing is decoded here.
func inspect(data []byte) (picture.Config, *Error) {
	config, err := picture.DecodeConfig(data)
	switch {
	case err == nil:
		return config, nil
	case errors.Is(err, picture.ErrTooLarge):
		return picture.Config{}, newError(CodeOversized, fmt.Sprintf("picture of %d bytes", len(data)))
	case errors.Is(err, picture.ErrFormat):
		return picture.Config{}, newError(CodeMalformed, fmt.Sprintf("%d bytes that begin with %x", len(data), bytes.TrimSpace(data[:min(4, len(data))])))
	default:
		return picture.Config{}, newError(CodeMalformed, fmt.Sprintf("picture of %d bytes does not decode", len(data)))
	}
}
