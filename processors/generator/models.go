package generator

import (
	"fmt"
	"strconv"
	"strings"

	"atelier/processors/gemini"
	"atelier/schemas"
)

// Model is what a tier asks for.
type Model struct {
	// ID is one of gemini.Models. IDs retire, so they are configuration.
	ID string
	// Sizes are those that may be asked for, the smallest first: the first whose
	// pixels reach the placement's file is asked for, or else the last.
	Sizes []string
}

// DefaultModels returns the models by tier.
func DefaultModels() map[string]Model {
	return ModelsByTier("gemini-nano-banana-2.1", "gemini-3-pro-image")
}

// ModelsByTier returns what is asked of the models of each tier: 1K or 2K, as far
// as they draw that. At 1K the native 4:5, 9:16 and 1:1 are below the files'
// sizes, so that most placements take 2K.
func ModelsByTier(standard, pro string) map[string]Model {
	models := map[string]Model{}
	for tier, id := range map[string]string{"standard": standard, "pro": pro} {
		m := Model{ID: id}
		known, _ := gemini.ModelByID(id)
		for _, size := range []string{gemini.Size1K, gemini.Size2K} {
			if _, draws := known.Sizes[size]; draws {
				m.Sizes = append(m.Sizes, size)
			}
		}
		models[tier] = m
	}
	return models
}

func validateModels(models map[string]Model) error {
	for tier := range schemas.PricePerImage {
		m, ok := models[tier]
		if !ok {
			return fmt.Errorf("generator: no model for tier %s", tier)
		}
		known, ok := gemini.ModelByID(m.ID)
		switch {
		case !ok:
			return fmt.Errorf("generator: unknown model %q for tier %s", m.ID, tier)
		case known.Retired:
			return fmt.Errorf("generator: model %s of tier %s is retired", m.ID, tier)
		case len(m.Sizes) == 0:
			return fmt.Errorf("generator: no size for tier %s", tier)
		}
		for _, size := range m.Sizes {
			if _, ok := known.Sizes[size]; !ok {
				return fmt.Errorf("generator: model %s of tier %s has no size %q", m.ID, tier, size)
			}
		}
	}
	return nil
}

// judgeModelDefault is the judge where the configuration names none.
const judgeModelDefault = "gemini-3.8-flash"

// validateJudge wants a model that answers in words and draws for nobody: none
// judges its own work.
func validateJudge(id string, models map[string]Model) error {
	known, ok := gemini.ModelByID(id)
	if !ok || known.Retired || known.Text == nil {
		return fmt.Errorf("generator: %q is no model that judges", id)
	}
	for tier, m := range models {
		if m.ID == id {
			return fmt.Errorf("generator: %s draws for tier %s and would judge itself", id, tier)
		}
	}
	return nil
}

// size returns what to ask for, so that the placement's file need not be enlarged.
func (m Model) size(p schemas.Placement) string {
	known, _ := gemini.ModelByID(m.ID)
	for _, size := range m.Sizes {
		if width, height, ok := known.Pixels(p.Ratio, size); ok && width >= p.Width && height >= p.Height {
			return size
		}
	}
	return m.Sizes[len(m.Sizes)-1]
}

// ratio returns width divided by height of text such as "4:5", and 0 of any other.
func ratio(text string) float64 {
	w, h, _ := strings.Cut(text, ":")
	width, err := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if err != nil || err2 != nil || height <= 0 {
		return 0
	}
	return float64(width) / float64(height)
}
