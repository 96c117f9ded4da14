//go:build !wrong_dedup

package commands

// decidesAgain is for a wrong system alone; see wrong_dedup.go.
const decidesAgain = false
