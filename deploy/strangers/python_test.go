package strangers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
)

// python returns the interpreter of a virtual environment with the packages of
// requirements.txt, installed if they are not in the cache. Its name holds a hash of
// requirements.txt and of the Python that it is for, so that a change is installed
// anew.
func python(ctx context.Context) (string, error) {
	system, err := exec.LookPath("python3")
	if err != nil {
		return "", errors.New("missing: Python 3.11 or newer (packages python3 and python3-venv)")
	}
	version, err := exec.CommandContext(ctx, system, "-c", "import sys; print(sys.executable, sys.version)").Output()
	if err != nil {
		return "", fmt.Errorf("ask python3 for its version: %w", err)
	}
	requirements, err := filepath.Abs("requirements.txt")
	if err != nil {
		return "", err
	}
	wanted, err := os.ReadFile(requirements)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append(version, wanted...))
	interpreter := filepath.Join("bin", "python")
	return embedded.Download{
		Name: "python-" + hex.EncodeToString(sum[:4]), Holds: interpreter, Size: "20 MB",
		// The interpreter finds its packages wherever the environment is; the scripts
		// beside it, which nobody runs, hold the path that they were installed in.
		Fill: func(ctx context.Context, dir string) error {
			if err := child.Run(exec.CommandContext(ctx, system, "-m", "venv", dir)); err != nil {
				return err
			}
			return child.Run(exec.CommandContext(ctx, filepath.Join(dir, interpreter), "-m", "pip", "install", "--quiet",
				"--disable-pip-version-check", "--require-hashes", "--only-binary=:all:", "-r", requirements))
		},
	}.Get(ctx, zerolog.Nop())
}
