package child

import (
	"os"
	"syscall"
)

// Alive tells whether pid can be opened, which on Windows means it runs.
func Alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	_ = p.Release()
	return true
}

// In reports false: Windows does not tell a process's working directory.
func In(string) ([]int, bool) { return nil, false }

// Kill ends pid; Windows knows no other signal.
func Kill(pid int, _ syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return nil
	}
	defer p.Release()
	return p.Kill()
}

// SignalGroup ends the child; Windows knows no process groups of this kind.
func (p *Process) SignalGroup(syscall.Signal) { p.Signal(os.Kill) }
