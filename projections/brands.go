package projections

import (
	"context"
	"encoding/json"
	"time"

	"atelier/schemas"
)

// brands: the newest version of each brand kit, and the assets.
var brands = Projection{Name: "brands", DDL: 1, fold: func(o *opener) fold {
	return &brandsFold{opener: o, saved: map[[2]string]int{}, archived: map[[2]string]int{}, added: map[[2]string]*assetRow{}}
}}

type brandRow struct {
	AccountID uuidText        `json:"account_id"`
	BrandID   uuidText        `json:"brand_id"`
	Version   int             `json:"version"`
	Archived  bool            `json:"archived"`
	Kit       json.RawMessage `json:"kit"`
	KitHash   hexBytes        `json:"kit_hash"`
	KitSchema int             `json:"kit_schema"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

type archivedChange struct {
	AccountID uuidText  `json:"account_id"`
	BrandID   uuidText  `json:"brand_id"`
	Archived  bool      `json:"archived"`
	UpdatedAt time.Time `json:"updated_at"`
}

type assetRow struct {
	AccountID uuidText  `json:"account_id"`
	AssetID   uuidText  `json:"asset_id"`
	BrandID   uuidText  `json:"brand_id"`
	Kind      string    `json:"kind"`
	Name      string    `json:"name"`
	MediaKey  string    `json:"media_key"`
	SHA256    hexBytes  `json:"sha256"`
	Bytes     int64     `json:"bytes"`
	Width     int       `json:"width"`
	Height    int       `json:"height"`
	MIMEType  string    `json:"mime_type"`
	CreatedAt time.Time `json:"created_at"`
}

type assetKey struct {
	AccountID uuidText `json:"account_id"`
	AssetID   uuidText `json:"asset_id"`
}

type brandsChanges struct {
	Saved    []brandRow       `json:"saved,omitempty"`
	Archived []archivedChange `json:"archived,omitempty"`
	Removed  []assetKey       `json:"removed,omitempty"`
	Added    []*assetRow      `json:"added,omitempty"`
}

type brandsFold struct {
	opener   *opener
	out      brandsChanges
	changed  bool
	saved    map[[2]string]int       // index in out.Saved, by account and brand
	archived map[[2]string]int       // index in out.Archived
	added    map[[2]string]*assetRow // by account and asset; nil: removed again
	order    [][2]string             // of added
}

// changes leaves out assets that came and went within the batch.
func (f *brandsFold) changes() any {
	if !f.changed {
		return nil
	}
	for _, key := range f.order {
		if row := f.added[key]; row != nil {
			f.out.Added = append(f.out.Added, row)
		}
	}
	return f.out
}

func (f *brandsFold) add(ctx context.Context, e schemas.Event, _ Position) error {
	m := e.Meta()
	switch e := e.(type) {
	case *schemas.BrandSaved:
		kit, err := f.opener.document(ctx, m.AccountID, e.Kit)
		if err != nil {
			return err
		}
		f.save(brandRow{AccountID: uuidText(m.AccountID), BrandID: uuidText(e.BrandID), Version: e.Version, Kit: kit, KitHash: e.KitHash,
			KitSchema: e.KitSchema, CreatedAt: m.OccurredAt, UpdatedAt: m.OccurredAt})
	case *schemas.BrandArchived:
		f.archive(m, e.BrandID, true)
	case *schemas.BrandRestored:
		f.archive(m, e.BrandID, false)
	case *schemas.AssetAdded:
		name, err := f.opener.text(ctx, m.AccountID, e.Name)
		if err != nil {
			return err
		}
		key := [2]string{m.AccountID, e.AssetID}
		if _, ok := f.added[key]; !ok {
			f.order = append(f.order, key)
		}
		f.added[key] = &assetRow{AccountID: uuidText(m.AccountID), AssetID: uuidText(e.AssetID), BrandID: uuidText(e.BrandID), Kind: e.Kind,
			Name: name, MediaKey: e.Media.Key, SHA256: e.Media.SHA256, Bytes: e.Media.Bytes, Width: e.Media.Width, Height: e.Media.Height,
			MIMEType: e.Media.MIMEType, CreatedAt: m.OccurredAt}
	case *schemas.AssetRemoved:
		key := [2]string{m.AccountID, e.AssetID}
		if f.added[key] != nil {
			f.added[key] = nil
		}
		f.out.Removed = append(f.out.Removed, assetKey{AccountID: uuidText(m.AccountID), AssetID: uuidText(e.AssetID)})
	default:
		return nil
	}
	f.changed = true
	return nil
}

// save keeps the newest kit, and the time of the first.
func (f *brandsFold) save(row brandRow) {
	key := [2]string{string(row.AccountID), string(row.BrandID)}
	if i, ok := f.saved[key]; ok {
		row.CreatedAt = f.out.Saved[i].CreatedAt
		f.out.Saved[i] = row
		return
	}
	f.saved[key] = len(f.out.Saved)
	f.out.Saved = append(f.out.Saved, row)
}

func (f *brandsFold) archive(m *schemas.EventMetadata, brand string, archived bool) {
	key := [2]string{m.AccountID, brand}
	i, ok := f.archived[key]
	if !ok {
		i = len(f.out.Archived)
		f.archived[key] = i
		f.out.Archived = append(f.out.Archived, archivedChange{})
	}
	f.out.Archived[i] = archivedChange{AccountID: uuidText(m.AccountID), BrandID: uuidText(brand), Archived: archived, UpdatedAt: m.OccurredAt}
}
