// Command run starts a real Kafka and a private Postgres, runs a command that
// finds them by ATELIER_TEST_KAFKA and ATELIER_TEST_DATABASE_URL, and stops them:
//
//	go run ./deploy/kafka/run -- go test ./...
//
// It exits as the command does. A server whose variable is set already is used
// as it is. Nothing stays behind, whether the command ends, a signal comes, or
// this program is killed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"atelier/deploy/kafka"
	"atelier/internal/embedded/child"
	"atelier/internal/postgres/postgrestest"
)

const (
	// kafkaVariable is what the tests read (internal/kafka/kafkatest).
	kafkaVariable = "ATELIER_TEST_KAFKA"
	// commandGrace is how long the command gets to end after a signal.
	commandGrace = 10 * time.Second
	// exitUsage, exitStart and exitSignal are this program's own exit codes.
	exitUsage, exitStart, exitSignal = 2, 3, 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly, NoColor: true}).With().Timestamp().Logger()
	code := run(ctx, os.Args[1:], log)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, log zerolog.Logger) int {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		log.Error().Msg("usage: go run ./deploy/kafka/run -- command [argument ...]")
		return exitUsage
	}
	servers, env, err := startServers(ctx, log)
	defer closeAll(servers, log)
	if err != nil {
		log.Error().Err(err).Msg("servers for the tests did not start")
		return exitStart
	}
	code, err := runCommand(ctx, args, env)
	if err != nil {
		log.Error().Err(err).Msg("command did not run")
	}
	return code
}

// startServers starts both side by side. What it returns has to be closed, with
// an error too.
func startServers(ctx context.Context, log zerolog.Logger) (servers []io.Closer, env []string, err error) {
	type result struct {
		server io.Closer
		env    string
		err    error
	}
	starts := map[string]func(context.Context, zerolog.Logger) (io.Closer, string, error){
		kafkaVariable: startKafka, postgrestest.URLVariable: startPostgres,
	}
	results := make(chan result)
	pending := 0
	for variable, start := range starts {
		if os.Getenv(variable) != "" {
			continue
		}
		pending++
		go func() {
			server, address, err := start(ctx, log)
			results <- result{server, variable + "=" + address, err}
		}()
	}
	for range pending {
		r := <-results
		err = errors.Join(err, r.err)
		if r.server != nil {
			servers, env = append(servers, r.server), append(env, r.env)
		}
	}
	return servers, env, err
}

func startPostgres(ctx context.Context, log zerolog.Logger) (io.Closer, string, error) {
	server, err := postgrestest.Start(ctx, log)
	if err != nil {
		return nil, "", err
	}
	return server, server.URL, nil
}

func startKafka(ctx context.Context, log zerolog.Logger) (io.Closer, string, error) {
	dir, err := os.MkdirTemp("", "atelier-kafka-")
	if err != nil {
		return nil, "", err
	}
	broker, err := kafka.Start(ctx, kafka.Config{Dir: dir}, log)
	if err != nil {
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}
	keeper, err := child.StopAfterUs(broker.PID(), "KILL", dir)
	if err != nil {
		broker.Kill()
		return nil, "", errors.Join(err, os.RemoveAll(dir))
	}
	return keeper, broker.Addr(), nil
}

func closeAll(servers []io.Closer, log zerolog.Logger) {
	for _, s := range servers {
		if err := s.Close(); err != nil {
			log.Error().Err(err).Msg("server did not stop in order")
		}
	}
}

// runCommand returns the command's exit code. A signal to us ends the command
// first: it gets SIGTERM and ten seconds.
func runCommand(ctx context.Context, args, env []string) (int, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	process, err := child.Start(cmd, syscall.SIGTERM)
	if err != nil {
		return exitStart, err
	}
	select {
	case <-process.Done():
	case <-ctx.Done():
		process.SignalGroup(syscall.SIGTERM)
		timer := time.NewTimer(commandGrace)
		defer timer.Stop()
		select {
		case <-process.Done():
		case <-timer.C:
			process.SignalGroup(syscall.SIGKILL)
			<-process.Done()
		}
		return exitSignal, nil
	}
	var exit *exec.ExitError
	switch err := process.Err(); {
	case err == nil:
		return 0, nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exit.ExitCode(), nil
	default:
		return exitStart, fmt.Errorf("%s: %w", args[0], err)
	}
}
