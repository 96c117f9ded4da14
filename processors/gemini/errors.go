package gemini

import (
	"fmt"
	"time"
)

// Codes of Error. They are stable: events and metrics carry them.
const (
	CodePromptBlocked = "prompt_blocked" // refused before anything was drawn
	CodeImageSafety   = "image_safety"   // drawn or not, withheld for safety, policy or likeness
	CodeImageOther    = "image_other"    // withheld without a word
	CodeNoImage       = "no_image"       // answered in words, or with an empty picture
	CodeEmpty         = "empty"          // 200 without anything that is an answer
	CodeMalformed     = "malformed"      // 200 that cannot be read, or a picture that is none
	CodeOversized     = "oversized"      // more bytes or pixels than are taken
	CodeBadRequest    = "bad_request"    // the request is wrong, here or there
	CodeBilling       = "billing"        // region or billing does not allow the call
	CodePermission    = "permission"     // the key is wrong, leaked or not allowed
	CodeModelGone     = "model_gone"     // unknown or retired model
	CodeQuotaMinute   = "quota_minute"   // a quota that comes back soon
	CodeQuotaDay      = "quota_day"      // a quota that comes back at midnight Pacific, or never
	CodeOverloaded    = "overloaded"     // 503
	CodeDeadline      = "deadline"       // 504: the other side gave up
	CodeInternal      = "internal"       // 500 and unknown 5xx
	CodeGateway       = "gateway"        // an answer that is not the API's own
	CodeCut           = "cut"            // the answer broke off
	CodeNetwork       = "network"        // no answer
	CodeTimeout       = "timeout"        // our side gave up
	CodeCanceled      = "canceled"       // the caller gave up
)

// Who has to change something.
const (
	FaultUser  = "user"  // what was asked for
	FaultOurs  = "ours"  // configuration, quota, program
	FaultModel = "model" // the model or the way to it
)

// Remedy is the right reaction to an error.
type Remedy string

// Remedies.
const (
	// RemedyNone: it is over; tell the user, release the credits.
	RemedyNone Remedy = "none"
	// RemedyRetry: again after a while, with a bound.
	RemedyRetry Remedy = "retry"
	// RemedyRewrite: again with another prompt, with a bound.
	RemedyRewrite Remedy = "rewrite"
	// RemedyRetryThenRewrite: again once as it is, then with another prompt.
	RemedyRetryThenRewrite Remedy = "retry_then_rewrite"
	// RemedyImageOnly: again once with ImageRequest.ImageOnly.
	RemedyImageOnly Remedy = "image_only"
	// RemedyWait: again after RetryAfter; it spends neither attempt nor slot.
	RemedyWait Remedy = "wait"
	// RemedyBackOff: again after a random, growing while.
	RemedyBackOff Remedy = "back_off"
	// RemedyBreak: nothing more to this model until RetryAfter is over.
	RemedyBreak Remedy = "break"
	// RemedyAlert: stop; an operator has to change something.
	RemedyAlert Remedy = "alert"
)

// trait is what follows from a code.
type trait struct {
	fault     string
	remedy    Remedy
	retriable bool
	// spendCertain: the call cost what its usage says, nothing where it has none.
	spendCertain bool
	opens        opening
}

// opening says what a failure means for the calls of others to the same model.
type opening int

const (
	// opensNever: the model works; it is this request.
	opensNever opening = iota
	// opensInARow: several without an answer between are an outage.
	opensInARow
	// opensAtOnce: every other call would fare alike.
	opensAtOnce
)

// traits is the fault catalogue: one line for each code. An answer that names
// its usage makes spend certain whatever stands here.
var traits = map[string]trait{
	CodePromptBlocked: {FaultUser, RemedyNone, false, true, opensNever},
	CodeImageSafety:   {FaultUser, RemedyRewrite, true, false, opensNever},
	CodeImageOther:    {FaultModel, RemedyRetryThenRewrite, true, false, opensNever},
	CodeNoImage:       {FaultModel, RemedyImageOnly, true, false, opensNever},
	CodeEmpty:         {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeMalformed:     {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeOversized:     {FaultModel, RemedyRetry, true, false, opensNever},
	CodeBadRequest:    {FaultOurs, RemedyAlert, false, true, opensNever},
	CodeBilling:       {FaultOurs, RemedyAlert, false, true, opensAtOnce},
	CodePermission:    {FaultOurs, RemedyAlert, false, true, opensAtOnce},
	CodeModelGone:     {FaultOurs, RemedyAlert, false, true, opensAtOnce},
	CodeQuotaMinute:   {FaultOurs, RemedyWait, true, true, opensAtOnce},
	CodeQuotaDay:      {FaultOurs, RemedyBreak, true, true, opensAtOnce},
	CodeOverloaded:    {FaultModel, RemedyBackOff, true, true, opensInARow},
	CodeDeadline:      {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeInternal:      {FaultModel, RemedyRetry, true, true, opensInARow},
	CodeGateway:       {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeCut:           {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeNetwork:       {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeTimeout:       {FaultModel, RemedyRetry, true, false, opensInARow},
	CodeCanceled:      {FaultOurs, RemedyNone, false, false, opensNever},
}

// Error is why a call brought no picture. It is what errors.As finds; it never
// holds the key, the prompt, or a body.
type Error struct {
	// Code is one of the constants above.
	Code string
	// Fault is user, ours or model.
	Fault  string
	Remedy Remedy
	// Retriable says whether another call may bring a picture, by the remedy.
	Retriable bool
	// RetryAfter is the least wait before another call, zero where nobody said.
	RetryAfter time.Duration
	// Open says that the model's breaker is open: no call of anybody is made
	// before RetryAfter is over. A call that it has kept back cost nothing.
	Open bool
	// SpendCertain says that CostMicros is what the call cost at most. Where it
	// is false the call may have been billed unseen, and CostMicros is the price
	// of the picture that was asked for.
	SpendCertain bool
	CostMicros   int64
	Usage        Usage
	// HTTPStatus is the one on the wire, 0 where there was no answer.
	HTTPStatus int
	// Reason is the API's own word, such as SAFETY, IMAGE_OTHER or
	// RESOURCE_EXHAUSTED, cleaned, at most 64 bytes.
	Reason string
	// Detail is for operators: cleaned, at most 240 bytes.
	Detail string
	// Model is the one that was called.
	Model string
	// cause is one of a few sentinels (context, io), never a raw error.
	cause error
}

// Error names the code and what an operator may see.
func (e *Error) Error() string {
	text := "gemini: " + e.Code
	if e.HTTPStatus != 0 {
		text += fmt.Sprintf(" (HTTP %d)", e.HTTPStatus)
	}
	if e.Reason != "" {
		text += " " + e.Reason
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns context.Canceled, context.DeadlineExceeded or
// io.ErrUnexpectedEOF where one of them was the cause, and nil else.
func (e *Error) Unwrap() error { return e.cause }

// newError returns an error with the traits of its code.
func newError(code, detail string) *Error {
	t := traits[code]
	return &Error{Code: code, Fault: t.fault, Remedy: t.remedy, Retriable: t.retriable, SpendCertain: t.spendCertain, Detail: detail}
}
