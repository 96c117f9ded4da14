package generator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/processors/gemini/standin"
	"atelier/schemas"
)

// The stand-in draws what is wrong in known ways, and judges by the pixels: what
// is refused, what is delivered with a warning, and what the next attempt brings.
func TestDefectsOfTheStandIn(t *testing.T) {
	model := DefaultModels()["standard"].ID
	tests := []struct {
		fault, question string
		outcomes        []string
		check, verdict  string // of the first attempt
	}{
		{fault: "", outcomes: []string{"ok"}, check: "brand_colours", verdict: "pass"},
		{fault: standin.FaultLetterboxed, outcomes: []string{"rejected", "ok"}, check: "border", verdict: "block"},
		{fault: standin.FaultWrongRatio, outcomes: []string{"rejected", "ok"}, check: "decodes", verdict: "block"},
		{fault: standin.FaultBlank, outcomes: []string{"rejected", "ok"}, check: "decodes", verdict: "block"},
		{fault: standin.FaultBlurred, outcomes: []string{"ok"}, check: "blur", verdict: "warn"},
		{fault: standin.FaultGarbledText, outcomes: []string{"rejected", "ok"}, check: "text", verdict: "block"},
		{fault: standin.FaultOffPalette, outcomes: []string{"rejected", "ok"}, check: "brand_colours", verdict: "block"},
		{fault: standin.FaultNotJSON, outcomes: []string{"ok"}, check: "scene", verdict: "pass"},
		{fault: standin.FaultWrongShape, outcomes: []string{"ok"}, check: "scene", verdict: "pass"},
		{fault: standin.FaultMaxTokens, outcomes: []string{"ok"}, check: "scene", verdict: "pass"},
		{fault: standin.FaultNo, question: "safety", outcomes: []string{"rejected", "ok"}, check: "safety", verdict: "block"},
	}
	onWorlds(t, func(t *testing.T, w *world) {
		for _, tt := range tests {
			name := tt.fault
			if name == "" {
				name = "none"
			}
			t.Run(name, func(t *testing.T) {
				w := w.in(t)
				options := standin.Options{}
				if tt.fault != "" {
					rule := standin.Rule{Fault: tt.fault, Times: 1, Model: model, Question: tt.question}
					switch tt.fault {
					case standin.FaultNotJSON, standin.FaultWrongShape, standin.FaultMaxTokens, standin.FaultNo:
						rule.Model = judgeModelDefault
					}
					options.Rules = []standin.Rule{rule}
				}
				server := standin.New(options)
				defer server.Close()
				w.upstream.serve(server)
				r := w.run()
				w.request(account(0), "google_landscape")
				c := command[*schemas.CompleteGeneration](w)
				require.Equal(t, tt.outcomes, outcomes(c.Attempts), "%+v", c.Attempts[0].Verdicts)
				v := verdictOf(c.Attempts[0], tt.check)
				require.Equal(t, tt.verdict, v.Verdict, "%+v", c.Attempts[0].Verdicts)
				require.NotEmpty(t, v.Evidence)
				billed := int64(0)
				for _, call := range server.Ledger() {
					billed += int64(call.TotalTokens)
				}
				require.Equal(t, billed, c.Tokens, "what was billed is told, the judge's calls too")
				w.accept(c)
				r.end()
			})
		}
	})
}

// Two generations of a batch get one picture, whatever the seed: the second ends
// without it, and is not charged.
func TestARepeatedPictureFailsInTheEnd(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		server := standin.New(standin.Options{Rules: []standin.Rule{{Fault: standin.FaultNearDuplicate, Model: DefaultModels()["standard"].ID}}})
		defer server.Close()
		w.upstream.serve(server)
		r := w.run()
		w.write(w.requested(account(0), func(b *batch_) {
			b.event.Brief = seal(b.event.AccountID, `{"product":"a bottle of cold brew"}`)
		}, "google_landscape", "google_landscape"))
		var made, failed int
		for range 2 {
			switch c := receive(w, w.commands).(type) {
			case *schemas.CompleteGeneration:
				made++
			case *schemas.FailGeneration:
				failed++
				require.Equal(t, outcomeRejected, c.Reason)
				require.Len(t, c.Attempts, attemptsMax)
				for _, a := range c.Attempts {
					require.Equal(t, "retry", verdictOf(a, "duplicate").Verdict)
					require.Empty(t, verdictOf(a, "scene").Check, "the judge is not asked about it")
				}
			}
		}
		require.Equal(t, [2]int{1, 1}, [2]int{made, failed})
		r.end()
	})
}
