//go:build unix

package child

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// keeperScript waits until its standard input closes, which is when the
// process that started it has ended or has closed the pipe. Then it ends the
// server ($2, by signal $1), gives it ten seconds, and removes the directories
// that follow.
const keeperScript = `read -r _
signal=$1 server=$2 n=0
shift 2
kill -s "$signal" "$server" 2>/dev/null
while kill -0 "$server" 2>/dev/null && [ "$n" -lt 500 ]; do sleep 0.02; n=$((n+1)); done
kill -s KILL "$server" 2>/dev/null
rm -rf "$@"`

// StopAfterUs makes sure that, however this process ends, the server with the
// id pid gets the signal (INT, KILL) and its throw-away directories go with it.
// A test binary has no hook at its end, so a small shell waits for us. The
// closer that is returned does the same at once and returns when it is done.
func StopAfterUs(pid int, signal string, dirs ...string) (io.Closer, error) {
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeperScript, "keeper", signal, strconv.Itoa(pid)}, dirs...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Dir = "/"
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start keeper of process %d: %w", pid, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start keeper of process %d: %w", pid, err)
	}
	return &keeper{cmd: cmd, in: in}, nil
}

type keeper struct {
	cmd *exec.Cmd
	in  io.Closer
}

func (k *keeper) Close() error {
	_ = k.in.Close()
	if err := k.cmd.Wait(); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}
