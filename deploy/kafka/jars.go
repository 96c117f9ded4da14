package kafka

import (
	"context"
	"crypto/sha256"
	_ "embed" // the settings travel with the program
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
)

const (
	// Version is Kafka's; pom.xml says it too, and a test compares.
	Version = "4.3.1"
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
// Its name holds a hash of pom.xml, so that a changed version is fetched anew and
// an old one never used.
func Jars(ctx context.Context, cacheDir string, log zerolog.Logger) (string, error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("missing: Java 17 or newer (package openjdk-17-jre-headless)")
	}
	sum := sha256.Sum256(pom)
	return embedded.Download{
		CacheDir: cacheDir, Name: "kafka-" + Version + "-" + hex.EncodeToString(sum[:4]), Holds: "libs", Size: "54 MB", Fill: fetch,
	}.Get(ctx, log)
}

func fetch(ctx context.Context, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("missing: Maven (package maven)")
	}
	if err := os.WriteFile(filepath.Join(dir, "pom.xml"), pom, 0o644); err != nil {
		return err
	}
	jars := exec.CommandContext(ctx, mvn, "-q", "-B", "-f", "pom.xml", copyGoal, "-DoutputDirectory=libs")
	jars.Dir = dir
	return child.Run(jars)
}
