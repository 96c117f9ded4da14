package api

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const batchColumns = `batch_id, brand_id, brand_version, workflow, params, brief, campaign, tier, images, per_image, price_list,
	placement_table, requested_at, deadline, succeeded, failed, canceled, credits_captured, credits_released`

func scanBatch(row pgx.CollectableRow) (b Batch, err error) {
	var params, brief []byte
	var campaign string
	err = row.Scan(&b.ID, &b.BrandID, &b.BrandVersion, &b.Workflow, &params, &brief, &campaign, &b.Tier, &b.Images, &b.PerImage,
		&b.PriceList, &b.PlacementTable, &b.RequestedAt, &b.Deadline, &b.Counts.Succeeded, &b.Counts.Failed, &b.Counts.Canceled,
		&b.Credits.Captured, &b.Credits.Released)
	if err != nil {
		return b, err
	}
	b.Campaign = textOrNil(campaign)
	if brief != nil {
		document := json.RawMessage(brief)
		b.Brief = &document
	}
	b.Counts.Open = b.Images - b.Counts.Succeeded - b.Counts.Failed - b.Counts.Canceled
	b.Credits.Reserved = b.PerImage * int64(b.Images)
	b.Credits.Held = b.Credits.Reserved - b.Credits.Captured - b.Credits.Released
	return b, json.Unmarshal(params, &b.Params)
}

// batchByID reads a batch. The error is not_found.
func batchByID(ctx context.Context, tx pgx.Tx, id uuid.UUID) (Batch, error) {
	rows, err := tx.Query(ctx, `SELECT `+batchColumns+` FROM galleries_api.batches WHERE batch_id = $1`, id)
	if err != nil {
		return Batch{}, err
	}
	b, err := pgx.CollectExactlyOneRow(rows, scanBatch)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, refuse(codeNotFound, "the account has no such batch")
	}
	return b, err
}

// GetBatch implements ServerInterface.
func (s *Server) GetBatch(c *fiber.Ctx, batchID BatchID, _ GetBatchParams) error {
	var batch Batch
	err := s.read(c, []string{galleries}, func(ctx context.Context, tx pgx.Tx) (err error) {
		batch, err = batchByID(ctx, tx, batchID)
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(batch)
}

// CancelBatch implements ServerInterface.
func (s *Server) CancelBatch(c *fiber.Ctx, batchID BatchID, _ CancelBatchParams) error {
	return s.cancel(c, func(ctx context.Context, tx pgx.Tx) (batch, generation string, err error) {
		_, err = batchByID(ctx, tx, batchID)
		return batchID.String(), "", err
	})
}
