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

var errNoJava = fmt.Errorf("missing: Java %d or newer (on the path, in /usr/lib/jvm or where JAVA_HOME_25 says; Temurin 25, say), for the real registry of the tests", javaMin)

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

// java finds a Java that is new enough, where `make need-java` looks too: the one
// that JAVA_HOME_25 names, the one on the path, or where Linux distributions put it.
func java(ctx context.Context) (string, error) {
	installed, err := filepath.Glob("/usr/lib/jvm/*/bin/java")
	if err != nil {
		return "", err
	}
	candidates := append([]string{"java"}, installed...)
	if home := os.Getenv("JAVA_HOME_25"); home != "" {
		candidates = append([]string{filepath.Join(home, "bin", "java")}, candidates...)
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
