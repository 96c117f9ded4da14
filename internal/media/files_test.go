package media

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLocations(t *testing.T) {
	for location, want := range map[string]string{"media": "media", "/var/media": "/var/media", "file:///var/media": "/var/media", "a/../b": "a/../b"} {
		dir, ok, err := directoryOf(location)
		require.NoError(t, err)
		require.True(t, ok, location)
		require.Equal(t, want, dir)
	}
	for _, location := range []string{"mem://", "s3://bucket?region=x", "gs://bucket"} {
		_, ok, err := directoryOf(location)
		require.NoError(t, err)
		require.False(t, ok, location)
	}
	for _, location := range []string{"file://", "file://relative", "file://host/dir", "file:///a?create_dir=1", "file:///a%20b", "file:///a#b"} {
		_, _, err := directoryOf(location)
		require.ErrorContains(t, err, "want file:///absolute/path", location)
	}
}

func TestAStoreThatCannotBeOpened(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, location := range map[string]string{
		"no location": "", "a file": file, "below a file": filepath.Join(file, "x"), "an unknown scheme": "nowhere://x", "not a URL": "file://x",
	} {
		s, err := Open(t.Context(), location)
		assert.ErrorContains(t, err, "open media store", name)
		assert.Nil(t, s, name)
	}
}

func TestADirectoryIsMadeForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "media")
	s := openStore(t, dir)
	require.NoError(t, s.Put(t.Context(), content("master", "x", "png"), []byte("x"), "image/png"))
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := entry.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is %s", path, info.Mode())
		return nil
	}))
}

func TestObjectsOutliveTheStore(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(t.Context(), dir)
	require.NoError(t, err)
	_, err = first.PutIfAbsent(t.Context(), "journal/a/b", []byte("kept"))
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.Equal(t, "kept", read(t, openStore(t, dir), "journal/a/b"))
}

// unfinished are the names of objects that are being written.
func unfinished(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, incoming))
	require.NoError(t, err)
	names := []string{}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, incoming), 0o700))
	for name, age := range map[string]time.Duration{"old": abandonedAfter + time.Minute, "young": abandonedAfter - time.Minute} {
		file := filepath.Join(dir, incoming, name)
		require.NoError(t, os.WriteFile(file, []byte("half"), 0o600))
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(file, at, at))
	}
	openStore(t, dir)
	require.Equal(t, []string{"young"}, unfinished(t, dir), "what another process may be writing stays")
}

// After an error an object is whole or absent, what it was to replace is as it
// was, and nothing is left lying about.
func TestAWriteThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	require.NoError(t, s.Put(t.Context(), "journal/a/b", []byte("old"), "application/octet-stream"))

	// An object stands where a directory would have to be.
	require.Error(t, s.Put(t.Context(), "journal/a/b/c", []byte("new"), "application/octet-stream"))
	created, err := s.PutIfAbsent(t.Context(), "journal/a/b/c", []byte("new"))
	require.Error(t, err)
	require.False(t, created)
	require.Empty(t, unfinished(t, dir))

	// A directory stands where the object would be.
	require.Error(t, s.Put(t.Context(), "journal/a/b/c", []byte("new"), "application/octet-stream"))
	require.NoError(t, s.Put(t.Context(), "journal/d/e/f", []byte("old"), "application/octet-stream"))
	require.Error(t, s.Put(t.Context(), "journal/d/e", []byte("new"), "application/octet-stream"))
	require.Empty(t, unfinished(t, dir))

	// The volume takes no more.
	require.NoError(t, os.Remove(filepath.Join(dir, incoming)))
	require.Error(t, s.Put(t.Context(), "journal/a/b", []byte("new"), "application/octet-stream"))
	created, err = s.PutIfAbsent(t.Context(), "journal/g/h", []byte("new"))
	require.Error(t, err)
	require.False(t, created)

	require.Equal(t, "old", read(t, s, "journal/a/b"))
	require.Equal(t, "old", read(t, s, "journal/d/e/f"))
	keys, _, err := s.List(t.Context(), "journal/")
	require.NoError(t, err)
	require.Equal(t, []string{"journal/a/b", "journal/d/e/f"}, keys)
}

func TestDirectoriesGoWithTheirLastObject(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	for _, key := range []string{"journal/a/1", "journal/a/b/1", "journal/c/1"} {
		require.NoError(t, s.Put(t.Context(), key, nil, MIMEType(key)))
	}
	require.NoError(t, s.Delete(t.Context(), "journal/a/b"), "others begin with it")
	require.Equal(t, "", read(t, s, "journal/a/b/1"))
	require.NoError(t, s.Delete(t.Context(), "journal/a/b/1"))
	require.NoDirExists(t, filepath.Join(dir, "journal", "a", "b"))
	require.NoError(t, s.Delete(t.Context(), "journal/a/1"))
	require.NoDirExists(t, filepath.Join(dir, "journal", "a"))
	require.NoError(t, s.Delete(t.Context(), "journal/c/1"))
	require.NoDirExists(t, filepath.Join(dir, "journal", "c"))

	// One goes away while another is stored beside it.
	var deleter sync.WaitGroup
	stop := make(chan struct{})
	deleter.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				assert.NoError(t, s.Delete(t.Context(), "journal/d/1"))
			}
		}
	})
	for range 200 {
		if !assert.NoError(t, s.Put(t.Context(), "journal/d/1", nil, "application/octet-stream")) {
			break
		}
	}
	close(stop)
	deleter.Wait()
}

// A link inside the directory does not lead the store out of it.
func TestTheStoreStaysInItsDirectory(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := openStore(t, dir)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "journal"), 0o700))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "journal", "a")))
	_, err := s.PutIfAbsent(t.Context(), "journal/a/b", []byte("x"))
	require.Error(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("x"), 0o600))
	_, _, err = s.Get(t.Context(), "journal/a/secret")
	require.Error(t, err)
}
