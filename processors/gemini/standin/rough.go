//go:build rough

package standin

// coarseness is how many pixels of a large picture are drawn at once, in each
// direction (count): for tests that ask for hundreds of pictures and look at none, a
// 2K picture takes 0.1 s of a core in the place of 0.35.
const coarseness = 4
