// Package generator makes the images: a process manager that reads batches,
// generations and their ends from atelier.events, runs generations under a fair
// scheduler, and answers with CompleteGeneration or FailGeneration commands.
//
// The log is its checkpoint. It commits the offset of the oldest open batch, and
// a new owner reads from there to the high watermark before it runs anything,
// so that what has ended is not run again. What has not ended and was paid is
// found in the journal.
package generator

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/processors/generator/schedule"
	"atelier/schemas"
)

// Group is the consumer group of all generators.
const Group = "atelier.generator"

const (
	// recordsPerPoll bounds what is decoded at once (count).
	recordsPerPoll = 2000
	// callTimeout is long, because an image takes up to 140 s; Google advises
	// 5 minutes.
	callTimeout = 5 * time.Minute
	// startTimeout bounds the questions to the broker about a new partition.
	startTimeout = 15 * time.Second
	// commitTimeout bounds one commit of checkpoints.
	commitTimeout = 5 * time.Second
	// decodeTimeout bounds the registry's part in one record.
	decodeTimeout = 5 * time.Second
	// pollRetry is the wait after a poll that failed. kgo mends what it can.
	pollRetry = time.Second
)

// Producer writes commands and progress; *kafka.Producer is one.
type Producer interface {
	Produce(ctx context.Context, records ...*kafka.Record) error
}

// Config is what a Generator works with.
type Config struct {
	Kafka    kafka.Config
	Codec    *schemas.Codec
	Producer Producer
	Gemini   Gemini
	Media    Media
	// Open unseals an account's personal text. What an erased account wrote
	// comes back as vault.Erased.
	Open func(ctx context.Context, accountID string, sealed []byte) ([]byte, error)
	// Slots is how many generations run at once (8 where it is 0),
	// SlotsPerAccount how many of one account (4 where it is 0).
	Slots           int
	SlotsPerAccount int
	// CallTimeout bounds one call of the image model; 5 minutes where it is 0.
	CallTimeout time.Duration
	// Models says by tier what is asked of whom; DefaultModels where it is nil.
	Models map[string]Model
	// JudgeModel judges what the others draw; gemini-3.8-flash where it is empty.
	JudgeModel string
	Log        zerolog.Logger
	Registerer prometheus.Registerer
}

func (c *Config) validate() error {
	switch {
	case c.Codec == nil:
		return errors.New("generator: no codec")
	case c.Producer == nil:
		return errors.New("generator: no producer")
	case c.Gemini == nil:
		return errors.New("generator: no image model")
	case c.Media == nil:
		return errors.New("generator: no media store")
	case c.Open == nil:
		return errors.New("generator: nothing opens personal text")
	case c.CallTimeout < 0:
		return fmt.Errorf("generator: call timeout %s", c.CallTimeout)
	}
	if c.CallTimeout == 0 {
		c.CallTimeout = callTimeout
	}
	if c.Slots == 0 {
		c.Slots = 8
	}
	if c.SlotsPerAccount == 0 {
		c.SlotsPerAccount = min(4, c.Slots)
	}
	if c.Models == nil {
		c.Models = DefaultModels()
	}
	if c.JudgeModel == "" {
		c.JudgeModel = judgeModelDefault
	}
	if err := c.slots().Validate(); err != nil {
		return fmt.Errorf("generator: %w", err)
	}
	if err := validateModels(c.Models); err != nil {
		return err
	}
	return validateJudge(c.JudgeModel, c.Models)
}

func (c *Config) slots() schedule.Config {
	return schedule.Config{Slots: c.Slots, SlotsPerAccount: c.SlotsPerAccount}
}

// Generator runs the generations of the partitions that the group gives it.
type Generator struct {
	config  Config
	tuning  tuning
	metrics *metrics
	notes   *notes
	ready   atomic.Bool
	ran     atomic.Bool
}

// New makes a generator; Run starts it.
func New(c Config) (*Generator, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	m := newMetrics(c.Registerer)
	return &Generator{config: c, tuning: defaults(), metrics: m, notes: newNotes(c, m)}, nil
}

// Run makes a generator and runs it until ctx ends.
func Run(ctx context.Context, c Config) error {
	g, err := New(c)
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

// Ready says whether the generator owns at least one partition, and has read
// each to its high watermark without having to halt.
func (g *Generator) Ready() bool { return g.ready.Load() }

// Run works until ctx ends, and once only. Then it starts nothing new, leaves the
// group, so that others take over what waits, gives running calls 25 s to finish,
// and keeps their results in the journal.
func (g *Generator) Run(ctx context.Context) error {
	if g.ran.Swap(true) {
		return errors.New("generator: runs once")
	}
	defer g.ready.Store(false)
	admin, err := kafka.NewAdmin(g.config.Kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	// What was begun outlives ctx; the loop ends it at the drain's bound.
	lasting, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()

	l := newLoop(g)
	group, err := kafka.JoinGroup(g.config.Kafka, kafka.GroupConfig{
		Group: Group, Topic: schemas.TopicEvents,
		Start: func(ctx context.Context, committed map[int32]int64) (map[int32]int64, error) {
			return l.assigned(ctx, admin, committed)
		},
		Lost: l.lost,
	})
	if err != nil {
		return err
	}
	l.group.Store(group)
	noted, noMore := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(noted)
		g.notes.run(lasting, noMore)
	}()
	looped := make(chan struct{})
	go func() {
		defer close(looped)
		l.run(lasting, release)
	}()
	g.config.Log.Info().Int("slots", g.config.Slots).Int("slots_per_account", g.config.SlotsPerAccount).Msg("generator joined its group")

	l.poll(ctx, group)
	l.drain(group)
	group.Close()
	<-looped
	close(noMore)
	<-noted
	g.config.Log.Info().Msg("generator stopped")
	return nil
}
