//go:build wrong_uncommitted

package kafka

// readsUncommitted makes a wrong system, which only a test of package check/torture builds:
// what was aborted is read too.
const readsUncommitted = true
