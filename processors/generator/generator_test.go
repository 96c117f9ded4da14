package generator

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
	"atelier/schemas"
)

func TestABatchIsMade(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		r := w.run()
		b := w.request(account(0), "meta_feed_square", "meta_story", "google_landscape", "google_portrait")
		made := completed(w, 4)
		for _, g := range b.generations {
			c := made[g.GenerationID]
			require.NotNil(t, c, g.Placement)
			require.Equal(t, schemas.DeriveID(g.GenerationID, "complete"), c.ID)
			require.Equal(t, g.AccountID, c.AccountID)
			require.Equal(t, b.event.CorrelationID, c.CorrelationID)
			require.Equal(t, g.ID, c.CausationID)
			require.Equal(t, b.event.BatchID, c.BatchID)

			image, _, err := w.store.Get(t.Context(), c.Media.Key)
			require.NoError(t, err)
			sum := sha256.Sum256(image)
			require.Equal(t, sum[:], c.Media.SHA256)
			require.EqualValues(t, len(image), c.Media.Bytes)
			shape, err := picture.DecodeConfig(image)
			require.NoError(t, err)
			require.Equal(t, [2]int{shape.Width, shape.Height}, [2]int{c.Media.Width, c.Media.Height})
			require.Equal(t, "image/jpeg", c.Media.MIMEType)
			p, _ := schemas.PlacementByID(g.Placement)
			require.GreaterOrEqual(t, shape.Width, p.Width)
			require.GreaterOrEqual(t, shape.Height, p.Height)

			small, _, err := w.store.Get(t.Context(), c.ThumbnailKey)
			require.NoError(t, err)
			shape, err = picture.DecodeConfig(small)
			require.NoError(t, err)
			require.Equal(t, 480, max(shape.Width, shape.Height))

			require.Equal(t, "create", c.Template)
			require.Equal(t, 1, c.TemplateVersion)
			require.Equal(t, "gemini-nano-banana-2.1", c.Model)
			require.NotEmpty(t, c.ModelVersion)
			require.Len(t, c.Attempts, 1)
			require.Equal(t, outcomeOK, c.Attempts[0].Outcome)
			require.Equal(t, "decodes", c.Attempts[0].Verdicts[0].Check)
			require.Equal(t, "pass", c.Attempts[0].Verdicts[0].Verdict)
			require.Positive(t, c.Tokens)
			require.Positive(t, c.CostMicros)
			require.GreaterOrEqual(t, c.Durations.QueuedMs, int64(0))
		}
		for _, c := range made {
			w.accept(c)
		}
		w.eventually("the checkpoint moves to the end", func() bool { return w.caughtUp(0) })
		for _, g := range b.generations {
			_, _, err := w.store.Get(t.Context(), attemptKey(g.GenerationID, 1)+".image")
			require.True(t, isNotFound(err), "what has ended has no picture in the journal")
		}
		require.Equal(t, 4, w.standin.count())
		r.end()
		w.quiet()
	})
}

// caughtUp says whether the partition's checkpoint is the log's end.
func (w *world) caughtUp(partition int32) bool {
	committed, err := w.admin.CommittedOffsets(w.t.Context(), Group, schemas.TopicEvents)
	require.NoError(w.t, err)
	ends, err := w.admin.HighWatermarks(w.t.Context(), schemas.TopicEvents)
	require.NoError(w.t, err)
	return committed[partition] == ends[partition]
}
