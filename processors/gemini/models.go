package gemini

import (
	"image"
	"slices"
)

// ModelsVersion is the version of the table below. It rises with every change.
// Prices, sizes and ratios were checked against the vendor's pages in October
// 2026.
const ModelsVersion = 2

// Model is a model: what it draws or answers, and what it takes for it.
type Model struct {
	ID string
	// Sizes maps 1K, 2K and 4K, as far as the model draws them, to their tokens.
	// One that draws nothing has none.
	Sizes map[string]Size
	// Ratios are those that it draws and whose pixels are known. Some draw
	// strips too (1:4, 1:8 and lying down); no placement wants them.
	Ratios []string
	// ReferencesMax bounds the pictures of one request (count).
	ReferencesMax int
	// MIMEType is what it answers with, as documented; the bytes decide.
	MIMEType string
	// Text is set for a model that answers in words, by the rates of its tokens.
	// It answers with JSON of a given schema; those that draw do not.
	Text *TextRates
	// Retired models answer 404.
	Retired bool
}

// TextRates is what a million tokens cost, millionths of a US dollar.
type TextRates struct{ InputMicros, OutputMicros int64 }

// Size is what one picture costs.
type Size struct {
	// Tokens are those of the picture alone.
	Tokens int64
	// PriceMicros is the price of it, millionths of a US dollar.
	PriceMicros int64
}

// Sizes of pictures.
const (
	Size1K = "1K"
	Size2K = "2K"
	Size4K = "4K"
)

// referencesMax is what every model of the 3.x family takes (count).
const referencesMax = 14

var ratios = []string{"1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"}

// Models is the table. IDs retire, so which of them is used is configuration.
var Models = []Model{
	{ID: "gemini-nano-banana-2.1", Ratios: ratios, ReferencesMax: referencesMax, MIMEType: "image/jpeg",
		Sizes: map[string]Size{Size1K: {1120, 33_600}, Size2K: {1680, 50_400}, Size4K: {3780, 113_400}}},
	{ID: "gemini-3-pro-image", Ratios: ratios, ReferencesMax: referencesMax, MIMEType: "image/jpeg",
		Sizes: map[string]Size{Size1K: {1120, 134_000}, Size2K: {1120, 134_000}, Size4K: {2000, 240_000}}},
	{ID: "gemini-3.1-flash-lite-image", Ratios: ratios, ReferencesMax: referencesMax, MIMEType: "image/jpeg",
		Sizes: map[string]Size{Size1K: {1120, 33_600}}},
	// Reported shut down on 29 October 2026.
	{ID: "gemini-3.1-flash-image", Ratios: ratios, ReferencesMax: referencesMax, MIMEType: "image/jpeg", Retired: true,
		Sizes: map[string]Size{Size1K: {1120, 67_000}, Size2K: {1680, 101_000}, Size4K: {2520, 151_000}}},
	{ID: "gemini-2.5-flash-image", Ratios: ratios, ReferencesMax: 3, MIMEType: "image/png", Retired: true,
		Sizes: map[string]Size{Size1K: {1290, 39_000}}},
	{ID: "gemini-3.8-flash", ReferencesMax: referencesMax, Text: &TextRates{InputMicros: 750_000, OutputMicros: 3_750_000}},
}

// ModelByID returns the model, and false where there is none.
func ModelByID(id string) (Model, bool) {
	for _, m := range Models {
		if m.ID == id {
			return m, true
		}
	}
	return Model{}, false
}

// Offered lists the IDs of the models that can be used: of those that answer in
// words, or of those that draw.
func Offered(text bool) []string {
	var ids []string
	for _, m := range Models {
		if !m.Retired && (m.Text != nil) == text {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// pixels1K are those of each ratio at 1K; 2K has twice and 4K four times as
// many a side.
var pixels1K = map[string]image.Point{
	"1:1": {X: 1024, Y: 1024}, "2:3": {X: 848, Y: 1264}, "3:2": {X: 1264, Y: 848},
	"3:4": {X: 896, Y: 1200}, "4:3": {X: 1200, Y: 896}, "4:5": {X: 928, Y: 1152},
	"5:4": {X: 1152, Y: 928}, "9:16": {X: 768, Y: 1376}, "16:9": {X: 1376, Y: 768},
	"21:9": {X: 1584, Y: 672},
}

// Pixels returns what the model draws for a ratio and size, and false where it
// does not draw that.
func (m Model) Pixels(ratio, size string) (width, height int, ok bool) {
	if _, drawn := m.Sizes[size]; !drawn || !slices.Contains(m.Ratios, ratio) {
		return 0, 0, false
	}
	base, factor := pixels1K[ratio], map[string]int{Size1K: 1, Size2K: 2, Size4K: 4}[size]
	return base.X * factor, base.Y * factor, true
}

// PriceMicros is what one picture of a size costs, millionths of a US dollar,
// and the dearest size's price for one that the model does not draw.
func (m Model) PriceMicros(size string) int64 {
	if s, ok := m.Sizes[size]; ok {
		return s.PriceMicros
	}
	dearest := int64(0)
	for _, s := range m.Sizes {
		dearest = max(dearest, s.PriceMicros)
	}
	return dearest
}

// costMicros is what tokens of a call for one picture cost at most, millionths of a US dollar,
// rounded up. All of them are counted at the rate of picture tokens: the parts
// that the API reports do not add up to their total, and the total is what is
// billed. A delivered picture costs its price at least.
func (m Model) costMicros(size string, totalTokens int64, delivered bool) int64 {
	s, ok := m.Sizes[size]
	if !ok || s.Tokens == 0 {
		return m.PriceMicros(size)
	}
	cost := (totalTokens*s.PriceMicros + s.Tokens - 1) / s.Tokens
	if delivered {
		return max(cost, s.PriceMicros)
	}
	return cost
}

// costMicros is what a call cost at most, millionths of a US dollar, rounded up.
// What the total has beyond the prompt is counted at the dearer rate: thoughts
// are billed as output, and the parts do not always add up.
func (r TextRates) costMicros(promptTokens, totalTokens int64) int64 {
	promptTokens = min(promptTokens, totalTokens)
	const million = 1_000_000
	return (promptTokens*r.InputMicros + (totalTokens-promptTokens)*r.OutputMicros + million - 1) / million
}
