//go:build wrong_capture

package commands

// capturesTwice makes a wrong system, which only a test of package check/torture builds:
// an image is paid for twice.
const capturesTwice = true
