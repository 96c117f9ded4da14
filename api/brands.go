package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

// kitParts is what the api itself reads of a kit.
type kitParts struct {
	LogoAssetID string   `json:"logo_asset_id"`
	BannedWords []string `json:"banned_words"`
}

// brandRow is a brand as the read model has it.
type brandRow struct {
	id        uuid.UUID
	version   int
	archived  bool
	kit       []byte // nil once it was erased
	kitHash   []byte
	kitSchema int
	created   time.Time
	updated   time.Time
}

const brandColumns = `brand_id, version, archived, kit, kit_hash, kit_schema, created_at, updated_at`

func scanBrand(row pgx.CollectableRow) (b brandRow, err error) {
	err = row.Scan(&b.id, &b.version, &b.archived, &b.kit, &b.kitHash, &b.kitSchema, &b.created, &b.updated)
	return b, err
}

// brandByID reads a brand, archived or not. The error is brand_not_found.
func brandByID(ctx context.Context, tx pgx.Tx, id uuid.UUID) (brandRow, error) {
	rows, err := tx.Query(ctx, `SELECT `+brandColumns+` FROM brands_api.brands WHERE brand_id = $1`, id)
	if err != nil {
		return brandRow{}, err
	}
	b, err := pgx.CollectExactlyOneRow(rows, scanBrand)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, refuse(schemas.CodeBrandNotFound, "the account has no such brand")
	}
	return b, err
}

func (b brandRow) answer() Brand {
	shown := Brand{
		ID: b.id, Version: b.version, Archived: b.archived, KitSchema: b.kitSchema, CreatedAt: b.created, UpdatedAt: b.updated,
	}
	if b.kit != nil {
		kit := json.RawMessage(b.kit)
		shown.Kit = &kit
	}
	return shown
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// CreateBrand implements ServerInterface.
func (s *Server) CreateBrand(c *fiber.Ctx, _ CreateBrandParams) error {
	kit, a, err := s.kitOf(c)
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	return s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		_, err := s.readAt(ctx, a.account, []string{brands}, wanted, func(ctx context.Context, tx pgx.Tx) error {
			var have int
			if err := tx.QueryRow(ctx, `SELECT count(*) FROM brands_api.brands`).Scan(&have); err != nil {
				return err
			}
			if have >= s.config.Limits.Brands {
				return limitReached("brands", s.config.Limits.Brands)
			}
			return checkLogo(ctx, tx, kit)
		})
		if err != nil {
			return nil, err
		}
		return s.saveBrandCommand(ctx, m, schemas.DeriveID(m.ID, "brand"), 0, kit)
	}, func(o *settled) error {
		c.Set(fiber.HeaderLocation, "/v1/brands/"+o.resourceID)
		return c.Status(fiber.StatusCreated).JSON(SavedBrand{ID: uuidOf(o.resourceID), Version: 1})
	})
}

// limitReached is a limit of the configuration, below the domain's own.
func limitReached(what string, limit int) *refusal {
	r := refuse(schemas.CodeLimitReached, fmt.Sprintf("the account has as many %s as it may: %d", what, limit))
	r.figures = map[string]int64{"limit": int64(limit)}
	return r
}

// SaveBrand implements ServerInterface.
func (s *Server) SaveBrand(c *fiber.Ctx, brandID BrandID, params SaveBrandParams) error {
	if params.IfMatch == nil {
		return refuse(codeVersionRequired, "say in If-Match which version was edited, as ETag gave it")
	}
	expected, err := strconv.Atoi(strings.Trim(*params.IfMatch, `"`))
	if err != nil || expected < 1 {
		return refuse(codeStaleVersion, "no brand has this version")
	}
	kit, a, err := s.kitOf(c, *params.IfMatch)
	if err != nil {
		return err
	}
	wanted, err := s.wantedPosition(c)
	if err != nil {
		return err
	}
	err = s.command(c, a, func(ctx context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		_, err := s.readAt(ctx, a.account, []string{brands}, wanted, func(ctx context.Context, tx pgx.Tx) error {
			return checkLogo(ctx, tx, kit)
		})
		if err != nil {
			return nil, err
		}
		return s.saveBrandCommand(ctx, m, brandID.String(), expected, kit)
	}, func(o *settled) error {
		c.Set(fiber.HeaderETag, etag(expected+1))
		return c.JSON(SavedBrand{ID: uuidOf(o.resourceID), Version: expected + 1})
	})
	// The version was a condition of the request: RFC 9110, 13.1.1.
	var refused *refusal
	if errors.As(err, &refused) && refused.code == schemas.CodeVersionConflict {
		stale := *refused
		stale.code = codeStaleVersion
		return &stale
	}
	return err
}

// kitOf reads the kit of a request.
func (s *Server) kitOf(c *fiber.Ctx, conditions ...string) ([]byte, attempt, error) {
	var body SaveBrand
	canonical, err := s.decode(c, "SaveBrand", &body)
	if err != nil {
		return nil, attempt{}, err
	}
	if len(body.Kit) > s.config.Limits.KitBytes {
		return nil, attempt{}, refuseField("/kit", fmt.Sprintf("has %d bytes, at most %d", len(body.Kit), s.config.Limits.KitBytes))
	}
	a, err := attemptOf(c, canonical, conditions...)
	return body.Kit, a, err
}

// checkLogo says whether the logo that a kit names is there.
func checkLogo(ctx context.Context, tx pgx.Tx, kit []byte) error {
	var parts kitParts
	if err := json.Unmarshal(kit, &parts); err != nil {
		return fmt.Errorf("kit that fits its schema: %w", err)
	}
	if parts.LogoAssetID == "" {
		return nil
	}
	var there bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM brands_api.assets WHERE asset_id = $1 AND kind = 'logo')`, parts.LogoAssetID).Scan(&there)
	if err == nil && !there {
		return refuseField("/kit/logo_asset_id", "is no asset of kind logo of this account")
	}
	return err
}

func (s *Server) saveBrandCommand(ctx context.Context, m schemas.CommandMetadata, brandID string, expected int, kit []byte) (*schemas.SaveBrand, error) {
	sealed, err := s.config.Vault.Seal(ctx, m.AccountID, kit)
	if err != nil {
		return nil, err
	}
	hash, err := s.config.Vault.Hash(ctx, m.AccountID, kit)
	if err != nil {
		return nil, err
	}
	return &schemas.SaveBrand{
		CommandMetadata: m, BrandID: brandID, ExpectedVersion: expected, Kit: sealed, KitHash: hash[:], KitSchema: kitSchemaVersion,
	}, nil
}

// ArchiveBrand implements ServerInterface.
func (s *Server) ArchiveBrand(c *fiber.Ctx, brandID BrandID, _ ArchiveBrandParams) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	return s.command(c, a, func(_ context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		return &schemas.ArchiveBrand{CommandMetadata: m, BrandID: brandID.String()}, nil
	}, noContent(c))
}

// RestoreBrand implements ServerInterface.
func (s *Server) RestoreBrand(c *fiber.Ctx, brandID BrandID, _ RestoreBrandParams) error {
	a, err := attemptOf(c, nil)
	if err != nil {
		return err
	}
	return s.command(c, a, func(_ context.Context, m schemas.CommandMetadata) (schemas.Command, error) {
		return &schemas.RestoreBrand{CommandMetadata: m, BrandID: brandID.String()}, nil
	}, noContent(c))
}

// GetBrand implements ServerInterface.
func (s *Server) GetBrand(c *fiber.Ctx, brandID BrandID, _ GetBrandParams) error {
	var brand brandRow
	err := s.read(c, []string{brands}, func(ctx context.Context, tx pgx.Tx) (err error) {
		brand, err = brandByID(ctx, tx, brandID)
		return err
	})
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderETag, etag(brand.version))
	return c.JSON(brand.answer())
}

// ListBrands implements ServerInterface.
func (s *Server) ListBrands(c *fiber.Ctx, params ListBrandsParams) error {
	after, err := parseTimeCursor(params.Cursor, brands)
	if err != nil {
		return err
	}
	limit := limitOf(params.Limit)
	var q query
	q.add(`SELECT `+brandColumns+` FROM brands_api.brands WHERE archived = ?`, params.Archived != nil && *params.Archived)
	if after != nil {
		q.add(` AND (created_at, brand_id) < (?, ?)`, after.at, after.id)
	}
	q.add(` ORDER BY created_at DESC, brand_id DESC LIMIT ?`, limit+1)
	found, err := list(s, c, brands, q, scanBrand)
	if err != nil {
		return err
	}
	found, next := page(found, limit, func(b brandRow) *string { return timeCursor{at: b.created, id: b.id}.cursor(brands) })
	answer := BrandList{Items: []Brand{}, NextCursor: next}
	for _, b := range found {
		answer.Items = append(answer.Items, b.answer())
	}
	return c.JSON(answer)
}

// list reads the rows of a query from one projection.
func list[T any](s *Server, c *fiber.Ctx, projection string, q query, scan pgx.RowToFunc[T]) (found []T, err error) {
	err = s.read(c, []string{projection}, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, q.sql.String(), q.args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	return found, err
}
