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
}

// readLog reads the topics. The system should be at rest: what is written meanwhile
// is not looked at, and an outcome whose command was not read counts as none.
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
	scan := func(topic string, take func(*kafka.Record) error) error {
		return kafka.Scan(ctx, c.Kafka, admin, topic, take, c.progress(topic))
	}
	err = scan(schemas.TopicCommands, func(command *kafka.Record) error {
		report.Commands++
		r.outcomes.command(command)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = scan(schemas.TopicDeadLetters, func(letter *kafka.Record) error {
		if at, ok := originOf(letter); ok {
			report.DeadLetters++
			r.outcomes.dead[at]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r, scan(schemas.TopicEvents, func(event *kafka.Record) error {
		report.Events++
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
	})
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
