//go:build !rough

package standin

// coarseness is how many pixels of a large picture are drawn at once, in each
// direction (count).
const coarseness = 1
