// Package registrytest gives tests a real schema registry.
package registrytest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/registry"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
)

// startTimeout bounds the start of a registry, its download and that of its
// Postgres at the first time included.
const startTimeout = 10 * time.Minute

// Real is a registry of one test's own, for tests that kill it too.
type Real struct {
	*registry.Registry
	t testing.TB
}

// Start starts a registry for this test alone, on a fresh database.
func Start(t testing.TB) *Real {
	t.Helper()
	NotEmbeddedOnly(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	// The database is dropped after the registry has ended: cleanups run backwards.
	r, err := registry.Start(ctx, registry.Config{Dir: t.TempDir(), DatabaseURL: postgrestest.New(t)}, zerolog.Nop())
	if err != nil {
		t.Fatalf("registrytest: %v", err)
	}
	t.Cleanup(r.Kill)
	return &Real{Registry: r, t: t}
}

// Restart starts it again on the same address and database, after a Kill.
func (r *Real) Restart() {
	r.t.Helper()
	if err := r.Registry.Restart(r.t.Context()); err != nil {
		r.t.Fatalf("registrytest: %v", err)
	}
}

// Claim registers a schema as somebody else would, who uses the registry too, under
// a level of theirs. Behind it the registry gives no schema of ours the lock's id.
func (r *Real) Claim(subject, level, schema string) {
	r.t.Helper()
	r.send(http.MethodPut, "/config/"+subject, map[string]string{"compatibility": level})
	r.send(http.MethodPost, "/subjects/"+subject+"/versions", map[string]string{"schema": schema})
}

func (r *Real) send(method, path string, body map[string]string) {
	r.t.Helper()
	sent, err := json.Marshal(body)
	require.NoError(r.t, err)
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.URL()+path, bytes.NewReader(sent))
	require.NoError(r.t, err)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(r.t, err)
	require.NoError(r.t, answer.Body.Close())
	require.Equal(r.t, http.StatusOK, answer.StatusCode, path)
}

// NotEmbeddedOnly skips the test where only embedded parts are asked for.
func NotEmbeddedOnly(t testing.TB) {
	t.Helper()
	if kafkatest.EmbeddedOnly(t) {
		t.Skip("and so is the real registry")
	}
}
