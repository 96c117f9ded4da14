package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/internal/media"
	"atelier/schemas"
)

// generationRow is an image as the read model has it.
type generationRow struct {
	id, batch       uuid.UUID
	brand           *uuid.UUID
	seq             int64
	placement       string
	number          int
	status          string
	requested       time.Time
	finished        *time.Time
	deadline        time.Time
	mediaKey        string
	thumbnailKey    string
	sha256          []byte
	image           Image
	model           string
	modelVersion    string
	template        string
	templateVersion int
	attempts        []byte
	failure         Failure
	credits         int64
	campaign        string
	workflow        string
	tier            string
	favourite       bool
	tags            []string
	rating          string
	ratingReason    string
	deleted         *time.Time
	product         *string
	headline        *string
	callToAction    *string
}

// The brief stands in the batch alone, once for all of its images.
const (
	generationTables  = `galleries_api.generations g LEFT JOIN galleries_api.batches b ON b.account_id = g.account_id AND b.batch_id = g.batch_id`
	generationColumns = `g.generation_id, g.batch_id, g.brand_id, g.seq, g.placement, g.number, g.status, g.requested_at, g.finished_at,
	g.deadline, g.media_key, g.thumbnail_key, g.sha256, g.bytes, g.width, g.height, g.mime_type, g.model, g.model_version, g.template,
	g.template_version, g.attempts, g.reason, g.fault, g.detail, g.credits, g.campaign, g.workflow, g.tier, g.favourite, g.tags, g.rating,
	g.rating_reason, g.deleted_at, b.brief->>'product',
	coalesce(g.layout->>'headline', b.brief->>'headline'), coalesce(g.layout->>'call_to_action', b.brief->>'call_to_action')`
)

func scanGeneration(row pgx.CollectableRow) (g generationRow, err error) {
	err = row.Scan(&g.id, &g.batch, &g.brand, &g.seq, &g.placement, &g.number, &g.status, &g.requested, &g.finished, &g.deadline,
		&g.mediaKey, &g.thumbnailKey, &g.sha256, &g.image.Bytes, &g.image.Width, &g.image.Height, &g.image.MimeType,
		&g.model, &g.modelVersion, &g.template, &g.templateVersion, &g.attempts,
		&g.failure.Reason, &g.failure.Fault, &g.failure.Detail, &g.credits, &g.campaign, &g.workflow, &g.tier,
		&g.favourite, &g.tags, &g.rating, &g.ratingReason, &g.deleted, &g.product, &g.headline, &g.callToAction)
	return g, err
}

// generationByID reads an image. The error is not_found.
func generationByID(ctx context.Context, tx pgx.Tx, id uuid.UUID) (generationRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+generationColumns+` FROM `+generationTables+` WHERE g.generation_id = $1`, id)
	if err != nil {
		return generationRow{}, err
	}
	g, err := pgx.CollectExactlyOneRow(rows, scanGeneration)
	if errors.Is(err, pgx.ErrNoRows) {
		return g, refuse(codeNotFound, "the account has no such image")
	}
	return g, err
}

func (g generationRow) succeeded() bool { return g.status == string(GenerationStatusSucceeded) }

// gone says whether the image was in the bin for so long that its files are erased.
func (g generationRow) gone(now time.Time) bool {
	return g.deleted != nil && !now.Before(g.deleted.Add(media.InBin))
}

// refuseGone refuses what would need the files of such an image.
func refuseGone() *refusal {
	return refuse(codeImageGone, "it was in the bin for 30 days, and its files are erased")
}

func (s *Server) summary(g generationRow) (GenerationSummary, error) {
	shown := GenerationSummary{
		ID: g.id, BatchID: g.batch, Placement: g.placement, Number: g.number, Status: GenerationStatus(g.status),
		Workflow: g.workflow, Tier: g.tier, Campaign: textOrNil(g.campaign), RequestedAt: g.requested, FinishedAt: g.finished,
		Deadline: g.deadline, Credits: g.credits, Product: g.product, Headline: g.headline, CallToAction: g.callToAction,
		Favourite: g.favourite, Tags: g.tags, Rating: ImageRating(g.rating), RatingReason: textOrNil(g.ratingReason), DeletedAt: g.deleted,
		Links: GenerationLinks{Self: "/v1/generations/" + g.id.String(), Batch: "/v1/batches/" + g.batch.String()},
	}
	if g.brand != nil {
		shown.BrandID = *g.brand
	}
	if g.status == string(GenerationStatusFailed) {
		shown.Failure = &g.failure
	}
	if !g.succeeded() {
		return shown, nil
	}
	shown.Image = &g.image
	if g.gone(s.now()) {
		return shown, nil
	}
	file := shown.Links.Self + "/file"
	shown.Links.File = &file
	thumbnail, err := s.link(g.thumbnailKey, "")
	shown.Links.Thumbnail = &thumbnail
	return shown, err
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// ListGenerations implements ServerInterface.
func (s *Server) ListGenerations(c *fiber.Ctx, params ListGenerationsParams) error {
	after, err := parseNumbersCursor(params.Cursor, galleries, 1)
	if err != nil {
		return err
	}
	limit := limitOf(params.Limit)
	var q query
	q.add(`SELECT ` + generationColumns + ` FROM ` + generationTables + ` WHERE true`)
	params.filter(&q, s.now())
	if after != nil {
		q.add(` AND g.seq < ?`, after[0])
	}
	q.add(` ORDER BY g.seq DESC LIMIT ?`, limit+1)
	found, err := list(s, c, galleries, q, scanGeneration)
	if err != nil {
		return err
	}
	found, next := page(found, limit, func(g generationRow) *string { return cursorOf(galleries, strconv.FormatInt(g.seq, 10)) })
	answer := GenerationList{Items: []GenerationSummary{}, NextCursor: next}
	for _, g := range found {
		shown, err := s.summary(g)
		if err != nil {
			return err
		}
		answer.Items = append(answer.Items, shown)
	}
	return c.JSON(answer)
}

// filter adds what the gallery is narrowed to. The bin shows what can be taken out.
func (p *ListGenerationsParams) filter(q *query, now time.Time) {
	if p.BrandID != nil {
		q.add(` AND g.brand_id = ?`, *p.BrandID)
	}
	if p.BatchID != nil {
		q.add(` AND g.batch_id = ?`, *p.BatchID)
	}
	if p.Status != nil {
		q.add(` AND g.status = ?`, string(*p.Status))
	}
	if p.Placement != nil {
		q.add(` AND g.placement = ?`, *p.Placement)
	}
	if p.Campaign != nil {
		q.add(` AND g.campaign = ?`, *p.Campaign)
	}
	if p.Tag != nil {
		q.add(` AND ? = ANY (g.tag_keys)`, strings.ToLower(strings.TrimSpace(*p.Tag)))
	}
	if p.Favourite != nil {
		q.add(` AND g.favourite = ?`, *p.Favourite)
	}
	if p.Binned != nil && *p.Binned {
		q.add(` AND g.deleted_at > ?`, now.Add(-media.InBin))
	} else {
		q.add(` AND g.deleted_at IS NULL`)
	}
	if p.Q != nil {
		// In lower case by the same rules as what the read model keeps.
		for _, word := range strings.Fields(strings.ToLower(*p.Q)) {
			q.add(` AND strpos(coalesce(b.search, '') || E'\n' || array_to_string(g.tag_keys, E'\n'), ?) > 0`, word)
		}
	}
}

// GetGeneration implements ServerInterface.
func (s *Server) GetGeneration(c *fiber.Ctx, generationID GenerationID, _ GetGenerationParams) error {
	var g generationRow
	var relatives family
	var layout *Layout
	var ahead int
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		if g, err = generationByID(ctx, tx, generationID); err != nil {
			return err
		}
		if relatives, err = familyOf(ctx, tx, g); err != nil {
			return err
		}
		if g.succeeded() {
			found, err := designs(ctx, tx, generationID)
			layout = new(found[generationID].layout())
			return err
		}
		if g.finished != nil {
			return nil
		}
		return tx.QueryRow(ctx, `SELECT count(*) FROM galleries_api.generations WHERE status = 'requested' AND seq < $1`, g.seq).Scan(&ahead)
	})
	if err != nil {
		return err
	}
	shown, err := s.summary(g)
	if err != nil {
		return err
	}
	// The two types share all fields but these; the generator flattens allOf.
	answer := Generation{
		ID: shown.ID, BatchID: shown.BatchID, BrandID: shown.BrandID, Placement: shown.Placement, Number: shown.Number, Status: shown.Status,
		Workflow: shown.Workflow, Tier: shown.Tier, Campaign: shown.Campaign, RequestedAt: shown.RequestedAt, FinishedAt: shown.FinishedAt,
		Deadline: shown.Deadline, Image: shown.Image, Failure: shown.Failure, Credits: shown.Credits, Links: shown.Links,
		Product: shown.Product, Headline: shown.Headline, CallToAction: shown.CallToAction, Favourite: shown.Favourite, Tags: shown.Tags,
		Rating: shown.Rating, RatingReason: shown.RatingReason, DeletedAt: shown.DeletedAt, Layout: layout,
	}
	if g.finished == nil {
		waiting := "It is being made, or is the next one."
		if ahead > 0 {
			waiting = "It waits, or is made beside others: " + strconv.Itoa(ahead) + " of your images were asked for before it."
		}
		answer.Waiting = &waiting
	}
	if answer.Receipt, err = g.receipt(); err != nil {
		return err
	}
	if answer.Lineage, err = s.lineage(relatives); err != nil {
		return err
	}
	return c.JSON(answer)
}

// receipt shows what was checked, and nothing of what it cost upstream.
func (g generationRow) receipt() (*Receipt, error) {
	var attempts []schemas.Attempt
	if err := json.Unmarshal(g.attempts, &attempts); err != nil {
		return nil, err
	}
	if len(attempts) == 0 {
		return nil, nil
	}
	receipt := &Receipt{Model: g.model, ModelVersion: g.modelVersion, Template: g.template, TemplateVersion: g.templateVersion}
	if receipt.Model == "" { // it failed: the event names no model
		receipt.Model = attempts[len(attempts)-1].Model
	}
	for _, a := range attempts {
		shown := ReceiptAttempt{Number: a.Number, Outcome: a.Outcome, DurationMs: a.DurationMs, Verdicts: []ReceiptVerdict{}}
		for _, v := range a.Verdicts {
			verdict := verdictOf(v.Check, v.Version, v.Verdict, v.Evidence, v.Figures)
			verdict.Question, verdict.Answer = v.Question, ReceiptVerdictAnswer(v.Answer)
			shown.Verdicts = append(shown.Verdicts, verdict)
		}
		receipt.Attempts = append(receipt.Attempts, shown)
	}
	return receipt, nil
}

// CancelGeneration implements ServerInterface.
func (s *Server) CancelGeneration(c *fiber.Ctx, generationID GenerationID, _ CancelGenerationParams) error {
	return s.cancel(c, func(ctx context.Context, tx pgx.Tx) (batch, generation string, err error) {
		g, err := generationByID(ctx, tx, generationID)
		return g.batch.String(), g.id.String(), err
	})
}

// cancel cancels what find names: one image, or with an empty generation all open
// ones of a batch.
func (s *Server) cancel(c *fiber.Ctx, find func(context.Context, pgx.Tx) (batch, generation string, err error)) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		command := &schemas.CancelGeneration{CommandMetadata: m}
		_, err := s.readAt(ctx, a.account, []string{galleries}, wanted, func(ctx context.Context, tx pgx.Tx) (err error) {
			command.BatchID, command.GenerationID, err = find(ctx, tx)
			return err
		})
		return command, err
	}, noContent(c))
}
