package schemas

// PriceListVersion is the version of the list below, kept in every batch and
// hold. It rises with every change; a price that was promised stays.
const PriceListVersion = 1

// PricePerImage is what an image costs by tier, credits. Every workflow costs the same.
var PricePerImage = map[string]int64{"standard": 2, "pro": 5}

// PricePerImageMax is the highest of the list, credits.
const PricePerImageMax = 5
