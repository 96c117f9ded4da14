package standin

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Faults that can be played, one for each row of the catalogue.
const (
	FaultBlocked         = "blocked"           // 200, promptFeedback, no candidates
	FaultImageSafety     = "image_safety"      // 200, IMAGE_SAFETY, no content
	FaultImageProhibited = "image_prohibited"  // 200, IMAGE_PROHIBITED_CONTENT, parts null
	FaultImageRecitation = "image_recitation"  // 200, IMAGE_RECITATION
	FaultImageOther      = "image_other"       // 200, IMAGE_OTHER
	FaultNoImage         = "no_image"          // 200, NO_IMAGE
	FaultTextOnly        = "text_only"         // 200, STOP with words
	FaultSeveral         = "several_images"    // 200, drafts among thoughts, two pictures
	FaultWrongRatio      = "wrong_ratio"       // 200, a picture of another ratio
	FaultWrongSize       = "wrong_size"        // 200, a picture of half the size
	FaultMislabelled     = "mislabelled"       // 200, JPEG bytes called PNG
	FaultBlank           = "blank"             // 200, one colour
	FaultEmptyData       = "empty_data"        // 200, data:""
	FaultNotAPicture     = "not_a_picture"     // 200, bytes that are none
	FaultBadRequest      = "bad_request"       // 400 INVALID_ARGUMENT
	FaultBadKey          = "bad_key"           // 400 API_KEY_INVALID
	FaultBilling         = "billing"           // 400 FAILED_PRECONDITION
	FaultLeakedKey       = "leaked_key"        // 403 PERMISSION_DENIED
	FaultModelGone       = "model_gone"        // 404 NOT_FOUND
	FaultQuotaMinute     = "quota_minute"      // 429 with RetryInfo
	FaultQuotaDay        = "quota_day"         // 429, ...PerDay...
	FaultQuotaNought     = "quota_nought"      // 429, limit: 0
	FaultOverloaded      = "overloaded"        // 503
	FaultDeadline        = "deadline"          // 504
	FaultInternal        = "internal"          // 500
	FaultHTML            = "html_502"          // 502, a page
	FaultEmpty500        = "empty_500"         // 500, nothing
	FaultErrorIn200      = "error_in_200"      // 200, {"error":...}
	FaultEmptyObject     = "empty_object"      // 200, {}
	FaultEmptyBody       = "empty_body"        // 200, nothing
	FaultNullCandidate   = "null_candidate"    // 200, candidates:[null]
	FaultTruncated       = "truncated"         // 200, JSON that ends early
	FaultBadBase64       = "bad_base64"        // 200, data that is none
	FaultCut             = "cut"               // 200, connection closed in mid-body
	FaultDrop            = "drop"              // connection closed before headers
	FaultHang            = "hang"              // no answer until the caller leaves
	FaultContinuation    = "continuation_loop" // 200, CONTINUATION with a token, each time
)

// Faults lists all that can be played.
var Faults = []string{
	FaultBlocked, FaultImageSafety, FaultImageProhibited, FaultImageRecitation, FaultImageOther, FaultNoImage, FaultTextOnly,
	FaultSeveral, FaultWrongRatio, FaultWrongSize, FaultMislabelled, FaultBlank, FaultEmptyData, FaultNotAPicture,
	FaultBadRequest, FaultBadKey, FaultBilling, FaultLeakedKey, FaultModelGone, FaultQuotaMinute, FaultQuotaDay, FaultQuotaNought,
	FaultOverloaded, FaultDeadline, FaultInternal, FaultHTML, FaultEmpty500, FaultErrorIn200, FaultEmptyObject, FaultEmptyBody,
	FaultNullCandidate, FaultTruncated, FaultBadBase64, FaultCut, FaultDrop, FaultHang, FaultContinuation,
}

// billed are the faults whose picture was drawn: they cost money.
var billed = []string{
	FaultSeveral, FaultWrongRatio, FaultWrongSize, FaultMislabelled, FaultBlank, FaultNotAPicture,
	FaultTruncated, FaultBadBase64, FaultCut, FaultContinuation,
}

// Rule plays a fault on the calls that it matches. Zero fields match all.
type Rule struct {
	// Call is the index of one call, counted from 1.
	Call int64
	// Model and Tag are those of the call.
	Model, Tag string
	// Times bounds how often the rule is used, 0 for ever.
	Times int
	Fault string
}

// tagPattern finds a script in a prompt: [[fault:overloaded]] plays the fault on
// every such call, [[fault:overloaded:2]] on the first two with this very tag;
// more words behind a further colon tell tags apart.
var tagPattern = regexp.MustCompile(`\[\[([a-z0-9_:-]{1,100})\]\]`)

func tagOf(prompt string) string {
	if m := tagPattern.FindStringSubmatch(prompt); m != nil {
		return m[1]
	}
	return ""
}

// scripted is the fault that a call meets: by a rule, or by its prompt's tag.
func (s *Server) scripted(c Call, sameTag int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.options.Rules {
		if (r.Call != 0 && r.Call != c.Index) || (r.Model != "" && r.Model != c.Model) || (r.Tag != "" && r.Tag != c.PromptTag) {
			continue
		}
		if r.Times > 0 && s.used[i] >= r.Times {
			continue
		}
		s.used[i]++
		return r.Fault
	}
	parts := strings.Split(c.PromptTag, ":")
	if s.options.IgnoreTags || parts[0] != "fault" || len(parts) < 2 {
		return ""
	}
	if len(parts) > 2 {
		if times, err := strconv.Atoi(parts[2]); err == nil && sameTag >= times {
			return ""
		}
	}
	if !slices.Contains(Faults, parts[1]) {
		return ""
	}
	return parts[1]
}

const (
	typeRetryInfo = "type.googleapis.com/google.rpc.RetryInfo"
	typeQuota     = "type.googleapis.com/google.rpc.QuotaFailure"
	typeErrorInfo = "type.googleapis.com/google.rpc.ErrorInfo"
)

// refusals are the faults that are a well-formed error.
var refusals = map[string]*refusal{
	FaultBadRequest:  invalid("Request contains an invalid argument."),
	FaultBadKey:      badKey,
	FaultBilling:     {400, "FAILED_PRECONDITION", "User location is not supported for the API use.", nil},
	FaultLeakedKey:   {403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.", nil},
	FaultModelGone:   {404, "NOT_FOUND", "models/retired is not found for API version v1beta, or is not supported for generateContent.", nil},
	FaultQuotaMinute: quotaRefusal("GenerateRequestsPerMinutePerProjectPerModel", "18.312478563s", 10),
	FaultQuotaDay:    quotaRefusal("GenerateRequestsPerDayPerProjectPerModel", "31s", 250),
	FaultQuotaNought: {429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_requests, limit: 0", nil},
	FaultOverloaded:  {503, "UNAVAILABLE", "The model is overloaded. Please try again later.", nil},
	FaultDeadline:    {504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", nil},
	FaultInternal:    {500, "INTERNAL", "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting", nil},
}

var badKey = &refusal{code: 400, status: "INVALID_ARGUMENT", message: "API key not valid. Please pass a valid API key.", details: []any{
	map[string]any{"@type": typeErrorInfo, "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
}}

func quotaRefusal(id, delay string, limit int) *refusal {
	return &refusal{code: 429, status: "RESOURCE_EXHAUSTED",
		message: "You exceeded your current quota, please check your plan and billing details. Please retry in " + delay + ".",
		details: []any{
			map[string]any{"@type": typeQuota, "violations": []any{map[string]any{
				"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": id, "quotaValue": strconv.Itoa(limit),
			}}},
			map[string]any{"@type": typeRetryInfo, "retryDelay": delay},
		}}
}

// wireFault plays a fault below the API, if it is one. Those
// that break the connection panic with http.ErrAbortHandler, which net/http
// takes as the wish to do so.
func (s *Server) wireFault(w http.ResponseWriter, r *http.Request, fault string, whole []byte) (status int, played bool) {
	switch fault {
	case FaultHTML:
		w.Header().Set("Content-Type", "text/html; charset=UTF-8")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<!DOCTYPE html><html lang=en><title>Error 502 (Server Error)!!1</title><p>The server encountered a temporary error.</html>"))
		return http.StatusBadGateway, true
	case FaultEmpty500:
		w.WriteHeader(http.StatusInternalServerError)
		return http.StatusInternalServerError, true
	case FaultErrorIn200:
		return writeRaw(w, []byte(`{"error":{"code":500,"message":"Internal error encountered.","status":"INTERNAL"}}`)), true
	case FaultEmptyObject:
		return writeRaw(w, []byte(`{}`)), true
	case FaultEmptyBody:
		return writeRaw(w, nil), true
	case FaultTruncated:
		return writeRaw(w, whole[:len(whole)*2/3]), true
	case FaultCut:
		w.Header().Set("Content-Length", strconv.Itoa(len(whole)))
		writeRaw(w, whole[:len(whole)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case FaultDrop:
		panic(http.ErrAbortHandler)
	case FaultHang:
		select {
		case <-r.Context().Done():
		case <-s.closed:
		}
		panic(http.ErrAbortHandler)
	}
	return 0, false
}

func writeRaw(w http.ResponseWriter, body []byte) int {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a caller that left is no fault of the stand-in
	return http.StatusOK
}

func isBilled(fault string) bool { return fault == "" || slices.Contains(billed, fault) }

// isWireFault says whether a fault is played below the API.
func isWireFault(fault string) bool {
	switch fault {
	case FaultHTML, FaultEmpty500, FaultErrorIn200, FaultEmptyObject, FaultEmptyBody, FaultTruncated, FaultCut, FaultDrop, FaultHang:
		return true
	default:
		return false
	}
}
