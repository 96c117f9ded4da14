//go:build wrong_offset

package projections

// movesFirst makes a wrong system, which only a test of package check/torture builds:
// the position moves in a transaction of its own, before the rows.
const movesFirst = true
