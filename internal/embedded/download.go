package embedded

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
)

// downloadTimeout bounds one download (159 MB is the largest) and the wait for
// another process that does one.
const downloadTimeout = 10 * time.Minute

// Download is a directory of the cache, filled once for all processes of a user.
type Download struct {
	// CacheDir is the cache; empty means atelier in the user's cache.
	CacheDir string
	// Name is the directory's. It says which version it holds, by a hash if need
	// be: another version is another name.
	Name string
	// Holds is a path in it, without which it is not complete.
	Holds string
	// Size is what is fetched, for the log: "54 MB".
	Size string
	// Fill fetches into an empty directory, which gets its name when it is complete.
	Fill func(ctx context.Context, dir string) error
}

// Get returns the path of what the download holds, fetched if it is not there. A
// lock keeps two processes from fetching twice; the second finds it there.
func (d Download) Get(ctx context.Context, log zerolog.Logger) (string, error) {
	if d.CacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		d.CacheDir = filepath.Join(user, "atelier")
	}
	held := filepath.Join(d.CacheDir, d.Name, d.Holds)
	if there, err := exists(held); there || err != nil {
		return held, err
	}
	if err := d.fetch(ctx, held, log); err != nil {
		return "", fmt.Errorf("fetch %s: %w", d.Name, err)
	}
	return held, nil
}

func (d Download) fetch(ctx context.Context, held string, log zerolog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	unlock, err := waitLock(ctx, d.CacheDir)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // closes the file
	if there, err := exists(held); there || err != nil {
		return err
	}
	began, home := time.Now(), filepath.Join(d.CacheDir, d.Name)
	log.Info().Str("into", home).Str("size", d.Size).Msg("fetching, once")
	draft := home + ".new"
	for _, of := range []string{draft, home} { // what a killed process or an earlier build has left there
		if err := os.RemoveAll(of); err != nil {
			return err
		}
	}
	if err := os.Mkdir(draft, 0o755); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(draft) }()
	if err := d.Fill(ctx, draft); err != nil {
		return err
	}
	if err := os.Rename(draft, home); err != nil {
		return err
	}
	log.Info().Str("into", home).Dur("took", time.Since(began)).Msg("fetched")
	return nil
}
