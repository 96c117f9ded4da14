package api

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	"atelier/projections"
	"atelier/schemas"
)

// The sample that a new account begins with, where the configuration says so: a
// brand with a logo, through the same commands as everybody's.
var (
	//go:embed sample/kit.json
	sampleKit []byte
	//go:embed sample/logo.png
	sampleLogo []byte
)

const (
	sampleLogoName  = "sample logo"
	sampleBrandName = "sample brand"
)

// saveSample gives an account the sample brand. The commands have IDs derived from
// the account, so that doing it twice does it once. It returns the position of the
// last event, nil where it was not decided in time.
func (s *Server) saveSample(ctx context.Context, id Identity, correlation string) (*projections.Position, error) {
	logo, err := s.addAssetCommand(ctx, s.derived(id, correlation, sampleLogoName), upload{
		file: sampleLogo, fields: map[string]string{"kind": string(AssetKindLogo), "name": "Solstice Tea"},
	})
	if err != nil {
		return nil, err
	}
	if at, err := s.settle(ctx, logo); err != nil || at == nil {
		return nil, err
	}
	var kit map[string]any
	if err := json.Unmarshal(sampleKit, &kit); err != nil {
		return nil, fmt.Errorf("sample kit: %w", err)
	}
	kit["logo_asset_id"] = logo.AssetID
	canonical, err := canonicalJSON(kit)
	if err != nil {
		return nil, err
	}
	brand, err := s.saveBrandCommand(ctx, s.derived(id, correlation, sampleBrandName), schemas.DeriveID(id.AccountID, sampleBrandName), 0, canonical)
	if err != nil {
		return nil, err
	}
	return s.settle(ctx, brand)
}
