package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"atelier/bench"
	"atelier/internal/embedded"
	"atelier/internal/kafka"
	"atelier/schemas"
)

type benchCmd struct {
	Decide benchDecideCmd `cmd:"" help:"Commands a second, time to an outcome and to a visible read, restores."`
	Images benchImagesCmd `cmd:"" help:"Processor time and memory of one image: decode, checks, thumbnail, export."`
}

type benchDecideCmd struct {
	JSON     bool `name:"json" help:"As one JSON object."`
	Runs     int  `default:"3" help:"How often everything is measured; the figure is the median."`
	Accounts int  `default:"2000" help:"Accounts that send commands."`
	Rounds   int  `default:"8" help:"Batches of four images that each account asks for."`
	Idle     int  `default:"8000" help:"Further accounts that a restore reads."`
	Singles  int  `default:"200" help:"Commands that are sent one at a time; twice as many at most as there are accounts."`
	Seconds  int  `default:"10" help:"How long people save brands and read them."`
}

const (
	// benchMost bounds each of the counts.
	benchMost = 1_000_000
	// benchCommandsMost bounds the backlog, of which each command is some 1.5 KB in
	// memory and 10 KB on the broker's disk with what follows from it: a slip of a zero
	// should not fill either.
	benchCommandsMost = 1_000_000
)

func (cmd benchDecideCmd) validate() error {
	for _, n := range []struct {
		name         string
		value, least int
	}{
		{"runs", cmd.Runs, 1}, {"accounts", cmd.Accounts, 2}, {"rounds", cmd.Rounds, 1}, {"idle", cmd.Idle, 0}, {"singles", cmd.Singles, 1}, {"seconds", cmd.Seconds, 1},
	} {
		if n.value < n.least || n.value > benchMost {
			return fmt.Errorf("%w: --%s is %d; it may be %d to %d", errUsage, n.name, n.value, n.least, benchMost)
		}
	}
	// A round is a batch, three images completed and one canceled (bench/mix).
	if commands := cmd.Accounts * (2 + 5*cmd.Rounds); commands > benchCommandsMost {
		return fmt.Errorf("%w: --accounts and --rounds make %d commands; it may be %d at most", errUsage, commands, benchCommandsMost)
	}
	if 2*cmd.Singles > cmd.Accounts {
		return fmt.Errorf("%w: --singles is %d; it may be half of --accounts (%d) at most", errUsage, cmd.Singles, cmd.Accounts)
	}
	return nil
}

// Run measures what is given by ATELIER_BROKERS and DATABASE_URL, under a prefix
// and in a database of its own, and embedded parts where they are not given.
func (cmd benchDecideCmd) Run(ctx context.Context, c *Config, out io.Writer) (err error) {
	if err := cmd.validate(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "atelier-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// The private Postgres may run as another user, who has to walk through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	report := bench.Report{Bench: "decide", Broker: "kafka", Machine: bench.ThisMachine()}
	if len(c.Brokers) == 0 {
		report.Broker = "embedded"
	}
	w := benchWorld{Config: *c, dir: dir}
	w.TopicPrefix = c.TopicPrefix + "bench-" + schemas.NewID() + "."
	w.LogLevel = quieter(c.LogLevel)
	// The database first: whoever may not make one, should not hear it after minutes.
	remove, err := w.makeDatabase(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	decided, err := cmd.decide(ctx, w, &report.Machine)
	if err != nil {
		return err
	}
	whole, err := cmd.whole(ctx, w)
	if err != nil {
		return err
	}
	report.Figures = append(decided, whole...)
	if cmd.JSON {
		return report.JSON(out)
	}
	return report.Table(out)
}

type benchImagesCmd struct {
	JSON   bool `name:"json" help:"As one JSON object."`
	Runs   int  `default:"3" help:"How often everything is measured; the figure is the median."`
	Images int  `default:"10" help:"Images of a run, one after the other."`
}

// Run measures in this process, on a picture that it draws.
func (cmd benchImagesCmd) Run(ctx context.Context, out io.Writer) error {
	if cmd.Runs < 1 || cmd.Images < 1 || cmd.Runs > benchMost || cmd.Images > benchMost {
		return fmt.Errorf("%w: --runs and --images may be 1 to %d", errUsage, benchMost)
	}
	figures, err := bench.Images(ctx, bench.ImagesConfig{Runs: cmd.Runs, Images: cmd.Images, Progress: progressOf})
	if err != nil {
		return err
	}
	report := bench.Report{Bench: "images", Machine: bench.ThisMachine(), Figures: figures}
	if cmd.JSON {
		return report.JSON(out)
	}
	return report.Table(out)
}

// quieter leaves out what parts say of their life: they start and end many times.
func quieter(level string) string {
	if parsed, err := zerolog.ParseLevel(level); err == nil && parsed == zerolog.InfoLevel {
		return zerolog.LevelWarnValue
	}
	return level
}

// benchWorld is the configuration of what is measured: brokers, database, or none.
type benchWorld struct {
	Config
	dir string
}

// decide measures the decider alone.
func (cmd benchDecideCmd) decide(ctx context.Context, w benchWorld, machine *bench.Machine) (figures []bench.Figure, err error) {
	if len(w.Brokers) == 0 {
		broker, err := embedded.StartBroker(ctx, embedded.BrokerConfig{DataDir: filepath.Join(w.dir, "broker"), Partitions: int32(w.Partitions)}, w.logger())
		if err != nil {
			return nil, err
		}
		defer broker.Close()
		w.Brokers = broker.Addrs()
	}
	replication, err := w.replication(ctx, machine)
	if err != nil {
		return nil, err
	}
	return bench.Decide(ctx, bench.DecideConfig{
		Kafka: w.kafka("bench", w.logger()), Partitions: w.Partitions, Replication: replication, Codec: schemas.NewLockedCodec(),
		Runs: cmd.Runs, Accounts: cmd.Accounts, Rounds: cmd.Rounds, Idle: cmd.Idle, Singles: cmd.Singles, Progress: progressOf,
	})
}

// replication is ATELIER_REPLICATION, or as many brokers as there are: what is
// measured has to be lost at no one's cost.
func (w *benchWorld) replication(ctx context.Context, machine *bench.Machine) (int, error) {
	admin, err := w.admin(ctx)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	cluster, err := admin.Cluster(ctx)
	if err != nil {
		return 0, err
	}
	machine.BrokerVersion = cluster.Version
	return min(w.Replication, cluster.Brokers), nil
}

// whole measures `atelier up`: how long a warm start takes, and how soon what
// people do is visible.
func (cmd benchDecideCmd) whole(ctx context.Context, w benchWorld) (figures []bench.Figure, err error) {
	if err := w.prepareUp(ctx); err != nil {
		return nil, err
	}
	if len(w.Brokers) > 0 {
		defer func() { err = errors.Join(err, w.removeTopics(ctx)) }()
	}
	// The first start makes what the others find.
	h, _, err := w.up(ctx)
	if err != nil {
		return nil, err
	}
	if err := h.stop(); err != nil {
		return nil, err
	}
	var f bench.Figures
	for run := range cmd.Runs {
		if err := cmd.oneUp(ctx, w, run, &f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (cmd benchDecideCmd) oneUp(ctx context.Context, w benchWorld, run int, to *bench.Figures) (err error) {
	h, readyAfter, err := w.up(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop()) }()
	p50, p99, err := bench.Visible(ctx, bench.VisibleConfig{
		URL: h.PublicURL, People: fmt.Sprint("run-", run), For: time.Duration(cmd.Seconds) * time.Second,
		Progress: progressOf(fmt.Sprintf("run %d of %d, visible", run+1, cmd.Runs)),
	})
	if err != nil {
		return err
	}
	to.Add("visible.p50_ms", "ms", p50)
	to.Add("visible.p99_ms", "ms", p99)
	to.Add("ready.warm_s", "s", readyAfter.Seconds())
	return nil
}

// makeDatabase makes one of its own where a server is given. What it returns
// removes it.
func (w *benchWorld) makeDatabase(ctx context.Context) (remove func() error, err error) {
	if w.DatabaseURL == "" {
		return func() error { return nil }, nil
	}
	made, err := makeDatabase(ctx, w.DatabaseURL)
	if err != nil {
		return func() error { return nil }, err
	}
	w.DatabaseURL = made.url
	return func() error { return made.drop(ctx) }, nil
}

// prepareUp sets what `up` is to be run with.
func (w *benchWorld) prepareUp(ctx context.Context) (err error) {
	w.Data, w.MediaURL, w.MasterKey, w.MediaKey = filepath.Join(w.dir, "up"), "", "", ""
	w.Listen, w.OperatorListen, w.BrokerListen, w.RegistryListen, w.PublicURL = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", ""
	w.JWTIssuer, w.RegistryURL, w.GeminiAPIKey, w.GeminiBaseURL = "", "", "", "" // the embedded ones
	// Few people do what many would.
	w.LimitReads, w.LimitWrites = benchMost, benchMost
	if len(w.Brokers) > 0 {
		w.Replication, err = w.replication(ctx, new(bench.Machine))
	}
	return err
}

// benchCleanTimeout bounds the removal of topics, and of the database.
const benchCleanTimeout = time.Minute

func (w *benchWorld) removeTopics(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), benchCleanTimeout)
	defer cancel()
	admin, err := kafka.NewAdmin(w.kafka("bench", w.logger()))
	if err != nil {
		return err
	}
	defer admin.Close()
	return admin.RemoveAll(ctx)
}

// upRunning is an `atelier up` in this process.
type upRunning struct {
	*house
	stop func() error
}

// up starts it and returns when it is ready, and how long that took.
func (w *benchWorld) up(ctx context.Context) (upRunning, time.Duration, error) {
	config := w.Config // what it finds out on the way is its own
	h := newHouse(&config, io.Discard)
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- h.run(running) }()
	stop := func() error {
		cancel()
		return <-ended
	}
	select {
	case <-h.ready:
		return upRunning{h, stop}, time.Since(began), nil
	case err := <-ended:
		cancel()
		return upRunning{}, 0, errors.Join(errors.New("`atelier up` ended before it was ready"), err)
	case <-ctx.Done():
		return upRunning{}, 0, errors.Join(ctx.Err(), stop())
	}
}
