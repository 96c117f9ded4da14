// Package kafka runs a real Kafka broker from Maven's jars, for tests: what the
// embedded broker cannot show (transactions whose markers are still on their
// way) shows here.
package kafka

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
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
	// startTimeout bounds one start; 3 to 6 seconds are usual.
	startTimeout = 90 * time.Second
	// stopTimeout is how long the broker gets to end in order.
	stopTimeout = 20 * time.Second
	// readyLine is what Kafka logs once its listeners are open and the
	// controller has let the broker in.
	readyLine = "Kafka Server started"
	// readyPoll is how often the log is looked through for it.
	readyPoll = 20 * time.Millisecond
	// startAttempts bounds the attempts to find two free ports (count).
	startAttempts = 3
	// heap is Java's memory: enough for tests, small beside the rest.
	heap = "-Xmx512m"
)

// Config says where a broker lives.
type Config struct {
	// Dir holds its data, settings and log. A broker started again on the same
	// directory finds its records and keeps its port.
	Dir string
	// CacheDir holds the jars; empty means atelier in the user's cache.
	CacheDir string
}

// Broker is a running Kafka on 127.0.0.1.
type Broker struct {
	config  Config
	libs    string
	port    int
	process *child.Process
	log     zerolog.Logger
}

// Start fetches the jars if they are not in the cache, and returns once the
// broker takes requests. The broker does not outlive this process (on Linux).
func Start(ctx context.Context, config Config, log zerolog.Logger) (*Broker, error) {
	libs, err := Jars(ctx, config.CacheDir, log)
	if err != nil {
		return nil, fmt.Errorf("start kafka: %w", err)
	}
	b := &Broker{config: config, libs: libs, log: log}
	for attempt := 1; ; attempt++ {
		err := b.prepare(ctx)
		if err == nil {
			err = b.launch(ctx)
		}
		if err == nil {
			return b, nil
		}
		if attempt == startAttempts || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("start kafka: %w", err)
		}
	}
}

// Addr is the address to connect to.
func (b *Broker) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(b.port)) }

// PID is the broker's process id.
func (b *Broker) PID() int { return b.process.PID() }

// Kill ends the broker as a crash would and waits until it is gone.
func (b *Broker) Kill() {
	b.process.Signal(syscall.SIGKILL)
	<-b.process.Done()
}

// Close stops the broker in order, by force after 20 seconds.
func (b *Broker) Close() {
	b.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-b.process.Done():
	case <-timer.C:
		b.Kill()
	}
}

// Restart starts a broker that was killed or closed, on the same port and data.
func (b *Broker) Restart(ctx context.Context) error {
	select {
	case <-b.process.Done():
	default:
		return errors.New("restart kafka: it still runs")
	}
	if err := b.launch(ctx); err != nil {
		return fmt.Errorf("restart kafka: %w", err)
	}
	return nil
}

func (b *Broker) logFile() string  { return filepath.Join(b.config.Dir, "kafka.log") }
func (b *Broker) settings() string { return filepath.Join(b.config.Dir, "server.properties") }

// prepare writes the settings for two free ports and formats the storage.
func (b *Broker) prepare(ctx context.Context) error {
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	b.port = ports[0]
	data := filepath.Join(b.config.Dir, "data")
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	filled := os.Expand(string(settingsTemplate), func(name string) string {
		return map[string]string{
			"BROKER_PORT":     strconv.Itoa(ports[0]),
			"CONTROLLER_PORT": strconv.Itoa(ports[1]),
			"LOG_DIR":         filepath.ToSlash(data),
		}[name]
	})
	if err := os.WriteFile(b.settings(), []byte(filled), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.config.Dir, "log4j2.xml"), logSettings, 0o644); err != nil {
		return err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return err
	}
	format := exec.CommandContext(ctx, "java", b.arguments("kafka.tools.StorageTool", "format", "--standalone",
		// A leading dash would be read as an option.
		"-t", "A"+base64.RawURLEncoding.EncodeToString(id)[1:], "-c", b.settings())...)
	if err := child.Run(format); err != nil {
		return fmt.Errorf("format storage: %w", err)
	}
	return nil
}

// arguments are Java's. The first compiler alone starts faster, and tests are
// over before the second would pay.
func (b *Broker) arguments(class string, more ...string) []string {
	return append([]string{
		heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dlog4j2.configurationFile=" + filepath.Join(b.config.Dir, "log4j2.xml"),
		"-cp", filepath.Join(b.libs, "*"), class,
	}, more...)
}

func (b *Broker) launch(ctx context.Context) error {
	began := time.Now()
	output, err := os.Create(b.logFile())
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command("java", b.arguments("kafka.Kafka", b.settings())...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = b.config.Dir, output, output
	process, err := child.Start(cmd, syscall.SIGKILL)
	if err != nil {
		return err
	}
	b.process = process
	if err := b.waitReady(ctx); err != nil {
		b.Kill()
		return err
	}
	b.log.Info().Str("address", b.Addr()).Int("pid", b.PID()).Dur("took", time.Since(began)).Msg("kafka is ready")
	return nil
}

func (b *Broker) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		said, err := os.ReadFile(b.logFile())
		if err != nil {
			return err
		}
		if bytes.Contains(said, []byte(readyLine)) {
			return nil
		}
		select {
		case <-b.process.Done():
			if bytes.Contains(said, []byte("Address already in use")) {
				return syscall.EADDRINUSE
			}
			return fmt.Errorf("kafka ended (%w): %s", b.process.Err(), child.LastWords(said))
		case <-ctx.Done():
			return fmt.Errorf("kafka is not ready: %w: %s", ctx.Err(), child.LastWords(said))
		case <-tick.C:
		}
	}
}

// freePorts finds ports that are free now; somebody may take one before Kafka
// does, which shows at its start.
func freePorts(ctx context.Context, n int) ([]int, error) {
	var ports []int
	for range n {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are held until all are found: no two are the same
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
