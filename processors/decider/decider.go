// Package decider is the one writer of facts. It reads commands, decides them
// with package commands, and writes events, one snapshot per changed account and
// the offsets of what it read in one transaction, so that nothing is half done.
//
// Exactly once rests on two things. A transaction that aborts leaves nothing
// behind: what was decided in it is staged and published only when it is known
// to have committed. And an account knows the position of the last command that
// it decided, so that a command that comes again, for whatever reason, decides
// nothing.
package decider

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// Group is the consumer group of all deciders.
	Group = "atelier.decider"

	// CommandsPerTransactionMax bounds one transaction (count). A loop that takes
	// what is there up to this is three times as fast as one of 2,000, and as
	// quick when idle.
	CommandsPerTransactionMax = 10_000

	sweepEvery = time.Second

	// reopenWaitMax bounds the wait before a failed session is opened again.
	reopenWaitMax = 5 * time.Second

	// unknownSchemaWait is how long a command with a schema id that nobody knows
	// holds its partition, before it becomes a dead letter: long enough for a
	// rolling deploy or a registry's restart.
	unknownSchemaWait = 10 * time.Minute

	// schemaRetryEvery is how often the registry is asked again about an id.
	schemaRetryEvery = time.Second
)

// errFatal marks what no retry mends: the process should end and say why.
var errFatal = errors.New("decider cannot go on")

// Config is what a Decider works with.
type Config struct {
	Kafka kafka.Config
	Codec *schemas.Codec
	// Instance is unique per live instance and stable across its restarts.
	Instance string
	// TopicGeneration counts how often atelier.commands was made anew, from 0.
	TopicGeneration int
	// UnknownSchemaWait is unknownSchemaWait where it is 0.
	UnknownSchemaWait time.Duration
	// SchemaRetryEvery is schemaRetryEvery where it is 0.
	SchemaRetryEvery time.Duration
	// TransactionTimeout is kafka.TransactionTimeout where it is 0.
	TransactionTimeout time.Duration
	// Now is the wall clock; time.Now where it is nil.
	Now        func() time.Time
	Log        zerolog.Logger
	Registerer prometheus.Registerer
}

func (c *Config) validate() error {
	switch {
	case c.Codec == nil:
		return errors.New("decider: no codec")
	case c.Instance == "":
		return errors.New("decider: no instance name")
	case c.TopicGeneration < 0:
		return fmt.Errorf("decider: topic generation %d", c.TopicGeneration)
	}
	if c.TransactionTimeout == 0 {
		c.TransactionTimeout = kafka.TransactionTimeout
	}
	if c.UnknownSchemaWait == 0 {
		c.UnknownSchemaWait = unknownSchemaWait
	}
	if c.SchemaRetryEvery == 0 {
		c.SchemaRetryEvery = schemaRetryEvery
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// Decider decides the commands of the partitions that the group gives it.
type Decider struct {
	config  Config
	metrics *metrics
	owned   *owned
	pace    pace // outlives a session that timed out
}

// New makes a decider; Run starts it.
func New(c Config) (*Decider, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	d := &Decider{config: c, owned: newOwned(), pace: pace{timeout: c.TransactionTimeout}}
	d.metrics = newMetrics(c.Registerer, d.owned.count)
	return d, nil
}

// Ready says whether every partition that the decider owns is restored, and
// that it owns at least one.
func (d *Decider) Ready() bool { return d.owned.ready() }

// Run decides until ctx ends, and then finishes the open transaction. A session
// that fails is opened again, and everything is read anew; an error is returned
// only for what a person has to mend.
func (d *Decider) Run(ctx context.Context) error {
	wait := 100 * time.Millisecond
	for {
		began := time.Now()
		err := d.runSession(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errFatal):
			return err
		}
		if time.Since(began) > time.Minute {
			wait = 100 * time.Millisecond
		}
		d.config.Log.Warn().Err(err).Dur("again_in", wait).Msg("decider session failed")
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, reopenWaitMax)
	}
}
