package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"atelier/check"
)

type checkCmd struct {
	History []string      `help:"What clients were told, as load writes it; several times for several loads." type:"existingfile" placeholder:"FILE"`
	Settle  time.Duration `help:"How long to wait at most until everything is at rest; 0: what is open counts as it is." default:"1m"`
	JSON    bool          `name:"json" help:"As one JSON object."`
}

// settleMax bounds --settle: a generation is failed by its deadline at the latest.
const settleMax = 25 * time.Hour

// errBroken is a promise that was not kept.
var errBroken = errors.New("not everything that was promised is so: keep this output and the topics for who looks for the cause")

// Run prints the table of the invariants.
func (cmd checkCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if cmd.Settle < 0 || cmd.Settle > settleMax {
		return fmt.Errorf("%w: --settle is %s; it may be 0 to %s", errUsage, cmd.Settle, settleMax)
	}
	history, err := readHistory(cmd.History)
	if err != nil {
		return err
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
	config, err := p.checking(ctx)
	if err != nil {
		return err
	}
	config.History = history
	if cmd.Settle > 0 {
		settle, cancel := context.WithTimeout(ctx, cmd.Settle)
		err := check.Settle(settle, config)
		cancel()
		if err != nil {
			p.log.Warn().Err(err).Msg("checking all the same: what is open counts as not ended")
		}
	}
	report, err := check.Run(ctx, config)
	if err != nil {
		return err
	}
	if cmd.JSON {
		err = json.NewEncoder(out).Encode(report)
	} else {
		report.Print(out)
	}
	if err == nil && report.Broken() > 0 {
		err = errBroken
	}
	return err
}

func readHistory(files []string) (*check.History, error) {
	history := check.NewHistory(nil)
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		err = history.Read(file)
		_ = file.Close() // was only read
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errUsage, name, err)
		}
	}
	return history, nil
}

// checking is what a check reads.
func (p *parts) checking(ctx context.Context) (check.Config, error) {
	v, err := p.vault(ctx)
	if err != nil {
		return check.Config{}, err
	}
	pool, err := p.pool(ctx, "", 0)
	if err != nil {
		return check.Config{}, err
	}
	store, err := p.media(ctx)
	if err != nil {
		return check.Config{}, err
	}
	var show func(done, total int64)
	var shown string
	return check.Config{
		Kafka: p.config.kafka("check", p.log), Codec: p.codec, Pool: pool, Open: v.Open, Media: store,
		TopicGeneration: p.config.TopicGeneration, Log: p.log,
		Progress: func(what string, done, total int64) {
			if what != shown {
				shown, show = what, progressOf(what)
			}
			show(done, total)
		},
	}, nil
}
