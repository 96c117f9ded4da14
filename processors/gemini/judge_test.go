package gemini_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
)

const judgeModel = "gemini-3.8-flash"

// answers is a schema as a set of questions has it.
const answers = `{"type":"object","required":["answers"],"properties":{"answers":{"type":"array","minItems":3,"maxItems":3,"items":{
	"type":"object","required":["id","answer","evidence"],"properties":{
		"id":{"type":"string","enum":["words","palette","anatomy"]},
		"answer":{"type":"string","enum":["yes","no","unsure"]},
		"evidence":{"type":"string","maxLength":200}}}}}}`

// verdictFaults meet no call for a picture.
var verdictFaults = []string{
	standin.FaultMaxTokens, standin.FaultNotJSON, standin.FaultWrongShape, standin.FaultNo, standin.FaultUnsure,
}

func question(t *testing.T, prompt string) gemini.JudgeRequest {
	return gemini.JudgeRequest{
		Model: judgeModel, System: "Answer yes where all is well. The palette is #F4E3D0, #7A2E1F.", Prompt: prompt,
		Pictures: []gemini.Reference{{MIMEType: "image/jpeg", Data: small(t)}}, Schema: []byte(answers), MaxOutputTokens: 2000,
	}
}

func TestJudge(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	drawn, err := client.GenerateImage(t.Context(), request("Brand colours: #F4E3D0, #7A2E1F. A bottle of cold brew."))
	require.NoError(t, err)
	asked := question(t, "Is the picture free of words? Is its anatomy right?")
	asked.Pictures[0].Data = drawn.Bytes
	got, err := client.Judge(t.Context(), asked)
	require.NoError(t, err)

	var verdict struct {
		Answers []struct{ ID, Answer, Evidence string }
	}
	require.NoError(t, json.Unmarshal(got.JSON, &verdict))
	require.Len(t, verdict.Answers, 3)
	for i, id := range []string{"words", "palette", "anatomy"} {
		assert.Equal(t, id, verdict.Answers[i].ID)
		assert.Equal(t, "yes", verdict.Answers[i].Answer, id)
		assert.NotEmpty(t, verdict.Answers[i].Evidence)
	}
	assert.Equal(t, judgeModel, got.ModelVersion)
	// US$0.75 and 3.75 a million tokens, in and out, thoughts among the latter.
	u := got.Usage
	assert.Greater(t, u.TotalTokens, u.PromptTokens+u.OutputTokens)
	assert.Equal(t, (u.PromptTokens*750_000+(u.TotalTokens-u.PromptTokens)*3_750_000+999_999)/1_000_000, got.CostMicros)
	calls := upstream.Ledger()
	require.Len(t, calls, 2)
	assert.True(t, calls[1].Billed && calls[1].Delivered)
	assert.Equal(t, u.TotalTokens, int64(calls[1].TotalTokens))
}

// Every row of the catalogue again, for the judge: an answer that is none is an
// error, and what it costs at most is known.
func TestJudgeFaultCatalogue(t *testing.T) {
	type want struct {
		code    string
		remedy  gemini.Remedy
		certain bool
		reason  string
		cause   error
	}
	wanted := map[string]want{
		standin.FaultBlocked:       {"prompt_blocked", gemini.RemedyNone, true, "PROHIBITED_CONTENT", nil},
		standin.FaultSafety:        {"image_safety", gemini.RemedyRewrite, true, "SAFETY", nil},
		standin.FaultMaxTokens:     {"cut", gemini.RemedyRetry, true, "MAX_TOKENS", nil},
		standin.FaultNotJSON:       {"malformed", gemini.RemedyRetry, true, "STOP", nil},
		standin.FaultContinuation:  {"malformed", gemini.RemedyRetry, true, "CONTINUATION", nil},
		standin.FaultBadRequest:    {"bad_request", gemini.RemedyAlert, true, "INVALID_ARGUMENT", nil},
		standin.FaultBadKey:        {"permission", gemini.RemedyAlert, true, "INVALID_ARGUMENT", nil},
		standin.FaultBilling:       {"billing", gemini.RemedyAlert, true, "FAILED_PRECONDITION", nil},
		standin.FaultLeakedKey:     {"permission", gemini.RemedyAlert, true, "PERMISSION_DENIED", nil},
		standin.FaultModelGone:     {"model_gone", gemini.RemedyAlert, true, "NOT_FOUND", nil},
		standin.FaultQuotaMinute:   {"quota_minute", gemini.RemedyWait, true, "RESOURCE_EXHAUSTED", nil},
		standin.FaultQuotaDay:      {"quota_day", gemini.RemedyBreak, true, "RESOURCE_EXHAUSTED", nil},
		standin.FaultQuotaNought:   {"quota_day", gemini.RemedyBreak, true, "RESOURCE_EXHAUSTED", nil},
		standin.FaultOverloaded:    {"overloaded", gemini.RemedyBackOff, true, "UNAVAILABLE", nil},
		standin.FaultDeadline:      {"deadline", gemini.RemedyRetry, false, "DEADLINE_EXCEEDED", nil},
		standin.FaultInternal:      {"internal", gemini.RemedyRetry, true, "INTERNAL", nil},
		standin.FaultHTML:          {"gateway", gemini.RemedyRetry, false, "", nil},
		standin.FaultEmpty500:      {"gateway", gemini.RemedyRetry, false, "", nil},
		standin.FaultErrorIn200:    {"empty", gemini.RemedyRetry, false, "", nil},
		standin.FaultEmptyObject:   {"empty", gemini.RemedyRetry, false, "", nil},
		standin.FaultEmptyBody:     {"empty", gemini.RemedyRetry, false, "", nil},
		standin.FaultNullCandidate: {"malformed", gemini.RemedyRetry, false, "", nil},
		standin.FaultTruncated:     {"malformed", gemini.RemedyRetry, false, "", nil},
		standin.FaultCut:           {"cut", gemini.RemedyRetry, false, "", io.ErrUnexpectedEOF},
		standin.FaultDrop:          {"network", gemini.RemedyRetry, false, "", nil},
		standin.FaultHang:          {"timeout", gemini.RemedyRetry, false, "", context.DeadlineExceeded},
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
			asked := question(t, "Does it show our secret harvest of rare words? [[fault:"+fault+"]]")
			result, err := client.Judge(ctx, asked)
			assert.Empty(t, result)
			var got *gemini.Error
			require.ErrorAs(t, err, &got)
			assert.Equal(t, w, want{got.Code, got.Remedy, got.SpendCertain, got.Reason, errors.Unwrap(got)})
			assert.Equal(t, judgeModel, got.Model)
			if !got.SpendCertain {
				most := float64(len(asked.System+asked.Prompt+answers)+1120)*0.75 + 2000*3.75
				assert.InDelta(t, most, got.CostMicros, 1, "at most what prompt and bound allow")
			} else if got.Usage.TotalTokens == 0 {
				assert.Zero(t, got.CostMicros)
			}
			assertClean(t, got)
			assert.Len(t, upstream.Ledger(), 1, "called once, whatever came")
		})
	}
	client, _ := start(t, standin.Options{})
	for _, fault := range []string{standin.FaultWrongShape, standin.FaultNo, standin.FaultUnsure} { // JSON all the same
		got, err := client.Judge(t.Context(), question(t, "[[fault:"+fault+"]]"))
		require.NoError(t, err)
		assert.True(t, json.Valid(got.JSON))
		assert.NotContains(t, string(got.JSON), "yes")
	}
}

// An answer beyond its bound is none, and an endless one fills no memory.
func TestJudgeBounds(t *testing.T) {
	client, _ := start(t, standin.Options{})
	asked := question(t, "Is the picture free of words?")
	asked.MaxOutputTokens = 10
	_, err := client.Judge(t.Context(), asked)
	var got *gemini.Error
	require.ErrorAs(t, err, &got)
	assert.Equal(t, []string{gemini.CodeCut, "MAX_TOKENS"}, []string{got.Code, got.Reason})

	client = connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Repeat(" ", 2<<20))
	}), func() {})
	_, err = client.Judge(t.Context(), question(t, "Is it so?"))
	require.ErrorAs(t, err, &got)
	assert.Equal(t, gemini.CodeOversized, got.Code)
}

// What is sent: the schema as it is, JSON alone, a bound.
func TestJudgeRequest(t *testing.T) {
	bodies := make(chan string, 1)
	upstream := standin.New(standin.Options{})
	client := connect(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		upstream.ServeHTTP(w, r)
	}), upstream.Close)
	asked := question(t, "Is it so?")
	asked.MaxOutputTokens = 0
	_, err := client.Judge(t.Context(), asked)
	require.NoError(t, err)
	var sent struct {
		GenerationConfig map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(<-bodies), &sent))
	schema, err := json.Marshal(sent.GenerationConfig["responseJsonSchema"])
	require.NoError(t, err)
	assert.JSONEq(t, answers, string(schema))
	assert.Equal(t, "application/json", sent.GenerationConfig["responseMimeType"])
	assert.InDelta(t, 8192, sent.GenerationConfig["maxOutputTokens"], 0)
	assert.NotContains(t, sent.GenerationConfig, "imageConfig")
}

func TestJudgeRequestsThatAreNotSent(t *testing.T) {
	client, upstream := start(t, standin.Options{})
	for name, change := range map[string]func(*gemini.JudgeRequest){
		"model":   func(r *gemini.JudgeRequest) { r.Model = "gemini-9" },
		"drawing": func(r *gemini.JudgeRequest) { r.Model = model },
		"prompt":  func(r *gemini.JudgeRequest) { r.Prompt = "" },
		"schema":  func(r *gemini.JudgeRequest) { r.Schema = []byte(`{"type":`) },
		"none":    func(r *gemini.JudgeRequest) { r.Schema = nil },
		"list":    func(r *gemini.JudgeRequest) { r.Schema = []byte(`[]`) },
		"long": func(r *gemini.JudgeRequest) {
			r.Schema = []byte(`{"description":"` + strings.Repeat("a", 64<<10) + `"}`)
		},
		"tokens":  func(r *gemini.JudgeRequest) { r.MaxOutputTokens = 65_537 },
		"picture": func(r *gemini.JudgeRequest) { r.Pictures[0].MIMEType = "image/gif" },
		"many":    func(r *gemini.JudgeRequest) { r.Pictures = make([]gemini.Reference, 15) },
	} {
		asked := question(t, "Is it so?")
		change(&asked)
		_, err := client.Judge(t.Context(), asked)
		var got *gemini.Error
		require.ErrorAs(t, err, &got, name)
		assert.Equal(t, gemini.CodeBadRequest, got.Code, name)
		assert.Zero(t, got.CostMicros, name)
	}
	asked := request("a cup")
	asked.Model = judgeModel
	_, err := client.GenerateImage(t.Context(), asked)
	require.Error(t, err, "the judge draws nothing")
	assert.Empty(t, upstream.Ledger())
}

// A text model takes no image settings, and an image model no schema.
func TestModelsKeepToTheirKind(t *testing.T) {
	server := httptest.NewServer(standin.New(standin.Options{}))
	defer server.Close()
	for body, model := range map[string]string{
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"imageConfig":{"aspectRatio":"1:1"}}}`:                                           judgeModel,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseModalities":["IMAGE"]}}`:                                                judgeModel,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseSchema":{"type":"OBJECT"}}}`:                                            judgeModel,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseSchema":{"type":"OBJECT"}}}`:      model,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseSchema":{}}}`:                     judgeModel,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"maxOutputTokens":100000}}`:                                                      judgeModel,
		`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseJsonSchemas":{"type":"object"}}}`: judgeModel,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1beta/models/"+model+":generateContent", strings.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("X-Goog-Api-Key", "k")
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusBadRequest, response.StatusCode, body)
	}
}
