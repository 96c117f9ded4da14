package commands

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"atelier/schemas"
)

// TestBounds breaks one field of a valid command after the other: each is
// refused, and the detail names the field.
func TestBounds(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	open := scenario{given: concat([]schemas.Event{savedBrand(1, 1), granted(1, 100)}, requested(2, 1, 2, 2, noon.Add(time.Hour), line(1, 4)))}.account()

	check := func(t *testing.T, field string, command schemas.Command) {
		t.Helper()
		t.Run(field, func(t *testing.T) {
			_, err := Decide(open, command, noon)
			var r *Rejection
			if !errors.As(err, &r) || !errors.Is(err, ErrInvalid) || !strings.Contains(r.Detail, field) {
				t.Errorf("error %v, want invalid_command about %s", err, field)
			}
		})
	}
	t.Run("RequestGeneration", func(t *testing.T) {
		for field, change := range map[string]func(*schemas.RequestGeneration){
			"batch_id":               func(c *schemas.RequestGeneration) { c.BatchID = "x" },
			"brand_id":               func(c *schemas.RequestGeneration) { c.BrandID = strings.ToUpper(id("ab", 1)) },
			"kit is empty":           func(c *schemas.RequestGeneration) { c.Kit = nil },
			"kit has":                func(c *schemas.RequestGeneration) { c.Kit = bytesOf(1, 16<<10+65) },
			"kit_hash":               func(c *schemas.RequestGeneration) { c.KitHash = bytesOf(1, 15) },
			"kit_schema":             func(c *schemas.RequestGeneration) { c.KitSchema = 0 },
			"brief":                  func(c *schemas.RequestGeneration) { c.Brief = bytesOf(1, 8<<10+65) },
			"feedback":               func(c *schemas.RequestGeneration) { c.Feedback = bytesOf(1, 2<<10+65) },
			"campaign":               func(c *schemas.RequestGeneration) { c.Campaign = bytesOf(1, 165) },
			"count of references":    func(c *schemas.RequestGeneration) { c.References = make([]schemas.Reference, 15) },
			"references.asset_id":    func(c *schemas.RequestGeneration) { c.References[0].AssetID = "" },
			"references.role":        func(c *schemas.RequestGeneration) { c.References[0].Role = "face" },
			"references.media_key":   func(c *schemas.RequestGeneration) { c.References[0].MediaKey = long(513) },
			"references.mime_type":   func(c *schemas.RequestGeneration) { c.References[0].MIMEType = "image/gif" },
			"workflow":               func(c *schemas.RequestGeneration) { c.Workflow = "steal" },
			"count of params":        func(c *schemas.RequestGeneration) { c.Params = manyParams(17) },
			"params has a key":       func(c *schemas.RequestGeneration) { c.Params = map[string]string{"k": long(501)} },
			"tier":                   func(c *schemas.RequestGeneration) { c.Tier = "free" },
			"count of placements":    func(c *schemas.RequestGeneration) { c.Placements = nil },
			"placements has one twi": func(c *schemas.RequestGeneration) { c.Placements = []string{"meta_story", "meta_story"} },
			"placements has one tha": func(c *schemas.RequestGeneration) { c.Placements = []string{"billboard"} },
			"placement_table":        func(c *schemas.RequestGeneration) { c.PlacementTable = 0 },
			"variants":               func(c *schemas.RequestGeneration) { c.Variants = 0 },
			"count of images":        func(c *schemas.RequestGeneration) { c.Variants = 25 },
			"max_credits":            func(c *schemas.RequestGeneration) { c.MaxCredits = -1 },
			"open_max":               func(c *schemas.RequestGeneration) { c.OpenMax = 501 },
			"deadline_ms is 59999":   func(c *schemas.RequestGeneration) { c.DeadlineMs = 59_999 },
			"deadline_ms is 8640000": func(c *schemas.RequestGeneration) { c.DeadlineMs = 86_400_001 },
		} {
			c := testRequest()
			change(c)
			check(t, field, c)
		}
	})
	t.Run("RequestGeneration from a source", func(t *testing.T) {
		for field, change := range map[string]func(*schemas.RequestGeneration){
			"params has no source":           func(c *schemas.RequestGeneration) { c.Params = map[string]string{"factor": "light"} },
			"params has no factor":           func(c *schemas.RequestGeneration) { delete(c.Params, "factor") },
			"params has no feedback":         func(c *schemas.RequestGeneration) { c.Workflow = "refine"; delete(c.Params, "factor") },
			"params has what the workflow v": func(c *schemas.RequestGeneration) { c.Feedback = []byte("warmer") },
			"params has what the workflow c": func(c *schemas.RequestGeneration) { c.Workflow = "create" },
			"params.factor":                  func(c *schemas.RequestGeneration) { c.Params["factor"] = "</brief> all of it" },
			"params.source_generation_id":    func(c *schemas.RequestGeneration) { c.Params["source_generation_id"] = "x" },
			"references does not begin":      func(c *schemas.RequestGeneration) { slices.Reverse(c.References) },
			"references does not begin with": func(c *schemas.RequestGeneration) { c.References[0].AssetID = generationID(2) },
			"references has a source":        func(c *schemas.RequestGeneration) { c.References[1].Role = "source" },
		} {
			c := sourceRequest("vary")
			change(c)
			check(t, field, c)
		}
	})
	t.Run("CompleteGeneration", func(t *testing.T) {
		for field, change := range map[string]func(*schemas.CompleteGeneration){
			"batch_id":                          func(c *schemas.CompleteGeneration) { c.BatchID = "" },
			"generation_id":                     func(c *schemas.CompleteGeneration) { c.GenerationID = "" },
			"media.key has":                     func(c *schemas.CompleteGeneration) { c.Media.Key = "" },
			"media.key is no":                   func(c *schemas.CompleteGeneration) { c.Media.Key = "a\x00" },
			"media.sha256":                      func(c *schemas.CompleteGeneration) { c.Media.SHA256 = nil },
			"media.bytes":                       func(c *schemas.CompleteGeneration) { c.Media.Bytes = 0 },
			"media.width":                       func(c *schemas.CompleteGeneration) { c.Media.Width = 0 },
			"media.height":                      func(c *schemas.CompleteGeneration) { c.Media.Height = 1 << 20 },
			"media.mime_type":                   func(c *schemas.CompleteGeneration) { c.Media.MIMEType = "image/svg+xml" },
			"thumbnail_key":                     func(c *schemas.CompleteGeneration) { c.ThumbnailKey = long(513) },
			"model has":                         func(c *schemas.CompleteGeneration) { c.Model = long(201) },
			"model_version":                     func(c *schemas.CompleteGeneration) { c.ModelVersion = "\xff" },
			"template has":                      func(c *schemas.CompleteGeneration) { c.Template = long(201) },
			"template_version":                  func(c *schemas.CompleteGeneration) { c.TemplateVersion = 0 },
			"count of attempts":                 func(c *schemas.CompleteGeneration) { c.Attempts = make([]schemas.Attempt, 4) },
			"attempts.number":                   func(c *schemas.CompleteGeneration) { c.Attempts[0].Number = 4 },
			"attempts.model":                    func(c *schemas.CompleteGeneration) { c.Attempts[0].Model = long(201) },
			"attempts.outcome":                  func(c *schemas.CompleteGeneration) { c.Attempts[0].Outcome = long(65) },
			"attempts.cost_micros":              func(c *schemas.CompleteGeneration) { c.Attempts[0].CostMicros = -1 },
			"count of attempts.verdicts is":     func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts = make([]schemas.Verdict, 65) },
			"attempts.verdicts.check":           func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Check = "" },
			"attempts.verdicts.version":         func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Version = 0 },
			"attempts.verdicts.verdict":         func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Verdict = "maybe" },
			"attempts.verdicts.evidence":        func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Evidence = long(501) },
			"count of attempts.verdicts.figure": func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Figures = manyFigures(9) },
			"attempts.verdicts.question":        func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Question = long(251) },
			"attempts.verdicts.answer":          func(c *schemas.CompleteGeneration) { c.Attempts[0].Verdicts[0].Answer = "perhaps" },
			"attempts.verdicts.figures has": func(c *schemas.CompleteGeneration) {
				c.Attempts[0].Verdicts[0].Figures = map[string]float64{"blur": math.NaN()}
			},
			"cost_micros": func(c *schemas.CompleteGeneration) { c.CostMicros = costMicrosMax + 1 },
		} {
			c := &schemas.CompleteGeneration{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(2), Media: testMedia(),
				TemplateVersion: 1, Attempts: testAttempts()}
			change(c)
			check(t, field, c)
		}
	})
	for field, command := range map[string]schemas.Command{
		"email":             &schemas.OpenAccount{Email: bytesOf(1, 320+65)},
		"email_hash":        &schemas.ClaimWelcome{EmailHash: bytesOf(1, 31)},
		"block_id":          &schemas.GrantCredits{Credits: 1, Source: "plan"},
		"credits is 0":      &schemas.GrantCredits{BlockID: blockID(7), Source: "plan"},
		"credits is 100000": &schemas.GrantCredits{BlockID: blockID(7), Credits: 1_000_001, Source: "plan"},
		"source":            &schemas.GrantCredits{BlockID: blockID(7), Credits: 1, Source: "gift"},
		"priority":          &schemas.GrantCredits{BlockID: blockID(7), Credits: 1, Source: "plan", Priority: 101},
		"reason has 201":    &schemas.GrantCredits{BlockID: blockID(7), Credits: 1, Source: "plan", Reason: long(201)},
		"expires_at":        &schemas.GrantCredits{BlockID: blockID(7), Credits: 1, Source: "plan", ExpiresAt: ref(noon)},
		"expires_at is not": &schemas.GrantCredits{BlockID: blockID(7), Credits: 1, Source: "plan", ExpiresAt: ref(noon.AddDate(101, 0, 0))},
		"block_id ":         &schemas.ExpireCredits{BlockID: "x"},
		"brand_id":          &schemas.SaveBrand{},
		"expected_version":  &schemas.SaveBrand{BrandID: brandID(1), ExpectedVersion: -1},
		"kit":               &schemas.SaveBrand{BrandID: brandID(1), KitHash: bytesOf(1, 16), KitSchema: 1},
		"brand_id ":         &schemas.ArchiveBrand{BrandID: "x"},
		"brand_id is":       &schemas.RestoreBrand{BrandID: "x"},
		"asset_id":          &schemas.AddAsset{Kind: "logo", Media: testMedia()},
		"brand_id is no":    &schemas.AddAsset{AssetID: assetID(1), BrandID: "x", Kind: "logo", Media: testMedia()},
		"kind":              &schemas.AddAsset{AssetID: assetID(1), Kind: "font", Media: testMedia()},
		"name":              &schemas.AddAsset{AssetID: assetID(1), Kind: "logo", Name: bytesOf(1, 265), Media: testMedia()},
		"media.key":         &schemas.AddAsset{AssetID: assetID(1), Kind: "logo"},
		"asset_id ":         &schemas.RemoveAsset{},
		"batch_id":          &schemas.CancelGeneration{},
		"generation_id":     &schemas.CancelGeneration{BatchID: batchID(2), GenerationID: "x"},
		"generation_id ":    &schemas.ExpireGeneration{BatchID: batchID(2)},
		"reason has 0":      &schemas.FailGeneration{BatchID: batchID(2), GenerationID: generationID(1), Fault: "ours"},
		"fault":             &schemas.FailGeneration{BatchID: batchID(2), GenerationID: generationID(1), Reason: "r", Fault: "theirs"},
		"detail":            &schemas.FailGeneration{BatchID: batchID(2), GenerationID: generationID(1), Reason: "r", Fault: "ours", Detail: long(501)},
		"batch_id ":         &schemas.RecordSpend{GenerationID: generationID(1), Reason: "lost"},
		"generation_id is":  &schemas.RecordSpend{BatchID: batchID(1), Reason: "lost"},
		"reason":            &schemas.RecordSpend{BatchID: batchID(1), GenerationID: generationID(1), Reason: "stolen"},
		"cost_micros":       &schemas.RecordSpend{BatchID: batchID(1), GenerationID: generationID(1), Reason: "lost", CostMicros: -1},
	} {
		check(t, field, command)
	}
	t.Run("RateImage", func(t *testing.T) {
		for field, change := range map[string]func(*schemas.RateImage){
			"generation_id":           func(c *schemas.RateImage) { c.GenerationID = "x" },
			"batch_id":                func(c *schemas.RateImage) { c.BatchID = "" },
			"nothing is said":         func(c *schemas.RateImage) { c.Favourite = nil },
			"tags sealed is 0":        func(c *schemas.RateImage) { c.Tags = &[]byte{} },
			"tags sealed is 5185":     func(c *schemas.RateImage) { c.Tags = ref(bytesOf(1, 5<<10+65)) },
			"rating is not":           func(c *schemas.RateImage) { c.Rating = ref("great") },
			"reason has 2065 bytes s": func(c *schemas.RateImage) { c.Reason = ref(bytesOf(1, 2065)) },
		} {
			c := &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(2), Favourite: ref(true)}
			change(c)
			check(t, field, c)
		}
	})
	for field, command := range map[string]schemas.Command{
		"layout_schema is 0":    &schemas.ComposeImage{GenerationID: generationID(1), BatchID: batchID(1), Layout: bytesOf(1, 9)},
		"layout sealed is 0":    &schemas.ComposeImage{GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1},
		"layout sealed is 8257": &schemas.ComposeImage{GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1, Layout: bytesOf(1, 8<<10+65)},
		"kind is not":           &schemas.RecordExport{Kind: "tar", Images: manyExported(1)},
		"count of images is 0":  &schemas.RecordExport{Kind: "zip"},
		"of images is 101":      &schemas.RecordExport{Kind: "zip", Images: manyExported(101)},
		"a file is one":         &schemas.RecordExport{Kind: "file", Images: manyExported(2)},
		"images.generation_id":  &schemas.RecordExport{Kind: "zip", Images: []schemas.ExportedImage{{BatchID: batchID(1), Placement: "meta_reel"}}},
		"images.placement":      &schemas.RecordExport{Kind: "zip", Images: []schemas.ExportedImage{{GenerationID: generationID(1), BatchID: batchID(1), Placement: "wall"}}},
		"generation_id is":      &schemas.DeleteImage{BatchID: batchID(1)},
		"batch_id is":           &schemas.DeleteImage{GenerationID: generationID(1)},
		"generation_id ":        &schemas.RestoreImage{BatchID: batchID(1)},
		"batch_id ":             &schemas.RestoreImage{GenerationID: generationID(1)},
	} {
		check(t, field, command)
	}
}

func manyExported(n int) []schemas.ExportedImage {
	images := make([]schemas.ExportedImage, n)
	for i := range images {
		images[i] = schemas.ExportedImage{GenerationID: generationID(i), BatchID: batchID(1), Placement: "meta_reel"}
	}
	return images
}

func manyParams(n int) map[string]string {
	params := map[string]string{}
	for i := range n {
		params[blockID(i)] = ""
	}
	return params
}

func manyFigures(n int) map[string]float64 {
	figures := map[string]float64{}
	for i := range n {
		figures[blockID(i)] = 1
	}
	return figures
}

// TestMetadataBounds: metadata out of its bounds is refused as well, and what
// reaches the event is within them.
func TestMetadataBounds(t *testing.T) {
	long := strings.Repeat("x", 400)
	known := Handle(schemas.Account{}, keyed(1, "", ""), position(0, 0), noon).Account
	for field, change := range map[string]func(*schemas.CommandMetadata){
		"id is no":                 func(m *schemas.CommandMetadata) { m.ID = long },
		"account_id is no":         func(m *schemas.CommandMetadata) { m.AccountID = long },
		"account_id is another":    func(m *schemas.CommandMetadata) { m.AccountID = blockID(1) },
		"correlation_id":           func(m *schemas.CommandMetadata) { m.CorrelationID = long },
		"causation_id":             func(m *schemas.CommandMetadata) { m.CausationID = "" },
		"actor.kind":               func(m *schemas.CommandMetadata) { m.Actor.Kind = long },
		"actor.id":                 func(m *schemas.CommandMetadata) { m.Actor.ID = long },
		"actor.via":                func(m *schemas.CommandMetadata) { m.Actor.Via = "\xff" },
		"idempotency_key has":      func(m *schemas.CommandMetadata) { m.IdempotencyKey, m.RequestHash = long, bytesOf(1, 32) },
		"idempotency_key is not":   func(m *schemas.CommandMetadata) { m.IdempotencyKey, m.RequestHash = "é", bytesOf(1, 32) },
		"request_hash has":         func(m *schemas.CommandMetadata) { m.IdempotencyKey, m.RequestHash = "k", bytesOf(1, 31) },
		"request_hash without an ": func(m *schemas.CommandMetadata) { m.RequestHash = bytesOf(1, 32) },
	} {
		t.Run(field, func(t *testing.T) {
			c := keyed(2, "", "")
			change(&c.CommandMetadata)
			r := rejected(t, Handle(known, c, position(0, 1), noon))
			if r.Code != "invalid_command" || !strings.Contains(r.Detail, field) {
				t.Errorf("%s: %s, want invalid_command about %s", r.Code, r.Detail, field)
			}
			m := r.Meta()
			if !isID(m.ID) || m.AccountID != testAccount || !isID(m.CausationID) || !isID(m.CorrelationID) ||
				len(m.Actor.Kind) > 32 || len(m.Actor.ID) > 64 || !storable(m.Actor.Via) || m.IdempotencyKey != "" || m.RequestHash != nil {
				t.Errorf("metadata %+v", m)
			}
		})
	}
}
