package projections

import (
	"strings"
	"testing"
	"time"

	"atelier/internal/vault"
	"atelier/schemas"
)

const (
	brandColumns = "account_id, brand_id, version, archived, kit, kit_hash, kit_schema, created_at, updated_at"
	assetColumns = "account_id, asset_id, brand_id, kind, name, media_key, sha256, bytes, width, height, mime_type, created_at"
)

func TestBrands(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	saved := func(brand, version int, kit string) *schemas.BrandSaved {
		return &schemas.BrandSaved{BrandID: brandID(brand), Version: version, Kit: d.seal(ann, kit), KitHash: []byte{byte(version)}, KitSchema: 1}
	}
	added := func(n, brand int, name string) *schemas.AssetAdded {
		e := &schemas.AssetAdded{AssetID: assetID(n), Kind: "logo", Name: d.seal(ann, name), Media: picture(n)}
		if brand > 0 {
			e.BrandID = brandID(brand)
		}
		return e
	}
	later, latest := noon.Add(time.Hour), noon.Add(2*time.Hour)
	d.folds(t, brands, map[string]string{"brands": brandColumns, "assets": assetColumns}, []scenario{
		{name: "the newest kit stays, and the time of the first", given: [][]schemas.Event{
			of(ann, 1, noon, saved(1, 1, `{"name":"old"}`)),
			of(ann, 2, later, saved(1, 2, `{"name":"new"}`)),
			of(ann, 3, later, saved(2, 1, `{"name":"other"}`)),
		}, then: map[string][]string{"brands": {
			`ann b2:1 2 false {"name":"new"} x02 1 noon noon+1h0m0s`,
			`ann b2:2 1 false {"name":"other"} x01 1 noon+1h0m0s noon+1h0m0s`,
		}}},
		{name: "archived", given: [][]schemas.Event{
			of(ann, 1, noon, saved(1, 1, `{}`)),
			of(ann, 2, later, &schemas.BrandArchived{BrandID: brandID(1), Version: 1}),
		}, then: map[string][]string{"brands": {`ann b2:1 1 true {} x01 1 noon noon+1h0m0s`}}},
		{name: "archived, restored and saved again", given: [][]schemas.Event{
			of(ann, 1, noon, saved(1, 1, `{}`)),
			of(ann, 2, later, &schemas.BrandArchived{BrandID: brandID(1), Version: 1}),
			of(ann, 3, later, &schemas.BrandRestored{BrandID: brandID(1), Version: 1}),
			of(ann, 4, latest, saved(1, 2, `{"a":1}`)),
		}, then: map[string][]string{"brands": {`ann b2:1 2 false {"a":1} x02 1 noon noon+2h0m0s`}}},
		{name: "an archived brand that is saved stays archived", given: [][]schemas.Event{
			of(ann, 1, noon, saved(1, 1, `{}`)),
			of(ann, 2, later, &schemas.BrandArchived{BrandID: brandID(1), Version: 1}),
			of(ann, 3, latest, saved(1, 2, `{}`)),
		}, then: map[string][]string{"brands": {`ann b2:1 2 true {} x02 1 noon noon+2h0m0s`}}},
		{name: "assets: one that stays, one that goes, one that comes again under its ID", given: [][]schemas.Event{
			of(ann, 1, noon, added(1, 1, "kept")),
			of(ann, 2, noon, added(2, 0, "removed")),
			of(ann, 3, noon, added(3, 0, "first")),
			of(ann, 4, later, &schemas.AssetRemoved{AssetID: assetID(2)}),
			of(ann, 5, later, &schemas.AssetRemoved{AssetID: assetID(3)}),
			of(ann, 6, latest, added(3, 2, "second")),
		}, then: map[string][]string{"assets": {
			`ann a1:1 b2:1 "logo" "kept" "m/9e:1" xab01 1000 1080 1350 "image/png" noon`,
			`ann a1:3 b2:2 "logo" "second" "m/9e:3" xab03 1000 1080 1350 "image/png" noon+2h0m0s`,
		}}},
		{name: "two accounts with the same IDs", given: [][]schemas.Event{
			of(ann, 1, noon, saved(1, 1, `{}`), added(1, 1, "of ann")),
			of(ben, 2, noon, &schemas.BrandSaved{BrandID: brandID(1), Version: 1, Kit: d.seal(ben, `{"ben":true}`), KitSchema: 2}),
			of(ben, 3, noon, &schemas.AssetRemoved{AssetID: assetID(1)}),
		}, then: map[string][]string{
			"brands": {`ann b2:1 1 false {} x01 1 noon noon`, `ben b2:1 1 false {"ben":true} x 2 noon noon`},
			"assets": {`ann a1:1 b2:1 "logo" "of ann" "m/9e:1" xab01 1000 1080 1350 "image/png" noon`},
		}},
		{name: "an asset without a name", given: [][]schemas.Event{
			of(ann, 1, noon, added(1, 0, "")),
		}, then: map[string][]string{"assets": {`ann a1:1 - "logo" "" "m/9e:1" xab01 1000 1080 1350 "image/png" noon`}}},
	})
}

// What an erased person wrote is not there, and everything else is.
func TestBrandsOfAnErasedAccount(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	given := [][]schemas.Event{
		of(ann, 1, noon, &schemas.BrandSaved{BrandID: brandID(1), Version: 1, Kit: d.seal(ann, `{"name":"secret"}`), KitSchema: 1}),
		of(ann, 2, noon, &schemas.AssetAdded{AssetID: assetID(1), Kind: "logo", Name: d.seal(ann, "secret"), Media: picture(1)}),
		of(ben, 3, noon, &schemas.BrandSaved{BrandID: brandID(2), Version: 1, Kit: d.seal(ben, `{"name":"kept"}`), KitSchema: 1}),
	}
	if err := d.vault.Destroy(t.Context(), ann); err != nil {
		t.Fatal(err)
	}
	d.folds(t, brands, map[string]string{"brands": brandColumns, "assets": assetColumns}, []scenario{
		{name: "erased", given: given, then: map[string][]string{
			"brands": {`ann b2:1 1 false - x 1 noon noon`, `ben b2:2 1 false {"name":"kept"} x 1 noon noon`},
			"assets": {`ann a1:1 - "logo" "` + vault.Erased + `" "m/9e:1" xab01 1000 1080 1350 "image/png" noon`},
		}},
	})
}

// A person's document must not stop a partition, whatever it is.
func TestWhatAPersonWroteIsStoredOrLeftOut(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	nested := func(depth int) string { return strings.Repeat(`[`, depth) + strings.Repeat(`]`, depth) }
	for kit, want := range map[string]string{
		`{"name":"plain"}`:         `{"name":"plain"}`,
		`["<b>&amp;"]`:             `["\u003cb\u003e\u0026amp;"]`, // as show writes it
		`{"a":"nul \u0000 here"}`:  `{"a":"nul ` + "\ufffd" + ` here"}`,
		`{"a":"\\u0000 no NUL"}`:   `{"a":"\\u0000 no NUL"}`,
		`{"nul\u0000":"in a key"}`: `{"nul` + "\ufffd" + `":"in a key"}`,
		`{"a":"\ud800 lone"}`:      `{"a":"` + "\ufffd" + ` lone"}`,
		`[1e400]`:                  `[null]`,
		`[12345678901234567890]`:   `[12345678901234567000]`, // pgx reads numbers as float64
		`[-1e-400]`:                `[0]`,
		`null`:                     `-`,
		``:                         `-`,
		`{"a":`:                    `-`,
		`{"a":1} {"b":2}`:          `-`,
		"\xff\xfe":                 `-`,
		"{\"a\":\"\xff\"}":         `{"a":"` + "\ufffd" + `"}`,
		nested(60):                 nested(60),
		nested(5000):               `-`,
		nested(20000):              `-`,
	} {
		v := d.newVersion(brands)
		d.fill(v, 0, d.records(of(ann, 1, noon, &schemas.BrandSaved{BrandID: brandID(1), Version: 1, Kit: d.seal(ann, kit)})), all)
		got := d.rows(v, "brands", "account_id, brand_id, kit")
		if len(got) != 1 || got[0] != "ann b2:1 "+want {
			t.Errorf("%.60q is stored as %q, want %q", kit, got, want)
		}
	}
}
