package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"atelier/bench/mix"
	"atelier/internal/kafka"
	"atelier/processors/decider"
	"atelier/schemas"
)

const (
	// recordsAtOnce bounds what is produced before it is waited for (count).
	recordsAtOnce = 2_000
	// patience bounds each wait for something to begin or to end.
	patience = 5 * time.Minute
	// lookEvery is how often a wait looks.
	lookEvery = 2 * time.Millisecond
	// cleanTimeout bounds the removal of what a run made.
	cleanTimeout = time.Minute
)

// DecideConfig is what the decider is measured on. All topics and groups are made
// under the prefix of Kafka, which must be nobody else's, and removed again.
type DecideConfig struct {
	Kafka kafka.Config
	// Partitions and Replication are of the topics that are made.
	Partitions, Replication int
	Codec                   *schemas.Codec
	// Runs is how often everything is measured, bare and ours in turns.
	Runs int
	// Accounts have 2 commands and 5 a round each.
	Accounts, Rounds int
	// Idle accounts have a snapshot and no commands: what a restore also reads.
	Idle int
	// Singles is how many commands are sent one at a time to the bare loop, and to
	// ours; together at most Accounts.
	Singles int
	// Progress returns what hears how far a step is.
	Progress func(step string) func(done, total int64)
}

func (c *DecideConfig) validate() error {
	switch {
	case c.Kafka.Prefix == "":
		return errors.New("bench: no prefix for the topics")
	case c.Codec == nil || c.Progress == nil:
		return errors.New("bench: no codec or progress")
	case c.Runs < 1 || c.Accounts < 1 || c.Rounds < 1 || c.Idle < 0 || c.Singles < 1 || 2*c.Singles > c.Accounts:
		return fmt.Errorf("bench: %d runs of %d accounts with %d rounds, %d idle, %d one at a time", c.Runs, c.Accounts, c.Rounds, c.Idle, c.Singles)
	}
	return nil
}

// Decide measures how many commands a second are decided from a backlog, how long
// one takes that is alone, and how many accounts a second are restored.
func Decide(ctx context.Context, c DecideConfig) ([]Figure, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	m, err := mix.New(c.Codec, c.Accounts, c.Rounds)
	if err != nil {
		return nil, err
	}
	// The first is not counted: brokers that have just started are slower, and the
	// bare loop would be measured on them first.
	warm := decideRun{DecideConfig: c, mix: m, name: "warming up"}
	warm.Kafka.Prefix += "warm."
	if err := warm.measure(ctx, new(Figures)); err != nil {
		return nil, fmt.Errorf("%s: %w", warm.name, err)
	}
	var measured Figures
	for run := range c.Runs {
		r := decideRun{DecideConfig: c, mix: m, name: fmt.Sprintf("run %d of %d", run+1, c.Runs)}
		r.Kafka.Prefix = fmt.Sprintf("%s%d.", c.Kafka.Prefix, run)
		if err := r.measure(ctx, &measured); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return measured, nil
}

// decideRun is one run, on topics of its own.
type decideRun struct {
	DecideConfig
	mix  *mix.Mix
	name string
}

func (r *decideRun) measure(ctx context.Context, to *Figures) (err error) {
	remove, err := r.makeTopics(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil {
		return err
	}
	barePerS, bareMs, err := r.bare(ctx)
	if err != nil {
		return err
	}
	ours, err := r.ours(ctx)
	if err != nil {
		return err
	}
	to.Add("decide.commands_per_s", "commands/s", ours.perS)
	to.Add("decide.bare_per_s", "commands/s", barePerS)
	to.Add("decide.ratio_to_bare", "ratio", ours.perS/barePerS)
	to.Add("outcome.p50_ms", "ms", ours.outcomeMs)
	to.Add("outcome.bare_p50_ms", "ms", bareMs)
	to.Add("restore.accounts_per_s", "accounts/s", ours.restoredPerS)
	return nil
}

// makeTopics makes those of the run and of the bare loop's outputs. What it
// returns removes both.
func (r *decideRun) makeTopics(ctx context.Context) (remove func() error, err error) {
	admin, err := kafka.NewAdmin(r.Kafka)
	if err != nil {
		return func() error { return nil }, err
	}
	remove = func() error {
		defer admin.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
		defer cancel()
		return admin.RemoveAll(ctx)
	}
	if _, err := admin.ApplyTopics(ctx, r.Partitions, r.Replication); err != nil {
		return remove, err
	}
	of := r.Kafka
	of.Prefix += bareTopics
	bareAdmin, err := kafka.NewAdmin(of)
	if err != nil {
		return remove, err
	}
	defer bareAdmin.Close()
	_, err = bareAdmin.ApplyTopics(ctx, r.Partitions, r.Replication)
	return remove, err
}

// fill writes the accounts as they are before, and the backlog.
func (r *decideRun) fill(ctx context.Context) error {
	var records []*kafka.Record
	for n := range len(r.mix.Accounts) + r.Idle {
		account := r.mix.Accounts[n%len(r.mix.Accounts)]
		if n >= len(r.mix.Accounts) {
			account.AccountID = schemas.DeriveID("bench", fmt.Sprint("idle ", n))
		}
		record, err := kafka.NewRecord(r.Codec, schemas.TopicAccounts, &account)
		if err != nil {
			return err
		}
		records = append(records, record)
	}
	return r.write(ctx, append(records, r.mix.Backlog...))
}

// write produces copies of records: a client keeps what it has written.
func (r *decideRun) write(ctx context.Context, records []*kafka.Record) error {
	producer, err := kafka.NewProducer(r.Kafka)
	if err != nil {
		return err
	}
	defer producer.Close()
	progress := r.Progress(r.name + ", writing")
	for at := 0; at < len(records); at += recordsAtOnce {
		some := records[at:min(at+recordsAtOnce, len(records))]
		fresh := make([]*kafka.Record, len(some))
		for i := range some {
			fresh[i] = again(some[i])
		}
		if err := producer.Produce(ctx, fresh...); err != nil {
			return err
		}
		progress(int64(at+len(some)), int64(len(records)))
	}
	return nil
}

func again(r *kafka.Record) *kafka.Record {
	return &kafka.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers}
}

// bare lets the bare loop work off the backlog, then sends it one at a time.
func (r *decideRun) bare(ctx context.Context) (perS, outcomeMs float64, err error) {
	b, err := startBare(ctx, r.Kafka, r.mix.Outputs)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := r.until(ctx, func() bool { return b.owned.Load() == int64(r.Partitions) }); err != nil {
		return 0, 0, err
	}
	if perS, err = r.clock(ctx, "bare", len(r.mix.Backlog), func() int64 { return b.done.Load() }); err != nil {
		return 0, 0, err
	}
	outcomeMs, err = r.oneAtATime(ctx, bareTopics, r.mix.Single[:r.Singles])
	return perS, outcomeMs, err
}

type ours struct{ perS, outcomeMs, restoredPerS float64 }

// ours lets a decider do the same.
func (r *decideRun) ours(ctx context.Context) (measured ours, err error) {
	registry := prometheus.NewRegistry()
	d, err := decider.New(decider.Config{Kafka: r.Kafka, Codec: r.Codec, Instance: "bench", Log: r.Kafka.Log, Registerer: registry})
	if err != nil {
		return measured, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- d.Run(running) }()
	defer func() {
		stop()
		err = errors.Join(err, <-ended)
	}()
	if err := r.until(ctx, d.Ready); err != nil {
		return measured, err
	}
	// What was sent to the bare loop one at a time is behind the backlog now.
	all := len(r.mix.Backlog) + r.Singles
	if measured.perS, err = r.clock(ctx, "decider", all, func() int64 { return int64(sumOf(registry, outcomesTotal)) }); err != nil {
		return measured, err
	}
	if done := int(sumOf(registry, outcomesTotal, "ok")); done != all {
		return measured, fmt.Errorf("the decider has refused %d commands of %d: what it measures is not the work", all-done, all)
	}
	measured.restoredPerS = float64(len(r.mix.Accounts)+r.Idle) / sumOf(registry, "atelier_decider_restore_seconds")
	measured.outcomeMs, err = r.oneAtATime(ctx, "", r.mix.Single[r.Singles:2*r.Singles])
	return measured, err
}

// clock returns how many of the commands are done a second. It begins when everything
// is ready, and counts from the first transaction on.
func (r *decideRun) clock(ctx context.Context, who string, commands int, done func() int64) (perS float64, err error) {
	progress, total := r.Progress(r.name+", "+who), int64(commands)
	began := time.Now()
	shown := began
	err = r.until(ctx, func() bool {
		if time.Since(shown) > 100*time.Millisecond {
			shown = time.Now()
			progress(min(done(), total), total)
		}
		return done() >= total
	})
	took := time.Since(began)
	progress(total, total)
	return float64(total) / took.Seconds(), err
}

// until waits until something is so, patience at most.
func (r *decideRun) until(ctx context.Context, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !is() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("not done: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// oneAtATime sends each command when the outcome of the last is known, and returns
// the median time from the sending to the read_committed sight of the outcome.
func (r *decideRun) oneAtATime(ctx context.Context, topics string, commands []*kafka.Record) (medianMs float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	of := r.Kafka
	of.Prefix += topics
	admin, err := kafka.NewAdmin(of)
	if err != nil {
		return 0, err
	}
	defer admin.Close()
	ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
	if err != nil {
		return 0, err
	}
	reader, err := kafka.NewReader(of, schemas.TopicEvents, ends)
	if err != nil {
		return 0, err
	}
	defer reader.Close()
	producer, err := kafka.NewProducer(r.Kafka)
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	progress := r.Progress(r.name + ", one at a time")
	var tookMs []float64
	for i, command := range commands {
		began := time.Now()
		if err := producer.Produce(ctx, again(command)); err != nil {
			return 0, err
		}
		if err := awaitOutcome(ctx, reader, kafka.HeaderValue(command, schemas.HeaderID)); err != nil {
			return 0, fmt.Errorf("wait for the outcome of one command: %w", err)
		}
		tookMs = append(tookMs, float64(time.Since(began).Microseconds())/1000)
		progress(int64(i+1), int64(len(commands)))
	}
	// The first opens the connections.
	return quantile(tookMs[min(1, len(tookMs)-1):], 0.5), nil
}

// awaitOutcome reads until an event of the command is there. The bare loop's carry
// the command's own headers.
func awaitOutcome(ctx context.Context, reader *kafka.Reader, command string) error {
	for {
		records, err := reader.Poll(ctx, recordsAtOnce)
		if err != nil {
			return err
		}
		for _, r := range records {
			if kafka.HeaderValue(r, schemas.HeaderCausationID) == command || kafka.HeaderValue(r, schemas.HeaderID) == command {
				return nil
			}
		}
	}
}

// outcomesTotal counts the decider's outcomes by their code.
const outcomesTotal = "atelier_decider_outcomes_total"

// sumOf adds up a counter, or what a histogram has observed, over its labels' values:
// over those that are named, or all where none is.
func sumOf(from prometheus.Gatherer, name string, labelled ...string) (sum float64) {
	families, _ := from.Gather() // what it could not gather is missing from the sum
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.Metric {
			if len(labelled) > 0 && !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool { return slices.Contains(labelled, l.GetValue()) }) {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetHistogram().GetSampleSum()
		}
	}
	return sum
}
