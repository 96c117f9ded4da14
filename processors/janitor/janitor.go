// Package janitor erases what nobody may see any more: a process manager that reads
// ImageDeleted and ImageRestored from atelier.events, and 31 days after an image was
// put into the bin erases all of its files from the media store. It writes nothing
// to the log: that the files are gone follows from the time of the ImageDeleted.
//
// The log is its checkpoint. It commits the offset of the oldest ImageDeleted whose
// image still lies in the bin, and a new owner reads from there. Nothing is erased
// before everything is read that stood in the log when the look began, and to erase
// twice changes nothing, so that it may be killed at any moment.
package janitor

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/schemas"
)

// Group is the consumer group of all janitors.
const Group = "atelier.janitor"

const (
	// recordsPerPoll bounds what is decoded at once (count).
	recordsPerPoll = 2000
	// askTimeout bounds a question to the brokers, decodeTimeout the registry's part
	// in one record.
	askTimeout    = 15 * time.Second
	decodeTimeout = 5 * time.Second
	// assignedPoll is how often it is seen whether partitions have come, as long as
	// there are none, or one that is not read: a poll tells of records alone.
	assignedPoll = 100 * time.Millisecond
)

// Media is what the janitor needs of the media store; *media.Store is one.
type Media interface {
	List(ctx context.Context, prefix string) (keys []string, more bool, err error)
	Objects(ctx context.Context, prefix string) iter.Seq2[media.Object, error]
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Config is what a Janitor works with.
type Config struct {
	Kafka      kafka.Config
	Codec      *schemas.Codec
	Media      Media
	Log        zerolog.Logger
	Registerer prometheus.Registerer
}

func (c *Config) validate() error {
	switch {
	case c.Codec == nil:
		return errors.New("janitor: no codec")
	case c.Media == nil:
		return errors.New("janitor: no media store")
	}
	return nil
}

// tuning are the times and bounds that only tests set otherwise.
type tuning struct {
	// lookEvery is how often the bin is looked through.
	lookEvery time.Duration
	// commitEvery is how often checkpoints are committed: what is newer is read again
	// after a crash, and changes nothing.
	commitEvery time.Duration
	// retry is the wait after a poll that failed, and before a record that cannot be
	// read is tried again.
	retry time.Duration
	// binMax is the constant of that name.
	binMax int
}

func defaults() tuning {
	return tuning{lookEvery: 10 * time.Minute, commitEvery: 10 * time.Second, retry: 5 * time.Second, binMax: binMax}
}

// Janitor keeps the partitions clean that the group gives it.
type Janitor struct {
	config  Config
	tuning  tuning
	metrics *metrics
	ready   atomic.Bool
	ran     atomic.Bool
}

// New makes a janitor; Run starts it.
func New(c Config) (*Janitor, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Janitor{config: c, tuning: defaults(), metrics: newMetrics(c.Registerer)}, nil
}

// Ready says whether the janitor owns at least one partition, and has read each to
// its high watermark. It does not look at the media store.
func (j *Janitor) Ready() bool { return j.ready.Load() }

// Run works until ctx ends, and once only.
func (j *Janitor) Run(ctx context.Context) error {
	if j.ran.Swap(true) {
		return errors.New("janitor: runs once")
	}
	defer j.ready.Store(false)
	admin, err := kafka.NewAdmin(j.config.Kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	l := &loop{Janitor: j, admin: admin, partitions: map[int32]*partition{}, committed: map[int32]int64{}}
	l.group, err = kafka.JoinGroup(j.config.Kafka, kafka.GroupConfig{
		Group: Group, Topic: schemas.TopicEvents, Start: l.assigned, Lost: l.lost,
	})
	if err != nil {
		return err
	}
	defer l.group.Close()
	j.config.Log.Info().Msg("janitor joined its group")
	l.run(ctx)
	j.config.Log.Info().Msg("janitor stopped")
	return nil
}
