// Package child runs the servers that Atelier brings along (Postgres, a Kafka
// for tests) so that none of them outlives the process that started it.
package child

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// Process is a running child. Its methods are safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// Start starts cmd in a process group of its own, so that a Ctrl-C at the
// terminal reaches only us and we stop our children in order. On Linux the
// kernel sends onDeath to the child when we die, however we die. That signal
// follows the thread that started the child, not the process, so the goroutine
// that starts it stays locked to its thread until the child has ended; see
// prctl(2), PR_SET_PDEATHSIG. Elsewhere onDeath has no effect.
func Start(cmd *exec.Cmd, onDeath syscall.Signal) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	separate(cmd, onDeath)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Run runs cmd to its end; an error carries the last of what it said.
func Run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, LastWords(out))
	}
	return nil
}

// lastWordsMax bounds what an error carries of a program's output (bytes).
const lastWordsMax = 2_000

// LastWords is what an error may carry of a program's output.
func LastWords(out []byte) string {
	return string(bytes.TrimSpace(out[max(0, len(out)-lastWordsMax):]))
}

// Done is closed when the child has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended; nil is exit code 0. Call it after Done.
func (p *Process) Err() error { return p.err }

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends s to the child. A child that has ended is no error.
func (p *Process) Signal(s os.Signal) {
	select {
	case <-p.done:
	default:
		_ = p.cmd.Process.Signal(s)
	}
}
