package embedded

import (
	"errors"
	"os"
	"path/filepath"
)

const (
	// partitionsDir is where kfake keeps the logs: a directory for each partition.
	partitionsDir = "partitions"
	// keptDir holds them as they were before the compaction that runs; keptDraft is what of
	// it is not whole.
	keptDir, keptDraft = "compacting", "compacting.tmp"
)

// compact compacts the logs. kfake removes a partition's segments and writes what is left of
// them anew, so that a kill or a full disk in between would lose it: the accounts, of all.
// Until it is through, the old files are kept beside, as links.
func (b *Broker) compact() error {
	kept := filepath.Join(b.config.DataDir, keptDir)
	draft := filepath.Join(b.config.DataDir, keptDraft)
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := linkAll(filepath.Join(b.config.DataDir, partitionsDir), draft); err != nil {
		return err
	}
	if err := os.Rename(draft, kept); err != nil {
		return err
	}
	if err := b.faults.wait(b.cluster.Compact); err != nil {
		return err
	}
	return dropKept(b.config.DataDir)
}

// uncompact brings the logs back as they were before a compaction that did not end.
func uncompact(dataDir string) error {
	kept, partitions := filepath.Join(dataDir, keptDir), filepath.Join(dataDir, partitionsDir)
	if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err := os.RemoveAll(partitions); err != nil {
		return err
	}
	if err := linkAll(kept, partitions); err != nil {
		return err
	}
	return dropKept(dataDir)
}

// dropKept gives the old files up, at once or not at all.
func dropKept(dataDir string) error {
	draft := filepath.Join(dataDir, keptDraft)
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dataDir, keptDir), draft); err != nil {
		return err
	}
	return os.RemoveAll(draft)
}

// linkAll makes a directory whose directories hold the same files as those of another.
func linkAll(from, to string) error {
	directories, err := os.ReadDir(from)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, directory := range directories {
		files, err := os.ReadDir(filepath.Join(from, directory.Name()))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(to, directory.Name()), 0o755); err != nil {
			return err
		}
		for _, file := range files {
			if err := os.Link(filepath.Join(from, directory.Name(), file.Name()), filepath.Join(to, directory.Name(), file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
