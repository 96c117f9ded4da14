package api

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"

	"atelier/schemas"
)

// ListPlacements implements ServerInterface.
func (s *Server) ListPlacements(c *fiber.Ctx) error {
	answer := PlacementList{Version: schemas.PlacementsVersion, Items: []Placement{}}
	for _, p := range schemas.Placements {
		shown := Placement{
			ID: p.ID, Platform: p.Platform, Name: p.Name, Width: p.Width, Height: p.Height, Ratio: p.Ratio,
			BytesMax: p.BytesMax, RatioTolerance: float32(p.RatioTolerance),
		}
		shown.SafeZone.Top, shown.SafeZone.Bottom, shown.SafeZone.Sides = p.Safe.Top, p.Safe.Bottom, p.Safe.Sides
		answer.Items = append(answer.Items, shown)
	}
	return c.JSON(answer)
}

// ListWorkflows implements ServerInterface.
func (s *Server) ListWorkflows(c *fiber.Ctx) error {
	answer := WorkflowList{PriceList: schemas.PriceListVersion, Items: []Workflow{}}
	for _, w := range schemas.Workflows {
		params := w.Params
		if params == nil {
			params = []string{}
		}
		shown := Workflow{
			Name: w.Name, Description: w.Description, Params: params, Factors: []Factor{},
			Placements: WorkflowPlacements(w.Placements), Prices: schemas.PricePerImage,
		}
		for _, f := range w.Factors {
			shown.Factors = append(shown.Factors, Factor{Name: f.Name, Title: f.Title, Description: f.Description})
		}
		answer.Items = append(answer.Items, shown)
	}
	return c.JSON(answer)
}

// ListPacks implements ServerInterface. No payment provider is known to this server, so
// what is listed cannot be bought from it.
func (s *Server) ListPacks(c *fiber.Ctx) error {
	return c.JSON(PackList{Version: schemas.PacksVersion, Checkout: false, Months: schemas.PackMonths, Items: packs()})
}

// packs are all packs, the smallest first.
func packs() []Pack {
	all := []Pack{}
	for _, p := range schemas.Packs {
		all = append(all, Pack{ID: p.ID, Credits: p.Credits, Price: Price{Amount: p.Price, Currency: p.Currency}})
	}
	return all
}

// GetMe implements ServerInterface.
func (s *Server) GetMe(c *fiber.Ctx, _ GetMeParams) error {
	id, _ := identityOf(c)
	l := s.config.Limits
	answer := Me{
		AccountID: uuidOf(id.AccountID), Email: id.Email, EmailConfirmed: id.EmailConfirmed,
		Limits: AccountLimits{
			ImagesPerBatch: l.ImagesPerBatch, OpenGenerations: l.OpenGenerations, Brands: l.Brands, Assets: l.Assets,
			KitBytes: l.KitBytes, BriefBytes: l.BriefBytes, FileBytes: l.FileBytes,
			ReadsPerMinute: l.Reads, WritesPerMinute: l.Writes, UploadsPerMinute: l.Uploads, Streams: l.Streams,
		},
	}
	err := s.read(c, []string{credits}, func(ctx context.Context, tx pgx.Tx) error {
		b, err := balanceOf(ctx, tx)
		answer.Credits.Available, answer.Credits.Held = b.available, b.held
		return err
	})
	if err != nil {
		return err
	}
	return c.JSON(answer)
}
