// Package strangers holds the tests with other people's clients: Kafka's own
// Java tools, kcat, and librdkafka through Python. What they read was written by
// our own session, and what they meet is our broker and our registry, so it
// belongs to neither; it is under deploy, because what stands here is what
// whoever runs Atelier may promise to the consumers of the stream.
package strangers

import (
	"context"
	"crypto/sha256"
	_ "embed" // the requirements travel with the program
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
)

// installTimeout bounds the installation (20 MB) and the wait for another
// process that does it.
const installTimeout = 10 * time.Minute

//go:embed requirements.txt
var requirements []byte

// Python returns the interpreter of a virtual environment with the packages of
// requirements.txt, installed if they are not in the cache; an empty cacheDir
// means atelier in the user's cache. Its name holds a hash of requirements.txt
// and of the Python that it is for, so that a change is installed anew.
func Python(ctx context.Context, cacheDir string, log zerolog.Logger) (string, error) {
	if cacheDir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cacheDir = filepath.Join(user, "atelier")
	}
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("missing: Python 3.11 or newer (packages python3 and python3-venv)")
	}
	version, err := exec.CommandContext(ctx, system, "-c", "import sys; print(sys.executable, sys.version)").Output()
	if err != nil {
		return "", fmt.Errorf("ask python3 for its version: %w", err)
	}
	sum := sha256.Sum256(append(version, requirements...))
	home := filepath.Join(cacheDir, "strangers-"+hex.EncodeToString(sum[:4]))
	python := filepath.Join(home, "bin", "python")
	if _, err := os.Stat(filepath.Join(home, doneFile)); err == nil {
		return python, nil
	}
	if err := install(ctx, system, cacheDir, home, log); err != nil {
		return "", fmt.Errorf("install python packages: %w", err)
	}
	return python, nil
}

// doneFile stands in an environment that is complete. It is not renamed into
// place when it is: its programs hold its path.
const doneFile = "atelier.done"

func install(ctx context.Context, python, cacheDir, home string, log zerolog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	unlock, err := embedded.WaitLock(ctx, cacheDir)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	if _, err := os.Stat(filepath.Join(home, doneFile)); err == nil {
		return nil
	}
	began := time.Now()
	log.Info().Str("into", home).Msg("installing python packages, once")
	if err := os.RemoveAll(home); err != nil { // what a killed process has left there
		return err
	}
	wanted := filepath.Join(home, "requirements.txt")
	steps := []func() error{
		func() error { return command(ctx, python, "-m", "venv", home) },
		func() error { return os.WriteFile(wanted, requirements, 0o644) },
		func() error {
			return command(ctx, filepath.Join(home, "bin", "python"), "-m", "pip", "install", "--quiet",
				"--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "-r", wanted)
		},
		func() error { return os.WriteFile(filepath.Join(home, doneFile), nil, 0o644) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	log.Info().Dur("took", time.Since(began)).Msg("installed python packages")
	return nil
}

func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		const most = 2_000 // bytes of its output
		if len(out) > most {
			out = out[len(out)-most:]
		}
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args[:2], " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
