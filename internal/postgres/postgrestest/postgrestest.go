// Package postgrestest gives tests a database of their own on a real Postgres.
package postgrestest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
)

// URLVariable names a server to use instead of a private one: a URL whose user
// may create databases and roles.
const URLVariable = "ATELIER_TEST_DATABASE_URL"

const (
	// startTimeout bounds the start of the private server, its download at the
	// first time included.
	startTimeout = 5 * time.Minute
	// statementTimeout bounds making and dropping a database.
	statementTimeout = time.Minute
)

// shared is the test process's server. It holds the Server and not only its
// URL: the keeper stops the server as soon as the garbage collector has closed
// its pipe.
var shared = sync.OnceValues(func() (*Server, error) {
	if given := os.Getenv(URLVariable); given != "" {
		return &Server{URL: given}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return Start(ctx, zerolog.Nop())
})

// Server is a private server with throw-away data. It ends with this process,
// however that ends.
type Server struct {
	URL    string // superuser's, with password
	keeper io.Closer
}

// Start starts a private server that does not outlive this process.
func Start(ctx context.Context, log zerolog.Logger) (*Server, error) {
	dir, err := os.MkdirTemp("", "atelier-postgres-")
	if err != nil {
		return nil, err
	}
	// The server may run as another user, who has to walk through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	server, err := embedded.StartPostgres(ctx, embedded.PostgresConfig{DataDir: dir, Volatile: true}, log)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	keeper, err := child.StopAfterUs(server.PID(), "QUIT", dir, server.Dir())
	if err != nil {
		return nil, errors.Join(err, server.Close(ctx), os.RemoveAll(dir))
	}
	return &Server{URL: server.URL(), keeper: keeper}, nil
}

// Close stops the server and removes its data.
func (s *Server) Close() error { return s.keeper.Close() }

// New returns the URL of a fresh, empty database, dropped when the test ends.
// The databases of one server share its roles.
func New(t testing.TB) string {
	t.Helper()
	server, err := shared()
	if err != nil {
		t.Fatalf("postgrestest: %v", err)
	}
	name := "test_" + random()
	if err := admin(server.URL, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("postgrestest: make database: %v", err)
	}
	t.Cleanup(func() {
		// FORCE: a pool that a failed test left open must not keep it.
		if err := admin(server.URL, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("postgrestest: drop database: %v", err)
		}
	})
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatalf("postgrestest: %s is not a URL", URLVariable)
	}
	u.Path = "/" + name
	return u.String()
}

// admin runs one statement on the server's own database.
func admin(server, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	if err != nil {
		err = fmt.Errorf("%s: %w", statement, err)
	}
	return errors.Join(err, conn.Close(ctx))
}

func random() string {
	raw := make([]byte, 6)
	_, _ = rand.Read(raw) // never fails; crypto/rand says so
	return hex.EncodeToString(raw)
}
