package standin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
)

func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, jpeg.Encode(&b, img, &jpeg.Options{Quality: jpegQuality}))
	return b.Bytes()
}

// Each defect is seen for what it is and for nothing else, on palettes, products
// and ratios at random.
func TestTheJudgeSeesDefects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	prompts := make([]string, len(solids))
	for i, s := range solids {
		prompts[i] = "Brand colours:"
		for range 1 + random.IntN(5) {
			prompts[i] += fmt.Sprintf(" #%06X", random.IntN(1<<24))
		}
		prompts[i] += "\n<brief>" + s.name + "</brief>"
	}
	sizes := []image.Point{{232, 288}, {192, 344}, {344, 192}, {256, 256}}
	for fault, want := range map[string][]string{
		"": nil, FaultOffPalette: {"palette"}, FaultLetterboxed: {"borders"}, FaultBlurred: {"sharp"}, FaultGarbledText: {"words"},
		FaultBlank: {"sharp", "subject"}, FaultNearDuplicate: nil,
	} {
		for i, prompt := range prompts {
			size := sizes[i%len(sizes)]
			picture := encoded(t, defective(task{prompt: prompt, seed: int32(i)}, fault, size.X, size.Y))
			j := newJudge(task{prompt: prompt, references: [][]byte{picture}}, "")
			var found []string
			for _, id := range []string{"borders", "palette", "sharp", "subject", "words", "anatomy", "context"} {
				if v := j.look(id); v.answer != yes {
					found = append(found, id)
					assert.NotEmpty(t, v.evidence)
				}
			}
			assert.Equal(t, want, found, "%s %s %v", fault, prompt, size)
		}
	}
}

// Two seeds, two wordings: one picture, but two files.
func TestNearDuplicates(t *testing.T) {
	prompt := "Brand colours: #F4E3D0, #7A2E1F\n<brief>a bottle</brief>"
	draw := func(fault, more string, seed int32) *image.RGBA {
		return defective(task{prompt: prompt + more, seed: seed}, fault, 116, 144)
	}
	apart := func(a, b *image.RGBA) (sum float64) {
		for i := range a.Pix {
			d := float64(a.Pix[i]) - float64(b.Pix[i])
			sum += max(d, -d) / float64(len(a.Pix))
		}
		return sum
	}
	first, second := draw(FaultNearDuplicate, " variant 1", 1), draw(FaultNearDuplicate, " variant 2", 2)
	assert.Less(t, apart(first, second), 4.0)
	assert.False(t, bytes.Equal(first.Pix, second.Pix))
	assert.Greater(t, apart(draw("", " variant 1", 1), draw("", " variant 2", 2)), 6.0)
}

// A refused colour is looked for in the question's own line, and is not part of
// the palette.
func TestTheJudgeReadsTheQuestion(t *testing.T) {
	red := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for i := 0; i < len(red.Pix); i += 4 {
		copy(red.Pix[i:], []byte{200, uint8(i % 40), 30, 255})
	}
	picture := [][]byte{encoded(t, red)}
	prompt := "The palette is #2030C0.\nbrand_dont_1: Is the picture free of #C8101E?\nbrand_dont_2: Is it free of #00FF00?\n"
	j := newJudge(task{prompt: prompt, references: picture}, "")
	assert.Equal(t, no, j.look("brand_dont_1").answer)
	assert.Equal(t, yes, j.look("brand_dont_2").answer)
	assert.Equal(t, no, j.look("palette").answer)
	assert.Regexp(t, "#c[0-9a-f]{5}", j.look("palette").evidence)
	j = newJudge(task{prompt: "palette: Are the colours right?", references: picture}, "")
	assert.Equal(t, unsure, j.look("palette").answer, "none was named")
	j = newJudge(task{prompt: prompt, references: [][]byte{[]byte("RIFF....")}}, "")
	assert.Equal(t, unsure, j.look("anatomy").answer, "nothing to look at")
}

// What comes fits the schema, in whatever form the questions stand in it.
func TestTheJudgeFillsTheSchema(t *testing.T) {
	picture := encoded(t, Draw("#F4E3D0 bottle", nil, 1, 116, 144))
	tests := []struct{ name, prompt, schema, want string }{
		{"a property a question", "", `{"type":"object","properties":{
			"words":{"type":"object","properties":{"answer":{"enum":["no","unsure","yes"]},"confidence":{"type":"number","minimum":0,"maximum":0.5}}},
			"faces":{"type":"string","enum":["no","yes"]},
			"safety":{"type":"boolean"}}}`,
			`{"words":{"answer":"yes","confidence":0.5},"faces":"yes","safety":true}`},
		{"IDs from the enum", "", `{"$defs":{"one":{"type":"object","properties":{"id":{"enum":["a","b"]},"answer":{"enum":["yes","no"]}}}},
			"type":"object","properties":{"answers":{"type":"array","minItems":2,"items":{"$ref":"#/$defs/one"}}}}`,
			`{"answers":[{"id":"a","answer":"yes"},{"id":"b","answer":"yes"}]}`},
		{"IDs from the prompt", "Look at it.\n- brand_do_1: Is the light warm?\n2) `faces` (Are all whole?)\nWhat else: nothing\n", `{"type":"array","items":{
			"type":"object","properties":{"id":{"type":"string"},"verdict":{"type":["null","string"],"enum":["yes","no","unsure"]}}}}`,
			`[{"id":"brand_do_1","verdict":"yes"}]`},
		{"the API's own form", "", `{"type":"OBJECT","properties":{"passed":{"type":"BOOLEAN"},"scores":{"type":"ARRAY","minItems":"2","items":{"type":"INTEGER","maximum":5}}}}`,
			`{"passed":true,"scores":[5,5]}`},
		{"no more than may be", "", `{"type":"array","maxItems":1,"items":{"type":"object","properties":{"id":{"enum":["a","b"]}}}}`, `[{"id":"a"}]`},
		{"the first of several", "", `{"anyOf":[{"type":"integer","minimum":3,"maximum":3},{"type":"string"}]}`, `3`},
		{"choices that are no answers", "", `{"type":"object","properties":{"mood":{"enum":["calm","loud"]}}}`, `{"mood":"calm"}`},
	}
	for _, tt := range tests {
		var s map[string]any
		require.NoError(t, json.Unmarshal([]byte(tt.schema), &s), tt.name)
		j := newJudge(task{prompt: tt.prompt, references: [][]byte{picture}, json: true, schema: schemaOf(nil, s)}, "")
		assert.JSONEq(t, tt.want, j.answer(), tt.name)
	}
	short := newJudge(task{prompt: "x", references: [][]byte{picture}, schema: schema{"type": "string", "maxLength": 8.0}}, "")
	assert.Equal(t, `"nothing "`, short.answer())
	circle := newJudge(task{schema: schema{"type": "object", "properties": map[string]any{"next": map[string]any{"$ref": "#"}}}}, "")
	assert.Less(t, len(circle.answer()), 1000, "a schema that refers to itself ends")
}

// A script says no to the questions that it names.
func TestScriptedVerdicts(t *testing.T) {
	picture := encoded(t, Draw("bottle", nil, 1, 116, 144))
	j := newJudge(task{references: [][]byte{picture}, question: "face"}, FaultNo)
	assert.Equal(t, []string{no, yes}, []string{j.look("faces").answer, j.look("anatomy").answer})
	j = newJudge(task{references: [][]byte{picture}}, FaultUnsure)
	assert.Equal(t, unsure, j.look("anatomy").answer)
}

// A storm plays the shares that it was given, the same whatever order calls
// come in, and each fault only where it can be met.
func TestStorm(t *testing.T) {
	storm := Rough(7)
	require.NoError(t, storm.Validate())
	const calls = 20_000
	counts := map[string]int{}
	for i := range calls {
		c := Call{Model: "m", PromptHash: fmt.Sprint(i), Size: gemini.Size1K}
		f := storm.fault(c, 0)
		assert.Equal(t, f, storm.fault(c, 0))
		counts[f]++
		if f := storm.fault(Call{Model: "m", PromptHash: fmt.Sprint(i)}, 0); f != "" && !slices.Contains([]string{FaultQuotaMinute, FaultOverloaded, FaultBlocked, FaultCut}, f) {
			t.Fatalf("a verdict met %s", f)
		}
	}
	for _, r := range storm.Rates {
		assert.InDelta(t, r.Share, float64(counts[r.Fault])/calls, 0.01, r.Fault)
	}
	assert.InDelta(t, 0.7, float64(counts[""])/calls, 0.015)

	again := 0
	for i := range 100 {
		c := Call{Model: "m", PromptHash: fmt.Sprint(i), Size: gemini.Size1K}
		if storm.fault(c, 0) != "" && storm.fault(c, 1) == "" {
			again++
		}
	}
	assert.Positive(t, again, "a call that is made again may do better")

	for _, wrong := range []Storm{
		{Rates: []Rate{{"rain", 0.1}}}, {Rates: []Rate{{FaultCut, -0.1}}}, {Rates: []Rate{{FaultCut, 0.6}, {FaultDrop, 0.6}}},
	} {
		assert.Error(t, wrong.Validate())
	}
}

func TestLatency(t *testing.T) {
	l := RealLatency("gemini-nano-banana-2.1")
	require.NoError(t, l.Validate())
	draw := l.Within(3)
	within, below := 0, 0
	const calls = 4000
	for i := range int64(calls) {
		took := draw(Call{Index: i})
		if took <= l.P99 {
			within++
		}
		if took <= l.Median {
			below++
		}
	}
	assert.InDelta(t, 0.99, float64(within)/calls, 0.006)
	assert.InDelta(t, 0.5, float64(below)/calls, 0.03)
	assert.Zero(t, Latency{}.Within(1)(Call{}))
	require.Error(t, Latency{Median: 2, P99: 1}.Validate())
	require.Error(t, Latency{P99: 1}.Validate())
}

func TestFaultNames(t *testing.T) {
	names := Faults()
	for i, name := range names {
		assert.Equal(t, i, slices.Index(names, name), "%s is listed twice", name)
		assert.Equal(t, strings.ToLower(name), name)
		assert.Regexp(t, tagPattern, "[[fault:"+name+":2:x]]")
	}
}
