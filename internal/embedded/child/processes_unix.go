//go:build unix

package child

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Alive tells whether pid is a process that still runs. A zombie does not: it
// keeps its number until its parent waits for it, which under a careless
// process 1 may take for ever.
func Alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return !hasProc() // without /proc the answer of kill stands
	}
	// The name in parentheses may hold anything: the state follows the last one.
	_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// In lists the processes whose working directory is dir, zombies left out.
// Postgres backends are session leaders, so their working directory is what
// ties them to a data directory. The second result is false where the machine
// has no /proc.
func In(dir string) ([]int, bool) {
	if !hasProc() {
		return nil, false
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var pids []int
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || target != dir {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil && Alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, true
}

// Kill sends s to pid; a process that is gone is no error.
func Kill(pid int, s syscall.Signal) error {
	if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// SignalGroup sends s to the child and to those it has started.
func (p *Process) SignalGroup(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.PID(), s)
	}
}

func hasProc() bool {
	_, err := os.Stat("/proc/self/stat")
	return err == nil
}
