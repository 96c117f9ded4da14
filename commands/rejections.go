package commands

import (
	"errors"

	"atelier/schemas"
)

// The rules that a command can break. Their text is the code that clients see.
var (
	ErrDuplicate           = errors.New(schemas.CodeDuplicate)
	ErrIdempotencyConflict = errors.New(schemas.CodeIdempotencyConflict)
	ErrUnreadable          = errors.New(schemas.CodeUnreadable)
	ErrInternal            = errors.New(schemas.CodeInternal)
	ErrInvalid             = errors.New(schemas.CodeInvalid)
	ErrAlreadyClaimed      = errors.New(schemas.CodeAlreadyClaimed)
	ErrLimitReached        = errors.New(schemas.CodeLimitReached)
	ErrBrandNotFound       = errors.New(schemas.CodeBrandNotFound)
	ErrVersionConflict     = errors.New(schemas.CodeVersionConflict)
	ErrAssetNotFound       = errors.New(schemas.CodeAssetNotFound)
	ErrInsufficientCredits = errors.New(schemas.CodeInsufficientCredits)
	ErrPriceChanged        = errors.New(schemas.CodePriceChanged)
	ErrTooManyOpen         = errors.New(schemas.CodeTooManyOpen)
	ErrAllowanceExhausted  = errors.New(schemas.CodeAllowanceExhausted)
	ErrAlreadyFinished     = errors.New(schemas.CodeAlreadyFinished)
)

// detailBytesMax bounds the detail of a rejection and of a failure; longer ones are cut.
const detailBytesMax = 500

// Rejection is a broken rule with what a person needs to know about it. Every
// error of Decide is one; errors.Is finds the rule.
type Rejection struct {
	// Rule is one of the errors above.
	Rule error
	// Detail says it for a developer. It never repeats what was sent.
	Detail string
	// Figures are named counts, such as shortfall (credits).
	Figures map[string]int64
	// FirstCommandID is the command that used the idempotency key first, if that
	// is the rule.
	FirstCommandID string
}

// Error implements error.
func (r *Rejection) Error() string { return r.Rule.Error() + ": " + r.Detail }

// Unwrap returns the rule.
func (r *Rejection) Unwrap() error { return r.Rule }

func reject(rule error, detail string) *Rejection { return &Rejection{Rule: rule, Detail: detail} }

// with adds a figure.
func (r *Rejection) with(name string, figure int64) *Rejection {
	if r.Figures == nil {
		r.Figures = map[string]int64{}
	}
	r.Figures[name] = figure
	return r
}

// event returns what is recorded of the rejection of command, whose full record
// name it is; empty where it could not be read.
func (r *Rejection) event(command string) *schemas.CommandRejected {
	return &schemas.CommandRejected{
		Command: command, Code: r.Rule.Error(), Detail: cut(r.Detail, detailBytesMax),
		FirstCommandID: r.FirstCommandID, Figures: r.Figures,
	}
}
