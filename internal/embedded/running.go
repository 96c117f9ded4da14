package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// stableInterval is how often the stable offsets are written down. It bounds
// what a repair reads after a kill: what was written in that time, and the
// transactions that were open then.
const stableInterval = 10 * time.Second

// running is the marker file: it exists while the broker runs and goes with a
// clean end. It holds the last stable offsets by topic id and partition. Below
// a stable offset every transaction has its marker, so a repair starts there.
// Topic ids, because a topic may be made anew under its old name.
type running struct {
	PID    int                        `json:"pid"`
	Stable map[string]map[int32]int64 `json:"stable"`
}

func runningPath(dataDir string) string { return filepath.Join(dataDir, "running.json") }

// readRunning tells whether the last end was unclean. A file that cannot be
// read as JSON counts as one without offsets: everything is scanned.
func readRunning(dataDir string) (last running, unclean bool, err error) {
	raw, err := os.ReadFile(runningPath(dataDir))
	if errors.Is(err, os.ErrNotExist) {
		return running{}, false, nil
	}
	if err != nil {
		return running{}, false, err
	}
	if json.Unmarshal(raw, &last) != nil {
		last = running{}
	}
	return last, true, nil
}

// writeRunning replaces the marker file at once or not at all.
func writeRunning(dataDir string, r running) error {
	r.PID = os.Getpid()
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := runningPath(dataDir)
	if err := os.WriteFile(path+".tmp", raw, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// forget removes what kfake remembers beside its logs: open transactions and group
// members, and of every partition which transactions were aborted. After an unclean end
// the logs alone are the truth. What kfake wrote down of a partition when a repair closed it
// is from before the repair: it has a transaction for aborted whose commit marker is in the
// log by now, and would hide it for good if the repair was killed there.
func forget(dataDir string) error {
	paths := []string{filepath.Join(dataDir, "session_state.json")}
	partitions := filepath.Join(dataDir, partitionsDir)
	entries, err := os.ReadDir(partitions)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, entry := range entries {
		paths = append(paths, filepath.Join(partitions, entry.Name(), "snapshot.json"))
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// saveStable writes down where a repair would have to start.
func (b *Broker) saveStable(ctx context.Context) error {
	stable, err := b.client.stableOffsets(ctx)
	if err != nil {
		return fmt.Errorf("list stable offsets: %w", err)
	}
	if err := writeRunning(b.config.DataDir, running{Stable: stable}); err != nil {
		return fmt.Errorf("write stable offsets: %w", err)
	}
	return nil
}

// trackStable writes the stable offsets down until ctx ends. Missing a round
// makes the next repair longer, nothing worse.
func (b *Broker) trackStable(ctx context.Context) {
	tick := time.NewTicker(stableInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := b.saveStable(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn().Err(err).Msg("broker could not write down its stable offsets")
		}
	}
}
