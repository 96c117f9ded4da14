package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed" // the settings travel with the program
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
)

const (
	// Version is Kafka's; pom.xml says it too, and a test compares.
	Version = "4.3.1"
	// fetchTimeout bounds the download (54 MB) and the wait for another process
	// that does it.
	fetchTimeout = 10 * time.Minute
	// copyGoal is the Maven plugin that fetches jars, pinned.
	copyGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
)

var (
	//go:embed pom.xml
	pom []byte
	//go:embed server.properties
	settingsTemplate []byte
	//go:embed log4j2.xml
	logSettings []byte
)

// Jars returns the directory with Kafka's jars, its tools among them, fetched if
// they are not in the cache; an empty cacheDir means atelier in the user's cache.
// Its name holds a hash of
// pom.xml, so that a changed version is fetched anew and an old one never used.
func Jars(ctx context.Context, cacheDir string, log zerolog.Logger) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("missing: Java 17 or newer (package openjdk-17-jre-headless)")
	}
	if cacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cacheDir = filepath.Join(user, "atelier")
	}
	sum := sha256.Sum256(pom)
	home := filepath.Join(cacheDir, "kafka-"+Version+"-"+hex.EncodeToString(sum[:4]))
	libs := filepath.Join(home, "libs")
	if _, err := os.Stat(libs); err == nil {
		return libs, nil
	}
	if err := download(ctx, cacheDir, home, log); err != nil {
		return "", fmt.Errorf("fetch kafka %s: %w", Version, err)
	}
	return libs, nil
}

// download fetches into a directory of its own and renames it into place when
// complete; a lock keeps two processes from fetching twice.
func download(ctx context.Context, cacheDir, home string, log zerolog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	unlock, err := embedded.WaitLock(ctx, cacheDir)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	if _, err := os.Stat(home); err == nil {
		return nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("missing: Maven (package maven)")
	}
	began := time.Now()
	log.Info().Str("version", Version).Str("into", home).Msg("fetching kafka, 54 MB, once")
	draft := home + ".new" // what a killed process has left there is of no use
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.MkdirAll(draft, 0o755); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(draft) }()
	if err := os.WriteFile(filepath.Join(draft, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	fetch := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", "pom.xml", copyGoal, "-DoutputDirectory=libs")
	fetch.Dir = draft
	if out, err := fetch.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w: %s", err, lastLines(out))
	}
	if err := os.Rename(draft, home); err != nil {
		return err
	}
	log.Info().Dur("took", time.Since(began)).Msg("fetched kafka")
	return nil
}
