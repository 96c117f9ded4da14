package api

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	// csvLinesMax bounds one statement as CSV (count), some 2 MB.
	csvLinesMax = 10_000
	// mimeCSV is the type of a statement for a spreadsheet (RFC 7111).
	mimeCSV          = "text/csv"
	nextCursorHeader = "Atelier-Next-Cursor"
)

type balance struct{ available, held int64 }

// balanceOf reads the balance; an account without a row has nothing yet.
func balanceOf(ctx context.Context, tx pgx.Tx) (b balance, err error) {
	err = tx.QueryRow(ctx, `SELECT available, held FROM credits_api.balances`).Scan(&b.available, &b.held)
	if errors.Is(err, pgx.ErrNoRows) {
		return balance{}, nil
	}
	return b, err
}

// balanceRow is the balance, beside one of its blocks where there is one.
type balanceRow struct {
	balance
	block *CreditBlock
}

func scanBlock(row pgx.CollectableRow) (b balanceRow, err error) {
	var k CreditBlock
	var id *uuid.UUID
	var source *string
	var priority *int
	var granted, remaining *int64
	var grantedAt *time.Time
	err = row.Scan(&b.available, &b.held, &id, &source, &priority, &granted, &remaining, &k.ExpiresAt, &grantedAt)
	if err != nil || id == nil {
		return b, err
	}
	k.ID, k.Source, k.Priority, k.Granted, k.Remaining, k.GrantedAt = *id, *source, *priority, *granted, *remaining, *grantedAt
	b.block = &k
	return b, nil
}

// GetCredits implements ServerInterface.
func (s *Server) GetCredits(c *fiber.Ctx, _ GetCreditsParams) error {
	var b balance
	blocks := []CreditBlock{}
	err := s.read(c, []string{credits}, func(ctx context.Context, tx pgx.Tx) error {
		// One statement sees one moment, so that the blocks add up to the balance.
		// They come in the order in which they are spent.
		rows, err := tx.Query(ctx, `SELECT b.available, b.held, k.block_id, k.source, k.priority, k.granted, k.remaining, k.expires_at, k.granted_at
			FROM credits_api.balances b LEFT JOIN credits_api.blocks k ON k.account_id = b.account_id AND k.remaining > 0
			ORDER BY k.priority, k.expires_at NULLS LAST, k.granted_at, k.block_id`)
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, scanBlock)
		for _, row := range found {
			b = row.balance
			if row.block != nil {
				blocks = append(blocks, *row.block)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	// Nothing leads to a debt but a refund, and there are no purchases yet.
	return c.JSON(Credits{Available: b.available, Held: b.held, Owed: 0, Blocks: blocks})
}

// entryRow is a line of the statement with its place in it.
type entryRow struct {
	CreditEntry
	seq int64
}

func scanEntry(row pgx.CollectableRow) (e entryRow, err error) {
	err = row.Scan(&e.seq, &e.Line, &e.ID, &e.At, &e.Kind, &e.Credits, &e.AvailableChange, &e.HeldChange, &e.AvailableAfter, &e.HeldAfter,
		&e.BatchID, &e.GenerationID, &e.Source, &e.Reason)
	return e, err
}

// ListCreditEntries implements ServerInterface.
func (s *Server) ListCreditEntries(c *fiber.Ctx, params ListCreditEntriesParams) error {
	const name = "entries"
	after, err := parseNumbersCursor(params.Cursor, name, 2)
	if err != nil {
		return err
	}
	accepted := c.Accepts(fiber.MIMEApplicationJSON, mimeCSV)
	limit := limitOf(params.Limit)
	switch accepted {
	case "":
		return refuse(codeNotAcceptable, "ask for application/json or text/csv")
	case mimeCSV:
		limit = csvLinesMax
	}
	var q query
	q.add(`SELECT seq, line, event_id, at, kind, credits, available_change, held_change, available_after, held_after,
		batch_id, generation_id, source, reason FROM credits_api.entries WHERE true`)
	if after != nil {
		q.add(` AND (seq, line) < (?, ?)`, after[0], after[1])
	}
	q.add(` ORDER BY seq DESC, line DESC LIMIT ?`, limit+1)
	found, err := list(s, c, credits, q, scanEntry)
	if err != nil {
		return err
	}
	found, next := page(found, limit, func(e entryRow) *string {
		return cursorOf(name, strconv.FormatInt(e.seq, 10), strconv.Itoa(e.Line))
	})
	c.Vary(fiber.HeaderAccept)
	if accepted == mimeCSV {
		return sendStatement(c, found, next)
	}
	answer := CreditEntryList{Items: []CreditEntry{}, NextCursor: next}
	for _, e := range found {
		answer.Items = append(answer.Items, e.CreditEntry)
	}
	return c.JSON(answer)
}

var statementColumns = []string{
	"id", "line", "at", "kind", "credits", "available_change", "held_change", "available_after", "held_after",
	"batch_id", "generation_id", "source", "reason",
}

func sendStatement(c *fiber.Ctx, entries []entryRow, next *string) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	_ = w.Write(statementColumns) // into memory
	for _, e := range entries {
		_ = w.Write([]string{
			e.ID.String(), strconv.Itoa(e.Line), e.At.UTC().Format(time.RFC3339Nano), e.Kind, number(e.Credits),
			number(e.AvailableChange), number(e.HeldChange), number(e.AvailableAfter), number(e.HeldAfter),
			idOrEmpty(e.BatchID), idOrEmpty(e.GenerationID), cell(e.Source), cell(e.Reason),
		})
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	if next != nil {
		c.Set(nextCursorHeader, *next)
	}
	c.Set(fiber.HeaderContentType, mimeCSV+"; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="statement.csv"`)
	return c.Send(out.Bytes())
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func idOrEmpty(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// cell keeps a spreadsheet from reading a text as a formula (OWASP, CSV injection).
func cell(text string) string {
	if strings.HasPrefix(text, "=") || strings.HasPrefix(text, "+") || strings.HasPrefix(text, "-") || strings.HasPrefix(text, "@") ||
		strings.HasPrefix(text, "\t") || strings.HasPrefix(text, "\r") {
		return "'" + text
	}
	return text
}
