package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"atelier/internal/kafka"
)

type topicsCmd struct {
	Apply  topicsApplyCmd  `cmd:"" help:"Make the topics as they should be; idempotent."`
	Status topicsStatusCmd `cmd:"" help:"Say how they differ; exit 1 if they do."`
}

type topicsApplyCmd struct {
	JSON bool `name:"json" help:"As one JSON array."`
}

type topicsStatusCmd struct {
	JSON bool `name:"json" help:"As one JSON array."`
}

// Run makes the topics so.
func (cmd topicsApplyCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	changes, err := admin.ApplyTopics(ctx, c.Partitions, c.Replication)
	if err != nil {
		return err
	}
	return printChanges(out, changes, cmd.JSON)
}

// Run compares and changes nothing.
func (cmd topicsStatusCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	changes, err := admin.CheckTopics(ctx, c.Partitions, c.Replication)
	if err != nil {
		return err
	}
	if err := printChanges(out, changes, cmd.JSON); err != nil {
		return err
	}
	return deviations(changes)
}

// deviations is an error that names the topics that are not as they should be.
func deviations(changes []kafka.Change) error {
	var differ []error
	for _, change := range changes {
		if change.Action == kafka.Deviates {
			differ = append(differ, fmt.Errorf("topic %s: %s", change.Topic, change.Detail))
		}
	}
	return errors.Join(differ...)
}

func printChanges(out io.Writer, changes []kafka.Change, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(changes)
	}
	for _, change := range changes {
		fmt.Fprintf(out, "%-22s %-16s %s\n", change.Topic, change.Action, change.Detail)
	}
	return nil
}
