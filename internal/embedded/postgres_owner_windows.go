package embedded

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"atelier/internal/embedded/child"
)

func findOwner() (owner, error) { return owner{name: os.Getenv("USERNAME")}, nil }

func (o owner) become(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SystemRoot=" + os.Getenv("SystemRoot"), "TEMP=" + os.Getenv("TEMP"), "LC_ALL=C", "TZ=UTC"}
	return cmd
}

func (o owner) canWalk(string) bool { return true }

func (o owner) makeDir(dir string) error { return os.Mkdir(dir, 0o700) }

func (o owner) writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

// signalServer uses pg_ctl: Postgres emulates signals on Windows by a pipe.
func signalServer(ctx context.Context, place postgresPlace, pid int, s syscall.Signal) error {
	if place.bin == "" {
		return child.Kill(pid, s)
	}
	name := "INT"
	if s == syscall.SIGQUIT {
		name = "QUIT"
	}
	pgCtl := programs{bin: place.bin}.path("pg_ctl")
	return child.Run(place.owner.commandContext(ctx, pgCtl, "kill", name, strconv.Itoa(pid)))
}
