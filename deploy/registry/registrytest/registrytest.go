// Package registrytest gives tests a real schema registry.
package registrytest

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

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

// NotEmbeddedOnly skips the test where only embedded parts are asked for.
func NotEmbeddedOnly(t testing.TB) {
	t.Helper()
	if kafkatest.EmbeddedOnly(t) {
		t.Skip("and so is the real registry")
	}
}
