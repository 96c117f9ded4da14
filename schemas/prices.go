package schemas

// PriceListVersion is the version of the list below, kept in every batch and
// hold. It rises with every change; a price that was promised stays.
const PriceListVersion = 1

// PricePerImage is what an image costs by tier, credits. Every workflow costs the same.
var PricePerImage = map[string]int64{"standard": 2, "pro": 5}

// PricePerImageMax is the highest of the list, credits.
const PricePerImageMax = 5

// PacksVersion is the version of the table below. It rises with every change.
const PacksVersion = 1

// PackMonths is how long bought credits last, months.
const PackMonths = 12

// Pack is a number of credits that is bought at once.
type Pack struct {
	// ID is stable.
	ID      string
	Credits int64
	// Price is what it costs, in minor units of Currency: cents.
	Price int64
	// Currency is an ISO 4217 code.
	Currency string
}

// Packs are what can be bought, the smallest first, each cheaper by the credit than the one before.
var Packs = []Pack{
	{ID: "pack_100", Credits: 100, Price: 9_00, Currency: "EUR"},
	{ID: "pack_500", Credits: 500, Price: 39_00, Currency: "EUR"},
	{ID: "pack_2000", Credits: 2_000, Price: 129_00, Currency: "EUR"},
}
