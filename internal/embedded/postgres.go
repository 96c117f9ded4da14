package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/embedded/child"
)

const (
	// postgresUser is the superuser and postgresDatabase the database of a
	// private server.
	postgresUser     = "atelier"
	postgresDatabase = "atelier"
	// postgresReadyTimeout bounds a start; crash recovery is what takes long.
	postgresReadyTimeout = 2 * time.Minute
	// postgresPoll is how often the server's status line is read.
	postgresPoll = 10 * time.Millisecond
	// postgresPorts bounds the attempts to find a free port (count): somebody
	// may take it between our look and the server's start.
	postgresPorts = 5
	// postgresKillAfter is how long a server gets to end at once when it did not
	// end in order.
	postgresKillAfter = 5 * time.Second
)

// PostgresConfig says where the private server keeps its data.
type PostgresConfig struct {
	// DataDir belongs to the server alone: the cluster, its password, its log.
	DataDir string
	// CacheDir is where the server's programs are installed, shared by all data
	// directories. Empty: /var/cache/atelier for root, else the user's cache.
	CacheDir string
	// Volatile trades durability for speed: no fsync. For tests.
	Volatile bool
}

// Postgres is a private server on 127.0.0.1 with a random port and password.
type Postgres struct {
	url     string
	pid     int
	process *child.Process // nil when the server was running already
	place   postgresPlace
	log     zerolog.Logger
}

// StartPostgres returns once the server takes connections. It adopts our own
// server when one still runs on the data directory; else it starts the pinned
// one from npm, or a Postgres of the system. Hold LockDataDir on the data
// directory or its parent.
func StartPostgres(ctx context.Context, config PostgresConfig, log zerolog.Logger) (*Postgres, error) {
	began := time.Now()
	p, err := startPostgres(ctx, config, log)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	log.Info().Int("pid", p.pid).Str("data_dir", p.place.base).Bool("adopted", p.process == nil).
		Dur("took", time.Since(began)).Msg("postgres is ready")
	return p, nil
}

func startPostgres(ctx context.Context, config PostgresConfig, log zerolog.Logger) (*Postgres, error) {
	place, err := findPlace(config.DataDir, log)
	if err != nil {
		return nil, err
	}
	if p, err := adopt(ctx, place, log); p != nil || err != nil {
		return p, err
	}
	programs, err := findPrograms(ctx, config.CacheDir, place.owner, log)
	if err != nil {
		return nil, err
	}
	place.bin = programs.bin
	password, err := place.initialise(ctx, programs, config.Volatile)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		p, err := launch(ctx, place, programs, config.Volatile, password)
		if err == nil {
			p.log = log
			return p, nil
		}
		if attempt == postgresPorts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
}

// launch starts the server on a port that is free now and waits until it is
// ready. A port taken in between gives EADDRINUSE.
func launch(ctx context.Context, place postgresPlace, programs programs, volatile bool, password string) (*Postgres, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	output, err := os.Create(place.logFile())
	if err != nil {
		return nil, fmt.Errorf("open server log: %w", err)
	}
	defer output.Close()
	cmd := place.owner.command(programs.path("postgres"), serverArguments(place.data, port, volatile)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = place.base, output, output
	process, err := child.Start(cmd, syscall.SIGINT)
	if err != nil {
		return nil, err
	}
	p := &Postgres{url: serverURL(port, password), pid: process.PID(), process: process, place: place}
	if err := p.waitReady(ctx); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// serverArguments are settings of the process rather than of a file, so that
// an old data directory gets today's.
func serverArguments(data string, port int, volatile bool) []string {
	settings := []string{
		"listen_addresses=127.0.0.1",
		"port=" + strconv.Itoa(port),
		"unix_socket_directories=",        // a path over 107 bytes would be fatal
		"dynamic_shared_memory_type=mmap", // containers have a small /dev/shm
		"timezone=UTC",
		"log_timezone=UTC",
		"max_connections=200",
		"jit=off", // compiles longer than our short queries run
		// Errors without the row or the statement: both may hold what a person wrote.
		"log_error_verbosity=terse",
		"log_min_error_statement=panic",
		"log_checkpoints=off",
	}
	if volatile {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=on")
	}
	arguments := []string{"-D", data}
	for _, s := range settings {
		arguments = append(arguments, "-c", s)
	}
	return arguments
}

func serverURL(port int, password string) string {
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(postgresUser, password), Path: postgresDatabase,
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), RawQuery: "sslmode=disable",
	}
	return u.String()
}

func freePort(ctx context.Context) (int, error) {
	l, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// waitReady polls the status line of postmaster.pid: the server writes "ready"
// there when it takes connections.
func (p *Postgres) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, postgresReadyTimeout)
	defer cancel()
	tick := time.NewTicker(postgresPoll)
	defer tick.Stop()
	for {
		select {
		case <-p.process.Done():
			return p.failure()
		case <-ctx.Done():
			return fmt.Errorf("server did not get ready: %w; see %s", ctx.Err(), p.place.logFile())
		case <-tick.C:
		}
		if running, err := readPostmaster(p.place.data); err == nil && running.pid == p.pid && running.status == "ready" {
			return nil
		}
	}
}

// failure says why the server ended, in its own last words.
func (p *Postgres) failure() error {
	raw, _ := os.ReadFile(p.place.logFile())
	if bytes.Contains(raw, []byte("could not create any TCP/IP sockets")) {
		return syscall.EADDRINUSE
	}
	return fmt.Errorf("server ended (%w): %s", p.process.Err(), child.LastWords(raw))
}

// URL is the connection URL of the superuser, password included: not for logs.
func (p *Postgres) URL() string { return p.url }

// PID is the server's process id.
func (p *Postgres) PID() int { return p.pid }

// Dir is where the cluster lives: DataDir, unless the user that Postgres runs as
// cannot reach it.
func (p *Postgres) Dir() string { return p.place.base }

// Done is closed when the server ends, whoever ended it. For an adopted server,
// which is not our child, it never is.
func (p *Postgres) Done() <-chan struct{} {
	if p.process == nil {
		return nil
	}
	return p.process.Done()
}

// Close stops the server in order: connections are cut, their transactions
// rolled back, the data written. When ctx ends first the server is stopped at
// once and recovers at its next start; that is an error.
func (p *Postgres) Close(ctx context.Context) error {
	if p.ended() {
		return nil
	}
	if err := p.signal(ctx, syscall.SIGINT); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	if err := p.waitGone(ctx); err != nil {
		p.kill()
		return fmt.Errorf("stop postgres: not in order: %w", err)
	}
	p.log.Info().Int("pid", p.pid).Msg("postgres stopped")
	return nil
}

// kill ends the server without order: SIGQUIT lets it end its backends.
func (p *Postgres) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), postgresKillAfter)
	defer cancel()
	_ = p.signal(ctx, syscall.SIGQUIT)
	if p.waitGone(ctx) != nil {
		_ = child.Kill(p.pid, syscall.SIGKILL)
		if p.process != nil {
			<-p.process.Done()
		}
	}
}

// ended guards against a signal to whoever has the server's number now.
func (p *Postgres) ended() bool {
	if p.process == nil {
		return !serves(postmaster{pid: p.pid}, p.place)
	}
	select {
	case <-p.process.Done():
		return true
	default:
		return false
	}
}

func (p *Postgres) signal(ctx context.Context, s syscall.Signal) error {
	return signalServer(ctx, p.place, p.pid, s)
}

func (p *Postgres) waitGone(ctx context.Context) error {
	if p.process != nil {
		select {
		case <-p.process.Done():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return waitEnded(ctx, []int{p.pid})
}

// waitEnded waits until none of pids runs.
func waitEnded(ctx context.Context, pids []int) error {
	tick := time.NewTicker(postgresPoll)
	defer tick.Stop()
	for _, pid := range pids {
		for child.Alive(pid) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("process %d: %w", pid, ctx.Err())
			case <-tick.C:
			}
		}
	}
	return nil
}
