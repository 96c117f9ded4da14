package standin

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Faults that can be played: one for each row of the catalogue, pictures with a
// known defect, and verdicts that are none.
const (
	FaultBlocked         = "blocked"           // 200, promptFeedback, no candidates
	FaultSafety          = "safety"            // 200, SAFETY, no content
	FaultImageSafety     = "image_safety"      // 200, IMAGE_SAFETY, no content
	FaultImageProhibited = "image_prohibited"  // 200, IMAGE_PROHIBITED_CONTENT, parts null
	FaultImageRecitation = "image_recitation"  // 200, IMAGE_RECITATION
	FaultImageOther      = "image_other"       // 200, IMAGE_OTHER
	FaultNoImage         = "no_image"          // 200, NO_IMAGE
	FaultTextOnly        = "text_only"         // 200, STOP with words
	FaultSeveral         = "several_images"    // 200, drafts among thoughts, two pictures
	FaultMislabelled     = "mislabelled"       // 200, JPEG bytes called PNG
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

	FaultWrongRatio    = "wrong_ratio"    // a picture of another ratio
	FaultWrongSize     = "wrong_size"     // a picture of half the size
	FaultBlank         = "blank"          // one colour
	FaultOffPalette    = "off_palette"    // colours that the brand does not have
	FaultLetterboxed   = "letterboxed"    // black bars, the picture between them
	FaultBlurred       = "blurred"        // nothing is in focus
	FaultGarbledText   = "garbled_text"   // words that are none, in large letters
	FaultNearDuplicate = "near_duplicate" // one picture for every seed, but for its grain

	FaultMaxTokens  = "max_tokens"  // 200, MAX_TOKENS, half a verdict
	FaultNotJSON    = "not_json"    // 200, STOP, a verdict in prose
	FaultWrongShape = "wrong_shape" // 200, STOP, JSON that does not fit the schema
	FaultNo         = "verdict_no"  // the judge says no, whatever it sees
	FaultUnsure     = "unsure"      // the judge says that it is unsure
)

// scope says whose calls a fault can meet.
type scope int

const (
	anyCall scope = iota
	drawings
	verdicts
)

// fault is what the stand-in knows of one.
type fault struct {
	name string
	// billed: the work was done, and so it costs money.
	billed bool
	scope  scope
}

var catalogue = []fault{
	{FaultBlocked, false, anyCall}, {FaultSafety, false, anyCall},
	{FaultImageSafety, false, drawings}, {FaultImageProhibited, false, drawings}, {FaultImageRecitation, false, drawings},
	{FaultImageOther, false, drawings}, {FaultNoImage, false, drawings}, {FaultTextOnly, false, drawings},
	{FaultSeveral, true, drawings}, {FaultMislabelled, true, drawings}, {FaultEmptyData, false, drawings}, {FaultNotAPicture, true, drawings},
	{FaultBadRequest, false, anyCall}, {FaultBadKey, false, anyCall}, {FaultBilling, false, anyCall}, {FaultLeakedKey, false, anyCall},
	{FaultModelGone, false, anyCall}, {FaultQuotaMinute, false, anyCall}, {FaultQuotaDay, false, anyCall}, {FaultQuotaNought, false, anyCall},
	{FaultOverloaded, false, anyCall}, {FaultDeadline, false, anyCall}, {FaultInternal, false, anyCall},
	{FaultHTML, false, anyCall}, {FaultEmpty500, false, anyCall}, {FaultErrorIn200, false, anyCall}, {FaultEmptyObject, false, anyCall},
	{FaultEmptyBody, false, anyCall}, {FaultNullCandidate, false, anyCall}, {FaultTruncated, true, anyCall}, {FaultBadBase64, true, drawings},
	{FaultCut, true, anyCall}, {FaultDrop, false, anyCall}, {FaultHang, false, anyCall}, {FaultContinuation, true, anyCall},

	{FaultWrongRatio, true, drawings}, {FaultWrongSize, true, drawings}, {FaultBlank, true, drawings}, {FaultOffPalette, true, drawings},
	{FaultLetterboxed, true, drawings}, {FaultBlurred, true, drawings}, {FaultGarbledText, true, drawings}, {FaultNearDuplicate, true, drawings},

	{FaultMaxTokens, true, verdicts}, {FaultNotJSON, true, verdicts}, {FaultWrongShape, true, verdicts},
	{FaultNo, true, verdicts}, {FaultUnsure, true, verdicts},
}

// Faults lists the names of all that can be played.
func Faults() []string {
	names := make([]string, len(catalogue))
	for i, f := range catalogue {
		names[i] = f.name
	}
	return names
}

func faultByName(name string) (fault, bool) {
	at := slices.IndexFunc(catalogue, func(f fault) bool { return f.name == name })
	if at < 0 {
		return fault{}, false
	}
	return catalogue[at], true
}

// meets says whether a fault can be played on a call for a picture, or on one
// for words.
func (f fault) meets(picture bool) bool {
	return f.scope == anyCall || (f.scope == drawings) == picture
}

// Rule plays a fault on the calls that it matches. Zero fields match all. A
// fault of pictures meets no call for words, and the reverse.
type Rule struct {
	// Call is the index of one call, counted from 1.
	Call int64
	// Model and Tag are those of the call.
	Model, Tag string
	// Times bounds how often the rule is used, 0 for ever.
	Times int
	Fault string
	// Question narrows FaultNo and FaultUnsure to the questions whose ID
	// contains it; the others are answered from the picture.
	Question string
}

// tagPattern finds a script in a prompt: [[fault:overloaded]] plays the fault on
// every such call, [[fault:overloaded:2]] on the first two with this very tag
// and model; more words behind a further colon tell tags apart.
var tagPattern = regexp.MustCompile(`\[\[([a-z0-9_:-]{1,100})\]\]`)

func tagOf(prompt string) string {
	if m := tagPattern.FindStringSubmatch(prompt); m != nil {
		return m[1]
	}
	return ""
}

// scripted is the fault that a call meets, with the rule's question: by a rule,
// by its prompt's tag, or by the storm.
func (s *Server) scripted(c Call, seen earlier) (name, question string) {
	if rule, ok := s.ruled(c); ok {
		return rule.Fault, rule.Question
	}
	if name, tagged := s.tagged(c, seen.tag); tagged {
		return name, ""
	}
	return s.options.Storm.fault(c, seen.same), ""
}

// ruled finds the first rule for a call and counts its use.
func (s *Server) ruled(c Call) (Rule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.options.Rules {
		if (r.Call != 0 && r.Call != c.Index) || (r.Model != "" && r.Model != c.Model) || (r.Tag != "" && r.Tag != c.PromptTag) {
			continue
		}
		if f, known := faultByName(r.Fault); known && !f.meets(c.drawing()) {
			continue
		}
		if r.Times > 0 && s.used[i] >= r.Times {
			continue
		}
		s.used[i]++
		return r, true
	}
	return Rule{}, false
}

// tagged reads the script of a prompt. A tag whose times are over still keeps
// the storm away: who wrote it wants to know what comes.
func (s *Server) tagged(c Call, sameTag int) (name string, is bool) {
	parts := strings.Split(c.PromptTag, ":")
	if s.options.IgnoreTags || parts[0] != "fault" || len(parts) < 2 {
		return "", false
	}
	f, known := faultByName(parts[1])
	if !known || !f.meets(c.drawing()) {
		return "", false
	}
	if len(parts) > 2 {
		if times, err := strconv.Atoi(parts[2]); err == nil && sameTag >= times {
			return "", true
		}
	}
	return f.name, true
}

const (
	typeRetryInfo = "type.googleapis.com/google.rpc.RetryInfo"
	typeQuota     = "type.googleapis.com/google.rpc.QuotaFailure"
	typeErrorInfo = "type.googleapis.com/google.rpc.ErrorInfo"
)

// refusals are the faults that are a well-formed error.
var refusals = map[string]*refusal{
	FaultBadRequest: invalid("Request contains an invalid argument."),
	FaultBadKey:     badKey,
	FaultBilling:    {400, "FAILED_PRECONDITION", "User location is not supported for the API use.", nil},
	FaultLeakedKey:  {403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key.", nil},
	FaultModelGone:  {404, "NOT_FOUND", "models/retired is not found for API version v1beta, or is not supported for generateContent.", nil},
	// The real one names some seconds too, after which nothing is better.
	FaultQuotaDay:    quotaRefusal(quotaPerDay, 31*time.Second, 250),
	FaultQuotaNought: {429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details.\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_requests, limit: 0", nil},
	FaultOverloaded:  {503, "UNAVAILABLE", "The model is overloaded. Please try again later.", nil},
	FaultDeadline:    {504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", nil},
	FaultInternal:    {500, "INTERNAL", "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting", nil},
}

// refusal is the well-formed error that a fault is, if it is one.
func (s *Server) refusal(fault string) (*refusal, bool) {
	if fault == FaultQuotaMinute {
		return quotaRefusal(quotaPerMinute, s.options.QuotaWait, 10), true
	}
	r, ok := refusals[fault]
	return r, ok
}

var badKey = &refusal{code: 400, status: "INVALID_ARGUMENT", message: "API key not valid. Please pass a valid API key.", details: []any{
	map[string]any{"@type": typeErrorInfo, "reason": "API_KEY_INVALID", "domain": "googleapis.com"},
}}

// The names of the quotas, as the API calls them.
const (
	quotaPerMinute = "GenerateRequestsPerMinutePerProjectPerModel"
	quotaPerDay    = "GenerateRequestsPerDayPerProjectPerModel"
)

func quotaRefusal(id string, wait time.Duration, limit int) *refusal {
	delay := strconv.FormatFloat(wait.Seconds(), 'f', -1, 64) + "s"
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

func isBilled(name string) bool {
	f, known := faultByName(name)
	return !known || f.billed
}

// isWireFault says whether a fault is played below the API.
func isWireFault(fault string) bool {
	switch fault {
	case FaultHTML, FaultEmpty500, FaultErrorIn200, FaultEmptyObject, FaultEmptyBody, FaultTruncated, FaultCut, FaultDrop, FaultHang:
		return true
	default:
		return false
	}
}
