package check

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"atelier/internal/kafka"
	"atelier/processors/decider"
	"atelier/projections"
	"atelier/schemas"
)

// settlePoll is the pause between two looks at whether everything is at rest.
const settlePoll = 100 * time.Millisecond

// Settle waits until everything is at rest: every command is decided, every event
// is in the read models, and no generation is open. When ctx ends before, the error
// says what still moves.
func Settle(ctx context.Context, c Config) error {
	if err := c.validate(); err != nil {
		return err
	}
	admin, err := kafka.NewAdmin(c.Kafka)
	if err != nil {
		return err
	}
	defer admin.Close()
	tick := time.NewTicker(settlePoll)
	defer tick.Stop()
	var moving string
	for {
		now, err := moves(ctx, &c, admin)
		switch {
		case ctx.Err() == nil && err == nil && now == "":
			return nil
		case ctx.Err() == nil && err == nil:
			moving = now
		case ctx.Err() == nil:
			moving = err.Error() // a part is away for the moment
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not everything is at rest: %s: %w", moving, ctx.Err())
		case <-tick.C:
		}
	}
}

// moves says what is not at rest, empty: everything is. The order is the way of
// the data: what is at rest further up brings nothing new further down, but for
// the commands of a generation that ends, which is looked at last and then again.
func moves(ctx context.Context, c *Config, admin *kafka.Admin) (string, error) {
	for range 2 {
		undecided, err := undecided(ctx, admin)
		if err != nil || undecided > 0 {
			return fmt.Sprintf("%d commands are not decided", undecided), err
		}
		ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
		if err != nil {
			return "", err
		}
		for _, p := range projections.All {
			behind, err := behind(ctx, c, p.Name, ends)
			if err != nil || behind > 0 {
				return fmt.Sprintf("%s has %d records to read", p.Name, behind), err
			}
		}
		open, err := openGenerations(ctx, c)
		if err != nil || open > 0 {
			return fmt.Sprintf("%d generations are open", open), err
		}
	}
	return "", nil
}

// undecided counts the commands after the deciders' offsets.
func undecided(ctx context.Context, admin *kafka.Admin) (int64, error) {
	ends, err := admin.HighWatermarks(ctx, schemas.TopicCommands)
	if err != nil {
		return 0, err
	}
	starts, err := admin.StartOffsets(ctx, schemas.TopicCommands)
	if err != nil {
		return 0, err
	}
	committed, err := admin.CommittedOffsets(ctx, decider.Group, schemas.TopicCommands)
	if err != nil {
		return 0, err
	}
	var n int64
	for partition, end := range ends {
		n += max(0, end-max(committed[partition], starts[partition]))
	}
	return n, nil
}

func openGenerations(ctx context.Context, c *Config) (open int64, err error) {
	options := pgx.TxOptions{BeginQuery: "BEGIN READ ONLY; SET LOCAL ROLE atelier_owner"}
	err = pgx.BeginTxFunc(ctx, c.Pool, options, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT count(*) FROM galleries_api.generations WHERE status = 'requested'`).Scan(&open)
	})
	return open, err
}
