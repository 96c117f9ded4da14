package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
)

const (
	// Version is Apicurio's.
	Version = "3.3.3"
	// artifact is what Maven fetches; `all` holds every storage, Postgres among them.
	artifact = "io.apicurio:apicurio-registry-app:" + Version + ":tar.gz:all"
	// unpackGoal is the Maven plugin that fetches and unpacks it, pinned.
	unpackGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack"
	// fetchTimeout bounds the download (159 MB) and the wait for another process
	// that does it.
	fetchTimeout = 10 * time.Minute
	// javaMin is the oldest Java that Apicurio 3 runs on.
	javaMin = 21
)

var errNoJava = fmt.Errorf("missing: Java %d or newer, for the real registry of the tests (a Temurin 25 JDK; JAVA_HOME_25 may name its directory)", javaMin)

// app returns the directory with Apicurio, fetched if it is not in the cache; an
// empty cacheDir means atelier in the user's cache.
func app(ctx context.Context, cacheDir string, log zerolog.Logger) (string, error) {
	if cacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cacheDir = filepath.Join(user, "atelier")
	}
	home := filepath.Join(cacheDir, "apicurio-"+Version)
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if err := download(ctx, cacheDir, home, log); err != nil {
		return "", fmt.Errorf("fetch apicurio %s: %w", Version, err)
	}
	return home, nil
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
	log.Info().Str("version", Version).Str("into", home).Msg("fetching apicurio, 159 MB, once")
	draft := home + ".new" // what a killed process has left there is of no use
	if err := os.RemoveAll(draft); err != nil {
		return err
	}
	if err := os.MkdirAll(draft, 0o755); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(draft) }()
	unpacked := filepath.Join(draft, "app")
	fetch := exec.CommandContext(ctx, mvn, "-q", "-B", unpackGoal, "-Dartifact="+artifact, "-DoutputDirectory="+unpacked)
	fetch.Dir = draft // the plugin leaves its own notes where it runs
	if out, err := fetch.CombinedOutput(); err != nil {
		return fmt.Errorf("mvn: %w: %s", err, lastLines(out))
	}
	if err := os.Rename(unpacked, home); err != nil {
		return err
	}
	log.Info().Dur("took", time.Since(began)).Msg("fetched apicurio")
	return nil
}

// java finds a Java that is new enough: the one that JAVA_HOME_25 names, one
// where Linux distributions put it, or the one on the path.
func java(ctx context.Context) (string, error) {
	var candidates []string
	if home := os.Getenv("JAVA_HOME_25"); home != "" {
		candidates = append(candidates, filepath.Join(home, "bin", "java"))
	}
	installed, err := filepath.Glob("/usr/lib/jvm/*25*/bin/java")
	if err != nil {
		return "", err
	}
	candidates = append(candidates, installed...)
	if onPath, err := exec.LookPath("java"); err == nil {
		candidates = append(candidates, onPath)
	}
	return newEnough(ctx, candidates)
}

func newEnough(ctx context.Context, candidates []string) (string, error) {
	for _, candidate := range candidates {
		said, err := exec.CommandContext(ctx, candidate, "-version").CombinedOutput()
		if err == nil && javaMajor(string(said)) >= javaMin {
			return candidate, nil
		}
	}
	return "", errNoJava
}

var javaVersion = regexp.MustCompile(`version "(\d+)`)

// javaMajor reads what `java -version` says, such as `openjdk version "25.0.1"`;
// 0 is no version.
func javaMajor(said string) int {
	m := javaVersion.FindStringSubmatch(said)
	if m == nil {
		return 0
	}
	major, _ := strconv.Atoi(m[1])
	return major
}

// lastLines is what an error may carry of a program's output.
func lastLines(out []byte) string {
	const most = 2_000 // bytes
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return strings.TrimSpace(string(out))
}
