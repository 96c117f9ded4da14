// Package standin is an HTTP handler that speaks the REST API of Gemini's models,
// on the Gemini API's paths and on Vertex's: strict about what it is sent, exact
// in what it answers, and able to play every fault that a client has to live
// with. It draws its pictures from the prompt, and judges pictures by their
// pixels. Development and tests run against it; it needs nothing and costs nothing.
//
// # The judge
//
// A text model that is asked for JSON gets what fits the schema. Where the schema
// has answers (an enum with yes and no, or a boolean), each follows from the
// question that it belongs to and from the first picture; further pictures are
// references. Three conventions hold between who asks and the stand-in:
//
//   - Every question is worded so that yes is the good answer ("Is the picture
//     free of words?").
//   - A question's ID is the const or enum of the property "id" beside its
//     answer, or the name of the property that holds the answer. Where an array
//     of answers says no IDs, those at the beginning of the prompt's lines that
//     hold a question mark are taken ("brand_do_1: Is the light warm?").
//   - The ID says what is looked at: text, words or letters (are there any),
//     palette or colours (against the #rrggbb of prompt and system text, without
//     those on lines that refuse them), sharp or focus, border, frame or
//     letterbox, product, scene or subject (is there anything), dont (the #rrggbb
//     of the question's own line must be absent). Whatever else is asked gets yes.
//
// Without a picture that can be read every answer is unsure.
package standin

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"atelier/processors/gemini"
)

// bodyBytesMax bounds a request, as the API does: 14 references of 7 MB in
// base64 stay below it.
const bodyBytesMax = 140 << 20

// Options say how a stand-in behaves. The zero value takes any key and answers
// at once.
type Options struct {
	// Key is required of every request, as X-Goog-Api-Key, as a key parameter or
	// as a bearer token. Empty takes any that is not empty.
	Key string
	// Latency is how long a call takes before its answer, nil for no time.
	Latency func(Call) time.Duration
	// Hold is called before a call is answered, nil for nothing. A test holds a
	// call open by not returning; ctx ends when the caller leaves.
	Hold func(ctx context.Context, call Call)
	// Rules play faults. The first that matches is used, before a prompt's tag.
	Rules []Rule
	// Storm plays faults on the calls that no rule and no tag has.
	Storm Storm
	// QuotaWait is the wait that FaultQuotaMinute tells; 0 means 18.312478563 s.
	QuotaWait time.Duration
	// IgnoreTags leaves the faults that prompts ask for without effect: prompts
	// are other people's text where it is not a test that writes them.
	IgnoreTags bool
	// PerMinute and PerDay bound the calls of each model, 0 for no bound. The
	// day ends at midnight Pacific.
	PerMinute, PerDay int
	// Now replaces the clock, nil for the wall clock.
	Now func() time.Time
}

// Server is the handler. It is safe for concurrent use.
type Server struct {
	options Options
	ledger  ledger
	quota   quota
	drawing chan struct{}
	closed  chan struct{}
	once    sync.Once

	mu   sync.Mutex
	used []int // how often each rule was used
}

// New returns a stand-in.
func New(options Options) *Server {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.QuotaWait == 0 {
		options.QuotaWait = 18_312_478_563
	}
	return &Server{
		options: options,
		ledger:  ledger{seen: map[string]int{}},
		quota:   quota{minute: map[string][]time.Time{}, day: map[string]dayCount{}},
		drawing: make(chan struct{}, runtime.GOMAXPROCS(0)),
		closed:  make(chan struct{}),
		used:    make([]int, len(options.Rules)),
	}
}

// Close lets calls go that hang, so that an HTTP server can shut down.
func (s *Server) Close() { s.once.Do(func() { close(s.closed) }) }

// route finds model and action behind any prefix.
var route = regexp.MustCompile(`/(v1|v1beta|v1alpha|v1beta1)/(?:(projects/[^/]+/locations/[^/]+/)?(publishers/google/))?models(?:/([A-Za-z0-9._-]+))?(?::([A-Za-z]+))?$`)

// ledgerPath is where the ledger is read, behind any prefix; it is no path of the
// real API.
const ledgerPath = "/ledger"

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := route.FindStringSubmatch(r.URL.Path)
	ledger := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, ledgerPath)
	if m == nil && !ledger {
		writeRefusal(w, &refusal{code: 404, status: "NOT_FOUND", message: "Requested entity was not found."})
		return
	}
	if refused := s.authorise(r); refused != nil {
		writeRefusal(w, refused)
		return
	}
	if ledger {
		s.serveLedger(w, r)
		return
	}
	vertex, model, action := m[3] != "", m[4], m[5]
	switch {
	case r.Method == http.MethodGet && action == "" && model == "":
		writeJSON(w, http.StatusOK, listed(vertex))
	case r.Method == http.MethodGet && action == "":
		getModel(w, model, vertex)
	case r.Method == http.MethodPost && action == "countTokens":
		s.countTokens(w, r, model)
	case r.Method == http.MethodPost && (action == "generateContent" || action == "streamGenerateContent"):
		s.generate(w, r, model, action == "streamGenerateContent")
	default:
		writeRefusal(w, &refusal{code: 404, status: "NOT_FOUND", message: "Method not found."})
	}
}

func (s *Server) authorise(r *http.Request) *refusal {
	key := r.Header.Get("X-Goog-Api-Key")
	if key == "" {
		key = r.URL.Query().Get("key")
	}
	if key == "" {
		key, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if key == "" {
		return &refusal{code: 403, status: "PERMISSION_DENIED", message: "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API."}
	}
	if s.options.Key != "" && subtle.ConstantTimeCompare([]byte(key), []byte(s.options.Key)) != 1 {
		return badKey
	}
	return nil
}

// available is a model that is there to be called.
func available(id string) (gemini.Model, *refusal) {
	model, ok := gemini.ModelByID(id)
	if !ok || model.Retired {
		return gemini.Model{}, &refusal{code: 404, status: "NOT_FOUND",
			message: "models/" + id + " is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."}
	}
	return model, nil
}

func (s *Server) generate(w http.ResponseWriter, r *http.Request, id string, stream bool) {
	model, refused := available(id)
	if refused != nil {
		writeRefusal(w, refused)
		return
	}
	var request generateRequest
	if refused := readBody(w, r, requestShape, &request); refused != nil {
		writeRefusal(w, refused)
		return
	}
	t, refused := taskOf(model, request)
	if refused != nil {
		writeRefusal(w, refused)
		return
	}
	call := Call{
		At: s.options.Now(), Model: id, PromptHash: t.hash(), PromptTag: tagOf(t.prompt),
		AspectRatio: t.ratio, Size: t.size, Seed: t.seed, References: len(t.references),
	}
	before := s.ledger.enter(&call)
	defer func() { // also when the connection is broken on purpose
		call.Ended = s.options.Now()
		s.ledger.update(&call)
	}()
	if refused := s.quota.take(id, call.At, s.options.PerMinute, s.options.PerDay); refused != nil {
		call.Status = writeRefusal(w, refused)
		return
	}
	call.Fault, t.question = s.scripted(call, before)
	s.play(w, r, t, &call, stream)
}

// play takes the call's time and answers it, well or as its fault wants.
func (s *Server) play(w http.ResponseWriter, r *http.Request, t task, call *Call, stream bool) {
	if !s.wait(r.Context(), *call) {
		panic(http.ErrAbortHandler) // the caller has left
	}
	if refused, ok := s.refusal(call.Fault); ok {
		call.Status = writeRefusal(w, refused)
		return
	}
	var whole []byte
	if isBilled(call.Fault) || !isWireFault(call.Fault) {
		body, tokens, there := s.compose(r.Context(), t, call.Fault)
		if !there {
			panic(http.ErrAbortHandler)
		}
		whole, call.TotalTokens = body, tokens
	}
	if call.Billed = isBilled(call.Fault); call.Billed {
		s.ledger.update(call) // before an answer can be seen
	}
	if status, played := s.wireFault(w, r, call.Fault, whole); played {
		call.Status = status
		return
	}
	if stream {
		whole = streamed(w, r, whole)
	}
	w.Header().Set("X-Gemini-Service-Tier", "standard")
	call.Status, call.Delivered = writeWhole(w, whole)
}

// compose makes the body of an answer and counts its tokens. As many are made at once as there are
// processors; it says whether the caller was still there at its turn, since who
// draws for those who have left keeps those waiting who have not.
func (s *Server) compose(ctx context.Context, t task, fault string) (body []byte, totalTokens int, there bool) {
	select {
	case s.drawing <- struct{}{}:
		defer func() { <-s.drawing }()
	case <-ctx.Done():
		return nil, 0, false
	}
	if ctx.Err() != nil { // both were so
		return nil, 0, false
	}
	composed := answer(t, fault)
	body, err := json.Marshal(composed)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	return body, composed["usageMetadata"].(map[string]any)["totalTokenCount"].(int), true
}

// wait takes the call's time. It says whether the caller is still there.
func (s *Server) wait(ctx context.Context, call Call) bool {
	if s.options.Latency != nil {
		timer := time.NewTimer(s.options.Latency(call))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.closed:
		case <-ctx.Done():
			return false
		}
	}
	if s.options.Hold != nil {
		s.options.Hold(ctx, call)
	}
	return ctx.Err() == nil
}

// streamed frames an answer as a stream of one piece: server-sent events, or a
// JSON array where nobody asked for them.
func streamed(w http.ResponseWriter, r *http.Request, whole []byte) []byte {
	if r.URL.Query().Get("alt") == "sse" {
		w.Header().Set("Content-Type", "text/event-stream")
		return append(append([]byte("data: "), whole...), "\r\n\r\n"...)
	}
	return append(append([]byte("["), whole...), ']')
}

func (s *Server) countTokens(w http.ResponseWriter, r *http.Request, id string) {
	model, refused := available(id)
	if refused != nil {
		writeRefusal(w, refused)
		return
	}
	var request struct {
		Contents               []content        `json:"contents"`
		GenerateContentRequest *generateRequest `json:"generateContentRequest"`
	}
	if refused := readBody(w, r, countShape, &request); refused != nil {
		writeRefusal(w, refused)
		return
	}
	inner := generateRequest{Contents: request.Contents}
	if request.GenerateContentRequest != nil {
		inner = *request.GenerateContentRequest
	}
	t := task{model: model}
	if refused := t.readContents(inner); refused != nil {
		writeRefusal(w, refused)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"totalTokens": t.promptTokens(), "promptTokensDetails": t.usage(0)["promptTokensDetails"],
	})
}

func readBody(w http.ResponseWriter, r *http.Request, known shape, into any) *refusal {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyBytesMax))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return invalid("Request payload size exceeds the limit: %d bytes.", bodyBytesMax)
	case err != nil:
		panic(http.ErrAbortHandler) // the caller has left
	}
	if message := parse(body, known, into); message != "" {
		return invalid("%s", message)
	}
	return nil
}

func getModel(w http.ResponseWriter, id string, vertex bool) {
	model, refused := available(id)
	if refused != nil {
		writeRefusal(w, refused)
		return
	}
	writeJSON(w, http.StatusOK, described(model, vertex))
}

func listed(vertex bool) map[string]any {
	name := "models"
	if vertex {
		name = "publisherModels"
	}
	var models []any
	for _, m := range gemini.Models {
		if !m.Retired {
			models = append(models, described(m, vertex))
		}
	}
	return map[string]any{name: models}
}

func described(m gemini.Model, vertex bool) map[string]any {
	if vertex {
		return map[string]any{"name": "publishers/google/models/" + m.ID, "versionId": "001", "launchStage": "GA"}
	}
	return map[string]any{
		"name": "models/" + m.ID, "version": "001", "displayName": m.ID, "inputTokenLimit": promptTokensMax, "outputTokenLimit": 32768,
		"supportedGenerationMethods": []string{"generateContent", "countTokens"}, "temperature": 1, "topP": 0.95, "topK": 64,
	}
}

func writeRefusal(w http.ResponseWriter, r *refusal) int {
	inner := map[string]any{"code": r.code, "message": r.message, "status": r.status}
	if len(r.details) > 0 {
		inner["details"] = r.details
	}
	writeJSON(w, r.code, map[string]any{"error": inner})
	return r.code
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // maps of strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a caller that left is no fault of the stand-in
}

func writeWhole(w http.ResponseWriter, whole []byte) (status int, delivered bool) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	}
	w.WriteHeader(http.StatusOK)
	n, err := w.Write(whole)
	return http.StatusOK, err == nil && n == len(whole)
}
