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

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
)

const (
	// Version is Apicurio's.
	Version = "3.3.3"
	// artifact is what Maven fetches; `all` holds every storage, Postgres among them.
	artifact = "io.apicurio:apicurio-registry-app:" + Version + ":tar.gz:all"
	// unpackGoal is the Maven plugin that fetches and unpacks it, pinned.
	unpackGoal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack"
	// javaMin is the oldest Java that Apicurio 3 runs on.
	javaMin = 21
)

var errNoJava = fmt.Errorf("missing: Java %d or newer, for the real registry of the tests (a Temurin 25 JDK; JAVA_HOME_25 may name its directory)", javaMin)

// app returns the jar that runs Apicurio, fetched if it is not in the cache; an
// empty cacheDir means atelier in the user's cache.
func app(ctx context.Context, cacheDir string, log zerolog.Logger) (string, error) {
	return embedded.Download{
		CacheDir: cacheDir, Name: "apicurio-" + Version, Holds: "quarkus-run.jar", Size: "159 MB", Fill: fetch,
	}.Get(ctx, log)
}

func fetch(ctx context.Context, dir string) error {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return errors.New("missing: Maven (package maven)")
	}
	unpack := exec.CommandContext(ctx, mvn, "-q", "-B", unpackGoal, "-Dartifact="+artifact, "-DoutputDirectory=.")
	unpack.Dir = dir // where the plugin leaves its own notes, too
	return child.Run(unpack)
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
