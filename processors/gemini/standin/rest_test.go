package standin_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genai"

	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
)

const (
	judge  = "gemini-3.8-flash"
	drawer = "gemini-3.1-flash-lite-image"
)

// serve runs a stand-in behind a prefix and returns its address with it.
func serve(t *testing.T, o standin.Options) (*standin.Server, string) {
	t.Helper()
	s := standin.New(o)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(s.Close)
	return s, server.URL + "/any/prefix"
}

func get(t *testing.T, address, key string) (int, string) {
	t.Helper()
	return send(t, http.MethodGet, address, key, "")
}

func send(t *testing.T, method, address, key, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	if key != "" {
		r.Header.Set("X-Goog-Api-Key", key)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// The vendor's own client, on both backends: lists, one model, token counts,
// streams, and the schema in the API's own form.
func TestTheSDKsOtherCalls(t *testing.T) {
	_, address := serve(t, standin.Options{})
	for backend, config := range map[genai.Backend]*genai.ClientConfig{
		genai.BackendGeminiAPI: {APIKey: "k"},
		genai.BackendVertexAI:  {Project: "p", Location: "l", HTTPClient: &http.Client{Transport: bearer("k")}},
	} {
		config.Backend, config.HTTPOptions = backend, genai.HTTPOptions{BaseURL: address}
		client, err := genai.NewClient(t.Context(), config)
		require.NoError(t, err)

		page, err := client.Models.List(t.Context(), &genai.ListModelsConfig{QueryBase: genai.Ptr(true)})
		require.NoError(t, err)
		var names []string
		for _, m := range page.Items {
			names = append(names, m.Name[strings.LastIndex(m.Name, "/")+1:])
		}
		assert.Equal(t, append(gemini.Offered(false), gemini.Offered(true)...), names)

		one, err := client.Models.Get(t.Context(), judge, nil)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(one.Name, "models/"+judge), one.Name)
		_, err = client.Models.Get(t.Context(), "gemini-2.5-flash-image", nil)
		var refused genai.APIError
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, http.StatusNotFound, refused.Code)

		counted, err := client.Models.CountTokens(t.Context(), judge, genai.Text("eight letters or so"), nil)
		require.NoError(t, err)
		assert.Equal(t, int32(5), counted.TotalTokens)

		text := ""
		for piece, err := range client.Models.GenerateContentStream(t.Context(), judge, genai.Text("Is it so?"), &genai.GenerateContentConfig{
			ResponseMIMEType: "application/json",
			ResponseSchema:   &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"answer": {Type: genai.TypeString, Enum: []string{"yes", "no", "unsure"}}}},
		}) {
			require.NoError(t, err)
			text += piece.Text()
		}
		assert.JSONEq(t, `{"answer":"unsure"}`, text, "there was no picture")
	}
}

type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(b))
	return http.DefaultTransport.RoundTrip(r)
}

// What the API refuses, in its words.
func TestRefusals(t *testing.T) {
	s, address := serve(t, standin.Options{Key: "secret"})
	url := address + "/v1beta/models/" + drawer + ":generateContent"
	const parts = `"contents":[{"parts":[{"text":"a cup"}]}]`
	tests := []struct {
		name, url, key, body string
		status               int
		says                 string
	}{
		{"no key", url, "", `{}`, 403, "unregistered callers"},
		{"another key", url, "other", `{}`, 400, "API_KEY_INVALID"},
		{"no JSON", url, "secret", `{`, 400, "Invalid JSON payload received"},
		{"an unknown field", url, "secret", `{` + parts + `,"sorcery":1}`, 400, `Unknown name \"sorcery\": Cannot find field.`},
		{"deep inside", url, "secret", `{` + parts + `,"generationConfig":{"imageConfig":{"outputMimeType":"x"}}}`, 400, `Unknown name \"outputMimeType\" at 'generation_config.image_config': Cannot find field.`},
		{"nothing asked", url, "secret", `{"contents":[]}`, 400, "contents is not specified"},
		{"a ratio", url, "secret", `{` + parts + `,"generationConfig":{"imageConfig":{"aspectRatio":"1.91:1"}}}`, 400, "Unsupported aspect ratio"},
		{"a size", url, "secret", `{` + parts + `,"generationConfig":{"imageConfig":{"imageSize":"4K"}}}`, 400, "Unsupported image size"},
		{"a modality", url, "secret", `{` + parts + `,"generationConfig":{"responseModalities":["SMELL"]}}`, 400, "response modalities"},
		{"base64", url, "secret", `{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"@"}}]}]}`, 400, "Base64 decoding failed"},
		{"no such model", address + "/v1beta/models/gemini-9:generateContent", "secret", `{` + parts + `}`, 404, "is not found for API version"},
		{"no such method", address + "/v1beta/models/" + drawer + ":predict", "secret", `{}`, 404, "Method not found"},
		{"no such path", address + "/v2/models", "secret", `{}`, 404, "not found"},
	}
	for _, tt := range tests {
		status, body := send(t, http.MethodPost, tt.url, tt.key, tt.body)
		assert.Equal(t, tt.status, status, tt.name)
		assert.Contains(t, body, tt.says, tt.name)
	}
	assert.Empty(t, s.Ledger(), "none of them was a call")
	// Snake case is JSON's other spelling of the same fields.
	status, _ := send(t, http.MethodPost, url, "secret", `{"contents":[{"parts":[{"text":"[[fault:blocked]]"}]}],"generation_config":{"image_config":{"aspect_ratio":"4:5"}}}`)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "4:5", s.Ledger()[0].AspectRatio)
}

// ask makes a call of the real client that costs no drawing.
func ask(t *testing.T, client *gemini.Client, prompt string) *gemini.Error {
	t.Helper()
	_, err := client.Judge(t.Context(), gemini.JudgeRequest{Model: judge, Prompt: prompt, Schema: []byte(`{"type":"object"}`)})
	var failed *gemini.Error
	if err != nil {
		require.ErrorAs(t, err, &failed)
	}
	return failed
}

func dial(t *testing.T, address string) *gemini.Client {
	t.Helper()
	client, err := gemini.New(t.Context(), gemini.Config{APIKey: "k", BaseURL: address})
	require.NoError(t, err)
	return client
}

// A quota counts the calls of each model and tells how long until there is room.
func TestQuotas(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 11, 25, 7, 59, 0, 0, time.UTC) // a minute before midnight Pacific
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	s, address := serve(t, standin.Options{PerMinute: 2, PerDay: 3, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	// Each call from a process of its own: the client keeps away from a quota.
	try := func() *gemini.Error { return ask(t, dial(t, address), "Is it so?") }
	require.Nil(t, try())
	pass(20 * time.Second)
	require.Nil(t, try())
	failed := try()
	require.NotNil(t, failed)
	assert.Equal(t, gemini.CodeQuotaMinute, failed.Code)
	assert.Equal(t, 40*time.Second, failed.RetryAfter)
	status, body := send(t, http.MethodPost, address+"/v1beta/models/"+drawer+":generateContent", "k", `{"contents":[{"parts":[{"text":"[[fault:blocked]]"}]}]}`)
	assert.Equal(t, http.StatusOK, status, "another model has its own: %s", body)
	pass(39 * time.Second)
	assert.Equal(t, time.Second, try().RetryAfter)
	pass(time.Second) // midnight Pacific, and the first call's minute is over
	require.Nil(t, try())
	pass(time.Minute)
	require.Nil(t, try())
	require.Nil(t, try())
	assert.Equal(t, gemini.CodeQuotaDay, try().Code)
	calls := s.Ledger()
	assert.False(t, calls[len(calls)-1].Billed)
	assert.Equal(t, http.StatusTooManyRequests, calls[len(calls)-1].Status)
}

// Faults by index, by model, by tag and so many times; each on the calls that can
// meet it.
func TestRules(t *testing.T) {
	s, address := serve(t, standin.Options{Rules: []standin.Rule{
		{Fault: standin.FaultBlank}, // of pictures: no verdict meets it
		{Fault: standin.FaultSafety, Call: 2},
		{Fault: standin.FaultBlocked, Tag: "campaign", Times: 1},
		{Fault: standin.FaultInternal, Model: drawer},
	}})
	client := dial(t, address)
	for i, want := range []struct{ prompt, code string }{
		{"one", ""}, {"two", gemini.CodeImageSafety}, {"three [[campaign]]", gemini.CodePromptBlocked}, {"four [[campaign]]", ""},
		{"five [[fault:overloaded:1]]", gemini.CodeOverloaded}, {"six [[fault:overloaded:1]]", ""}, {"seven [[fault:no_such]]", ""},
		{"eight [[fault:off_palette]]", ""},
	} {
		code := ""
		if failed := ask(t, client, want.prompt); failed != nil {
			code = failed.Code
		}
		assert.Equal(t, want.code, code, "call %d", i+1)
	}
	assert.Equal(t, "campaign", s.Ledger()[2].PromptTag)

	s, address = serve(t, standin.Options{IgnoreTags: true})
	require.Nil(t, ask(t, dial(t, address), "[[fault:blocked]]"), "a prompt is somebody's text")
	assert.Empty(t, s.Ledger()[0].Fault)
}

// A storm and its ledger: other processes read what was billed.
func TestLedgerOverHTTP(t *testing.T) {
	storm := standin.Storm{Seed: 3, Rates: []standin.Rate{{Fault: standin.FaultCut, Share: 0.3}, {Fault: standin.FaultOverloaded, Share: 0.3}}}
	s, address := serve(t, standin.Options{Key: "k", Storm: storm})
	failures := 0
	for i := range 20 {
		if ask(t, dial(t, address), "A very private question, number "+string(rune('a'+i))) != nil {
			failures++
		}
	}
	status, _ := get(t, address+"/ledger", "")
	assert.Equal(t, http.StatusForbidden, status)
	status, body := get(t, address+"/ledger", "k")
	require.Equal(t, http.StatusOK, status)
	assert.NotContains(t, body, "private")
	var seen struct{ Calls []standin.Call }
	require.NoError(t, json.Unmarshal([]byte(body), &seen))
	require.Len(t, seen.Calls, 20)
	counts := map[string]int{}
	for i, c := range seen.Calls {
		counts[c.Fault]++
		assert.Equal(t, c.Fault != standin.FaultOverloaded, c.Billed, "what is cut was paid")
		assert.Equal(t, c.Fault == "", c.Delivered)
		assert.Equal(t, c.Billed, c.TotalTokens > 0)
		c.At, c.Ended = s.Ledger()[i].At, s.Ledger()[i].Ended // but for the monotonic clock
		assert.Equal(t, s.Ledger()[i], c)
	}
	assert.Equal(t, failures, counts[standin.FaultCut]+counts[standin.FaultOverloaded])
	assert.Positive(t, counts[standin.FaultCut]*counts[standin.FaultOverloaded]*counts[""])

	_, body = get(t, address+"/ledger?after=18", "k")
	require.NoError(t, json.Unmarshal([]byte(body), &seen))
	assert.Len(t, seen.Calls, 2)
	status, _ = get(t, address+"/ledger?after=x", "k")
	assert.Equal(t, http.StatusBadRequest, status)
}

// A call takes its time, unless its caller leaves.
func TestLatencyOfCalls(t *testing.T) {
	_, address := serve(t, standin.Options{Latency: func(standin.Call) time.Duration { return 30 * time.Millisecond }})
	began := time.Now()
	require.Nil(t, ask(t, dial(t, address), "Is it so?"))
	assert.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)

	_, address = serve(t, standin.Options{Latency: func(standin.Call) time.Duration { return time.Hour }})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := dial(t, address).Judge(ctx, gemini.JudgeRequest{Model: judge, Prompt: "Is it?", Schema: []byte(`{"type":"object"}`)})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
