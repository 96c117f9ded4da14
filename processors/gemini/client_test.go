package gemini_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
)

const (
	key   = "test-key-0123456789abcdefghijklmnopqrstu"
	model = "gemini-3.1-flash-lite-image"
)

// noon is midday in California, in winter: twelve hours before quotas come back.
var noon = time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)

// start runs a stand-in and a client that calls it.
func start(t *testing.T, options standin.Options) (*gemini.Client, *standin.Server) {
	t.Helper()
	options.Key = key
	upstream := standin.New(options)
	return connect(t, upstream, upstream.Close), upstream
}

func connect(t *testing.T, upstream http.Handler, stop func()) *gemini.Client {
	t.Helper()
	server := httptest.NewServer(upstream)
	t.Cleanup(server.Close)
	t.Cleanup(stop) // first, so that calls that hang let the server close
	client, err := gemini.New(t.Context(), gemini.Config{
		APIKey: key, BaseURL: server.URL + "/some/prefix", Now: func() time.Time { return noon },
	})
	require.NoError(t, err)
	return client
}

func request(prompt string) gemini.ImageRequest {
	return gemini.ImageRequest{Model: model, Prompt: prompt, System: "Draw one picture.", AspectRatio: "4:5", Size: "1K", Seed: 7}
}

func TestGenerateImage(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	asked := request("Brand colours: #F4E3D0, #7A2E1F. A bottle of cold brew.")
	asked.References = []gemini.Reference{{MIMEType: "image/jpeg", Data: small(t)}}

	got, err := client.GenerateImage(t.Context(), asked)
	require.NoError(t, err)
	assert.Equal(t, "image/jpeg", got.MIMEType)
	assert.Equal(t, []int{928, 1152}, []int{got.Width, got.Height})
	assert.Equal(t, model, got.Model)
	assert.Equal(t, model, got.ModelVersion)
	assert.NotEmpty(t, got.ResponseID)
	img, err := jpeg.Decode(bytes.NewReader(got.Bytes))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(928, 1152), img.Bounds().Size())

	// The parts of the usage are there; the total is what is paid.
	assert.Positive(t, got.Usage.PromptTokens)
	assert.Positive(t, got.Usage.ThoughtTokens)
	assert.Greater(t, got.Usage.OutputTokens, int64(1120))
	assert.Equal(t, (got.Usage.TotalTokens*33_600+1119)/1120, got.CostMicros)

	again, err := client.GenerateImage(t.Context(), asked)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(got.Bytes, again.Bytes), "the same for the same")
	assert.NotEqual(t, got.ResponseID, again.ResponseID)
	asked.Seed++
	other, err := client.GenerateImage(t.Context(), asked)
	require.NoError(t, err)
	assert.False(t, bytes.Equal(got.Bytes, other.Bytes), "another for another seed")

	calls := upstream.Ledger()
	require.Len(t, calls, 3)
	for i, call := range calls {
		assert.Equal(t, int64(i+1), call.Index)
		assert.True(t, call.Billed && call.Delivered)
		assert.Equal(t, 1, call.References)
	}
	assert.Equal(t, calls[0].PromptHash, calls[1].PromptHash)
}

func small(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8)), nil))
	return b.Bytes()
}

// Every row of the catalogue, as it comes through the real SDK.
func TestFaultCatalogue(t *testing.T) {
	const price = 33_600
	type want struct {
		code, fault string
		remedy      gemini.Remedy
		retriable   bool
		certain     bool
		retryAfter  time.Duration
		reason      string
		cause       error
		open        bool // nobody else need try
	}
	wanted := map[string]want{
		standin.FaultBlocked:         {"prompt_blocked", "user", gemini.RemedyNone, false, true, 0, "PROHIBITED_CONTENT", nil, false},
		standin.FaultSafety:          {"image_safety", "user", gemini.RemedyRewrite, true, true, 0, "SAFETY", nil, false},
		standin.FaultImageSafety:     {"image_safety", "user", gemini.RemedyRewrite, true, true, 0, "IMAGE_SAFETY", nil, false},
		standin.FaultImageProhibited: {"image_safety", "user", gemini.RemedyRewrite, true, true, 0, "IMAGE_PROHIBITED_CONTENT", nil, false},
		standin.FaultImageRecitation: {"image_safety", "user", gemini.RemedyRewrite, true, true, 0, "IMAGE_RECITATION", nil, false},
		standin.FaultImageOther:      {"image_other", "model", gemini.RemedyRetryThenRewrite, true, true, 0, "IMAGE_OTHER", nil, false},
		standin.FaultNoImage:         {"no_image", "model", gemini.RemedyImageOnly, true, true, 0, "NO_IMAGE", nil, false},
		standin.FaultTextOnly:        {"no_image", "model", gemini.RemedyImageOnly, true, true, 0, "STOP", nil, false},
		standin.FaultEmptyData:       {"no_image", "model", gemini.RemedyImageOnly, true, true, 0, "STOP", nil, false},
		standin.FaultNotAPicture:     {"malformed", "model", gemini.RemedyRetry, true, true, 0, "", nil, false},
		standin.FaultBadRequest:      {"bad_request", "ours", gemini.RemedyAlert, false, true, 0, "INVALID_ARGUMENT", nil, false},
		standin.FaultBadKey:          {"permission", "ours", gemini.RemedyAlert, false, true, 5 * time.Second, "INVALID_ARGUMENT", nil, true},
		standin.FaultBilling:         {"billing", "ours", gemini.RemedyAlert, false, true, 5 * time.Second, "FAILED_PRECONDITION", nil, true},
		standin.FaultLeakedKey:       {"permission", "ours", gemini.RemedyAlert, false, true, 5 * time.Second, "PERMISSION_DENIED", nil, true},
		standin.FaultModelGone:       {"model_gone", "ours", gemini.RemedyAlert, false, true, 5 * time.Second, "NOT_FOUND", nil, true},
		standin.FaultQuotaMinute:     {"quota_minute", "ours", gemini.RemedyWait, true, true, 18312478563, "RESOURCE_EXHAUSTED", nil, true},
		standin.FaultQuotaDay:        {"quota_day", "ours", gemini.RemedyBreak, true, true, 12 * time.Hour, "RESOURCE_EXHAUSTED", nil, true},
		standin.FaultQuotaNought:     {"quota_day", "ours", gemini.RemedyBreak, true, true, 12 * time.Hour, "RESOURCE_EXHAUSTED", nil, true},
		standin.FaultOverloaded:      {"overloaded", "model", gemini.RemedyBackOff, true, true, 0, "UNAVAILABLE", nil, false},
		standin.FaultDeadline:        {"deadline", "model", gemini.RemedyRetry, true, false, 0, "DEADLINE_EXCEEDED", nil, false},
		standin.FaultInternal:        {"internal", "model", gemini.RemedyRetry, true, true, 0, "INTERNAL", nil, false},
		standin.FaultHTML:            {"gateway", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultEmpty500:        {"gateway", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultErrorIn200:      {"empty", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultEmptyObject:     {"empty", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultEmptyBody:       {"empty", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultNullCandidate:   {"malformed", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultTruncated:       {"malformed", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultBadBase64:       {"malformed", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultCut:             {"cut", "model", gemini.RemedyRetry, true, false, 0, "", io.ErrUnexpectedEOF, false},
		standin.FaultDrop:            {"network", "model", gemini.RemedyRetry, true, false, 0, "", nil, false},
		standin.FaultHang:            {"timeout", "model", gemini.RemedyRetry, true, false, 0, "", context.DeadlineExceeded, false},
	}
	for _, fault := range standin.Faults() {
		_, listed := wanted[fault]
		_, drawn := strange[fault]
		assert.True(t, listed || drawn || slices.Contains(verdictFaults, fault) || slices.Contains(defects, fault), "fault %s has no line", fault)
	}
	for fault, w := range wanted {
		t.Run(fault, func(t *testing.T) {
			client, upstream := start(t, standin.Options{})
			ctx := t.Context()
			if fault == standin.FaultHang {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			prompt := "A secret harvest of rare words for this brand [[fault:" + fault + "]]"
			_, err := client.GenerateImage(ctx, request(prompt))
			var got *gemini.Error
			require.ErrorAs(t, err, &got)
			seen := want{got.Code, got.Fault, got.Remedy, got.Retriable, got.SpendCertain, got.RetryAfter, got.Reason, errors.Unwrap(got), got.Open}
			assert.Equal(t, w, seen)
			assert.Equal(t, model, got.Model)
			if !got.SpendCertain {
				assert.Equal(t, int64(price), got.CostMicros, "at most the picture's price")
			} else if got.Usage.TotalTokens == 0 {
				assert.Zero(t, got.CostMicros)
			}
			assertClean(t, got)
			assert.Len(t, upstream.Ledger(), 1, "called once, whatever came")
		})
	}
}

// assertClean checks what an error may never hold.
func assertClean(t *testing.T, err *gemini.Error) {
	t.Helper()
	for _, text := range []string{err.Error(), err.Detail, err.Reason, fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		assert.NotContains(t, text, key)
		assert.NotContains(t, text, "secret harvest")
		assert.NotContains(t, text, "<html")
		assert.NotContains(t, text, "inlineData")
		assert.Less(t, len(text), 1200)
	}
}

// strange are the faults that bring a picture all the same, with its pixels.
var strange = map[string]image.Point{
	standin.FaultSeveral:      {X: 928, Y: 1152}, // the last one; the drafts are smaller
	standin.FaultMislabelled:  {X: 928, Y: 1152},
	standin.FaultWrongRatio:   {X: 928, Y: 864},
	standin.FaultWrongSize:    {X: 464, Y: 576},
	standin.FaultBlank:        {X: 928, Y: 1152},
	standin.FaultContinuation: {X: 928, Y: 1152},
}

// defects are pictures like others on the wire: the stand-in's own tests look at them.
var defects = []string{
	standin.FaultOffPalette, standin.FaultLetterboxed, standin.FaultBlurred, standin.FaultGarbledText, standin.FaultNearDuplicate,
}

func TestPicturesFromStrangeAnswers(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	for fault, pixels := range strange {
		before := len(upstream.Ledger())
		got, err := client.GenerateImage(t.Context(), request("a cup [[fault:"+fault+"]]"))
		require.NoError(t, err, fault)
		assert.Equal(t, pixels, image.Pt(got.Width, got.Height), fault)
		assert.Equal(t, "image/jpeg", got.MIMEType, fault)
		calls := upstream.Ledger()
		require.Len(t, calls, before+1, "no continuation of its own: %s", fault)
		assert.True(t, calls[before].Billed, fault)
		assert.Equal(t, got.Usage.TotalTokens, int64(calls[before].TotalTokens), fault)
	}
}

// An answer whose only picture is a thought still was paid for.
func TestDraftIsBetterThanNothing(t *testing.T) {
	picture := standin.New(standin.Options{})
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		picture.ServeHTTP(recorder, r)
		body := strings.ReplaceAll(recorder.Body.String(), `{"inlineData"`, `{"thought":true,"inlineData"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}), picture.Close)
	got, err := client.GenerateImage(t.Context(), request("a cup"))
	require.NoError(t, err)
	assert.Equal(t, 928, got.Width)
}

func TestImageOnly(t *testing.T) {
	bodies := make(chan string, 1)
	picture := standin.New(standin.Options{})
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		assert.Equal(t, "300", r.Header.Get("X-Server-Timeout"), "five minutes")
		r.Body = io.NopCloser(bytes.NewReader(body))
		picture.ServeHTTP(w, r)
	}), picture.Close)
	asked := request("a cup")
	asked.ImageOnly = true
	_, err := client.GenerateImage(t.Context(), asked)
	require.NoError(t, err)
	body := <-bodies
	assert.Contains(t, body, `"responseModalities":["IMAGE"]`)
	assert.Contains(t, body, `"seed":7`)
	assert.Contains(t, body, `"imageConfig":{"aspectRatio":"4:5","imageSize":"1K"}`)
}

// Calls side by side share no configuration: run with -race.
func TestConcurrentCalls(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	var calls sync.WaitGroup
	for i := range 6 {
		calls.Go(func() {
			asked := request("a box")
			asked.AspectRatio, asked.Seed = "1:1", int32(i)
			_, err := client.GenerateImage(context.Background(), asked)
			assert.NoError(t, err)
		})
	}
	calls.Wait()
	assert.Len(t, upstream.Ledger(), 6)
}

// A caller who leaves ends the call; what it cost is not known.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client, upstream := start(t, standin.Options{Hold: func(held context.Context, _ standin.Call) {
		cancel()
		<-held.Done()
	}})
	_, err := client.GenerateImage(ctx, request("a cup"))
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeCanceled, got.Code)
	require.ErrorIs(t, err, context.Canceled)
	assert.False(t, got.Retriable || got.SpendCertain)
	assert.Len(t, upstream.Ledger(), 1)
}

// A call that never left cost nothing.
func TestRefusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := gemini.New(t.Context(), gemini.Config{APIKey: key, BaseURL: server.URL})
	require.NoError(t, err)
	_, err = client.GenerateImage(t.Context(), request("a cup"))
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeNetwork, got.Code)
	assert.True(t, got.SpendCertain)
	assert.Zero(t, got.CostMicros)
	assert.NotContains(t, err.Error(), server.URL)
}

// The key stays where it was sent.
func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("came with key %q", r.Header.Get("X-Goog-Api-Key"))
	}))
	defer elsewhere.Close()
	client := connect(t, http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect), func() {})
	_, err := client.GenerateImage(t.Context(), request("a cup"))
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeGateway, got.Code)
	assert.Equal(t, http.StatusTemporaryRedirect, got.HTTPStatus)
}

// What another party writes into an error is kept from our logs.
func TestMessagesAreCleaned(t *testing.T) {
	const prompt = "An advert for grandmother's very private marmalade recipe"
	for name, message := range map[string]string{
		"key":    "API key " + key + " is wrong\n\x00\x1b[31m",
		"prompt": "Cannot draw An advert for grandmother's very private marmalade recipe",
		"quoted": `Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), "An advert for grandmother's"`,
		"long":   strings.Repeat("x", 1<<20) + key,
	} {
		client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			text, _ := json.Marshal(message) // a string
			_, _ = fmt.Fprintf(w, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":%s}}`, text)
		}), func() {})
		_, err := client.GenerateImage(t.Context(), request(prompt))
		var got *gemini.Error
		require.ErrorAs(t, err, &got)
		assert.Equal(t, gemini.CodeBadRequest, got.Code, name)
		assert.LessOrEqual(t, len(got.Detail), 240, name)
		for _, never := range []string{key, "marmalade", "grandmother", "\n", "\x1b"} {
			assert.NotContains(t, err.Error(), never, name)
		}
	}
}

// An answer without end does not fill the memory.
func TestOversizedAnswer(t *testing.T) {
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		chunk := bytes.Repeat([]byte(" "), 1<<20)
		for range 80 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}), func() {})
	_, err := client.GenerateImage(t.Context(), request("a cup"))
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeOversized, got.Code)
}

func TestRetryAfterHeader(t *testing.T) {
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"error":{"message":"later"}}`) // no code in the body
	}), func() {})
	_, err := client.GenerateImage(t.Context(), request("a cup"))
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeOverloaded, got.Code)
	assert.Equal(t, 7*time.Second, got.RetryAfter)
}

func TestRequestsThatAreNotSent(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	for name, change := range map[string]func(*gemini.ImageRequest){
		"model":      func(r *gemini.ImageRequest) { r.Model = "gemini-9" },
		"ratio":      func(r *gemini.ImageRequest) { r.AspectRatio = "1.91:1" },
		"size":       func(r *gemini.ImageRequest) { r.Size = "4K" },
		"prompt":     func(r *gemini.ImageRequest) { r.Prompt = " \n" },
		"long":       func(r *gemini.ImageRequest) { r.Prompt = strings.Repeat("a", 300<<10) },
		"references": func(r *gemini.ImageRequest) { r.References = make([]gemini.Reference, 15) },
		"type": func(r *gemini.ImageRequest) {
			r.References = []gemini.Reference{{MIMEType: "image/svg+xml", Data: []byte("<svg/>")}}
		},
		"empty": func(r *gemini.ImageRequest) { r.References = []gemini.Reference{{MIMEType: "image/png"}} },
	} {
		asked := request("a cup")
		change(&asked)
		_, err := client.GenerateImage(t.Context(), asked)
		var got *gemini.Error
		require.ErrorAs(t, err, &got, name)
		assert.Equal(t, gemini.CodeBadRequest, got.Code, name)
		assert.True(t, got.SpendCertain, name)
	}
	assert.Empty(t, upstream.Ledger())
}

// A retired model answers 404, by its own table.
func TestRetiredModel(t *testing.T) {
	client, _ := start(t, standin.Options{})
	asked := request("a cup")
	asked.Model = "gemini-2.5-flash-image"
	_, err := client.GenerateImage(t.Context(), asked)
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeModelGone, got.Code)
}

// Configuration errors name the fault and never the key; the environment cannot
// send the key elsewhere.
func TestNew(t *testing.T) {
	t.Setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1/elsewhere")
	for name, config := range map[string]gemini.Config{
		"no key":       {},
		"bad URL":      {APIKey: key, BaseURL: "ftp://" + key},
		"user in URL":  {APIKey: key, BaseURL: "https://" + key + "@example.org"},
		"half vertex":  {Vertex: gemini.Vertex{Project: "p"}},
		"both":         {APIKey: key, Vertex: gemini.Vertex{Project: "p", Location: "l"}},
		"long timeout": {APIKey: key, Timeout: time.Hour},
	} {
		_, err := gemini.New(t.Context(), config)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), key, name)
	}
	_, err := gemini.New(t.Context(), gemini.Config{APIKey: key})
	require.NoError(t, err)
}

// Vertex has other paths and other credentials; the rest is the same.
func TestVertex(t *testing.T) {
	t.Setenv("GOOGLE_API_KEY", "of-somebody-else")
	upstream := standin.New(standin.Options{Key: key})
	paths := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Empty(t, r.Header.Get("X-Goog-Api-Key"), "the environment has no say")
		paths <- r.URL.Path
		upstream.ServeHTTP(w, r)
	}))
	defer server.Close()
	client, err := gemini.New(t.Context(), gemini.Config{
		BaseURL: server.URL, Vertex: gemini.Vertex{Project: "p", Location: "europe-west4"},
		HTTPClient: &http.Client{Transport: bearer(key)},
	})
	require.NoError(t, err)
	got, err := client.GenerateImage(t.Context(), request("a cup"))
	require.NoError(t, err)
	assert.Equal(t, 928, got.Width)
	assert.Equal(t, "/v1beta1/projects/p/locations/europe-west4/publishers/google/models/"+model+":generateContent", <-paths)
	verdict, err := client.Judge(t.Context(), question(t, "Is it so?"))
	require.NoError(t, err)
	assert.True(t, json.Valid(verdict.JSON))
	assert.Equal(t, "/v1beta1/projects/p/locations/europe-west4/publishers/google/models/"+judgeModel+":generateContent", <-paths)
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

func TestModels(t *testing.T) {
	for _, m := range gemini.Models {
		for _, ratio := range m.Ratios {
			for size := range m.Sizes {
				width, height, ok := m.Pixels(ratio, size)
				require.True(t, ok)
				assert.LessOrEqual(t, width*height, 25_000_000)
				assert.Zero(t, width%16+height%16)
				var a, b float64
				_, err := fmt.Sscanf(ratio, "%f:%f", &a, &b)
				require.NoError(t, err)
				assert.InEpsilon(t, a/b, float64(width)/float64(height), 0.012, "%s %s", m.ID, ratio)
				assert.Positive(t, m.PriceMicros(size))
			}
		}
	}
	m, ok := gemini.ModelByID("gemini-nano-banana-2.1")
	require.True(t, ok)
	assert.Equal(t, int64(113_400), m.PriceMicros("4K"))
	_, _, ok = m.Pixels("1.91:1", "1K")
	assert.False(t, ok)
}
