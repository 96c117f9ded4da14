package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

type eventsCmd struct {
	Account string        `help:"Only this account's." placeholder:"UUID"`
	Since   time.Duration `help:"Only of this long ago or newer; 0: from the beginning." placeholder:"DURATION"`
	Type    string        `help:"Only of this type, such as GenerationSucceeded."`
	Follow  bool          `help:"Go on with new ones until interrupted."`
}

// eventsPollMax bounds the records taken from the client at once (count).
const eventsPollMax = 1_000

// Run prints one JSON object a line: type, position and the event's fields.
// Sealed fields stay sealed.
func (cmd eventsCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if _, err := uuid.Parse(cmd.Account); cmd.Account != "" && err != nil {
		return fmt.Errorf("%w: --account is no UUID", errUsage)
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	codec, err := c.codec(ctx)
	if err != nil {
		return err
	}
	from, left, err := cmd.span(ctx, admin)
	if err != nil {
		return err
	}
	reader, err := kafka.NewReader(c.kafka("events", zerolog.Nop()), schemas.TopicEvents, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 || cmd.Follow {
		records, err := reader.Poll(ctx, eventsPollMax)
		if ctx.Err() != nil {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		for _, r := range records {
			if err := cmd.print(ctx, codec, c.TopicGeneration, r, out); err != nil {
				return err
			}
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// span says where to read from, and up to where each partition that has
// something goes now. Only of the account's partition, if one is named.
func (cmd eventsCmd) span(ctx context.Context, admin *kafka.Admin) (from, ends map[int32]int64, err error) {
	if cmd.Since > 0 {
		from, err = admin.OffsetsAt(ctx, schemas.TopicEvents, time.Now().Add(-cmd.Since))
	} else {
		from, err = admin.StartOffsets(ctx, schemas.TopicEvents)
	}
	if err != nil {
		return nil, nil, err
	}
	stable, err := admin.StableOffsets(ctx, schemas.TopicEvents)
	if err != nil {
		return nil, nil, err
	}
	ends = map[int32]int64{}
	for partition := range from {
		if cmd.Account != "" && partition != kafka.PartitionOf(cmd.Account, len(stable)) {
			delete(from, partition)
			continue
		}
		if from[partition] < stable[partition] {
			ends[partition] = stable[partition]
		}
	}
	return from, ends, nil
}

func (cmd eventsCmd) print(ctx context.Context, codec *schemas.Codec, generation int, r *kafka.Record, out io.Writer) error {
	if kafka.IsControl(r) || (cmd.Account != "" && string(r.Key) != cmd.Account) {
		return nil
	}
	record, err := codec.Decode(ctx, schemas.TopicEvents, r.Value)
	if err != nil {
		return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
	}
	name := schemas.ShortName(record)
	if cmd.Type != "" && name != cmd.Type {
		return nil
	}
	return json.NewEncoder(out).Encode(map[string]any{
		"type": name, "position": fmt.Sprintf("%d.%d.%d", generation, r.Partition, r.Offset), "event": record,
	})
}
