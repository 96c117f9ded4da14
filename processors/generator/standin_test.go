package generator

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"hash/fnv"
	"image"
	"image/jpeg"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"atelier/processors/gemini"
)

type standinParts struct {
	handler http.Handler
	ledger  *ledger
}

// ledger tells what was billed.
type ledger struct {
	mu     sync.Mutex
	billed []string // prompts
	judged int
}

func (l *ledger) judge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judged++
}

func (l *ledger) judgements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.judged
}

// judgesAll is a judge's answer in which every question of the schema has the
// same answer.
func judgesAll(schema []byte, answer string) string {
	var asked struct {
		Properties struct {
			Answers struct {
				Items struct {
					Properties struct {
						ID struct{ Enum []string } `json:"id"`
					}
				}
			}
			ProductWords json.RawMessage `json:"product_words"`
		}
	}
	if err := json.Unmarshal(schema, &asked); err != nil {
		return ""
	}
	type one = map[string]string
	judgement := map[string]any{"words": []string{}}
	var answers []one
	for _, id := range asked.Properties.Answers.Items.Properties.ID.Enum {
		answers = append(answers, one{"id": id, "answer": answer, "evidence": "seen in the middle"})
	}
	judgement["answers"] = answers
	if asked.Properties.ProductWords != nil {
		judgement["product_words"] = []string{}
	}
	text, _ := json.Marshal(judgement)
	return inJSON(string(text))
}

// inJSON answers a judge's call with a text.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text)
	return `{"candidates":[{"content":{"parts":[{"text":` + string(quoted) + `}],"role":"model"},"finishReason":"STOP"}],` +
		`"usageMetadata":{"promptTokenCount":2000,"candidatesTokenCount":800,"totalTokenCount":2800},"modelVersion":"judge-001","responseId":"j"}`
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.billed)
}

func newStandin(*testing.T) standinParts {
	l := &ledger{}
	return standinParts{ledger: l, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Contents         []struct{ Parts []struct{ Text string } }
			GenerationConfig struct {
				ImageConfig        struct{ AspectRatio, ImageSize string }
				Seed               int32
				ResponseJsonSchema json.RawMessage
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if len(request.GenerationConfig.ResponseJsonSchema) > 0 {
			l.judge()
			says(http.StatusOK, judgesAll(request.GenerationConfig.ResponseJsonSchema, "yes"))(w, r)
			return
		}
		model, _ := gemini.ModelByID("gemini-nano-banana-2.1")
		width, height, _ := model.Pixels(request.GenerationConfig.ImageConfig.AspectRatio, request.GenerationConfig.ImageConfig.ImageSize)
		h := fnv.New64a()
		h.Write([]byte(request.Contents[0].Parts[0].Text))
		noise := rand.New(rand.NewPCG(h.Sum64(), uint64(request.GenerationConfig.Seed)))
		img := image.NewGray(image.Rect(0, 0, width, height))
		const side = 32 // of a square
		for y := range height {
			line := img.Pix[y*img.Stride:][:width]
			if y%side != 0 {
				copy(line, img.Pix[(y-1)*img.Stride:])
				continue
			}
			for x := range line {
				if line[x] = line[max(0, x-1)]; x%side == 0 {
					line[x] = uint8(noise.Uint32())
				}
			}
		}
		var out bytes.Buffer
		_ = jpeg.Encode(&out, img, nil)
		l.mu.Lock()
		l.billed = append(l.billed, request.Contents[0].Parts[0].Text)
		l.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"` +
			base64.StdEncoding.EncodeToString(out.Bytes()) + `"}}],"role":"model"},"finishReason":"STOP"}],` +
			`"usageMetadata":{"promptTokenCount":270,"candidatesTokenCount":1120,"totalTokenCount":1390},"modelVersion":"nb-001","responseId":"r"}`))
	})}
}
