package registrytest

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"atelier/internal/embedded"
)

// Gate is an embedded registry behind a gate, for tests in which it does not
// answer. It is safe for concurrent use.
type Gate struct {
	URL string

	mu sync.Mutex
	// opens is closed when the gate opens; nil while it is open.
	opens     chan struct{}
	refuses   bool
	questions int
}

// StartGate starts a registry that knows the subjects. Its gate is open.
func StartGate(t testing.TB, subjects []embedded.SeedSubject) *Gate {
	t.Helper()
	registry, err := embedded.StartRegistry(t.Context(), "127.0.0.1:0", subjects, zerolog.Nop())
	if err != nil {
		t.Fatalf("registrytest: %v", err)
	}
	t.Cleanup(func() { _ = registry.Close() })
	behind, err := url.Parse(registry.URL())
	if err != nil {
		t.Fatalf("registrytest: %v", err)
	}
	g := &Gate{}
	server := httptest.NewServer(g.before(httputil.NewSingleHostReverseProxy(behind)))
	t.Cleanup(server.Close)
	t.Cleanup(g.Open)
	g.URL = server.URL
	return g
}

func (g *Gate) before(registry http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.questions++
		opens, refuses := g.opens, g.refuses
		g.mu.Unlock()
		switch {
		case refuses:
			w.WriteHeader(http.StatusBadGateway)
			return
		case opens != nil:
			select {
			case <-opens:
			case <-r.Context().Done(): // who asked does not wait any longer
				return
			}
		}
		registry.ServeHTTP(w, r)
	})
}

// Shut lets questions wait until Open.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opens == nil {
		g.opens = make(chan struct{})
	}
}

// Refuse answers questions until Open as a proxy does that has lost its registry.
func (g *Gate) Refuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuses = true
}

// Open lets everything through.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuses = false
	if g.opens != nil {
		close(g.opens)
		g.opens = nil
	}
}

// Questions is how many have come (count), answered or not.
func (g *Gate) Questions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.questions
}
