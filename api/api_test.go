package api

import "testing"

// Each of these runs on both brokers, with persons of its own on one world.
func TestAPI(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		for _, test := range []struct {
			name string
			run  func(*testing.T, *world)
		}{
			{"brands", testBrands},
			{"pages of brands", testBrandPages},
			{"kits are checked", testKitsAreChecked},
			{"assets", testAssets},
			{"uploads are checked", testUploadsAreChecked},
			{"links", testLinks},
			{"a batch", testBatch},
			{"requests are checked", testRequestsAreChecked},
			{"a daily budget", testBudget},
			{"sources", testSources},
			{"sources are checked", testSourcesAreChecked},
			{"ratings", testRatings},
			{"ratings are checked", testRatingsAreChecked},
			{"layouts", testLayouts},
			{"exports", testExports},
			{"the gallery is searched", testGalleryIsSearched},
			{"the bin", testBin},
			{"idempotency", testIdempotency},
			{"a forgotten key", testAForgottenKey},
			{"one key at two nodes", testOneKeyAtTwoNodes},
			{"positions", testPositions},
			{"reads after writes", testReadYourWrites},
			{"tenants", testTenants},
			{"rates", testRates},
			{"bodies", testBodies},
			{"framing", testFraming},
			{"bombs", testBombs},
			{"slow bodies", testSlowBodies},
			{"service", testService},
			{"screens", testScreens},
			{"how one signs in", testHowOneSignsIn},
			{"sign-in is for this machine", testSignInIsForThisMachine},
			{"docs", testDocs},
			{"kit schema", testKitSchema},
			{"sample", testSample},
			{"stream", testStream},
		} {
			t.Run(test.name, func(t *testing.T) { test.run(t, w) })
		}
	})
}
