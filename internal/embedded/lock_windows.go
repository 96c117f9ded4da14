package embedded

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset lies behind the text of the lock file: Windows locks are
// mandatory, and the process id in the file must stay readable.
const lockOffset = 1 << 30

// lockFile takes an exclusive lock on f without waiting. The system gives it
// back when the process ends, however it ends.
func lockFile(f *os.File) (held bool, err error) {
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{Offset: lockOffset})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}
