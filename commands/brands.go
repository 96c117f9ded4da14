package commands

import (
	"slices"

	"atelier/schemas"
)

// kitHashBytes is what is kept of a kit's hash.
const kitHashBytes = 16

func (d *deciding) saveBrand(c *schemas.SaveBrand) error {
	var b bounds
	b.id("brand_id", c.BrandID)
	b.between("expected_version", int64(c.ExpectedVersion), 0, versionMax-1)
	b.kit(c.Kit, c.KitHash, c.KitSchema)
	if err := b.err(); err != nil {
		return err
	}
	i := d.brand(schemas.ID16(c.BrandID))
	switch {
	case i < 0 && c.ExpectedVersion > 0, i >= 0 && d.Brands[i].Archived:
		return errNoBrand()
	case i < 0 && len(d.Brands) >= BrandsMax:
		return reject(ErrLimitReached, "the account has as many brands as it may").with("limit", BrandsMax)
	case i >= 0 && d.Brands[i].Version != c.ExpectedVersion:
		return versionConflict(&d.Brands[i])
	}
	d.emit(&schemas.BrandSaved{
		BrandID: c.BrandID, Version: c.ExpectedVersion + 1, Kit: c.Kit, KitHash: c.KitHash, KitSchema: c.KitSchema,
	})
	return nil
}

func (d *deciding) archiveBrand(c *schemas.ArchiveBrand) error {
	brand, err := d.brandThatIs(c.BrandID, false)
	if err != nil {
		return err
	}
	d.emit(&schemas.BrandArchived{BrandID: c.BrandID, Version: brand.Version})
	return nil
}

func (d *deciding) restoreBrand(c *schemas.RestoreBrand) error {
	brand, err := d.brandThatIs(c.BrandID, true)
	if err != nil {
		return err
	}
	d.emit(&schemas.BrandRestored{BrandID: c.BrandID, Version: brand.Version})
	return nil
}

// brandThatIs returns a brand that is archived, or one that is not.
func (d *deciding) brandThatIs(id string, archived bool) (schemas.AccountBrand, error) {
	var b bounds
	b.id("brand_id", id)
	if err := b.err(); err != nil {
		return schemas.AccountBrand{}, err
	}
	i := d.brand(schemas.ID16(id))
	if i < 0 || d.Brands[i].Archived != archived {
		return schemas.AccountBrand{}, errNoBrand()
	}
	return d.Brands[i], nil
}

func errNoBrand() error {
	return reject(ErrBrandNotFound, "the account has no such brand, or it is archived")
}

func versionConflict(brand *schemas.AccountBrand) error {
	return reject(ErrVersionConflict, "the brand was saved since").with("current", int64(brand.Version))
}

// kit checks a sealed brand kit and what goes with it.
func (b *bounds) kit(kit, hash []byte, schema int) {
	if len(kit) == 0 {
		b.refuse("kit is empty")
	}
	b.sealed("kit", kit, kitBytesMax)
	b.exactly("kit_hash", hash, kitHashBytes)
	b.between("kit_schema", int64(schema), 1, versionMax)
}

func (d *deciding) addAsset(c *schemas.AddAsset) error {
	var b bounds
	b.id("asset_id", c.AssetID)
	if c.BrandID != "" {
		b.id("brand_id", c.BrandID)
	}
	b.oneOf("kind", c.Kind, kinds)
	b.sealed("name", c.Name, nameBytesMax)
	b.media(&c.Media)
	if err := b.err(); err != nil {
		return err
	}
	switch {
	case d.asset(schemas.ID16(c.AssetID)) >= 0:
		return reject(ErrDuplicate, "an asset with this asset_id exists")
	case len(d.Assets) >= AssetsMax:
		return reject(ErrLimitReached, "the account has as many assets as it may").with("limit", AssetsMax)
	}
	d.emit(&schemas.AssetAdded{AssetID: c.AssetID, BrandID: c.BrandID, Kind: c.Kind, Name: c.Name, Media: c.Media})
	return nil
}

func (d *deciding) removeAsset(c *schemas.RemoveAsset) error {
	var b bounds
	b.id("asset_id", c.AssetID)
	if err := b.err(); err != nil {
		return err
	}
	if d.asset(schemas.ID16(c.AssetID)) < 0 {
		return reject(ErrAssetNotFound, "the account has no such asset")
	}
	d.emit(&schemas.AssetRemoved{AssetID: c.AssetID})
	return nil
}

// brand returns the index of a brand, -1 where there is none.
func (f *fold) brand(id [16]byte) int {
	for i := range f.Brands {
		if f.Brands[i].ID == id {
			return i
		}
	}
	return -1
}

// asset returns the index of an asset, -1 where there is none.
func (f *fold) asset(id [16]byte) int {
	for i := range f.Assets {
		if f.Assets[i].ID == id {
			return i
		}
	}
	return -1
}

func (f *fold) brandSaved(e *schemas.BrandSaved) {
	id := schemas.ID16(e.BrandID)
	i := f.brand(id)
	f.Brands = own(f.Brands, &f.owns.brands)
	if i < 0 {
		i = len(f.Brands)
		f.Brands = append(f.Brands, schemas.AccountBrand{ID: id})
	}
	f.Brands[i].Version, f.Brands[i].Hash = e.Version, hash16(e.KitHash)
}

func (f *fold) brandPutAway(id string, archived bool) {
	if i := f.brand(schemas.ID16(id)); i >= 0 {
		f.Brands = own(f.Brands, &f.owns.brands)
		f.Brands[i].Archived = archived
	}
}

func (f *fold) assetAdded(e *schemas.AssetAdded) {
	f.Assets = append(own(f.Assets, &f.owns.assets), schemas.AccountAsset{
		ID: schemas.ID16(e.AssetID), Hash: hash16(e.Media.SHA256),
	})
}

func (f *fold) assetRemoved(e *schemas.AssetRemoved) {
	if i := f.asset(schemas.ID16(e.AssetID)); i >= 0 {
		f.Assets = slices.Delete(own(f.Assets, &f.owns.assets), i, i+1)
	}
}
