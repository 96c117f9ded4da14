package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"atelier/projections"
)

type verifyCmd struct {
	Projection string `arg:"" optional:"" help:"credits, brands, galleries or outcomes; empty: all."`
	JSON       bool   `name:"json" help:"One JSON object a projection."`
}

// errDiffers is a read model that is not the fold of the events.
var errDiffers = errors.New("a read model is not the fold of the events: rebuild it, and keep this output for who looks for the cause")

// Run folds the events again beside the live read models and compares the rows.
func (cmd verifyCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	names := []string{cmd.Projection}
	if cmd.Projection == "" {
		names = nil
		for _, p := range projections.All {
			names = append(names, p.Name)
		}
	} else if _, err := projections.ByName(cmd.Projection); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	admin, err := c.admin(ctx) // says it where no broker is there
	if err != nil {
		return err
	}
	admin.Close()
	p, err := c.openParts(ctx)
	if err != nil {
		return err
	}
	defer p.close()
	v, err := p.vault(ctx)
	if err != nil {
		return err
	}
	pool, err := p.pool(ctx, "", 0)
	if err != nil {
		return err
	}
	equal := true
	for _, name := range names {
		report, err := projections.Verify(ctx, projections.Config{
			Kafka: c.kafka("verify", p.log), Pool: pool, Codec: p.codec, Open: v.Open, TopicGeneration: c.TopicGeneration,
			Progress: progressOf(name), Log: p.log,
		}, name)
		if err != nil {
			return err
		}
		equal = equal && report.Equal()
		if err := cmd.print(out, report); err != nil {
			return err
		}
	}
	if !equal {
		return errDiffers
	}
	return nil
}

func (cmd verifyCmd) print(out io.Writer, report projections.Report) error {
	if cmd.JSON {
		return json.NewEncoder(out).Encode(report)
	}
	for _, t := range report.Tables {
		verdict := "equal"
		if !t.Equal() {
			verdict = fmt.Sprintf("DIFFERENT: the fold has %d rows, hash %s instead of %s", t.Fold.Count, t.Fold.Hash, t.Live.Hash)
		}
		fmt.Fprintf(out, "%-10s %-12s %8d rows  %d events folded  %s\n", report.Projection, t.Name, t.Live.Count, report.Events, verdict)
	}
	return nil
}

// progressOf shows how far a long reading is: on a terminal in one line that is
// written over, else as a line every tenth.
func progressOf(name string) func(done, total int64) {
	terminal, last := isatty.IsTerminal(os.Stderr.Fd()), int64(-1)
	return func(done, total int64) {
		tenth := 10 * done / max(1, total)
		switch {
		case terminal:
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d records", name, done, total)
			if done >= total {
				fmt.Fprintln(os.Stderr)
			}
		case tenth != last:
			last = tenth
			fmt.Fprintf(os.Stderr, "%s: %d of %d records\n", name, done, total)
		}
	}
}
