package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrLocked means that another process works in the same directory.
var ErrLocked = errors.New("in use by another process")

// lockPoll is how often a busy lock is tried again; flock has no wait with a
// deadline.
const lockPoll = 50 * time.Millisecond

// LockDataDir makes dir and takes it for this process alone. A second caller,
// in this process or another, gets ErrLocked with the owner's process id. The
// lock goes with the process, so a kill leaves nothing to clean up.
func LockDataDir(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	held, err := lockFile(f)
	if err == nil && !held {
		owner, _ := io.ReadAll(io.LimitReader(f, 32))
		err = fmt.Errorf("%w (process %s)", ErrLocked, strings.TrimSpace(string(owner)))
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	// The owner is written after the lock is held, so that a loser of the race
	// never overwrites it. The file itself stays: removing it would let two
	// processes lock two different files of one name.
	if err = f.Truncate(0); err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("write lock file: %w", err)
	}
	return f.Close, nil
}

// waitLock is LockDataDir for work that another process may be doing right now
// (a download): it waits until the lock is free or ctx ends.
func waitLock(ctx context.Context, dir string) (unlock func() error, err error) {
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		unlock, err := LockDataDir(dir)
		if err == nil || !errors.Is(err, ErrLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}
