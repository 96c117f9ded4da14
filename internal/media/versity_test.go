package media

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/embedded/child"
)

const (
	// gatewayPatience bounds the start of the server, its build at the first time
	// included.
	gatewayPatience = 15 * time.Minute
	// withoutStrangers set to "embedded" leaves other people's servers out of a run.
	withoutStrangers = "ATELIER_TEST_BROKERS_ONLY"
)

// gateway starts VersityGW, an S3 server that checks signatures, on a directory, and
// returns the location of its bucket. tools/s3 pins it.
func gateway(t *testing.T) string {
	t.Helper()
	if os.Getenv(withoutStrangers) == "embedded" {
		t.Skip("VersityGW is left out")
	}
	s3Keys(t)
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), gatewayPatience)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/s3/go.mod", "-n", "versitygw")
	build.Dir = root
	program, err := build.Output()
	require.NoError(t, err)

	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, testBucket), 0o700))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	cmd := exec.Command(string(bytes.TrimSpace(program)), "--access", "tester", "--secret", "tester-secret",
		"--region", "eu-central-1", "--port", address, "--quiet", "posix", dir)
	server, err := child.Start(cmd, syscall.SIGKILL)
	require.NoError(t, err)
	t.Cleanup(func() {
		server.Signal(os.Kill)
		<-server.Done()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, 30*time.Second, 20*time.Millisecond)
	return s3Location("http://" + address)
}

// What a server sees that does not believe every signature.
func TestSignaturesAreBelieved(t *testing.T) {
	location := gateway(t)
	testAnObject(t, openStore(t, location))
	testPutAndPutIfAbsent(t, openStore(t, location))
	raceForKey(t, []*Store{openStore(t, location), openStore(t, location)}, "journal/race/1")
	for name, wrong := range map[string][2]string{
		"another secret": {"AWS_SECRET_ACCESS_KEY", "another"}, "another key": {"AWS_ACCESS_KEY_ID", "another"}, "another region": {"AWS_REGION", "eu-west-1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(wrong[0], wrong[1])
			_, err := Open(t.Context(), location)
			require.ErrorContains(t, err, "open media store")
			require.NotContains(t, err.Error(), "tester-secret")
		})
	}
}
