package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

const (
	workflowDefault = "create"
	// campaignBytesMax and feedbackBytesMax are what the command's schema takes.
	campaignBytesMax = 100
	feedbackBytesMax = 2 << 10
	// referencesMax bounds what the model is shown: as many as the models take.
	referencesMax = 14
)

// batchRequest is a request for a batch after everything was checked that it says
// by itself.
type batchRequest struct {
	GenerationRequest
	workflow, tier string
	variants       int
	brief          []byte // as it is sealed: without the references
}

// requestOf reads the body of a quote or a batch.
func (s *Server) requestOf(c *fiber.Ctx) (batchRequest, []byte, error) {
	r := batchRequest{workflow: workflowDefault, tier: string(TierStandard), variants: 1}
	canonical, err := s.decode(c, "GenerationRequest", &r.GenerationRequest)
	if err != nil {
		return r, nil, err
	}
	if r.Workflow != nil {
		r.workflow = *r.Workflow
	}
	if r.Tier != nil {
		r.tier = string(*r.Tier)
	}
	if r.Variants != nil {
		r.variants = *r.Variants
	}
	brief := r.Brief
	brief.ReferenceAssetIds = nil
	if r.brief, err = json.Marshal(brief); err != nil {
		return r, nil, fmt.Errorf("encode brief: %w", err)
	}
	if broken := r.broken(s.config.Limits); len(broken) > 0 {
		return r, nil, refuseFields(broken)
	}
	return r, canonical, nil
}

func (r *batchRequest) images() int { return len(r.Placements) * r.variants }

func (r *batchRequest) credits() int64 { return schemas.PricePerImage[r.tier] * int64(r.images()) }

// broken lists the fields that break a rule which the contract's file cannot say.
func (r *batchRequest) broken(limits Limits) (broken []FieldProblem) {
	refuse := func(pointer, format string, args ...any) {
		broken = append(broken, FieldProblem{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	for i, id := range r.Placements {
		if _, ok := schemas.PlacementByID(id); !ok {
			refuse(fmt.Sprintf("/placements/%d", i), "is no placement of GET /v1/placements")
		}
	}
	if r.images() > limits.ImagesPerBatch {
		refuse("/variants", "placements times variants is %d, at most %d", r.images(), limits.ImagesPerBatch)
	}
	if len(r.brief) > limits.BriefBytes {
		refuse("/brief", "has %d bytes, at most %d", len(r.brief), limits.BriefBytes)
	}
	if r.Campaign != nil && len(*r.Campaign) > campaignBytesMax {
		refuse("/campaign", "has %d bytes, at most %d", len(*r.Campaign), campaignBytesMax)
	}
	workflow, ok := schemas.WorkflowByName(r.workflow)
	if !ok {
		refuse("/workflow", "is no workflow of GET /v1/workflows")
		return broken
	}
	given := r.params()
	for _, name := range workflow.Params {
		if given[name] == "" {
			refuse("/params/"+name, "is needed by the workflow %s", r.workflow)
		}
	}
	for _, name := range []string{paramSource, paramFeedback, paramFactor} {
		if given[name] != "" && !slices.Contains(workflow.Params, name) {
			refuse("/params/"+name, "is not taken by the workflow %s", r.workflow)
		}
	}
	if len(given[paramFeedback]) > feedbackBytesMax {
		refuse("/params/"+paramFeedback, "has %d bytes, at most %d", len(given[paramFeedback]), feedbackBytesMax)
	}
	return broken
}

// The names of params. Feedback is a person's text and travels sealed.
const (
	paramSource   = "source_generation_id"
	paramFeedback = "feedback"
	paramFactor   = "factor"
)

func (r *batchRequest) params() map[string]string {
	given := map[string]string{}
	if r.Params == nil {
		return given
	}
	if r.Params.SourceGenerationID != nil {
		given[paramSource] = r.Params.SourceGenerationID.String()
	}
	if r.Params.Feedback != nil {
		given[paramFeedback] = *r.Params.Feedback
	}
	if r.Params.Factor != nil {
		given[paramFactor] = *r.Params.Factor
	}
	return given
}

// material is what a batch takes from the read model.
type material struct {
	brand      brandRow
	references []schemas.Reference
}

// material reads the brand and the pictures that the model is shown, and applies
// the rules that depend on them.
func (r *batchRequest) material(ctx context.Context, tx pgx.Tx) (material, error) {
	brand, err := brandByID(ctx, tx, r.BrandID)
	if err != nil {
		return material{}, err
	}
	if brand.archived {
		return material{}, refuse(schemas.CodeBrandNotFound, "the brand is archived; restore it first")
	}
	if brand.kit == nil {
		return material{}, refuse(schemas.CodeAccountErased, "the brand's kit is erased")
	}
	var kit kitParts
	if err := json.Unmarshal(brand.kit, &kit); err != nil {
		return material{}, fmt.Errorf("kit of brand %s: %w", brand.id, err)
	}
	if broken := r.bannedWords(kit.BannedWords); len(broken) > 0 {
		return material{}, refuseFields(broken)
	}
	references, err := r.references(ctx, tx, kit.LogoAssetID)
	return material{brand: brand, references: references}, err
}

// references are the logo, if it is still there, and what the brief names.
func (r *batchRequest) references(ctx context.Context, tx pgx.Tx, logo string) ([]schemas.Reference, error) {
	var named []uuid.UUID
	if r.Brief.ReferenceAssetIds != nil {
		named = *r.Brief.ReferenceAssetIds
	}
	wanted := slices.Clone(named)
	if logo != "" {
		wanted = append(wanted, uuidOf(logo))
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `SELECT `+assetColumns+` FROM brands_api.assets WHERE asset_id = ANY ($1)`, wanted)
	if err != nil {
		return nil, err
	}
	assets, err := pgx.CollectRows(rows, scanAsset)
	if err != nil {
		return nil, err
	}
	found := map[uuid.UUID]assetRow{}
	for _, a := range assets {
		found[a.id] = a
	}
	var references []schemas.Reference
	if a, ok := found[uuidOf(logo)]; ok {
		references = append(references, a.reference())
	}
	for i, id := range named {
		a, ok := found[id]
		if !ok {
			pointer := fmt.Sprintf("/brief/reference_asset_ids/%d", i)
			return nil, &refusal{
				code: schemas.CodeAssetNotFound, detail: pointer + ": is no asset of this account",
				fields: []FieldProblem{{Pointer: pointer, Detail: "is no asset of this account"}},
			}
		}
		if id.String() != logo {
			references = append(references, a.reference())
		}
	}
	return references[:min(len(references), referencesMax)], nil
}

func (a assetRow) reference() schemas.Reference {
	return schemas.Reference{AssetID: a.id.String(), Role: a.kind, MediaKey: a.mediaKey, MIMEType: a.image.MimeType}
}

// bannedWords finds the brand's banned words in what a person reads in the advert.
func (r *batchRequest) bannedWords(banned []string) (broken []FieldProblem) {
	for _, field := range []struct {
		pointer string
		text    *string
	}{{"/brief/headline", r.Brief.Headline}, {"/brief/call_to_action", r.Brief.CallToAction}, {"/brief/offer", r.Brief.Offer}} {
		if field.text == nil {
			continue
		}
		for _, word := range banned {
			if containsWord(*field.text, word) {
				broken = append(broken, FieldProblem{Pointer: field.pointer, Detail: fmt.Sprintf("has %q, which the brand bans", word)})
			}
		}
	}
	return broken[:min(len(broken), fieldProblemsMax)]
}

// containsWord says whether a word or phrase stands in a text by itself, whatever
// its case: "cheap" is in "So cheap!" and not in "cheaper".
func containsWord(text, word string) bool {
	pad := func(s string) string {
		return " " + strings.Join(strings.FieldsFunc(strings.ToLower(s), func(c rune) bool {
			return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.IsMark(c)
		}), " ") + " "
	}
	padded := pad(word)
	if padded == "  " { // only signs: as they stand
		return strings.Contains(text, word)
	}
	return strings.Contains(pad(text), padded)
}

// CreateQuote implements ServerInterface.
func (s *Server) CreateQuote(c *fiber.Ctx, _ CreateQuoteParams) error {
	r, _, err := s.requestOf(c)
	if err != nil {
		return err
	}
	quote := Quote{Credits: r.credits(), PerImage: schemas.PricePerImage[r.tier], Images: r.images(), PriceList: schemas.PriceListVersion}
	err = s.read(c, []string{brands, credits}, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := r.material(ctx, tx); err != nil {
			return err
		}
		balance, err := balanceOf(ctx, tx)
		quote.Available = balance.available
		return err
	})
	if err != nil {
		return err
	}
	quote.Affordable = quote.Credits <= quote.Available
	return c.JSON(quote)
}

// RequestGeneration implements ServerInterface.
func (s *Server) RequestGeneration(c *fiber.Ctx, _ RequestGenerationParams) error {
	r, canonical, err := s.requestOf(c)
	if err != nil {
		return err
	}
	if r.MaxCredits == nil {
		return refuseField("/max_credits", "say what it may cost; a quote tells")
	}
	a, err := attemptOf(c, canonical)
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		if err := s.config.Feed.Admits(s.now()); err != nil {
			return nil, err
		}
		var from material
		_, err := s.readAt(ctx, a.account, []string{brands}, wanted, func(ctx context.Context, tx pgx.Tx) (err error) {
			from, err = r.material(ctx, tx)
			return err
		})
		if err != nil {
			return nil, err
		}
		return s.requestCommand(ctx, m, r, from)
	}, func(o *settled) error {
		batch, err := s.requestedBatch(c.UserContext(), a.account, o)
		if err != nil {
			return err
		}
		c.Set(fiber.HeaderLocation, "/v1/batches/"+o.batchID)
		return c.Status(fiber.StatusCreated).JSON(batch)
	})
}

// requestCommand seals what a person wrote. The kit is sealed as it was read, and
// its hash is that of the version which the account knows.
func (s *Server) requestCommand(ctx context.Context, m schemas.CommandMetadata, r batchRequest, from material) (*schemas.RequestGeneration, error) {
	params := r.params()
	command := &schemas.RequestGeneration{
		CommandMetadata: m, BatchID: schemas.DeriveID(m.ID, "batch"), BrandID: from.brand.id.String(), BrandVersion: from.brand.version,
		KitHash: from.brand.kitHash, KitSchema: from.brand.kitSchema, References: from.references, Workflow: r.workflow,
		Tier: r.tier, Placements: r.Placements, PlacementTable: schemas.PlacementsVersion, Variants: r.variants,
		MaxCredits: *r.MaxCredits, OpenMax: s.config.Limits.OpenGenerations, DeadlineMs: s.config.Deadline.Milliseconds(),
	}
	var campaign string
	if r.Campaign != nil {
		campaign = *r.Campaign
	}
	for _, text := range []struct {
		plain []byte
		into  *[]byte
	}{
		{from.brand.kit, &command.Kit}, {r.brief, &command.Brief},
		{[]byte(params[paramFeedback]), &command.Feedback}, {[]byte(campaign), &command.Campaign},
	} {
		sealed, err := s.config.Vault.Seal(ctx, m.AccountID, text.plain)
		if err != nil {
			return nil, err
		}
		*text.into = sealed
	}
	delete(params, paramFeedback)
	command.Params = params
	return command, nil
}

// requestedBatch is the batch of an outcome: from its events, or for an outcome
// of which only the record is left from the read model.
func (s *Server) requestedBatch(ctx context.Context, account string, o *settled) (RequestedBatch, error) {
	batch := RequestedBatch{BatchID: uuidOf(o.batchID), Generations: []RequestedGeneration{}}
	for _, e := range o.told {
		switch e := e.(type) {
		case *schemas.CreditsReserved:
			batch.CreditsReserved = e.Credits
		case *schemas.GenerationRequested:
			batch.Generations = append(batch.Generations, RequestedGeneration{ID: uuidOf(e.GenerationID), Placement: e.Placement, Number: e.Number})
		}
	}
	if o.told != nil {
		return batch, nil
	}
	err := s.readOutcome(ctx, account, galleries, o, func(ctx context.Context, tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT images * per_image FROM galleries_api.batches WHERE batch_id = $1`, batch.BatchID).Scan(&batch.CreditsReserved)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT generation_id, placement, number FROM galleries_api.generations WHERE batch_id = $1 ORDER BY seq`, batch.BatchID)
		if err != nil {
			return err
		}
		batch.Generations, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g RequestedGeneration, err error) {
			err = row.Scan(&g.ID, &g.Placement, &g.Number)
			return g, err
		})
		return err
	})
	return batch, err
}
