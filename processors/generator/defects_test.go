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
	draws, judges := DefaultModels()["standard"].ID, judgeModelDefault
	tests := []struct {
		model, fault, question string
		outcomes               []string
		check, verdict         string // of the first attempt
	}{
		{model: draws, fault: standin.FaultLetterboxed, outcomes: []string{"rejected", "ok"}, check: "border", verdict: "block"},
		{model: draws, fault: standin.FaultGarbledText, outcomes: []string{"rejected", "ok"}, check: "text", verdict: "block"},
		{model: draws, fault: standin.FaultOffPalette, outcomes: []string{"rejected", "ok"}, check: "brand_colours", verdict: "block"},
		{model: judges, fault: standin.FaultNotJSON, outcomes: []string{"ok"}, check: "scene", verdict: "pass"},
		{model: judges, fault: standin.FaultNo, question: "safety", outcomes: []string{"rejected", "ok"}, check: "safety", verdict: "block"},
	}
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		for _, tt := range tests {
			t.Run(tt.fault, func(t *testing.T) {
				w := w.in(t)
				rule := standin.Rule{Fault: tt.fault, Times: 1, Model: tt.model, Question: tt.question}
				server := standin.New(standin.Options{Rules: []standin.Rule{rule}})
				defer server.Close()
				w.upstream.serve(server)
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
			})
		}
		r.end()
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
