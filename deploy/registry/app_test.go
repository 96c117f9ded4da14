package registry

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJavasVersionIsRead(t *testing.T) {
	for said, major := range map[string]int{
		"openjdk version \"25.0.1\" 2025-10-21 LTS\n": 25, `openjdk version "17.0.15" 2025-04-15`: 17,
		`java version "1.8.0_392"`: 1, "openjdk version \"26-ea\" 2026-03-17": 26, "command not found": 0,
	} {
		require.Equal(t, major, javaMajor(said), said)
	}
}

// Of several the first that is new enough is taken; without one, one line says
// what is missing.
func TestTheFirstJavaThatIsNewEnough(t *testing.T) {
	dir := t.TempDir()
	candidate := func(version string) string {
		path := filepath.Join(dir, version)
		script := "#!/bin/sh\necho 'openjdk version \"" + version + "\"' >&2\n"
		require.NoError(t, os.WriteFile(path, []byte(script), 0o755))
		return path
	}
	old, young := candidate("17.0.15"), candidate("25.0.1")
	found, err := newEnough(t.Context(), []string{filepath.Join(dir, "none"), old, young})
	require.NoError(t, err)
	require.Equal(t, young, found)
	_, err = newEnough(t.Context(), []string{old})
	require.ErrorIs(t, err, errNoJava)
	require.ErrorContains(t, err, "missing: Java 21")
}
