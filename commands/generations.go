package commands

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"atelier/schemas"
)

const (
	// imagesMax bounds one batch (count).
	imagesMax = 48
	// placementsMax bounds the placements of one batch (count).
	placementsMax = 20

	// deadlineMsLeast and deadlineMsMost bound the time that a batch may take.
	// Below a minute no image is ready; above a day a hold would seem to live for ever.
	deadlineMsLeast = 60_000
	deadlineMsMost  = 86_400_000
)

// What a generation that is past its deadline fails with.
const (
	reasonDeadline = "deadline"
	faultOurs      = "ours"
)

// What counts against the allowance of unpaid spend: what the person brought about
// (a brief that was refused, or that no picture fits; a late cancel), and not what
// an outage of ours or of the model cost.
const (
	reasonCanceled = "canceled"
	reasonRejected = "rejected"
	faultUser      = "user"
)

var (
	faults         = []string{faultUser, faultOurs, "model"}
	spendReasons   = []string{reasonCanceled, reasonDeadline, "lost"}
	referenceRoles = append([]string{schemas.RoleSource}, kinds...)
)

func (d *deciding) requestGeneration(c *schemas.RequestGeneration) error {
	if err := requestBounds(c); err != nil {
		return err
	}
	images := len(c.Placements) * c.Variants
	perImage := schemas.PricePerImage[c.Tier]
	credits := perImage * int64(images)
	if err := d.admit(c, images, perImage, credits); err != nil {
		return err
	}
	deadline := d.now.Add(time.Duration(c.DeadlineMs) * time.Millisecond)
	d.events = make([]schemas.Event, 0, 2+images)
	d.reserve(c.BatchID, perImage, credits)
	d.emit(&schemas.BatchRequested{
		BatchID: c.BatchID, BrandID: c.BrandID, BrandVersion: c.BrandVersion,
		Kit: c.Kit, KitHash: c.KitHash, KitSchema: c.KitSchema, Brief: c.Brief, References: c.References,
		Workflow: c.Workflow, Params: c.Params, Feedback: c.Feedback, Campaign: c.Campaign, Tier: c.Tier,
		PlacementTable: schemas.PlacementsVersion, PriceList: schemas.PriceListVersion,
		PerImage: perImage, Images: images, Deadline: deadline,
	})
	for _, placement := range c.Placements {
		for number := 1; number <= c.Variants; number++ {
			d.emit(&schemas.GenerationRequested{
				GenerationID: schemas.DeriveID(c.ID, placement+"/"+strconv.Itoa(number)),
				BatchID:      c.BatchID, Placement: placement, Number: number, Deadline: deadline,
			})
		}
	}
	return nil
}

// admit applies the rules of a request that depend on the account.
func (d *deciding) admit(c *schemas.RequestGeneration, images int, perImage, credits int64) error {
	i := d.brand(schemas.ID16(c.BrandID))
	if i < 0 || d.Brands[i].Archived {
		return errNoBrand()
	}
	if d.Brands[i].Version != c.BrandVersion || d.Brands[i].Hash != hash16(c.KitHash) {
		return versionConflict(&d.Brands[i])
	}
	if d.batchIndex(schemas.ID16(c.BatchID)) >= 0 {
		return reject(ErrDuplicate, "a batch with this batch_id is open")
	}
	var open int
	for _, batch := range d.Batches {
		open += len(batch.Generations)
	}
	if open+images > c.OpenMax {
		return reject(ErrTooManyOpen, "the account would have more open generations than it may").
			with("open", int64(open)).with("images", int64(images)).with("limit", int64(c.OpenMax))
	}
	if credits > c.MaxCredits {
		return reject(ErrPriceChanged, "the batch costs more than was agreed to").
			with("credits", credits).with("max_credits", c.MaxCredits)
	}
	if available, _ := d.balance(); credits > available {
		return reject(ErrInsufficientCredits, "the batch costs more than is available").
			with("credits", credits).with("available", available).
			with("shortfall", credits-available).with("affordable", available/perImage)
	}
	return d.allowed()
}

// requestBounds checks what a request says by itself.
func requestBounds(c *schemas.RequestGeneration) error {
	var b bounds
	b.id("batch_id", c.BatchID)
	b.id("brand_id", c.BrandID)
	b.kit(c.Kit, c.KitHash, c.KitSchema)
	b.sealed("brief", c.Brief, briefBytesMax)
	b.sealed("feedback", c.Feedback, feedbackBytesMax)
	b.sealed("campaign", c.Campaign, campaignBytesMax)
	b.references(c.References)
	b.params(c.Params)
	b.workflow(c)
	if schemas.PricePerImage[c.Tier] == 0 {
		b.refuse("tier is not on the price list")
	}
	b.placements(c.Placements)
	b.between("placement_table", int64(c.PlacementTable), 1, versionMax)
	b.between("variants", int64(c.Variants), 1, imagesMax)
	b.between("count of images", int64(len(c.Placements))*int64(c.Variants), 1, imagesMax)
	if c.MaxCredits < 0 {
		b.refuse("max_credits is negative")
	}
	b.between("open_max", int64(c.OpenMax), 1, OpenMax)
	b.between("deadline_ms", c.DeadlineMs, deadlineMsLeast, deadlineMsMost)
	return b.err()
}

func (b *bounds) placements(placements []string) {
	b.between("count of placements", int64(len(placements)), 1, placementsMax)
	if b.broken != "" {
		return
	}
	for i, id := range placements {
		if _, ok := schemas.PlacementByID(id); !ok {
			b.refuse("placements has one that is unknown")
		}
		if slices.Contains(placements[:i], id) {
			b.refuse("placements has one twice")
		}
	}
}

func (b *bounds) references(references []schemas.Reference) {
	b.between("count of references", int64(len(references)), 0, referencesMax)
	for _, r := range references {
		b.id("references.asset_id", r.AssetID)
		b.oneOf("references.role", r.Role, referenceRoles)
		b.text("references.media_key", r.MediaKey, 1, mediaKeyBytesMax)
		b.oneOf("references.mime_type", r.MIMEType, mimeTypes)
	}
}

// workflow checks that a request has what its workflow works with, and nothing
// that another one would: what it asks for must be what its events say.
func (b *bounds) workflow(c *schemas.RequestGeneration) {
	w, ok := schemas.WorkflowByName(c.Workflow)
	if !ok {
		b.refuse("workflow is not known")
		return
	}
	given := maps.Clone(c.Params)
	if len(c.Feedback) > 0 {
		if given == nil {
			given = map[string]string{}
		}
		given[schemas.ParamFeedback] = "sealed"
	}
	for _, name := range w.Params {
		if given[name] == "" {
			b.refuse("params has no %s, which the workflow %s needs", name, w.Name)
		}
		delete(given, name)
	}
	if len(given) > 0 {
		b.refuse("params has what the workflow %s does not take", w.Name)
	}
	if factor, ok := c.Params[schemas.ParamFactor]; ok {
		if _, ok := w.FactorByName(factor); !ok {
			b.refuse("params.factor is none of the workflow %s", w.Name)
		}
	}
	b.source(c)
}

// source checks that the picture of the source, and no other one, comes first
// among the references.
func (b *bounds) source(c *schemas.RequestGeneration) {
	rest, source := c.References, c.Params[schemas.ParamSource]
	if source != "" {
		b.id("params.source_generation_id", source)
		if len(rest) == 0 || rest[0].Role != schemas.RoleSource || rest[0].AssetID != source {
			b.refuse("references does not begin with the source")
			return
		}
		rest = rest[1:]
	}
	if slices.ContainsFunc(rest, func(r schemas.Reference) bool { return r.Role == schemas.RoleSource }) {
		b.refuse("references has a source that the params do not name")
	}
}

func (b *bounds) params(params map[string]string) {
	b.between("count of params", int64(len(params)), 0, paramsMax)
	for key, value := range params {
		// One text for all of them: which comes first is up to the map.
		if len(key) > paramKeyBytesMax || len(value) > paramValueBytesMax || !storable(key) || !storable(value) {
			b.refuse("params has a key over %d bytes, a value over %d, or no valid UTF-8", paramKeyBytesMax, paramValueBytesMax)
		}
	}
}

func (d *deciding) completeGeneration(c *schemas.CompleteGeneration) error {
	var b bounds
	b.media(&c.Media)
	b.text("thumbnail_key", c.ThumbnailKey, 0, mediaKeyBytesMax)
	b.text("model", c.Model, 0, labelBytesMax)
	b.text("model_version", c.ModelVersion, 0, labelBytesMax)
	b.text("template", c.Template, 0, labelBytesMax)
	b.between("template_version", int64(c.TemplateVersion), 1, versionMax)
	b.attempts(c.Attempts)
	b.between("cost_micros", c.CostMicros, 0, costMicrosMax)
	batch, err := d.open(&b, c.BatchID, c.GenerationID)
	if err != nil {
		return err
	}
	d.emit(&schemas.GenerationSucceeded{
		GenerationID: c.GenerationID, BatchID: c.BatchID, Media: c.Media, ThumbnailKey: c.ThumbnailKey,
		Model: c.Model, ModelVersion: c.ModelVersion, Template: c.Template, TemplateVersion: c.TemplateVersion,
		Attempts: c.Attempts, Tokens: c.Tokens, CostMicros: c.CostMicros, Durations: c.Durations,
	})
	d.capture(batch, c.BatchID, c.GenerationID)
	if capturesTwice {
		d.capture(batch, c.BatchID, c.GenerationID)
	}
	return nil
}

func (d *deciding) failGeneration(c *schemas.FailGeneration) error {
	var b bounds
	b.text("reason", c.Reason, 1, codeBytesMax)
	b.oneOf("fault", c.Fault, faults)
	b.text("detail", c.Detail, 0, detailBytesMax)
	b.attempts(c.Attempts)
	b.between("cost_micros", c.CostMicros, 0, costMicrosMax)
	batch, err := d.open(&b, c.BatchID, c.GenerationID)
	if err != nil {
		return err
	}
	d.emit(&schemas.GenerationFailed{
		GenerationID: c.GenerationID, BatchID: c.BatchID, Reason: c.Reason, Fault: c.Fault, Detail: c.Detail,
		Attempts: c.Attempts, Tokens: c.Tokens, CostMicros: c.CostMicros,
	})
	d.release(batch, c.BatchID, c.GenerationID)
	return nil
}

func (d *deciding) expireGeneration(c *schemas.ExpireGeneration) error {
	batch, err := d.open(new(bounds), c.BatchID, c.GenerationID)
	if err != nil {
		return err
	}
	if d.now.Before(batch.Deadline) {
		return reject(ErrInvalid, "the deadline of the generation is not over")
	}
	d.emit(&schemas.GenerationFailed{
		GenerationID: c.GenerationID, BatchID: c.BatchID, Reason: reasonDeadline, Fault: faultOurs,
		Detail: "the image was not ready by its deadline",
	})
	d.release(batch, c.BatchID, c.GenerationID)
	return nil
}

func (d *deciding) cancelGeneration(c *schemas.CancelGeneration) error {
	if c.GenerationID != "" {
		batch, err := d.open(new(bounds), c.BatchID, c.GenerationID)
		if err != nil {
			return err
		}
		d.cancel(batch, c.BatchID, c.GenerationID)
		return nil
	}
	var b bounds
	b.id("batch_id", c.BatchID)
	if err := b.err(); err != nil {
		return err
	}
	i := d.batchIndex(schemas.ID16(c.BatchID))
	if i < 0 {
		return reject(ErrAlreadyFinished, "no generation of the batch is open")
	}
	for _, id := range slices.Clone(d.Batches[i].Generations) {
		generationID := schemas.IDString(id)
		batch, err := d.open(&b, c.BatchID, generationID)
		if err != nil {
			return err
		}
		d.cancel(batch, c.BatchID, generationID)
	}
	return nil
}

func (d *deciding) cancel(batch *schemas.AccountBatch, batchID, generationID string) {
	d.emit(&schemas.GenerationCanceled{GenerationID: generationID, BatchID: batchID})
	d.release(batch, batchID, generationID)
}

func (d *deciding) recordSpend(c *schemas.RecordSpend) error {
	var b bounds
	b.id("generation_id", c.GenerationID)
	b.id("batch_id", c.BatchID)
	b.attempts(c.Attempts)
	b.between("cost_micros", c.CostMicros, 0, costMicrosMax)
	b.oneOf("reason", c.Reason, spendReasons)
	if err := b.err(); err != nil {
		return err
	}
	if known, told := keyOf(&d.Account, spendKey(c.GenerationID)); told {
		r := reject(ErrDuplicate, "what the generation cost is recorded")
		r.FirstCommandID = schemas.IDString(known.CommandID)
		return r
	}
	d.emit(&schemas.SpendRecorded{
		GenerationID: c.GenerationID, BatchID: c.BatchID, Attempts: c.Attempts,
		Tokens: c.Tokens, CostMicros: c.CostMicros, Reason: c.Reason,
	})
	return nil
}

// open returns the batch of a generation that is open, as it is before the
// generation ends, or the rejection; b has the checks of the command's other fields.
func (d *deciding) open(b *bounds, batchID, generationID string) (*schemas.AccountBatch, error) {
	b.id("batch_id", batchID)
	b.id("generation_id", generationID)
	if err := b.err(); err != nil {
		return nil, err
	}
	i := d.batchIndex(schemas.ID16(batchID))
	if i < 0 || !slices.Contains(d.Batches[i].Generations, schemas.ID16(generationID)) {
		return nil, reject(ErrAlreadyFinished, "the generation is not open")
	}
	batch := d.Batches[i]
	return &batch, nil
}
