//go:build !wrong_offset

package projections

// movesFirst is for a wrong system alone; see wrong_offset.go.
const movesFirst = false
