package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"atelier/internal/vault"
	"atelier/projections"
	"atelier/schemas"
)

// The codes that only the api gives; the others come with a rejection.
const (
	codeMalformed         = "malformed"
	codeInvalidCursor     = "invalid_cursor"
	codeInvalidPosition   = "invalid_position"
	codeUnauthorized      = "unauthorized"
	codeLinkInvalid       = "media_link_invalid"
	codeNotFound          = "not_found"
	codeMethodNotAllowed  = "method_not_allowed"
	codeNotAcceptable     = "not_acceptable"
	codeNotReady          = "not_ready"
	codeLinkExpired       = "media_link_expired"
	codeImageGone         = "image_gone"
	codeStaleVersion      = "stale_version"
	codeBodyTooLarge      = "body_too_large"
	codeMediaType         = "unsupported_media_type"
	codeContentEncoding   = "content_encoding"
	codeValidation        = "validation_failed"
	codeNeedsAdapt        = "needs_adapt"
	codeLayoutRefused     = "layout_refused"
	codeImageRefused      = "image_refused"
	codeVersionRequired   = "version_required"
	codeRateLimited       = "rate_limited"
	codeQuotaClosed       = "quota_closed"
	codeTooManyStreams    = "too_many_streams"
	codeHeadersTooLarge   = "headers_too_large"
	codeUnavailable       = "unavailable"
	codePositionNotThere  = "position_not_reached"
	codeRequestTimeout    = "request_timeout"
	codeVersionOfHTTP     = "http_version"
	codeNotImplemented    = "not_implemented"
	codeExpectationFailed = "expectation_failed"
)

// kinds is the one place that decides what a code means in HTTP.
var kinds = map[string]struct {
	status int
	title  string
}{
	codeMalformed:                   {http.StatusBadRequest, "The request is malformed"},
	codeInvalidCursor:               {http.StatusBadRequest, "The cursor is not one of this list"},
	codeInvalidPosition:             {http.StatusBadRequest, "The position is not one of this account"},
	codeUnauthorized:                {http.StatusUnauthorized, "A valid access token is needed"},
	schemas.CodeInsufficientCredits: {http.StatusPaymentRequired, "There are not enough credits"},
	schemas.CodeAccountErased:       {http.StatusForbidden, "The account is erased"},
	codeLinkInvalid:                 {http.StatusForbidden, "The address is not a valid media link"},
	codeNotFound:                    {http.StatusNotFound, "There is no such thing"},
	schemas.CodeBrandNotFound:       {http.StatusNotFound, "There is no such brand"},
	schemas.CodeAssetNotFound:       {http.StatusNotFound, "There is no such asset"},
	codeMethodNotAllowed:            {http.StatusMethodNotAllowed, "The method is not allowed here"},
	codeNotAcceptable:               {http.StatusNotAcceptable, "None of the accepted types is offered"},
	codeRequestTimeout:              {http.StatusRequestTimeout, "The request came too slowly"},
	schemas.CodeAlreadyFinished:     {http.StatusConflict, "It has already ended"},
	schemas.CodePriceChanged:        {http.StatusConflict, "It costs more than was agreed to"},
	schemas.CodeVersionConflict:     {http.StatusConflict, "The brand was saved since"},
	schemas.CodeAlreadyClaimed:      {http.StatusConflict, "It was claimed before"},
	codeNotReady:                    {http.StatusConflict, "There is no image yet, or there will be none"},
	codeLinkExpired:                 {http.StatusGone, "The media link has expired"},
	codeImageGone:                   {http.StatusGone, "The image was in the bin for too long"},
	codeStaleVersion:                {http.StatusPreconditionFailed, "The brand was saved since"},
	codeBodyTooLarge:                {http.StatusRequestEntityTooLarge, "The body is too large"},
	codeMediaType:                   {http.StatusUnsupportedMediaType, "The type of the body is not supported"},
	codeContentEncoding:             {http.StatusUnsupportedMediaType, "Bodies must not be compressed"},
	codeExpectationFailed:           {http.StatusExpectationFailed, "The expectation cannot be met"},
	codeValidation:                  {http.StatusUnprocessableEntity, "The request breaks a rule"},
	schemas.CodeLimitReached:        {http.StatusUnprocessableEntity, "The account has as many as it may"},
	schemas.CodeTooManyOpen:         {http.StatusUnprocessableEntity, "Too many images would be open"},
	schemas.CodeIdempotencyConflict: {http.StatusUnprocessableEntity, "The idempotency key was used for another request"},
	schemas.CodeDuplicate:           {http.StatusUnprocessableEntity, "It exists already"},
	schemas.CodeInvalid:             {http.StatusUnprocessableEntity, "The request breaks a rule"},
	codeNeedsAdapt:                  {http.StatusUnprocessableEntity, "The image cannot give this ratio"},
	codeLayoutRefused:               {http.StatusUnprocessableEntity, "The layout cannot be set"},
	codeImageRefused:                {http.StatusUnprocessableEntity, "The picture cannot be used"},
	codeVersionRequired:             {http.StatusPreconditionRequired, "If-Match is needed"},
	codeRateLimited:                 {http.StatusTooManyRequests, "Too many requests"},
	schemas.CodeAllowanceExhausted:  {http.StatusTooManyRequests, "Too many images were made and not paid for"},
	codeTooManyStreams:              {http.StatusTooManyRequests, "Too many streams are open"},
	codeHeadersTooLarge:             {http.StatusRequestHeaderFieldsTooLarge, "The headers are too large"},
	codeNotImplemented:              {http.StatusNotImplemented, "This is not supported"},
	codeVersionOfHTTP:               {http.StatusHTTPVersionNotSupported, "The HTTP version is not supported"},
	codeUnavailable:                 {http.StatusServiceUnavailable, "A part that this needs is away"},
	codeQuotaClosed:                 {http.StatusServiceUnavailable, "No more images are made today"},
	codePositionNotThere:            {http.StatusServiceUnavailable, "The read model has not reached the position"},
	schemas.CodeInternal:            {http.StatusInternalServerError, "Something went wrong here"},
}

// retryAfter is what a client is told to wait where nothing better is known.
const retryAfter = 2 * time.Second

// allowanceRetryAfter is an hour: the allowance counts by hours.
const allowanceRetryAfter = time.Hour

// refusal is an error that the client is told.
type refusal struct {
	code   string
	detail string
	fields []FieldProblem
	// figures are named counts beside the problem's own members.
	figures map[string]int64
	// retryAfter is rounded up to seconds; 0 leaves the header out.
	retryAfter time.Duration
	// seen is where the read model stood that it was refused for; nil: none was read.
	seen *projections.Position
	// cause is for the log alone.
	cause error
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.code + ": " + r.detail + ": " + r.cause.Error()
	}
	return r.code + ": " + r.detail
}

func (r *refusal) Unwrap() error { return r.cause }

func refuse(code, detail string) *refusal { return &refusal{code: code, detail: detail} }

// refuseField names one field or parameter that is wrong.
func refuseField(pointer, detail string) *refusal {
	return refuseFields([]FieldProblem{{Pointer: pointer, Detail: detail}})
}

func refuseFields(fields []FieldProblem) *refusal {
	return &refusal{code: codeValidation, detail: fields[0].Pointer + ": " + fields[0].Detail, fields: fields}
}

func unavailable(part string, cause error) *refusal {
	return &refusal{code: codeUnavailable, detail: part + " is away; try again", retryAfter: retryAfter, cause: cause}
}

// asRefusal turns any error into what the client is told. What it does not know
// is internal, without a detail.
func asRefusal(err error) *refusal {
	var known *refusal
	var status *fiber.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &status):
		return ofStatus(status)
	case errors.Is(err, ErrUnauthorized):
		return &refusal{code: codeUnauthorized, detail: "the access token is missing, invalid or over", cause: err}
	case errors.Is(err, ErrKeysAway):
		return unavailable("the issuer of access tokens", err)
	case errors.Is(err, ErrTooManyStreams):
		return &refusal{code: codeTooManyStreams, detail: "close another stream first", retryAfter: retryAfter, cause: err}
	case errors.Is(err, ErrFeedNotReady):
		return unavailable("the event log", err)
	case errors.Is(err, vault.ErrErased):
		return &refusal{code: schemas.CodeAccountErased, detail: "nothing can be done with it any more", cause: err}
	case isAway(err):
		return unavailable("the database", err)
	default:
		return &refusal{code: schemas.CodeInternal, cause: err}
	}
}

// isAway says whether an error means that Postgres cannot be reached, is
// starting, stopping or full (classes 08, 53 and 57), or takes too long.
func isAway(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		class := answer.Code[:min(2, len(answer.Code))]
		return class == "08" || class == "53" || class == "57"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) || pgconn.Timeout(err) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// statusCodes are the codes of what the router and the server itself refuse.
var statusCodes = map[int]string{
	http.StatusBadRequest:                  codeMalformed,
	http.StatusNotFound:                    codeNotFound,
	http.StatusMethodNotAllowed:            codeMethodNotAllowed,
	http.StatusRequestTimeout:              codeRequestTimeout,
	http.StatusRequestEntityTooLarge:       codeBodyTooLarge,
	http.StatusExpectationFailed:           codeExpectationFailed,
	http.StatusRequestHeaderFieldsTooLarge: codeHeadersTooLarge,
	http.StatusNotImplemented:              codeNotImplemented,
	http.StatusHTTPVersionNotSupported:     codeVersionOfHTTP,
}

func ofStatus(e *fiber.Error) *refusal {
	code, ok := statusCodes[e.Code]
	if !ok {
		return &refusal{code: schemas.CodeInternal, cause: e}
	}
	detail := ""
	if code == codeMalformed {
		// The generated binder's text names the parameter; what is behind the
		// first colon repeats what was sent.
		detail, _, _ = strings.Cut(e.Message, ":")
	}
	return &refusal{code: code, detail: detail, cause: e}
}

// problem is Fiber's error handler: it answers with the problem of an error.
func (s *Server) problem(c *fiber.Ctx, err error) error {
	r := asRefusal(err)
	kind, ok := kinds[r.code]
	if !ok {
		r = &refusal{code: schemas.CodeInternal, cause: fmt.Errorf("code %q has no status: %w", r.code, err)}
		kind = kinds[r.code]
	}
	correlation := correlationOf(c)
	switch kind.status {
	case http.StatusInternalServerError:
		s.config.Log.Error().Err(err).Str("correlation_id", correlation).Str("method", c.Method()).
			Str("route", c.Route().Path).Msg("request failed")
	case http.StatusServiceUnavailable:
		s.config.Log.Warn().Err(err).Str("correlation_id", correlation).Str("route", c.Route().Path).Msg("request could not be served")
	}
	body, err := json.Marshal(r.body(correlation))
	if err != nil {
		return fmt.Errorf("encode problem: %w", err)
	}
	if r.seen != nil {
		c.Set(positionHeader, r.seen.String())
	}
	if wait := r.wait(); wait > 0 {
		c.Set(fiber.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if kind.status == http.StatusUnauthorized {
		c.Set(fiber.HeaderWWWAuthenticate, `Bearer realm="atelier"`)
	}
	secure(c)
	c.Set(fiber.HeaderContentType, "application/problem+json")
	return c.Status(kind.status).Send(body)
}

func (r *refusal) wait() time.Duration {
	switch {
	case r.retryAfter > 0:
		return r.retryAfter
	case r.code == schemas.CodeAllowanceExhausted:
		return allowanceRetryAfter
	case kinds[r.code].status == http.StatusServiceUnavailable, kinds[r.code].status == http.StatusTooManyRequests:
		return retryAfter
	default:
		return 0
	}
}

// body is the problem as a client reads it.
func (r *refusal) body(correlation string) Problem {
	kind := kinds[r.code]
	p := Problem{
		Type: "/docs#" + r.code, Title: kind.title, Status: kind.status, Code: r.code, Instance: correlation,
		AdditionalProperties: r.figures,
	}
	if r.detail != "" {
		p.Detail = &r.detail
	}
	if len(r.fields) > 0 {
		p.Errors = &r.fields
	}
	if r.code == schemas.CodeInsufficientCredits {
		all := packs()
		p.Packs = &all
	}
	return p
}
