package gemini

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"google.golang.org/genai"
)

const (
	reasonBytesMax = 64
	detailBytesMax = 240
	// echoBytes is how long a piece of the prompt must be to count as an echo of
	// it in an error's text.
	echoBytes = 24
	// messageBytesMax bounds what is looked at of a message.
	messageBytesMax = 4 << 10
	// statusCancelled is Google's for CANCELLED (google.rpc.Code).
	statusCancelled = 499
	// retryAfterMax bounds what another party can make us wait for a quota that
	// comes back soon.
	retryAfterMax = 10 * time.Minute
)

// classify turns an error of the SDK into ours. What it reads of the raw error
// is its type; its text holds bodies, and with them prompts and pictures.
func (c *Client) classify(ctx context.Context, err error, seen *facts, made call) *Error {
	var refused genai.APIError
	var failed *Error
	switch {
	case errors.As(err, &refused) && !seen.broken.Load():
		failed = c.refusal(refused, seen, made)
	case seen.oversized.Load():
		failed = newError(CodeOversized, fmt.Sprintf("more than %d bytes", seen.bytesMax))
	default:
		failed = broken(ctx, err, seen)
	}
	failed.Model, failed.HTTPStatus = made.model, int(seen.status.Load())
	if !seen.sent.Load() {
		failed.SpendCertain = true // it never left
	}
	if !failed.SpendCertain {
		failed.CostMicros = made.mostMicros
	}
	return failed
}

// broken is for calls that brought no answer, or one that cannot be read.
func broken(ctx context.Context, err error, seen *facts) *Error {
	var failed *Error
	switch {
	case errors.Is(err, errPanicked):
		return newError(CodeMalformed, "answer that the SDK panics on")
	case errors.Is(ctx.Err(), context.Canceled):
		failed = newError(CodeCanceled, "")
		failed.cause = context.Canceled
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		failed = newError(CodeTimeout, "")
		failed.cause = context.DeadlineExceeded
	case seen.broken.Load() || errors.Is(err, io.ErrUnexpectedEOF):
		failed = newError(CodeCut, "")
		failed.cause = io.ErrUnexpectedEOF
	case seen.status.Load() != 0:
		failed = newError(CodeMalformed, "answer that does not parse")
	case !seen.sent.Load():
		failed = newError(CodeNetwork, "no connection")
	default:
		failed = newError(CodeNetwork, "connection lost before an answer")
	}
	return failed
}

// refusal is for answers that say what is wrong.
func (c *Client) refusal(refused genai.APIError, seen *facts, made call) *Error {
	status := int(seen.status.Load())
	// A JSON error has a word for its status; anything else is the page of some
	// proxy, and its body is in Message.
	own := !seen.foreign.Load() && !strings.HasPrefix(refused.Status, fmt.Sprint(status))
	code := refused.Code
	if !own || code == 0 {
		code = status
	}
	failed := newError(codeOf(code, own, refused), "")
	if own {
		failed.Reason = clean(refused.Status, reasonBytesMax)
		failed.Detail = c.detail(refused.Message, made.private)
	} else {
		failed.Detail = "an answer that is not the API's"
	}
	failed.RetryAfter = c.retryAfter(failed.Code, refused, seen)
	return failed
}

func codeOf(status int, own bool, refused genai.APIError) string {
	switch {
	case status == http.StatusTooManyRequests && daily(refused):
		return CodeQuotaDay
	case status == http.StatusTooManyRequests:
		return CodeQuotaMinute
	case status == http.StatusServiceUnavailable && own:
		return CodeOverloaded
	case own && (status == http.StatusGatewayTimeout || status == http.StatusRequestTimeout || status == statusCancelled):
		return CodeDeadline
	case status == http.StatusInternalServerError && own:
		return CodeInternal
	case status >= 500 || status < 400 || (!own && status != http.StatusNotFound):
		return CodeGateway
	case status == http.StatusNotFound:
		return CodeModelGone
	case status == http.StatusUnauthorized, status == http.StatusForbidden, badKey(refused):
		return CodePermission
	case refused.Status == "FAILED_PRECONDITION":
		return CodeBilling
	default:
		return CodeBadRequest
	}
}

// details calls yield for each detail of a type.
func details(refused genai.APIError, kind string, yield func(map[string]any)) {
	for _, d := range refused.Details {
		if name, ok := d["@type"].(string); ok && strings.HasSuffix(name, kind) {
			yield(d)
		}
	}
}

// badKey says whether a bad argument is the key (google.rpc.ErrorInfo).
func badKey(refused genai.APIError) bool {
	bad := false
	details(refused, "google.rpc.ErrorInfo", func(d map[string]any) {
		bad = bad || d["reason"] == "API_KEY_INVALID"
	})
	return bad
}

// daily says whether a quota is one that comes back at midnight, or is nought.
func daily(refused genai.APIError) bool {
	found := false
	details(refused, "google.rpc.QuotaFailure", func(d map[string]any) {
		violations, _ := d["violations"].([]any)
		for _, v := range violations {
			violation, _ := v.(map[string]any)
			id, _ := violation["quotaId"].(string)
			found = found || strings.Contains(id, "PerDay") || violation["quotaValue"] == "0"
		}
	})
	// A quota of nought is told nowhere but in words, and in these.
	return found || regexpNought.MatchString(refused.Message)
}

var regexpNought = regexp.MustCompile(`\blimit: 0\b`)

// retryAfter is how long to wait: as told, and for a daily quota until it comes
// back.
func (c *Client) retryAfter(code string, refused genai.APIError, seen *facts) time.Duration {
	if code == CodeQuotaDay {
		now := c.now()
		return QuotaReset(now).Sub(now)
	}
	told := time.Duration(seen.retryAfter.Load())
	details(refused, "google.rpc.RetryInfo", func(d map[string]any) {
		text, _ := d["retryDelay"].(string)
		if delay, err := time.ParseDuration(text); err == nil && delay > 0 {
			told = delay
		}
	})
	return min(told, retryAfterMax)
}

// QuotaReset is when daily quotas come back next: at midnight Pacific. A machine
// without zone data counts in standard time: an hour late in summer, never early.
func QuotaReset(now time.Time) time.Time {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		zone = time.FixedZone("PST", -8*60*60)
	}
	local := now.In(zone)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, zone)
}

var quotedLong = regexp.MustCompile(`"[^"]{25,}"|'[^']{25,}'`)

// detail is what an operator may see of the API's message: without the key,
// without quoted values, and nothing of it where it repeats the prompt.
func (c *Client) detail(message string, private []string) string {
	if c.key != "" {
		// Before anything is cut: half a key is still a secret.
		message = strings.ReplaceAll(message, c.key, "[key]")
	}
	message = message[:min(len(message), messageBytesMax)]
	message = clean(quotedLong.ReplaceAllString(message, `"..."`), detailBytesMax)
	for i := 0; i+echoBytes <= len(message); i++ {
		piece := message[i : i+echoBytes]
		if slices.ContainsFunc(private, func(text string) bool { return strings.Contains(text, piece) }) {
			return "message repeats the prompt"
		}
	}
	return message
}

// clean makes another party's text fit a log: printable, one line, bounded.
func clean(text string, bytesMax int) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(text) <= bytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:bytesMax], "")
}
