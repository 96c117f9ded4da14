package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
	"atelier/processors/generator"
)

// The stand-in as a process of its own plays what its flags say, and shows what
// was billed.
func TestTheStandInPlaysItsFlags(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"gemini", "--address=127.0.0.1:0", "--key=k", "--quota-wait=2s", "--latency=1ms,2ms", "--seed=5",
			"--fault=quota_minute,call=1,model=gemini-3.8-flash", "--fault=verdict_no,times=1,question=scene", "--storm=drop=100",
		}, write, io.Discard)
	}()
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	address := regexp.MustCompile(`http://[0-9.:]+`).FindString(line)
	require.NotEmpty(t, address, line)

	codes := make([]string, 3)
	for i := range codes {
		// Each from a process of its own, which knows of no quota.
		client, err := gemini.New(t.Context(), gemini.Config{APIKey: "k", BaseURL: address})
		require.NoError(t, err)
		got, err := client.Judge(t.Context(), gemini.JudgeRequest{
			Model: "gemini-3.8-flash", Prompt: "Is it?", Schema: []byte(`{"type":"object","properties":{"scene":{"enum":["yes","no","unsure"]}}}`),
		})
		if err == nil {
			codes[i] = string(got.JSON)
			continue
		}
		var failed *gemini.Error
		require.ErrorAs(t, err, &failed)
		codes[i] = failed.Code
		if failed.Code == gemini.CodeQuotaMinute {
			require.Equal(t, 2*time.Second, failed.RetryAfter)
		}
	}
	require.Equal(t, []string{gemini.CodeQuotaMinute, `{"scene":"no"}`, gemini.CodeNetwork}, codes)

	var ledger struct{ Calls []standin.Call }
	require.NoError(t, json.Unmarshal([]byte(get(t, address+"/ledger", "k")), &ledger))
	require.Len(t, ledger.Calls, 3)
	require.Equal(t, []bool{false, true, false}, []bool{ledger.Calls[0].Billed, ledger.Calls[1].Billed, ledger.Calls[2].Billed})
	stop()
	require.NoError(t, <-ended)
}

func TestTheStandInsFlags(t *testing.T) {
	o, err := geminiCmd{Storm: "rough", Latency: "real", QuotaWait: time.Second}.options()
	require.NoError(t, err)
	require.Len(t, o.Storm.Rates, 7)
	require.Greater(t, o.Latency(standin.Call{Model: "gemini-3-pro-image"}), 10*time.Second)
	_, err = geminiCmd{Latency: "none"}.options()
	require.ErrorContains(t, err, "--quota-wait")
}

// The models of the configuration are those that a generator takes by itself.
func TestTheModelsByDefault(t *testing.T) {
	out, err := atelier(t, "config", "--json")
	require.NoError(t, err)
	var settings map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &settings))
	require.Equal(t, generator.DefaultModels(), generator.ModelsByTier(settings["ATELIER_MODEL_STANDARD"], settings["ATELIER_MODEL_PRO"]))
}
