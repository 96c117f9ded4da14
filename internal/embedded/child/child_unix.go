//go:build unix && !linux

package child

import (
	"os/exec"
	"syscall"
)

// separate knows no parent-death signal outside Linux: what is left over after
// a kill is adopted or stopped at the next start.
func separate(cmd *exec.Cmd, _ syscall.Signal) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}
