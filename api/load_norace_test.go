//go:build !race

package api

// watched says that the race detector looks on.
const watched = false
