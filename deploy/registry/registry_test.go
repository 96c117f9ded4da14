package registry_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/registry"
	"atelier/deploy/registry/registrytest"
)

const subject = "/subjects/somebody/versions"

func TestItsSchemasOutliveAKill(t *testing.T) {
	r := registrytest.Start(t)
	at, err := url.Parse(r.URL())
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", at.Hostname())
	r.Claim("somebody", "NONE", `"string"`)
	require.ErrorContains(t, r.Registry.Restart(t.Context()), "still runs")
	r.Kill()
	_, err = http.Get(r.URL() + subject)
	require.Error(t, err)
	r.Restart()
	answer, err := http.Get(r.URL() + subject + "/1")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	r.Close() // in order; what the cleanup kills is gone by then
}

// What is wrong is said in the program's own words, and without the password.
func TestAStartThatFailsSaysWhy(t *testing.T) {
	registrytest.NotEmbeddedOnly(t)
	home := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	script := "#!/bin/sh\nif [ \"$1\" = -version ]; then echo 'version \"25\"'; exit; fi\necho no memory\nexit 3\n"
	require.NoError(t, os.WriteFile(filepath.Join(home, "bin", "java"), []byte(script), 0o755))
	t.Setenv("JAVA_HOME_25", home)
	config := registry.Config{Dir: t.TempDir(), DatabaseURL: "postgres://ann:hunter2@127.0.0.1:1/none"}
	_, err := registry.Start(t.Context(), config, zerolog.Nop())
	require.ErrorContains(t, err, "registry ended (exit status 3): no memory")
	require.NotContains(t, err.Error(), "hunter2")
	config.DatabaseURL = "hunter2"
	_, err = registry.Start(t.Context(), config, zerolog.Nop())
	require.ErrorContains(t, err, "no URL")
	require.NotContains(t, err.Error(), "hunter2")
}
