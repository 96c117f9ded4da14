package check

import (
	"context"
	"fmt"
	"strconv"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// record is everything that was read of the topics.
type record struct {
	outcomes *outcomes
	books    *books
	ends     map[int32]int64 // of atelier.events, as far as it was read
}

// readLog reads the topics up to where they end at its beginning; the commands' end
// is taken first, so that what was decided by then has its events among those read.
// What is written later is not looked at: the system may go on, as with what a call
// has cost that ended after its image was canceled.
func readLog(ctx context.Context, c *Config, report *Report) (*record, error) {
	admin, err := kafka.NewAdmin(c.Kafka)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	r := &record{outcomes: newOutcomes(c.TopicGeneration), books: newBooks()}
	if r.outcomes.begins, err = admin.StartOffsets(ctx, schemas.TopicCommands); err != nil {
		return nil, err
	}
	if r.outcomes.ends, err = admin.HighWatermarks(ctx, schemas.TopicCommands); err != nil {
		return nil, err
	}
	if r.ends, err = admin.HighWatermarks(ctx, schemas.TopicEvents); err != nil {
		return nil, err
	}
	err = kafka.ReadTo(ctx, c.Kafka, schemas.TopicCommands, r.outcomes.begins, r.outcomes.ends, func(command *kafka.Record) error {
		report.Commands++
		r.outcomes.command(command)
		return nil
	}, c.progress(schemas.TopicCommands))
	if err != nil {
		return nil, err
	}
	err = kafka.Scan(ctx, c.Kafka, admin, schemas.TopicDeadLetters, func(letter *kafka.Record) error {
		if at, ok := originOf(letter); ok {
			report.DeadLetters++
			r.outcomes.dead[at]++
		}
		return nil
	}, c.progress(schemas.TopicDeadLetters))
	if err != nil {
		return nil, err
	}
	begins, err := admin.StartOffsets(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, err
	}
	return r, kafka.ReadTo(ctx, c.Kafka, schemas.TopicEvents, begins, r.ends, func(event *kafka.Record) error {
		report.Events++
		return r.event(ctx, c, event)
	}, c.progress(schemas.TopicEvents))
}

func (r *record) event(ctx context.Context, c *Config, event *kafka.Record) error {
	decoded, err := c.Codec.Decode(ctx, schemas.TopicEvents, event.Value)
	if err != nil {
		return fmt.Errorf("%s[%d]@%d: %w", event.Topic, event.Partition, event.Offset, err)
	}
	fact, ok := decoded.(schemas.Event)
	if !ok {
		return fmt.Errorf("%s[%d]@%d is a %s, not an event", event.Topic, event.Partition, event.Offset, decoded.SchemaName())
	}
	at := place{event.Partition, event.Offset}
	r.outcomes.event(at, fact)
	r.books.event(at, fact)
	return nil
}

// originOf returns the place of the command that a dead letter tells of.
func originOf(letter *kafka.Record) (place, bool) {
	if kafka.IsSettlement(letter) || kafka.HeaderValue(letter, kafka.HeaderOriginTopic) != schemas.TopicCommands {
		return place{}, false
	}
	partition, err := strconv.ParseInt(kafka.HeaderValue(letter, kafka.HeaderOriginPartition), 10, 32)
	if err != nil {
		return place{}, false
	}
	offset, err := strconv.ParseInt(kafka.HeaderValue(letter, kafka.HeaderOriginOffset), 10, 64)
	return place{int32(partition), offset}, err == nil
}
