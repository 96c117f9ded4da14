package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"atelier/processors/decider"
	"atelier/projections"
)

type verifyCmd struct {
	Projection string `arg:"" optional:"" help:"credits, brands, galleries, outcomes or accounts (the decider's snapshots); empty: all."`
	JSON       bool   `name:"json" help:"One JSON object a projection."`
}

// accounts is what verifies the decider's snapshots.
const accounts = "accounts"

// errDiffers is state that is not the fold of the events.
var errDiffers = errors.New("it is not the fold of the events: rebuild it, and keep this output for who looks for the cause")

// Run folds the events again, beside the live read models and snapshots, and
// compares.
func (cmd verifyCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	names := []string{cmd.Projection}
	if cmd.Projection == "" {
		names = []string{accounts}
		for _, p := range projections.All {
			names = append(names, p.Name)
		}
	} else if _, err := projections.ByName(cmd.Projection); err != nil && cmd.Projection != accounts {
		return fmt.Errorf("%w: %w, and %s", errUsage, err, accounts)
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
	equal := true
	if names[0] == accounts {
		names = names[1:]
		report, err := decider.VerifyAccounts(ctx, decider.Config{Kafka: c.kafka("verify", p.log), Codec: p.codec}, progressOf(accounts))
		if err != nil {
			return err
		}
		equal = report.Equal()
		if err := cmd.printAccounts(out, report); err != nil {
			return err
		}
	}
	if len(names) > 0 {
		same, err := cmd.readModels(ctx, p, names, out)
		if err != nil {
			return err
		}
		equal = equal && same
	}
	if !equal {
		return errDiffers
	}
	return nil
}

// readModels says whether all of them are the fold of the events.
func (cmd verifyCmd) readModels(ctx context.Context, p *parts, names []string, out io.Writer) (equal bool, err error) {
	c := p.config
	v, err := p.vault(ctx)
	if err != nil {
		return false, err
	}
	pool, err := p.pool(ctx, "", 0)
	if err != nil {
		return false, err
	}
	equal = true
	for _, name := range names {
		report, err := projections.Verify(ctx, projections.Config{
			Kafka: c.kafka("verify", p.log), Pool: pool, Codec: p.codec, Open: v.Open, TopicGeneration: c.TopicGeneration,
			Progress: progressOf(name), Log: p.log,
		}, name)
		if err != nil {
			return false, err
		}
		equal = equal && report.Equal()
		if err := cmd.print(out, report); err != nil {
			return false, err
		}
	}
	return equal, nil
}

func (cmd verifyCmd) printAccounts(out io.Writer, report decider.AccountsReport) error {
	if cmd.JSON {
		return json.NewEncoder(out).Encode(report)
	}
	verdict := "equal"
	if !report.Equal() {
		verdict = fmt.Sprintf("DIFFERENT: %d accounts, among them %v", report.Differ, report.Different)
	}
	_, err := fmt.Fprintf(out, "%-10s %-12s %8d rows  %d events folded  %s\n", accounts, "snapshots", report.Accounts, report.Events, verdict)
	return err
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
			fmt.Fprintf(os.Stderr, "\r%s: %d of %d", name, done, total)
			if done >= total {
				fmt.Fprintln(os.Stderr)
			}
		case tenth != last:
			last = tenth
			fmt.Fprintf(os.Stderr, "%s: %d of %d\n", name, done, total)
		}
	}
}
