package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/check"
	"atelier/check/load"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
	"atelier/processors/gemini/standin"
	"atelier/schemas"
)

// generatorKills are those of the short form (count).
const generatorKills = 4

// A generator that is killed again and again repeats no call that has ended, and what
// the events say of cost is what the model billed: but for the calls under way at a
// kill, of which nobody can know, and which are listed.
func TestKillsOfGenerators(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		h := newHouseOn(t, []string{"--storm", "quota_minute=5,overloaded=5,no_image=3,blank=3", "--quota-wait", "200ms", "--latency", "100ms,500ms"},
			brokers, prefix, postgrestest.New(t), "", roles...)
		second := h.role(generate, "generate-2")
		h.processes["generate-2"] = second
		second.start()
		h.ready()
		history := check.NewHistory(nil)
		count := max(generatorKills, *kills)
		l := h.load(func(c *load.Config) {
			// Each kill leaves calls to be waited out, and more is asked for meanwhile.
			c.History, c.Rate, c.End = history, 20, restTimeout+time.Duration(count)*4*time.Second
		})
		var killed []time.Time
		for n := range count {
			l.goes(5 + h.random.IntN(30))
			victim := []string{generate, "generate-2"}[h.random.IntN(2)]
			killed = append(killed, time.Now())
			h.processes[victim].kill()
			l.goes(h.random.IntN(5))
			h.processes[victim].start()
			say("kill %d: %s, %d commands so far", n+1, victim, l.commands())
		}
		l.end()
		whole(t, judge(t, h.where(), history, fmt.Sprintf("%d kills of generators", len(killed))))
		h.paid(killed)
	})
}

// paid compares what the events tell of paid calls with the model's ledger.
func (h *house) paid(kills []time.Time) {
	h.t.Helper()
	calls, attempts := h.ledger(), h.toldOfAll()
	drawn := map[int]standin.Call{}
	asked := map[string]standin.Call{} // the judge, by what it was asked
	var billed, lost, untold, repeated int
	var judged, judgedUnknown int64 // tokens
	for _, c := range calls {
		unknown := !c.Delivered || c.Fault != "" || cut(c, kills) || c.Ended.Sub(c.At) > callTimeout-callTimeout/8
		switch {
		case !c.Billed:
		case c.Size == "": // a question to the judge
			judged += int64(c.TotalTokens)
			if unknown {
				judgedUnknown += int64(c.TotalTokens)
			}
			if _, again := asked[c.PromptHash]; again {
				repeated++
				h.t.Logf("the judge was asked again, and had answered: %+v", c)
			}
			if !unknown {
				asked[c.PromptHash] = c
			}
		default:
			billed++
			if first, again := drawn[int(c.Seed)]; again {
				repeated++
				h.t.Logf("drawn twice: %+v and %+v", first, c)
			}
			drawn[int(c.Seed)] = c
			a, told := attempts[int(c.Seed)]
			switch {
			case !told:
				untold++
				h.t.Logf("no event tells of %+v", c)
			case a.Outcome == "lost":
				lost++
				require.Positive(h.t, a.CostMicros, "what is lost counts at its list price")
				h.t.Logf("under way at a kill or a cancellation, told at its list price: %+v", c)
			default:
				judged -= a.Tokens - int64(c.TotalTokens)
			}
		}
	}
	h.t.Logf("%d pictures drawn, %d of them lost; tokens of the judge that are not told: %d, of which it cannot be known: %d", billed, lost, judged, judgedUnknown)
	require.Positive(h.t, billed, "nothing was drawn: nothing was tried")
	require.Zero(h.t, untold, "paid calls that no event tells of")
	require.Zero(h.t, repeated, "paid calls that were made twice")
	require.GreaterOrEqual(h.t, judged, int64(0), "the events tell of more than the judge was asked")
	require.LessOrEqual(h.t, judged, judgedUnknown, "the events tell of less than the judge was asked")
}

// toldOfAll waits until the events tell of every drawing: what a canceled image cost is
// told when a call whose owner was killed has been waited out, behind everything else. What
// it misses then, the comparison names.
func (h *house) toldOfAll() map[int]schemas.Attempt {
	h.t.Helper()
	for until := time.Now().Add(patience); ; <-time.After(poll) {
		told := h.attempts()
		missing := slices.ContainsFunc(h.ledger(), func(c standin.Call) bool {
			_, known := told[int(c.Seed)]
			return c.Billed && c.Size != "" && !known
		})
		if !missing || time.Now().After(until) {
			return told
		}
	}
}

// cut says whether a call may have been under way at a kill.
func cut(c standin.Call, kills []time.Time) bool {
	for _, at := range kills {
		if c.At.Before(at) && at.Sub(c.At) <= callTimeout {
			return true
		}
	}
	return false
}

// ledger is what the model was asked for.
func (h *house) ledger() []standin.Call {
	h.t.Helper()
	request, err := http.NewRequest(http.MethodGet, h.model.base()+"/ledger", nil)
	require.NoError(h.t, err)
	request.Header.Set("X-Goog-Api-Key", "k")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(h.t, err)
	defer answer.Body.Close()
	var body struct{ Calls []standin.Call }
	require.NoError(h.t, json.NewDecoder(answer.Body).Decode(&body))
	return body.Calls
}

// attempts are all that the events tell of, by their seeds, which follow from the
// generation and the attempt's number.
func (h *house) attempts() map[int]schemas.Attempt {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin, err := kafka.NewAdmin(h.kafka())
	require.NoError(h.t, err)
	defer admin.Close()
	codec, told := schemas.NewLockedCodec(), map[int]schemas.Attempt{}
	require.NoError(h.t, kafka.Scan(ctx, h.kafka(), admin, schemas.TopicEvents, func(r *kafka.Record) error {
		event, err := codec.Decode(ctx, schemas.TopicEvents, r.Value)
		if err != nil {
			return err
		}
		var attempts []schemas.Attempt
		switch e := event.(type) {
		case *schemas.GenerationSucceeded:
			attempts = e.Attempts
		case *schemas.GenerationFailed:
			attempts = e.Attempts
		case *schemas.SpendRecorded:
			attempts = e.Attempts
		}
		for _, a := range attempts {
			if _, twice := told[a.Seed]; twice {
				return fmt.Errorf("an attempt is told twice: %+v", a)
			}
			told[a.Seed] = a
		}
		return nil
	}, func(int64, int64) {}))
	return told
}
