package generator

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// The stages of a running generation.
const (
	stageQueued     = "queued"
	stageGenerating = "generating"
	stageChecking   = "checking"
	stageRetrying   = "retrying"
	stageStoring    = "storing"
)

const (
	// notesMax bounds the notes that wait for Kafka (count). A note is 400 bytes;
	// what does not fit is dropped, because a lost note is not missed.
	notesMax = 4096
	// notesPerBatch bounds one produce (count).
	notesPerBatch = 256
	// noteTimeout bounds the wait for one produce: older notes are worth nothing.
	noteTimeout = 5 * time.Second
)

// notes tells atelier.progress what happens, without ever holding up the work.
// say is safe for concurrent use; run belongs to one goroutine.
type notes struct {
	codec    *schemas.Codec
	producer Producer
	metrics  *metrics
	log      zerolog.Logger
	queue    chan *schemas.GenerationProgress
}

func newNotes(c Config, m *metrics) *notes {
	return &notes{codec: c.Codec, producer: c.Producer, metrics: m, log: c.Log, queue: make(chan *schemas.GenerationProgress, notesMax)}
}

// say notes a stage. Attempt counts from 1; reason may be empty.
func (n *notes) say(r *schemas.GenerationRequested, stage string, attempt int, reason string, now time.Time) {
	note := &schemas.GenerationProgress{
		Metadata: schemas.Metadata{
			ID: schemas.NewID(), AccountID: r.AccountID, OccurredAt: now.UTC(),
			CorrelationID: r.CorrelationID, CausationID: r.ID, Actor: actor(),
		},
		GenerationID: r.GenerationID, BatchID: r.BatchID,
		Stage: stage, Attempt: min(attempt, attemptsMax), AttemptsMax: attemptsMax, Reason: reason,
	}
	select {
	case n.queue <- note:
	default:
		n.metrics.notesDropped.Inc()
	}
}

// run produces notes until stop is closed, and then what is there already.
func (n *notes) run(ctx context.Context, stop <-chan struct{}) {
	for {
		select {
		case note := <-n.queue:
			n.produce(ctx, note)
		case <-stop:
			for {
				select {
				case note := <-n.queue:
					n.produce(ctx, note)
				default:
					return
				}
			}
		}
	}
}

// produce writes a note, and those that wait behind it.
func (n *notes) produce(ctx context.Context, first *schemas.GenerationProgress) {
	batch := []*schemas.GenerationProgress{first}
	for len(batch) < notesPerBatch && len(n.queue) > 0 {
		batch = append(batch, <-n.queue)
	}
	records := make([]*kafka.Record, 0, len(batch))
	for _, note := range batch {
		record, err := kafka.NewRecord(n.codec, schemas.TopicProgress, note)
		if err != nil {
			n.log.Error().Err(err).Msg("progress note cannot be encoded")
			continue
		}
		records = append(records, record)
	}
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	if err := n.producer.Produce(ctx, records...); err != nil {
		n.metrics.notesDropped.Add(float64(len(records)))
		n.log.Debug().Err(err).Int("notes", len(records)).Msg("progress notes were dropped")
	}
}
