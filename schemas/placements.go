package schemas

// PlacementsVersion is the version of the table below, kept in every batch. It
// rises with every change. Sizes and limits were checked against the platforms'
// pages in November 2026.
const PlacementsVersion = 1

// Placement is a place on an ad platform that takes an image.
type Placement struct {
	ID       string `json:"id"`
	Platform string `json:"platform"` // meta or google
	Name     string `json:"name"`
	// Width and Height are the pixels of the file that is delivered.
	Width  int `json:"width"`
	Height int `json:"height"`
	// Ratio is what the model is asked for: the nearest that it can draw.
	Ratio string `json:"ratio"`
	// BytesMax bounds the delivered file.
	BytesMax int `json:"bytes_max"`
	// RatioTolerance is how far the ratio may be off, as a share.
	RatioTolerance float64 `json:"ratio_tolerance"`
	// Safe is the area that must stay clear of words and faces.
	Safe SafeZone `json:"safe_zone"`
}

// SafeZone is what to keep clear at each edge, percent of that side.
type SafeZone struct {
	Top    int `json:"top"`
	Bottom int `json:"bottom"`
	Sides  int `json:"sides"`
}

const (
	metaBytesMax   = 30 << 20   // Meta: 30 MB
	googleBytesMax = 5120 << 10 // Google: 5120 KB
)

// Placements is the table, in the order that screens show it.
var Placements = []Placement{
	{ID: "meta_feed_square", Platform: "meta", Name: "Feed square", Width: 1080, Height: 1080, Ratio: "1:1", BytesMax: metaBytesMax, RatioTolerance: 0.03},
	{ID: "meta_feed_portrait", Platform: "meta", Name: "Feed portrait", Width: 1080, Height: 1350, Ratio: "4:5", BytesMax: metaBytesMax, RatioTolerance: 0.03},
	// Some report that Stories took over the Reels zone in March 2026: the
	// stricter one is kept for both.
	{ID: "meta_story", Platform: "meta", Name: "Stories", Width: 1080, Height: 1920, Ratio: "9:16", BytesMax: metaBytesMax, RatioTolerance: 0.01, Safe: SafeZone{Top: 14, Bottom: 35, Sides: 6}},
	{ID: "meta_reel", Platform: "meta", Name: "Reels", Width: 1080, Height: 1920, Ratio: "9:16", BytesMax: metaBytesMax, RatioTolerance: 0.01, Safe: SafeZone{Top: 14, Bottom: 35, Sides: 6}},
	// Google's 1.91:1 is cropped from 16:9, which loses 6 % of the height.
	{ID: "google_landscape", Platform: "google", Name: "Display landscape", Width: 1200, Height: 628, Ratio: "16:9", BytesMax: googleBytesMax, RatioTolerance: 0.01, Safe: SafeZone{Top: 10, Bottom: 10, Sides: 10}},
	{ID: "google_square", Platform: "google", Name: "Display square", Width: 1200, Height: 1200, Ratio: "1:1", BytesMax: googleBytesMax, RatioTolerance: 0.01, Safe: SafeZone{Top: 10, Bottom: 10, Sides: 10}},
	{ID: "google_portrait", Platform: "google", Name: "Demand Gen portrait", Width: 960, Height: 1200, Ratio: "4:5", BytesMax: googleBytesMax, RatioTolerance: 0.01, Safe: SafeZone{Top: 10, Bottom: 10, Sides: 10}},
	{ID: "google_vertical", Platform: "google", Name: "Demand Gen vertical", Width: 1080, Height: 1920, Ratio: "9:16", BytesMax: 5 << 20, RatioTolerance: 0.01, Safe: SafeZone{Top: 14, Bottom: 35, Sides: 6}},
}

// PlacementByID returns the placement, and false where there is none.
func PlacementByID(id string) (Placement, bool) {
	for _, p := range Placements {
		if p.ID == id {
			return p, true
		}
	}
	return Placement{}, false
}
