//go:build !wrong_uncommitted

package kafka

// readsUncommitted is for a wrong system alone; see wrong_uncommitted.go.
const readsUncommitted = false
