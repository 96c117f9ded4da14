package api

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/internal/picture"
	"atelier/processors/gemini/standin"
	"atelier/schemas"
)

// stormPlacements are those that the storm is measured on, four images in each.
var stormPlacements = []string{"meta_feed_square", "meta_feed_portrait", "meta_story", "google_landscape", "google_square", "google_vertical"}

// A batch in a storm of the model's faults: every image is good, and says why, or has
// failed with a reason; nobody pays for a failed one, no call is paid twice, and every
// file is what its platform takes.
func TestAStorm(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newWorldOn(t, brokers, prefix, standin.Options{Storm: standin.Rough(1), QuotaWait: 100 * time.Millisecond})
		ann := w.node.person(t)
		w.node.grant(ann.account, 48)
		brand := ann.brand(map[string]any{
			"name": "Fjord", "colours": []any{map[string]any{"hex": "#1f4d3a"}, map[string]any{"hex": "#e8d9b5"}},
		})
		body := request(brand, stormPlacements...)
		body["variants"] = 4
		batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, nil).text("batch_id")
		settled := ann.settled(batch)
		good, failed := settled.number("counts.succeeded"), settled.number("counts.failed")
		require.Equal(t, 24, good+failed, settled)
		require.Positive(t, good, "storms spare most")
		require.Equal(t, []int{2 * good, 2 * failed, 0}, []int{settled.number("credits.captured"), settled.number("credits.released"), settled.number("credits.held")})

		gallery := ann.get("/v1/generations?limit=100&batch_id=" + batch)
		reasons := map[string]int{}
		for i := range gallery.len("items") {
			one := ann.get("/v1/generations/" + gallery.text(fmt.Sprintf("items.%d.id", i)))
			if one.text("status") == "failed" {
				reasons[one.text("failure.reason")]++
				require.NotEmpty(t, one.text("failure.detail"))
				require.Zero(t, one.number("credits"))
				continue
			}
			ann.whole(one)
		}
		w.stormTable(good, failed, reasons)
	})
}

// whole checks a finished image: its receipt, and its file as the platform takes it.
func (p *person) whole(image answer) {
	p.t.Helper()
	last := image.len("receipt.attempts") - 1
	attempt := fmt.Sprintf("receipt.attempts.%d.", last)
	require.Equal(p.t, "ok", image.text(attempt+"outcome"), image)
	asked := 0
	for i := range image.len(attempt + "verdicts") {
		verdict := fmt.Sprintf("%sverdicts.%d.", attempt, i)
		require.Contains(p.t, []string{"pass", "warn"}, image.text(verdict+"verdict"), image)
		if image.text(verdict+"question") != "" {
			asked++
		}
	}
	require.Positive(p.t, asked, "the judge was asked: %s", image)
	placement, ok := schemas.PlacementByID(image.text("placement"))
	require.True(p.t, ok)
	data := p.fetched(image.text("links.file") + "?placement=" + placement.ID)
	config, err := jpeg.DecodeConfig(bytes.NewReader(data))
	require.NoError(p.t, err)
	require.Equal(p.t, [2]int{placement.Width, placement.Height}, [2]int{config.Width, config.Height})
	require.LessOrEqual(p.t, len(data), placement.BytesMax)
	require.Equal(p.t, picture.TrainedAlgorithmicMedia, picture.DigitalSourceType(data))
}

// stormTable shows what the model's ledger says of the storm, and checks that no call
// was paid twice: the same prompt, pictures and seed.
func (w *world) stormTable(good, failed int, reasons map[string]int) {
	w.t.Helper()
	faults, paid := map[string]int{}, map[string]int{}
	calls, drawn := 0, 0
	for _, c := range w.standin.Ledger() {
		calls++
		if c.Fault != "" {
			faults[c.Fault]++
		}
		if c.Billed && c.Size != "" {
			drawn++
			paid[fmt.Sprint(c.Model, c.PromptHash, c.Seed)]++
		}
	}
	for call, times := range paid {
		require.Equal(w.t, 1, times, "a drawing was paid twice: %s", call)
	}
	var said strings.Builder
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		fmt.Fprintf(&said, "\n%-16s %3d", fault, faults[fault])
	}
	w.t.Logf("%d calls, %d drawings paid; %d images good, %d failed: %v; faults played:%s", calls, drawn, good, failed, reasons, said.String())
	require.NotEmpty(w.t, faults, "there was no storm")
}
