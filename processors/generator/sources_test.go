package generator

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
	"atelier/schemas"
)

// asked is what a call of the model carries.
type asked struct {
	text     string
	pictures [][]byte
}

func askedFor(t *testing.T, body string) (a asked) {
	t.Helper()
	var request struct {
		Contents []struct {
			Parts []struct {
				Text       string
				InlineData *struct{ Data string }
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &request))
	for _, part := range request.Contents[0].Parts {
		a.text += part.Text
		if part.InlineData != nil {
			data, err := base64.StdEncoding.DecodeString(part.InlineData.Data)
			require.NoError(t, err)
			a.pictures = append(a.pictures, data)
		}
	}
	return a
}

// A picture that was made is shown to the model, byte for byte, with what each
// workflow asks for; what comes back is of the same product in the same colours.
func TestFromASource(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		w.upstream.next = standin.New(standin.Options{Key: "test"})
		calls := w.upstream.holdBefore()
		r := w.run(func(c *Config) { // small pictures are drawn fast
			c.Models = DefaultModels()
			c.Models["standard"] = Model{ID: c.Models["standard"].ID, Sizes: []string{gemini.Size1K}}
		})
		owner := account(0)
		draw := func(placement string, change func(*schemas.BatchRequested)) (*schemas.CompleteGeneration, asked) {
			b := w.requested(owner, func(b *batch_) {
				b.event.Brief = seal(owner, `{"product":"cold brew in a bottle","headline":"NEVER DRAWN"}`)
				change(b.event)
			}, placement)
			w.write(b)
			call := receive(w, calls)
			call.release()
			c := command[*schemas.CompleteGeneration](w)
			w.accept(c)
			return c, askedFor(t, call.body)
		}
		master, _ := draw("google_landscape", func(*schemas.BatchRequested) {})
		first, _, err := w.store.Get(t.Context(), master.Media.Key)
		require.NoError(t, err)
		source := schemas.Reference{AssetID: master.GenerationID, Role: schemas.RoleSource, MediaKey: master.Media.Key, MIMEType: master.Media.MIMEType}
		for _, tt := range []struct{ workflow, placement, says string }{
			{"refine", "google_landscape", "<feedback>\n\"a little calmer\"\n</feedback>"},
			{"vary", "google_landscape", "one thing changed, its props"},
			{"adapt", "google_square", "aspect ratio 1:1"},
		} {
			made, call := draw(tt.placement, func(e *schemas.BatchRequested) {
				e.Workflow, e.References = tt.workflow, []schemas.Reference{source}
				e.Params = map[string]string{schemas.ParamSource: master.GenerationID}
				switch tt.workflow {
				case "refine":
					e.Feedback = seal(owner, "a little calmer")
				case "vary":
					e.Params[schemas.ParamFactor] = "props"
				}
			})
			require.Contains(t, call.text, tt.says)
			require.Contains(t, call.text, "1. the source")
			require.NotContains(t, call.text, "NEVER DRAWN")
			require.Equal(t, [][]byte{first}, call.pictures)
			require.Equal(t, tt.workflow, made.Template)
			require.NotEqual(t, master.Media.SHA256, made.Media.SHA256)
			require.Less(t, w.apart(master, made), 0.1, tt.workflow)
		}
		other, _ := draw("google_landscape", func(e *schemas.BatchRequested) {
			e.Kit = seal(owner, `{"name":"Rosa","colors":["#F3D5CE","#8C2F39"]}`)
		})
		require.Greater(t, w.apart(master, other), 0.2, "another brand looks different")

		gone := w.requested(owner, func(b *batch_) {
			source.MediaKey = strings.Replace(source.MediaKey, "/master-", "/thumbnail-", 1)
			b.event.Workflow, b.event.References = "adapt", []schemas.Reference{source}
		}, "google_landscape")
		w.write(gone)
		failed := command[*schemas.FailGeneration](w)
		require.Equal(t, reasonReference, failed.Reason)
		require.Equal(t, "A source picture is no longer there.", failed.Detail)
		r.end()
	})
}

// apart is how far the mean colours of two pictures are apart, as a share of the
// way from black to white.
func (w *world) apart(a, b *schemas.CompleteGeneration) float64 {
	x, y := w.meanColor(a.ThumbnailKey), w.meanColor(b.ThumbnailKey)
	return math.Sqrt((x[0]-y[0])*(x[0]-y[0])+(x[1]-y[1])*(x[1]-y[1])+(x[2]-y[2])*(x[2]-y[2])) / math.Sqrt(3)
}

func (w *world) meanColor(key string) (mean [3]float64) {
	w.t.Helper()
	data, _, err := w.store.Get(w.t.Context(), key)
	require.NoError(w.t, err)
	img, _, err := picture.Decode(data)
	require.NoError(w.t, err)
	bounds := img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			mean[0], mean[1], mean[2] = mean[0]+float64(r), mean[1]+float64(g), mean[2]+float64(b)
		}
	}
	for i := range mean {
		mean[i] /= 65535 * float64(bounds.Dx()*bounds.Dy())
	}
	return mean
}
