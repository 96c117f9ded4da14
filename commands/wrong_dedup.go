//go:build wrong_dedup

package commands

// decidesAgain makes a wrong system, which only a test of package check/torture builds:
// a command that comes again is decided again.
const decidesAgain = true
