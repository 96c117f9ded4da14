package commands

import (
	"testing"

	"atelier/schemas"
)

// BenchmarkHandle decides commands on a usual account, one core.
func BenchmarkHandle(b *testing.B) {
	account := usualAccount()
	at := position(0, account.NextCommandOffset)
	brand := keyed(1, "", "")
	brand.BrandID, brand.ExpectedVersion = brandID(1), 3
	withKey := keyed(1, "key", "request")
	withKey.BrandID, withKey.ExpectedVersion = brandID(1), 3
	request := testRequest()
	request.BrandVersion, request.KitHash, request.BatchID = 3, bytesOf(3, 16), batchID(9)
	large := testRequest()
	large.BrandVersion, large.KitHash, large.BatchID, large.Variants, large.MaxCredits = 3, bytesOf(3, 16), batchID(9), 24, 96
	for _, bench := range []struct {
		name    string
		command schemas.Command
	}{
		{"SaveBrand", brand},
		{"SaveBrandWithKey", withKey},
		{"RemoveAsset", &schemas.RemoveAsset{CommandMetadata: meta(1), AssetID: assetID(3)}},
		{"Rejected", &schemas.RemoveAsset{CommandMetadata: meta(1), AssetID: assetID(999)}},
		{"CompleteGeneration", &schemas.CompleteGeneration{CommandMetadata: meta(1), BatchID: batchID(1), GenerationID: generationID(1),
			Media: testMedia(), TemplateVersion: 1, Attempts: testAttempts()}},
		{"FailGeneration", &schemas.FailGeneration{CommandMetadata: meta(1), BatchID: batchID(1), GenerationID: generationID(1), Reason: "rejected", Fault: "model"}},
		{"RequestGeneration4Images", request},
		{"RequestGeneration48Images", large},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := Handle(account, bench.command, at, noon); len(d.Events) == 0 || d.Panic != "" {
					b.Fatal("not decided")
				}
			}
		})
	}
	b.Run("Redelivery", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := Handle(account, brand, position(0, 0), noon); len(d.Events) != 0 {
				b.Fatal("decided")
			}
		}
	})
}
