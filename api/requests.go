package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
// by itself. What it leaves out is the source's, where it has one.
type batchRequest struct {
	GenerationRequest
	workflow   schemas.Workflow
	tier       string
	variants   int
	params     map[string]string
	brand      uuid.UUID
	placements []string
	written    Brief
	brief      []byte // written as it is sealed: without the references
	campaign   string
}

// requestOf reads the body of a quote or a batch.
func (s *Server) requestOf(c *fiber.Ctx) (batchRequest, []byte, error) {
	r := batchRequest{tier: string(TierStandard), variants: 1}
	canonical, err := s.decode(c, "GenerationRequest", &r.GenerationRequest)
	if err != nil {
		return r, nil, err
	}
	if r.Tier != nil {
		r.tier = string(*r.Tier)
	}
	if r.Variants != nil {
		r.variants = *r.Variants
	}
	if r.Placements != nil {
		r.placements = *r.Placements
	}
	if r.BrandID != nil {
		r.brand = *r.BrandID
	}
	if r.Campaign != nil {
		r.campaign = *r.Campaign
	}
	r.params = r.Params.given()
	if r.Brief != nil {
		if err := r.write(*r.Brief); err != nil {
			return r, nil, err
		}
	}
	if broken := r.broken(s.config.Limits); len(broken) > 0 {
		return r, nil, refuseFields(broken)
	}
	return r, canonical, nil
}

// write takes a brief. Its references travel as what they are.
func (r *batchRequest) write(brief Brief) (err error) {
	r.written = brief
	brief.ReferenceAssetIds = nil
	if r.brief, err = json.Marshal(brief); err != nil {
		return fmt.Errorf("encode brief: %w", err)
	}
	return nil
}

// images counts them; a workflow that keeps its source's placement may leave it out.
func (r *batchRequest) images() int { return max(1, len(r.placements)) * r.variants }

func (r *batchRequest) credits() int64 { return schemas.PricePerImage[r.tier] * int64(r.images()) }

// broken lists the fields that break a rule which the contract's file cannot say.
func (r *batchRequest) broken(limits Limits) (broken []FieldProblem) {
	refuse := func(pointer, format string, args ...any) {
		broken = append(broken, FieldProblem{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
	for i, id := range r.placements {
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
	if len(r.campaign) > campaignBytesMax {
		refuse("/campaign", "has %d bytes, at most %d", len(r.campaign), campaignBytesMax)
	}
	name := workflowDefault
	if r.Workflow != nil {
		name = *r.Workflow
	}
	var ok bool
	if r.workflow, ok = schemas.WorkflowByName(name); !ok {
		refuse("/workflow", "is no workflow of GET /v1/workflows")
		return broken
	}
	r.unfit(refuse)
	return broken
}

// unfit refuses what the workflow needs and the request does not have, and the reverse.
func (r *batchRequest) unfit(refuse func(pointer, format string, args ...any)) {
	w := r.workflow
	for _, needed := range []struct {
		pointer string
		missing bool
	}{
		{"/brand_id", r.BrandID == nil && !w.Takes(schemas.ParamSource)},
		{"/brief", r.Brief == nil && !w.Takes(schemas.ParamSource)},
		{"/placements", r.Placements == nil && w.Placements != schemas.PlacementsSource},
	} {
		if needed.missing {
			refuse(needed.pointer, "is needed by the workflow %s", w.Name)
		}
	}
	for _, name := range schemas.Params {
		switch pointer, given := "/params/"+name, r.params[name] != ""; {
		case w.Takes(name) && !given:
			refuse(pointer, "is needed by the workflow %s", w.Name)
		case given && !w.Takes(name):
			refuse(pointer, "is not taken by the workflow %s", w.Name)
		}
	}
	if factor := r.params[schemas.ParamFactor]; factor != "" && w.Takes(schemas.ParamFactor) {
		if _, ok := w.FactorByName(factor); !ok {
			refuse("/params/"+schemas.ParamFactor, "is none of the factors of %s in GET /v1/workflows", w.Name)
		}
	}
	if n := len(r.params[schemas.ParamFeedback]); n > feedbackBytesMax {
		refuse("/params/"+schemas.ParamFeedback, "has %d bytes, at most %d", n, feedbackBytesMax)
	}
}

// given are the params that say something. Feedback is a person's text.
func (p *GenerationParams) given() map[string]string {
	given := map[string]string{}
	if p == nil {
		return given
	}
	if p.SourceGenerationID != nil {
		given[schemas.ParamSource] = p.SourceGenerationID.String()
	}
	if p.Feedback != nil {
		given[schemas.ParamFeedback] = strings.TrimSpace(*p.Feedback)
	}
	if p.Factor != nil {
		given[schemas.ParamFactor] = *p.Factor
	}
	maps.DeleteFunc(given, func(_, text string) bool { return text == "" })
	return given
}

// material is what a batch takes from the read model.
type material struct {
	// request is the request with what it left out.
	request    batchRequest
	brand      brandRow
	source     *source // nil where the workflow starts from none
	references []schemas.Reference
}

// readFrom are the projections that material reads.
func (r *batchRequest) readFrom() []string {
	if r.workflow.Takes(schemas.ParamSource) {
		return []string{brands, galleries}
	}
	return []string{brands}
}

// material reads the source, the brand and the pictures that the model is shown,
// and applies the rules that depend on them. The request itself stays as it is: a
// read may be repeated.
func (r batchRequest) material(ctx context.Context, tx pgx.Tx) (m material, err error) {
	if r.workflow.Takes(schemas.ParamSource) {
		if m.source, err = r.takeSource(ctx, tx); err != nil {
			return m, err
		}
	}
	m.request = r
	m.brand, err = brandByID(ctx, tx, r.brand)
	if err != nil {
		return m, err
	}
	if m.brand.archived {
		return m, refuse(schemas.CodeBrandNotFound, "the brand is archived; restore it first")
	}
	if m.brand.kit == nil {
		return m, refuse(schemas.CodeAccountErased, "the brand's kit is erased")
	}
	var kit kitParts
	if err := json.Unmarshal(m.brand.kit, &kit); err != nil {
		return m, fmt.Errorf("kit of brand %s: %w", m.brand.id, err)
	}
	if broken := r.bannedWords(kit.BannedWords); len(broken) > 0 {
		return m, refuseFields(broken)
	}
	m.references, err = m.shown(ctx, tx, kit.LogoAssetID)
	return m, err
}

// shown are the pictures that the model is shown: the source, the logo, if it is
// still there, and what the brief names. The source's brief stands for the products
// that it named and that are still there; the rest of it is in the source's picture.
func (m material) shown(ctx context.Context, tx pgx.Tx, logo string) (references []schemas.Reference, err error) {
	var named, inherited []uuid.UUID
	if m.request.written.ReferenceAssetIds != nil {
		named = *m.request.written.ReferenceAssetIds
	}
	if m.source != nil {
		references = append(references, m.source.reference())
		if m.request.Brief == nil {
			inherited = m.source.assets
		}
	}
	wanted := slices.Concat(named, inherited)
	if logo != "" {
		wanted = append(wanted, uuidOf(logo))
	}
	found, err := assetsByID(ctx, tx, wanted)
	if err != nil {
		return nil, err
	}
	if a, ok := found[uuidOf(logo)]; ok {
		references = append(references, a.reference())
	}
	for i, id := range named {
		a, ok := found[id]
		if !ok {
			return nil, missing(schemas.CodeAssetNotFound, fmt.Sprintf("/brief/reference_asset_ids/%d", i), "is no asset of this account")
		}
		if id.String() != logo {
			references = append(references, a.reference())
		}
	}
	for _, id := range inherited {
		if a, ok := found[id]; ok && a.kind == string(AssetKindProduct) {
			references = append(references, a.reference())
		}
	}
	return references[:min(len(references), referencesMax)], nil
}

// missing is a problem about a field that names what the account does not have.
func missing(code, pointer, detail string) *refusal {
	return &refusal{code: code, detail: pointer + ": " + detail, fields: []FieldProblem{{Pointer: pointer, Detail: detail}}}
}

// assetsByID reads assets; those that are not there are missing.
func assetsByID(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]assetRow, error) {
	found := map[uuid.UUID]assetRow{}
	if len(ids) == 0 {
		return found, nil
	}
	rows, err := tx.Query(ctx, `SELECT `+assetColumns+` FROM brands_api.assets WHERE asset_id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	assets, err := pgx.CollectRows(rows, scanAsset)
	for _, a := range assets {
		found[a.id] = a
	}
	return found, err
}

func (a assetRow) reference() schemas.Reference {
	return schemas.Reference{AssetID: a.id.String(), Role: a.kind, MediaKey: a.mediaKey, MIMEType: a.image.MimeType}
}

// bannedWords finds the brand's banned words in what a person reads in the advert.
func (r *batchRequest) bannedWords(banned []string) (broken []FieldProblem) {
	for _, field := range []struct {
		pointer string
		text    *string
	}{{"/brief/headline", r.written.Headline}, {"/brief/call_to_action", r.written.CallToAction}, {"/brief/offer", r.written.Offer}} {
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
	err = s.read(c, append(r.readFrom(), credits), func(ctx context.Context, tx pgx.Tx) error {
		from, err := r.material(ctx, tx)
		if err != nil {
			return err
		}
		quote.FreeExports = from.freeExports()
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
		_, err := s.readAt(ctx, a.account, r.readFrom(), wanted, func(ctx context.Context, tx pgx.Tx) (err error) {
			from, err = r.material(ctx, tx)
			return err
		})
		if err != nil {
			return nil, err
		}
		return s.requestCommand(ctx, m, from)
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
func (s *Server) requestCommand(ctx context.Context, m schemas.CommandMetadata, from material) (*schemas.RequestGeneration, error) {
	r := from.request
	command := &schemas.RequestGeneration{
		CommandMetadata: m, BatchID: schemas.DeriveID(m.ID, "batch"), BrandID: from.brand.id.String(), BrandVersion: from.brand.version,
		KitHash: from.brand.kitHash, KitSchema: from.brand.kitSchema, References: from.references, Workflow: r.workflow.Name, Params: maps.Clone(r.params),
		Tier: r.tier, Placements: r.placements, PlacementTable: schemas.PlacementsVersion, Variants: r.variants,
		MaxCredits: *r.MaxCredits, OpenMax: s.config.Limits.OpenGenerations, DeadlineMs: s.config.Deadline.Milliseconds(),
	}
	delete(command.Params, schemas.ParamFeedback)
	for _, text := range []struct {
		plain []byte
		into  *[]byte
	}{
		{from.brand.kit, &command.Kit}, {r.brief, &command.Brief},
		{[]byte(r.params[schemas.ParamFeedback]), &command.Feedback}, {[]byte(r.campaign), &command.Campaign},
	} {
		sealed, err := s.config.Vault.Seal(ctx, m.AccountID, text.plain)
		if err != nil {
			return nil, err
		}
		*text.into = sealed
	}
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
