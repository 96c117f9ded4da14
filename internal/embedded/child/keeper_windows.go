package child

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// StopAfterUs ends pid and removes dirs when the closer is closed. Nothing
// watches over us on Windows: after a kill both are left.
func StopAfterUs(pid int, _ string, dirs ...string) (io.Closer, error) {
	return closer(func() error {
		err := Kill(pid, syscall.SIGKILL)
		for _, dir := range dirs {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}), nil
}

type closer func() error

func (c closer) Close() error { return c() }
