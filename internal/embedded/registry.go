package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

const (
	// registryHeaderTimeout bounds how long a client may take to send a
	// request's headers.
	registryHeaderTimeout = 5 * time.Second
	// registryCloseTimeout bounds the wait for requests that run at Close.
	registryCloseTimeout = 2 * time.Second
	// readOnlyCode is Confluent's error code for a registry that takes no
	// writes (operation not permitted, HTTP 422).
	readOnlyCode = 42205
)

// SeedSubject is one released schema with its fixed place in the registry.
type SeedSubject struct {
	Subject     string
	Version, ID int
	Schema      string // Avro schema, JSON
}

// Registry is a Confluent-compatible schema registry in memory, read-only: the
// fake behind it says yes to every compatibility question and would register
// anything, under ids that no other machine knows.
type Registry struct {
	server   *http.Server
	listener net.Listener
	served   chan error
}

// StartRegistry serves subjects on a loopback address ("127.0.0.1:0" for any
// port).
func StartRegistry(ctx context.Context, address string, subjects []SeedSubject, log zerolog.Logger) (*Registry, error) {
	fake := srfake.NewRegistry(srfake.WithGlobalCompat(sr.CompatFullTransitive))
	fake.Intercept(refuseWrites)
	for _, s := range subjects {
		if err := seed(fake, s); err != nil {
			return nil, err
		}
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("registry address %q: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("registry address %q: the embedded registry listens on loopback only", address)
	}
	listener, err := listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	r := &Registry{
		server:   &http.Server{Handler: idsOfAnySubject(fake.Handler()), ReadHeaderTimeout: registryHeaderTimeout},
		listener: listener,
		served:   make(chan error, 1),
	}
	go func() { r.served <- r.server.Serve(listener) }()
	log.Info().Str("url", r.URL()).Int("schemas", len(subjects)).Msg("registry is ready")
	return r, nil
}

// seed turns the fake's panics about a bad or repeated entry into errors.
func seed(fake *srfake.Registry, s SeedSubject) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("seed registry with %s version %d: %v", s.Subject, s.Version, p)
		}
	}()
	fake.SeedSchema(s.Subject, s.Version, s.ID, sr.Schema{Schema: s.Schema})
	return nil
}

// URL is the registry's base URL, without a trailing slash.
func (r *Registry) URL() string { return "http://" + r.listener.Addr().String() }

// Close stops the registry and waits for requests that run, two seconds at most.
func (r *Registry) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), registryCloseTimeout)
	defer cancel()
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.server.Close())
	}
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// idsOfAnySubject answers for an id whatever subject the client guesses: to
// Confluent's registry ?subject only names where to begin, and its Python client
// sends the topic's name with -value, which is no subject of ours. The fake finds
// nothing there.
func idsOfAnySubject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id, ok := strings.CutPrefix(r.URL.Path, "/schemas/ids/"); ok && !strings.Contains(strings.TrimSuffix(id, "/schema"), "/") {
			query := r.URL.Query()
			query.Del("subject")
			r.URL.RawQuery = query.Encode()
		}
		next.ServeHTTP(w, r)
	})
}

// refuseWrites lets through reads and the look-up POST /subjects/{subject},
// and answers 422 to the rest. Paths are those that clients send; the mux
// behind it knows no others.
func refuseWrites(w http.ResponseWriter, r *http.Request) (handled bool) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || isLookup(r) {
		return false
	}
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(http.StatusUnprocessableEntity)
	_, _ = fmt.Fprintf(w, `{"error_code":%d,"message":"the embedded registry is read-only: schemas come from registry.lock.json"}`, readOnlyCode)
	return true
}

func isLookup(r *http.Request) bool {
	subject, ok := strings.CutPrefix(r.URL.EscapedPath(), "/subjects/")
	return r.Method == http.MethodPost && ok && subject != "" && !strings.Contains(subject, "/")
}
