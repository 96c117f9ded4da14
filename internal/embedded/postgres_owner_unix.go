//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"atelier/internal/embedded/child"
)

// findOwner picks the user: ourselves, or for root (whom Postgres refuses)
// "postgres", else "nobody".
func findOwner() (owner, error) {
	if os.Geteuid() != 0 {
		return owner{name: strconv.Itoa(os.Geteuid()), uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(found.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return owner{}, fmt.Errorf("user %s: %w", name, err)
		}
		return owner{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
	}
	return owner{}, errors.New("postgres does not run as root, and there is no user postgres or nobody to run it: add one, or set DATABASE_URL")
}

func (o owner) become(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if o.other {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: o.uid, Gid: o.gid}}
	}
	return cmd
}

// canWalk tells whether the owner may enter dir and every directory above it.
func (o owner) canWalk(dir string) bool {
	if !o.other {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || !o.canEnter(info) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

func (o owner) canEnter(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	switch mode := info.Mode().Perm(); {
	case stat.Uid == o.uid:
		return mode&0o100 != 0
	case stat.Gid == o.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

// makeDir makes dir for the owner alone.
func (o owner) makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return o.give(dir)
}

// writeFile writes a file that only the owner can read.
func (o owner) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	return o.give(path)
}

func (o owner) give(path string) error {
	if !o.other {
		return nil
	}
	return os.Lchown(path, int(o.uid), int(o.gid))
}

func signalServer(_ context.Context, _ postgresPlace, pid int, s syscall.Signal) error {
	return child.Kill(pid, s)
}
