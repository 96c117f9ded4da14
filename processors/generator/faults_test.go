package generator

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"image"
	"image/jpeg"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/processors/gemini"
	"atelier/schemas"
)

var errInjected = errors.New("injected")

// faultyMedia fails where the test says so.
type faultyMedia struct {
	Media
	mu   sync.Mutex
	fail func(call, key string) bool
}

func (f *faultyMedia) set(fail func(call, key string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faultyMedia) failure(call, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil && f.fail(call, key) {
		return errInjected
	}
	return nil
}

func (f *faultyMedia) Get(ctx context.Context, key string) ([]byte, media.Attributes, error) {
	if err := f.failure("get", key); err != nil {
		return nil, media.Attributes{}, err
	}
	return f.Media.Get(ctx, key)
}

func (f *faultyMedia) Put(ctx context.Context, key string, data []byte, mimeType string) error {
	if err := f.failure("put", key); err != nil {
		return err
	}
	return f.Media.Put(ctx, key, data, mimeType)
}

func (f *faultyMedia) PutIfAbsent(ctx context.Context, key string, data []byte) (bool, error) {
	if err := f.failure("create", key); err != nil {
		return false, err
	}
	return f.Media.PutIfAbsent(ctx, key, data)
}

// faultyProducer refuses commands while it is told to; progress goes through.
type faultyProducer struct {
	Producer
	mu      sync.Mutex
	refuses int           // so many more produces of commands
	refused chan struct{} // one for each
}

func (f *faultyProducer) Produce(ctx context.Context, records ...*kafka.Record) error {
	f.mu.Lock()
	refuse := f.refuses > 0 && records[0].Topic == schemas.TopicCommands
	if refuse {
		f.refuses--
	}
	f.mu.Unlock()
	if refuse {
		select {
		case f.refused <- struct{}{}:
		default:
		}
		return errInjected
	}
	return f.Producer.Produce(ctx, records...)
}

func outcomes(attempts []schemas.Attempt) []string {
	var all []string
	for _, a := range attempts {
		all = append(all, a.Outcome)
	}
	return all
}

// drawn answers with a picture of so many pixels, whatever was asked for.
func drawn(width, height int) http.HandlerFunc {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 31 >> 3)
	}
	var out bytes.Buffer
	_ = jpeg.Encode(&out, img, nil)
	return says(http.StatusOK, `{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/jpeg","data":"`+
		base64.StdEncoding.EncodeToString(out.Bytes())+`"}}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"totalTokenCount":1390}}`)
}

// What the model does wrong, and what becomes of the generation.
func TestFaults(t *testing.T) {
	tests := []struct {
		name     string
		answers  []http.HandlerFunc
		outcomes []string
		reason   string // of a failed one
		fault    string
		detail   string
	}{
		{name: "the other side is broken", answers: []http.HandlerFunc{broken}, outcomes: []string{"internal", "ok"}},
		{name: "broken for too long", answers: []http.HandlerFunc{broken, broken, broken},
			outcomes: []string{"internal", "internal", "internal"}, reason: "internal", fault: "model", detail: "could not be reached"},
		{name: "the prompt is blocked", answers: []http.HandlerFunc{blocked},
			outcomes: []string{"prompt_blocked"}, reason: "prompt_blocked", fault: "user", detail: "another wording"},
		{name: "an answer in words", answers: []http.HandlerFunc{inWords}, outcomes: []string{"no_image", "ok"}},
		{name: "a picture of the wrong size", answers: []http.HandlerFunc{drawn(300, 300)}, outcomes: []string{"rejected", "ok"}},
		{name: "never the right size", answers: []http.HandlerFunc{drawn(300, 300), drawn(300, 301), drawn(10, 10)},
			outcomes: []string{"rejected", "rejected", "rejected"}, reason: "rejected", fault: "model", detail: "No picture passed the checks"},
		{name: "a request that is wrong", answers: []http.HandlerFunc{says(http.StatusBadRequest, `{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}`)},
			outcomes: []string{"bad_request"}, reason: "bad_request", fault: "ours", detail: "not available"},
		{name: "the other side gives up", answers: []http.HandlerFunc{says(http.StatusGatewayTimeout, `{"error":{"code":504,"message":"late","status":"DEADLINE_EXCEEDED"}}`)},
			outcomes: []string{"model_deadline", "ok"}},
	}
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				w := w.in(t)
				w.upstream.answer(tt.answers...)
				before, _ := w.upstream.count()
				b := w.request(account(int32(i%partitions)), "meta_feed_square")
				c := receive(w, w.commands)
				after, _ := w.upstream.count()
				require.Equal(t, len(tt.outcomes), after-before, "calls")
				switch c := c.(type) {
				case *schemas.CompleteGeneration:
					require.Empty(t, tt.reason)
					require.Equal(t, tt.outcomes, outcomes(c.Attempts))
				case *schemas.FailGeneration:
					require.Equal(t, b.generations[0].GenerationID, c.GenerationID)
					require.Equal(t, schemas.DeriveID(c.GenerationID, "fail"), c.ID)
					require.Equal(t, tt.reason, c.Reason)
					require.Equal(t, tt.fault, c.Fault)
					require.Contains(t, c.Detail, tt.detail)
					require.Equal(t, tt.outcomes, outcomes(c.Attempts))
				default:
					t.Fatalf("another command: %T", c)
				}
				w.accept(c)
			})
		}
		r.end()
		w.quiet()
	})
}

// in is the world for a part of a test.
func (w *world) in(t *testing.T) *world {
	part := &world{
		t: t, kafka: w.kafka, codec: w.codec, admin: w.admin, producer: w.producer, store: w.store, upstream: w.upstream,
		standin: w.standin, commands: w.commands, progress: w.progress, tuning: w.tuning, config: w.config,
	}
	return part
}

func TestTheNextAttemptKnowsWhatWasWrong(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		calls := w.upstream.holdBefore()
		w.upstream.answer(inWords, drawn(300, 300))
		r := w.run()
		w.request(account(0), "meta_feed_square")
		first := receive(w, calls)
		require.Contains(t, first.body, `"responseModalities":["TEXT","IMAGE"]`)
		require.NotContains(t, first.body, "Earlier attempts")
		first.release()
		second := receive(w, calls)
		require.Contains(t, second.body, `"responseModalities":["IMAGE"]`)
		second.release()
		third := receive(w, calls)
		require.Contains(t, third.body, `"responseModalities":["TEXT","IMAGE"]`)
		require.Contains(t, third.body, "Earlier attempts were refused")
		require.NotContains(t, third.body, "NEVER DRAWN")
		third.release()
		c := command[*schemas.CompleteGeneration](w)
		seeds := map[int]bool{}
		for _, a := range c.Attempts {
			seeds[a.Seed] = true
		}
		require.Len(t, seeds, 3, "another seed each time")
		r.end()
	})
}

// A 429 spends neither an attempt nor a slot, and waits as told.
func TestQuota(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.answer(quotaExceeded("0.2s"))
		r := w.run(func(c *Config) { c.Slots = 1 })
		began := time.Now()
		w.request(account(0), "meta_feed_square")
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, []string{"ok"}, outcomes(c.Attempts), "it costs no attempt")
		require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond)
		w.accept(c)

		// Ten minutes for one model: the only slot is free for another model.
		w.upstream.answer(quotaExceeded("600s"))
		waits := w.request(account(1), "meta_feed_square")
		w.eventually("the quota is known", func() bool { return w.saw(stageQueued, reasonQuota, waits.generations[0].GenerationID) })
		behind := w.request(account(1), "meta_feed_square")
		other := w.requested(account(0), func(b *batch_) { b.event.Tier = "pro" }, "meta_feed_square")
		w.write(other)
		c = command[*schemas.CompleteGeneration](w)
		require.Equal(t, other.generations[0].GenerationID, c.GenerationID)
		calls, _ := w.upstream.count()
		require.Equal(t, 4, calls, "what waits behind the quota is not tried")
		r.end()

		// The attempt is free again: another process need not wait for it.
		again := w.run(func(c *Config) { c.Gemini = w.upstream.connect(t) })
		made := completed(w, 3)
		require.Contains(t, made, waits.generations[0].GenerationID)
		require.Contains(t, made, behind.generations[0].GenerationID)
		require.Equal(t, []string{"ok"}, outcomes(made[waits.generations[0].GenerationID].Attempts))
		again.end()
	})
}

// An overloaded model costs no attempt either, however often it says so.
func TestOverload(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.answer(overloaded, overloaded, overloaded, overloaded, overloaded)
		r := w.run()
		w.request(account(0), "meta_feed_square")
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, []string{"ok"}, outcomes(c.Attempts))
		calls, _ := w.upstream.count()
		require.Equal(t, 6, calls)
		r.end()
	})
}

// A model that refuses to work for us keeps its generations waiting, with a word
// why, and one call at a time finds out whether somebody has mended it.
func TestAConfigurationFaultHoldsGenerations(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		leaked := says(http.StatusForbidden, `{"error":{"code":403,"message":"leaked","status":"PERMISSION_DENIED"}}`)
		w.upstream.answer(leaked, leaked, leaked)
		r := w.run(func(c *Config) { c.Slots = 1 })
		b := w.request(account(0), "google_square", "google_square", "google_square")
		w.eventually("the reason is told", func() bool { return w.saw(stageQueued, reasonUnavailable, b.generations[0].GenerationID) })
		for _, c := range completed(w, 3) {
			require.Equal(t, []string{"ok"}, outcomes(c.Attempts), "it cost no attempt")
		}
		calls, _ := w.upstream.count()
		require.Equal(t, 6, calls, "three calls found out for all")
		r.end()
	})
}

// An outage costs the attempts of those that met it, and no more.
func TestAnOutageHoldsTheOthers(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.answer(broken, broken, broken, broken, broken, broken)
		r := w.run(func(c *Config) { c.Slots = 1 })
		w.request(account(0), "google_square", "google_square", "google_square", "google_square")
		attempts := 0
		for range 4 {
			switch c := receive(w, w.commands).(type) {
			case *schemas.CompleteGeneration:
				attempts += len(c.Attempts) - 1
			case *schemas.FailGeneration:
				attempts += len(c.Attempts)
			}
		}
		require.Equal(t, 4, attempts, "the fifth call and the probe cost none")
		calls, _ := w.upstream.count()
		require.LessOrEqual(t, calls, 10)
		r.end()
	})
}

// saw drains the progress notes and says whether one was there.
func (w *world) saw(stage, reason, generation string) bool {
	for {
		select {
		case p := <-w.progress:
			if p.Stage == stage && p.Reason == reason && p.GenerationID == generation {
				return true
			}
		default:
			return false
		}
	}
}

func TestAQuotaThatComesBackTooLate(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.answer(quotaExceeded("600s"))
		r := w.run()
		w.write(w.requested(account(0), func(b *batch_) {
			b.generations[0].Deadline = time.Now().Add(5 * time.Minute)
		}, "meta_feed_square"))
		c := command[*schemas.FailGeneration](w)
		require.Equal(t, gemini.CodeQuotaMinute, c.Reason)
		require.Equal(t, "ours", c.Fault)
		require.Empty(t, c.Attempts)
		require.Zero(t, c.CostMicros)
		r.end()
	})
}

func TestCommandsAreWrittenInTheEnd(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		p := &faultyProducer{Producer: w.producer, refuses: 5, refused: make(chan struct{}, 5)}
		r := w.run(func(c *Config) { c.Producer = p })
		w.request(account(0), "meta_feed_square", "google_square")
		completed(w, 2)
		require.Equal(t, 2, w.standin.count())
		r.end()
		w.quiet()
	})
}

func TestAMediaStoreThatIsAwayCostsNoAttempt(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		store := &faultyMedia{Media: w.store}
		left := map[string]int{"create": 2, "put": 2}
		store.set(func(call, _ string) bool {
			left[call]--
			return left[call] >= 0
		})
		r := w.run(func(c *Config) { c.Media = store })
		w.request(account(0), "meta_feed_square")
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, []string{"ok"}, outcomes(c.Attempts))
		require.Equal(t, 1, w.standin.count())
		r.end()
	})
}

// A result that cannot be stored for longer than one try may take is held.
func TestAPaidResultIsHeldUntilItIsStored(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		store := &faultyMedia{Media: w.store}
		store.set(func(call, key string) bool { return call == "create" && strings.HasSuffix(key, ".result") })
		w.tuning.keepTimeout = 200 * time.Millisecond
		r := w.run(func(c *Config) { c.Media = store })
		b := w.request(account(0), "meta_feed_square")
		w.eventually("it is held up", func() bool { return w.saw(stageQueued, reasonStorage, b.generations[0].GenerationID) })
		store.set(nil)
		c := command[*schemas.CompleteGeneration](w)
		require.Equal(t, []string{"ok"}, outcomes(c.Attempts))
		require.Equal(t, 1, w.standin.count())
		r.end()
	})
}

type panicking struct{ Gemini }

func (panicking) GenerateImage(context.Context, gemini.ImageRequest) (gemini.ImageResult, error) {
	panic("of the client")
}

func TestAPanicFailsItsGenerationAlone(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run(func(c *Config) { c.Gemini = panicking{} })
		w.request(account(0), "meta_feed_square", "meta_story")
		for range 2 {
			c := command[*schemas.FailGeneration](w)
			require.Equal(t, "internal", c.Reason)
			require.Equal(t, "ours", c.Fault)
		}
		r.end()
	})
}
