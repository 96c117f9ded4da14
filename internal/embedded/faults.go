package embedded

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// unwritten is how kfake's words begin where something could not be written.
var unwritten = []string{"persist ", "rebuildSegments ", "save session state"}

// faults passes kfake's words on, and listens for what could not be written: kfake says so
// there alone, and goes on. With a full disk it would tell a client that a transaction is
// committed whose markers are not there, and keep the offsets that it moved.
type faults struct {
	log zerolog.Logger
	// broken ends with the first fault as its cause.
	broken context.Context
	fail   context.CancelCauseFunc
}

func newFaults(log zerolog.Logger) *faults {
	f := &faults{log: log}
	f.broken, f.fail = context.WithCancelCause(context.Background())
	return f
}

// Logf keeps kfake's text as a field; requests (info) go to debug. It does not come back from
// a fault: kfake stands still, and as after a kill nothing more is written and nobody is told.
func (f *faults) Logf(level kfake.LogLevel, text string, args ...any) {
	event := f.log.Debug()
	switch level {
	case kfake.LogLevelError:
		event = f.log.Error()
	case kfake.LogLevelWarn:
		event = f.log.Warn()
	case kfake.LogLevelDebug, kfake.LogLevelNone:
		event = f.log.Trace()
	}
	fault := slices.ContainsFunc(unwritten, func(begin string) bool { return strings.HasPrefix(text, begin) })
	if !fault && !event.Enabled() {
		return
	}
	detail := fmt.Sprintf(text, args...)
	event.Str("detail", detail).Msg("broker")
	if fault {
		f.fail(fmt.Errorf("could not write: %s", detail))
		select {}
	}
}

// wait waits for what kfake does, or for a fault, from which it does not come back.
func (f *faults) wait(do func()) error {
	done := make(chan struct{})
	go func() {
		do()
		close(done)
	}()
	select {
	case <-done:
	case <-f.broken.Done():
	}
	return context.Cause(f.broken)
}
