// Package registry runs a real schema registry (Apicurio, from Maven) with its
// schemas in a Postgres database, for tests: it gives ids of its own, refuses
// what is incompatible, and can be away, none of which the embedded one does.
package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded/child"
)

const (
	// startTimeout bounds one start; 5 to 10 seconds are usual.
	startTimeout = 90 * time.Second
	// stopTimeout is how long the registry gets to end in order.
	stopTimeout = 20 * time.Second
	// readyPoll is how often it is asked whether it answers, askTimeout what one
	// question may take.
	readyPoll  = 50 * time.Millisecond
	askTimeout = 5 * time.Second
	// startAttempts bounds the attempts to find a free port (count).
	startAttempts = 3
	// heap is Java's memory: enough for tests, small beside the rest.
	heap = "-Xmx256m"
	// apiPath is where Apicurio speaks Confluent's API.
	apiPath = "/apis/ccompat/v7"
)

// Config says where a registry lives.
type Config struct {
	// Dir holds its log.
	Dir string
	// DatabaseURL is an empty Postgres database, or one that a registry has used:
	// postgres://user:password@host:port/name. A registry started again on the
	// same one finds its schemas.
	DatabaseURL string
	// CacheDir holds the program; empty means atelier in the user's cache.
	CacheDir string
}

// Registry is a running Apicurio on 127.0.0.1.
type Registry struct {
	config    Config
	app, java string // the jar, and what runs it
	port      int
	process   *child.Process
	log       zerolog.Logger
}

// Start fetches Apicurio if it is not in the cache, and returns once it answers.
// It does not outlive this process (on Linux).
func Start(ctx context.Context, config Config, log zerolog.Logger) (*Registry, error) {
	r := &Registry{config: config, log: log}
	err := r.start(ctx)
	if err != nil {
		return nil, fmt.Errorf("start registry: %w", err)
	}
	return r, nil
}

func (r *Registry) start(ctx context.Context) (err error) {
	if r.java, err = java(ctx); err != nil {
		return err
	}
	if r.app, err = app(ctx, r.config.CacheDir, r.log); err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		if r.port, err = freePort(ctx); err != nil {
			return err
		}
		if err = r.launch(ctx); attempt == startAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// URL is the base URL of Confluent's API, without a trailing slash.
func (r *Registry) URL() string { return "http://127.0.0.1:" + strconv.Itoa(r.port) + apiPath }

// PID is the registry's process id.
func (r *Registry) PID() int { return r.process.PID() }

// Kill ends the registry as a crash would and waits until it is gone.
func (r *Registry) Kill() {
	r.process.Signal(syscall.SIGKILL)
	<-r.process.Done()
}

// Close stops the registry in order, by force after 20 seconds.
func (r *Registry) Close() {
	r.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-r.process.Done():
	case <-timer.C:
		r.Kill()
	}
}

// Restart starts a registry that was killed or closed, on the same port and
// database.
func (r *Registry) Restart(ctx context.Context) error {
	select {
	case <-r.process.Done():
	default:
		return errors.New("restart registry: it still runs")
	}
	if err := r.launch(ctx); err != nil {
		return fmt.Errorf("restart registry: %w", err)
	}
	return nil
}

func (r *Registry) logFile() string { return filepath.Join(r.config.Dir, "registry.log") }

func (r *Registry) launch(ctx context.Context) error {
	began := time.Now()
	settings, err := r.settings()
	if err != nil {
		return err
	}
	output, err := os.Create(r.logFile())
	if err != nil {
		return err
	}
	defer output.Close()
	// The first compiler alone starts faster, and tests are over before the
	// second would pay.
	cmd := exec.Command(r.java, heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", r.app)
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.config.Dir, output, output
	cmd.Env = append(os.Environ(), settings...)
	process, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	r.process = process
	if err := r.waitReady(ctx); err != nil {
		r.Kill()
		return err
	}
	r.log.Info().Str("url", r.URL()).Int("pid", r.PID()).Dur("took", time.Since(began)).Msg("registry is ready")
	return nil
}

// settings are Apicurio's, as variables: the password must not show in a process list.
func (r *Registry) settings() ([]string, error) {
	database, err := url.Parse(r.config.DatabaseURL)
	if err != nil || database.Host == "" {
		return nil, errors.New("the database's address is no URL, such as postgres://user:password@host:5432/name")
	}
	password, _ := database.User.Password()
	return []string{
		"APICURIO_STORAGE_KIND=sql",
		"APICURIO_STORAGE_SQL_KIND=postgresql",
		"APICURIO_DATASOURCE_URL=jdbc:postgresql://" + database.Host + database.Path,
		"APICURIO_DATASOURCE_USERNAME=" + database.User.Username(),
		"APICURIO_DATASOURCE_PASSWORD=" + password,
		"QUARKUS_HTTP_HOST=127.0.0.1",
		"QUARKUS_HTTP_PORT=" + strconv.Itoa(r.port),
		// A second listener, which cannot be left out: any port, this machine only.
		"QUARKUS_MANAGEMENT_HOST=127.0.0.1",
		"QUARKUS_MANAGEMENT_PORT=0",
	}, nil
}

func (r *Registry) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for !r.answers(ctx) {
		select {
		case <-r.process.Done():
			said, err := os.ReadFile(r.logFile())
			if bytes.Contains(said, []byte("already bound")) {
				return syscall.EADDRINUSE
			}
			return errors.Join(fmt.Errorf("registry ended (%w): %s", r.process.Err(), child.LastWords(said)), err)
		case <-ctx.Done():
			said, err := os.ReadFile(r.logFile())
			return errors.Join(fmt.Errorf("registry is not ready: %w: %s", ctx.Err(), child.LastWords(said)), err)
		case <-tick.C:
		}
	}
	return nil
}

func (r *Registry) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL()+"/subjects", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// freePort finds a port that is free now; somebody may take it before the
// registry does, which shows at its start.
func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
