package media

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

const (
	// incoming holds objects until they are whole. It lies in the store's own
	// directory, because a rename or a link cannot cross volumes.
	incoming = ".incoming"
	// abandonedAfter is how old an unfinished object must be before it is
	// removed at start. No write takes nearly as long.
	abandonedAfter = time.Hour
	// publishTriesMax bounds how often a directory is made again that another has
	// just removed (count).
	publishTriesMax = 100

	directoryMode = 0o700
	objectMode    = 0o600
)

// files writes and reads objects in a directory. It exists beside gocloud's
// fileblob, which says what is there, for four reasons: fileblob's IfNotExist
// looks and then renames, with a lock that no two writers share, so that two can
// both believe that they created a key; it never syncs, so that a record of money
// spent could be lost with the power; it takes the size of one file and the
// bytes of another where an object is replaced between its two looks; and a listing
// of it begins anew for every page, and fails where an object is deleted meanwhile.
// A hard link decides the first, for other processes on the same directory too.
type files struct {
	root *os.Root
	// directories is held for reading while an object gets its place in them, and
	// for writing while empty ones are removed. Other processes on the same
	// directory are met by trying again.
	directories *sync.RWMutex
}

func openFiles(dir string) (files, error) {
	if err := os.MkdirAll(dir, directoryMode); err != nil {
		return files{}, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return files{}, err
	}
	f := files{root: root, directories: new(sync.RWMutex)}
	if err := root.MkdirAll(incoming, directoryMode); err != nil {
		return files{}, errors.Join(err, root.Close())
	}
	if err := f.removeAbandoned(time.Now()); err != nil {
		return files{}, errors.Join(err, root.Close())
	}
	return f, nil
}

// removeAbandoned removes what a killed process left half written.
func (f files) removeAbandoned(now time.Time) error {
	entries, err := fs.ReadDir(f.root.FS(), incoming)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if now.Sub(info.ModTime()) < abandonedAfter {
			continue
		}
		if err := f.root.Remove(incoming + "/" + entry.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// put stores an object, over one that is there.
func (f files) put(key string, data []byte) error {
	return f.store(key, data, func(whole string) error { return f.root.Rename(whole, key) })
}

// putIfAbsent stores an object unless there is one, and says whether it did.
func (f files) putIfAbsent(key string, data []byte) (bool, error) {
	err := f.store(key, data, func(whole string) error { return f.root.Link(whole, key) })
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// store writes the object aside, syncs it, publishes it under its key, and
// syncs the directories that name it.
func (f files) store(key string, data []byte, publish func(whole string) error) error {
	whole := incoming + "/" + rand.Text()
	defer func() { _ = f.root.Remove(whole) }() // gone already after a rename
	if err := f.writeSynced(whole, data); err != nil {
		return err
	}
	made, err := f.place(key, func() error { return publish(whole) })
	if err != nil {
		return err
	}
	for _, dir := range made {
		if err := f.syncDirectory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// place makes the directories of a key and puts an object there. It returns the
// directories that changed.
func (f files) place(key string, publish func() error) (made []string, err error) {
	f.directories.RLock()
	defer f.directories.RUnlock()
	for range publishTriesMax {
		if made, err = f.makeParents(key); err == nil {
			err = publish()
		}
		// Else another process has removed the last object of a directory, and it.
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return made, err
}

// remove removes an object, and the directories below media and journal that it
// leaves empty.
func (f files) remove(key string) error {
	info, err := f.root.Stat(key)
	if err == nil && !info.IsDir() {
		err = f.root.Remove(key)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.directories.Lock()
	defer f.directories.Unlock()
	for dir := path.Dir(key); strings.Contains(dir, "/"); dir = path.Dir(dir) {
		if f.root.Remove(dir) != nil {
			break // it is not empty, or somebody was faster
		}
	}
	return nil
}

// objects yields what lies under a prefix; what vanishes meanwhile is left out.
func (f files) objects(ctx context.Context, prefix string, yield func(Object, error) bool) {
	err := fs.WalkDir(f.root.FS(), strings.TrimSuffix(prefix, "/"), func(key string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err = cmp.Or(err, ctx.Err()); err != nil || entry.IsDir() || !ValidKey(key) {
			return err
		}
		info, err := entry.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err == nil && !yield(Object{Key: key, ModTime: info.ModTime()}, nil):
			return fs.SkipAll
		default:
			return err
		}
	})
	if err != nil {
		yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
	}
}

// open opens an object and says how large and how old what it opened is.
func (f files) open(key string) (*os.File, fs.FileInfo, error) {
	file, err := f.root.Open(key)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist // other keys begin with this one
	}
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return file, info, nil
}

func (f files) writeSynced(name string, data []byte) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, objectMode)
	if err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

// makeParents makes the directories above a key. It returns those whose entries
// a write changes: the key's own, and the ones above directories made now.
func (f files) makeParents(key string) (changed []string, err error) {
	dir := path.Dir(key)
	changed = []string{dir}
	for {
		_, err := f.root.Stat(dir)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		dir = path.Dir(dir)
		changed = append(changed, dir)
	}
	if len(changed) > 1 {
		if err := f.root.MkdirAll(path.Dir(key), directoryMode); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

func (f files) syncDirectory(name string) error {
	dir, err := f.root.Open(name)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil {
		return errors.Join(err, dir.Close())
	}
	return dir.Close()
}

// directoryOf returns the path that a location names, and whether it names one:
// a plain path, or file:///path.
func directoryOf(location string) (dir string, ok bool, err error) {
	scheme, rest, isURL := strings.Cut(location, "://")
	switch {
	case !isURL:
		return location, true, nil
	case scheme != "file":
		return "", false, nil
	case !strings.HasPrefix(rest, "/") || strings.ContainsAny(rest, "?#%"):
		return "", false, fmt.Errorf("file URL %q: want file:///absolute/path without query or escapes", location)
	default:
		return rest, true, nil
	}
}
