package commands

import (
	"testing"

	"atelier/schemas"
)

func TestSaveBrand(t *testing.T) {
	save := func(n, expected int) *schemas.SaveBrand {
		return &schemas.SaveBrand{CommandMetadata: meta(1), BrandID: brandID(n), ExpectedVersion: expected,
			Kit: []byte("kit"), KitHash: bytesOf(byte(expected+1), 16), KitSchema: 1}
	}
	var full []schemas.Event
	for n := range BrandsMax {
		full = append(full, savedBrand(n+10, 1))
	}
	archived := []schemas.Event{savedBrand(1, 1), &schemas.BrandArchived{BrandID: brandID(1), Version: 1}}
	run(t, []scenario{
		{name: "a new brand is version 1", when: save(1, 0), then: []schemas.Event{savedBrand(1, 1)}},
		{name: "a save of version 1 makes version 2", given: []schemas.Event{savedBrand(1, 1)}, when: save(1, 1), then: []schemas.Event{savedBrand(1, 2)}},
		{name: "a save of an old version is refused",
			given: []schemas.Event{savedBrand(1, 1), savedBrand(1, 2)},
			when:  save(1, 1), rule: ErrVersionConflict, figures: map[string]int64{"current": 2}},
		{name: "a brand that exists is not new",
			given: []schemas.Event{savedBrand(1, 1)},
			when:  save(1, 0), rule: ErrVersionConflict, figures: map[string]int64{"current": 1}},
		{name: "a version of an unknown brand is refused", when: save(1, 3), rule: ErrBrandNotFound},
		{name: "an archived brand is refused", given: archived, when: save(1, 1), rule: ErrBrandNotFound},
		{name: "at most 100 brands", given: full, when: save(1, 0), rule: ErrLimitReached, figures: map[string]int64{"limit": 100}},
		{name: "the 100th can still be saved", given: full, when: save(10, 1), then: []schemas.Event{savedBrand(10, 2)}},
	})
}

func TestArchiveAndRestoreBrand(t *testing.T) {
	archive := &schemas.ArchiveBrand{CommandMetadata: meta(1), BrandID: brandID(1)}
	restore := &schemas.RestoreBrand{CommandMetadata: meta(2), BrandID: brandID(1)}
	saved := []schemas.Event{savedBrand(1, 1), savedBrand(1, 2)}
	archived := &schemas.BrandArchived{BrandID: brandID(1), Version: 2}
	restored := &schemas.BrandRestored{BrandID: brandID(1), Version: 2}
	run(t, []scenario{
		{name: "a brand is put away", given: saved, when: archive, then: []schemas.Event{archived}},
		{name: "and comes back with its version", given: concat(saved, []schemas.Event{archived}), when: restore, then: []schemas.Event{restored}},
		{name: "and is as before", given: concat(saved, []schemas.Event{archived, restored}), when: archive, then: []schemas.Event{archived}},
		{name: "twice is refused", given: concat(saved, []schemas.Event{archived}), when: archive, rule: ErrBrandNotFound},
		{name: "what is not archived is not restored", given: saved, when: restore, rule: ErrBrandNotFound},
		{name: "an unknown one is not archived", when: archive, rule: ErrBrandNotFound},
		{name: "nor restored", when: restore, rule: ErrBrandNotFound},
	})
}

func TestAssets(t *testing.T) {
	add := &schemas.AddAsset{CommandMetadata: meta(1), AssetID: assetID(1), BrandID: brandID(1), Kind: "logo", Name: []byte("sealed"), Media: testMedia()}
	added := &schemas.AssetAdded{AssetID: assetID(1), BrandID: brandID(1), Kind: "logo", Name: []byte("sealed"), Media: testMedia()}
	remove := &schemas.RemoveAsset{CommandMetadata: meta(2), AssetID: assetID(1)}
	removed := &schemas.AssetRemoved{AssetID: assetID(1)}
	var full []schemas.Event
	for n := range AssetsMax {
		full = append(full, &schemas.AssetAdded{AssetID: assetID(n + 10), Media: testMedia()})
	}
	run(t, []scenario{
		{name: "a file is added", when: add, then: []schemas.Event{added}},
		{name: "once", given: []schemas.Event{added}, when: add, rule: ErrDuplicate},
		{name: "one of all brands",
			when: &schemas.AddAsset{CommandMetadata: meta(1), AssetID: assetID(1), Kind: "product", Media: testMedia()},
			then: []schemas.Event{&schemas.AssetAdded{AssetID: assetID(1), Kind: "product", Media: testMedia()}}},
		{name: "at most 1,000", given: full, when: add, rule: ErrLimitReached, figures: map[string]int64{"limit": 1000}},
		{name: "a removed one makes room", given: concat(full, []schemas.Event{&schemas.AssetRemoved{AssetID: assetID(10)}}), when: add, then: []schemas.Event{added}},
		{name: "a file is removed", given: []schemas.Event{added}, when: remove, then: []schemas.Event{removed}},
		{name: "once", given: []schemas.Event{added, removed}, when: remove, rule: ErrAssetNotFound},
	})
}
