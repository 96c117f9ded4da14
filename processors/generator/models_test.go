package generator

import (
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/processors/gemini"
	"atelier/schemas"
)

// Every placement's file is cut from a picture that need not be enlarged.
func TestSizesCoverThePlacements(t *testing.T) {
	want := map[string]string{"meta_feed_square": "2K", "meta_feed_portrait": "2K", "meta_story": "2K", "google_landscape": "1K"}
	for tier, m := range DefaultModels() {
		known, ok := gemini.ModelByID(m.ID)
		require.True(t, ok)
		for _, p := range schemas.Placements {
			size := m.size(p)
			width, height, ok := known.Pixels(p.Ratio, size)
			require.True(t, ok, "%s draws no %s at %s", m.ID, p.Ratio, size)
			require.GreaterOrEqual(t, width, p.Width, p.ID)
			require.GreaterOrEqual(t, height, p.Height, p.ID)
			if want[p.ID] != "" {
				require.Equal(t, want[p.ID], size, "%s %s", tier, p.ID)
			}
		}
	}
}

func TestModelsAreChecked(t *testing.T) {
	with := func(id string, sizes ...string) map[string]Model {
		models := DefaultModels()
		models["pro"] = Model{ID: id, Sizes: sizes}
		return models
	}
	require.NoError(t, validateModels(DefaultModels()))
	require.NoError(t, validateModels(with("gemini-3.1-flash-lite-image", "1K")))
	require.ErrorContains(t, validateModels(with("gemini-9", "1K")), "unknown model")
	require.ErrorContains(t, validateModels(with("gemini-2.5-flash-image", "1K")), "retired")
	require.ErrorContains(t, validateModels(with("gemini-3-pro-image")), "no size")
	require.ErrorContains(t, validateModels(with("gemini-3.1-flash-lite-image", "2K")), `no size "2K"`)
	require.ErrorContains(t, validateModels(nil), "no model for tier")
}

func TestModelsByTier(t *testing.T) {
	models := ModelsByTier("gemini-3.1-flash-lite-image", "gemini-nano-banana-2.1")
	require.Equal(t, Model{ID: "gemini-3.1-flash-lite-image", Sizes: []string{"1K"}}, models["standard"])
	require.Equal(t, Model{ID: "gemini-nano-banana-2.1", Sizes: []string{"1K", "2K"}}, models["pro"])
	require.ErrorContains(t, validateModels(ModelsByTier("gemini-3.8-flash", "gemini-3-pro-image")), "no size", "it draws nothing")
}

func TestTheLargestSizeWhereNoneCovers(t *testing.T) {
	p, _ := schemas.PlacementByID("meta_story")
	require.Equal(t, "1K", Model{ID: "gemini-3.1-flash-lite-image", Sizes: []string{"1K"}}.size(p))
}

func TestRatio(t *testing.T) {
	require.InDelta(t, 0.8, ratio("4:5"), 1e-9)
	for _, text := range []string{"", "4", "4:", ":5", "4:0", "a:b"} {
		require.Zero(t, ratio(text), text)
	}
}
