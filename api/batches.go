package api

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const batchColumns = `batch_id, brand_id, brand_version, workflow, params, brief, campaign, tier, images, per_image, price_list,
	placement_table, requested_at, deadline, succeeded, failed, canceled, credits_captured, credits_released`

// scanBatch reads batchColumns, behind columns of the caller's.
func scanBatch(row pgx.CollectableRow, before ...any) (b Batch, err error) {
	var params, brief []byte
	var campaign string
	err = row.Scan(append(before, &b.ID, &b.BrandID, &b.BrandVersion, &b.Workflow, &params, &brief, &campaign, &b.Tier, &b.Images, &b.PerImage,
		&b.PriceList, &b.PlacementTable, &b.RequestedAt, &b.Deadline, &b.Counts.Succeeded, &b.Counts.Failed, &b.Counts.Canceled,
		&b.Credits.Captured, &b.Credits.Released)...)
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
	b, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (Batch, error) { return scanBatch(row) })
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

// ListBatches implements ServerInterface.
func (s *Server) ListBatches(c *fiber.Ctx, params ListBatchesParams) error {
	const name = "batches"
	after, err := parseNumbersCursor(params.Cursor, name, 1)
	if err != nil {
		return err
	}
	limit := limitOf(params.Limit)
	var q query
	q.add(`SELECT seq, ` + batchColumns + ` FROM galleries_api.batches WHERE true`)
	if params.Open != nil {
		q.add(` AND (images > succeeded + failed + canceled) = ?`, *params.Open)
	}
	if after != nil {
		q.add(` AND seq < ?`, after[0])
	}
	q.add(` ORDER BY seq DESC LIMIT ?`, limit+1)
	type listed struct {
		seq   int64
		batch Batch
	}
	found, err := list(s, c, galleries, q, func(row pgx.CollectableRow) (l listed, err error) {
		l.batch, err = scanBatch(row, &l.seq)
		return l, err
	})
	if err != nil {
		return err
	}
	found, next := page(found, limit, func(l listed) *string { return cursorOf(name, strconv.FormatInt(l.seq, 10)) })
	answer := BatchList{Items: []Batch{}, NextCursor: next}
	for _, l := range found {
		answer.Items = append(answer.Items, l.batch)
	}
	return c.JSON(answer)
}

// CancelBatch implements ServerInterface.
func (s *Server) CancelBatch(c *fiber.Ctx, batchID BatchID, _ CancelBatchParams) error {
	return s.cancel(c, func(ctx context.Context, tx pgx.Tx) (batch, generation string, err error) {
		_, err = batchByID(ctx, tx, batchID)
		return batchID.String(), "", err
	})
}
