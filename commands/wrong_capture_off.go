//go:build !wrong_capture

package commands

// capturesTwice is for a wrong system alone; see wrong_capture.go.
const capturesTwice = false
