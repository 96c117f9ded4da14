//go:build unix

package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asProgram makes the test binary the program itself.
const asProgram = "ATELIER_TEST_AS_RUN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs us with temporary files in dir, so that what is left is seen.
func program(dir, script string, servers ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], "--", "/bin/sh", "-c", script)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "ATELIER_TEST_") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(append(cmd.Env, asProgram+"=1", "TMPDIR="+dir), servers...)
	cmd.Stderr = os.Stderr
	return cmd
}

// openDir is a temporary directory that the user of Postgres can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "atelier-run-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o777))
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func TestCommandGetsServersThatAreThenGone(t *testing.T) {
	dir := openDir(t)
	out, err := program(dir, `echo "$ATELIER_TEST_KAFKA"; echo "$ATELIER_TEST_DATABASE_URL"; exit 7`).Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 7, exit.ExitCode(), "the command's exit code")
	lines := strings.Split(string(out), "\n")
	require.GreaterOrEqual(t, len(lines), 2)
	_, err = net.Dial("tcp", lines[0])
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	assert.True(t, strings.HasPrefix(lines[1], "postgres://"), "a URL")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestNothingIsLeftAfterASignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(s.String(), func(t *testing.T) {
			dir := openDir(t)
			// A Kafka takes long to start and ends as Postgres does: one is enough here.
			cmd := program(dir, `echo $$; exec sleep 600`, kafkaVariable+"=127.0.0.1:1")
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			line, err := bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			require.NoError(t, err)
			require.NoError(t, cmd.Process.Signal(s))
			require.Error(t, cmd.Wait())
			eventually(t, "the command runs on", func() bool { return syscall.Kill(pid, 0) != nil })
			eventually(t, "servers' files are left", func() bool {
				left, _ := filepath.Glob(filepath.Join(dir, "*"))
				return len(left) == 0
			})
		})
	}
}

func TestUsage(t *testing.T) {
	cmd := exec.Command(os.Args[0], "--")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	assert.Equal(t, exitUsage, exit.ExitCode())
}

func eventually(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-deadline.C:
			t.Fatal(otherwise)
		case <-tick.C:
		}
	}
}
