package generator

import (
	"context"
	"errors"
	"time"

	"atelier/processors/gemini"
)

// Gemini draws pictures and judges them; *gemini.Client does. Its errors are
// *gemini.Error, and it calls once for each call of it. It must be safe for
// concurrent use.
type Gemini interface {
	GenerateImage(ctx context.Context, request gemini.ImageRequest) (gemini.ImageResult, error)
	Judge(ctx context.Context, request gemini.JudgeRequest) (gemini.JudgeResult, error)
}

// answer is what came of one call.
type answer struct {
	image        []byte
	modelVersion string
	tokens       int64
	// costMicros is what it cost at most; where nobody knows, the list price.
	costMicros int64
	// failure is set where no picture came.
	failure *failure
	// throttled: a quota, an overloaded model or its breaker refused the call
	// unseen. It costs no attempt.
	throttled  bool
	retryAfter time.Duration
	// closed: nobody's call is made before retryAfter is over.
	closed bool
}

// generate makes the one call of an attempt.
func (w *worker) generate(ctx context.Context, o order) answer {
	request := gemini.ImageRequest{
		Model: o.model, Prompt: o.prompt.Text, System: o.prompt.System,
		AspectRatio: o.placement.Ratio, Size: o.size, Seed: int32(o.seed), ImageOnly: o.imageOnly,
	}
	for _, r := range o.references {
		request.References = append(request.References, gemini.Reference{MIMEType: r.mimeType, Data: r.data})
	}
	drawn, err := w.config.Gemini.GenerateImage(ctx, request)
	if err == nil {
		return answer{
			image: drawn.Bytes, modelVersion: drawn.ModelVersion,
			tokens: drawn.Usage.TotalTokens, costMicros: drawn.CostMicros,
		}
	}
	var refused *gemini.Error
	if !errors.As(err, &refused) {
		refused = &gemini.Error{Code: gemini.CodeInternal, Fault: gemini.FaultOurs, CostMicros: o.estimateMicros}
	}
	if refused.Remedy == gemini.RemedyAlert && !refused.Open {
		w.config.Log.Error().Str("code", refused.Code).Str("model", o.model).Str("reason", refused.Reason).Str("detail", refused.Detail).
			Msg("the image model says that a request is wrong, and the request is ours")
	}
	return answer{
		tokens: refused.Usage.TotalTokens, costMicros: refused.CostMicros,
		failure:    &failure{Code: reasonOf(refused.Code), Fault: refused.Fault, Detail: told(refused.Code), Retriable: refused.Retriable},
		throttled:  unseen(refused),
		retryAfter: refused.RetryAfter, closed: refused.Open,
	}
}

// unseen says whether a call was refused at no cost, for a reason that has nothing
// to do with what was asked.
func unseen(refused *gemini.Error) bool {
	switch refused.Remedy {
	case gemini.RemedyWait, gemini.RemedyBreak, gemini.RemedyBackOff:
		return true
	default:
		return refused.Open && refused.SpendCertain && refused.CostMicros == 0
	}
}

// heldReason is why a generation waits for the model, as progress shows it.
func heldReason(code string) string {
	switch code {
	case gemini.CodeQuotaMinute, gemini.CodeQuotaDay:
		return reasonQuota
	case gemini.CodeOverloaded:
		return code
	case gemini.CodeBilling, gemini.CodePermission, gemini.CodeModelGone:
		return reasonUnavailable
	default:
		return reasonOutage
	}
}

// reasonOf is a fault's code, but for the one that means something else in a
// failed generation: that its own time was over.
func reasonOf(code string) string {
	if code == gemini.CodeDeadline {
		return "model_deadline"
	}
	return code
}

// told is what a person should know of a fault.
func told(code string) string {
	switch code {
	case gemini.CodePromptBlocked:
		return "The image model refused the request. Try another wording of the brief or the brand."
	case gemini.CodeImageSafety:
		return "The image model withheld the picture for safety. Try another wording of the brief."
	case gemini.CodeImageOther, gemini.CodeNoImage, gemini.CodeEmpty, gemini.CodeMalformed, gemini.CodeOversized:
		return "The image model gave no usable picture."
	case gemini.CodeQuotaMinute, gemini.CodeQuotaDay:
		return "The image model's quota was used up, and would not have come back in time."
	case gemini.CodeBadRequest, gemini.CodeBilling, gemini.CodePermission, gemini.CodeModelGone:
		return "The image model is not available to us at the moment. We have been told."
	default:
		return "The image model could not be reached or broke off."
	}
}
