package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"atelier/check"
	"atelier/check/load"
	"atelier/internal/kafka"
	"atelier/schemas"
)

type loadCmd struct {
	Address string        `arg:"" optional:"" help:"Address of the API, on this machine." default:"http://127.0.0.1:8080"`
	Users   int           `help:"People who act side by side, 1 to 2000." default:"10"`
	Rate    float64       `help:"Calls a second of all together, at most 2000." default:"20"`
	For     time.Duration `help:"How long, at most 6h." default:"30s"`
	Calls   int64         `help:"Calls after which it ends earlier; 0: no count." default:"0"`
	Seed    uint64        `help:"Makes the choices." default:"1"`
	Credits int64         `help:"Credits that each account is granted, written to ATELIER_BROKERS as an operator; 0: only the welcome credits." default:"0"`
	Save    int           `help:"Weight of saving brands." group:"Mix" default:"15"`
	Request int           `help:"Weight of requesting batches." group:"Mix" default:"35"`
	Cancel  int           `help:"Weight of canceling." group:"Mix" default:"12"`
	Read    int           `help:"Weight of reading." group:"Mix" default:"23"`
	Repeat  int           `help:"Weight of sending the last command again." group:"Mix" default:"10"`
	Refuse  int           `help:"Weight of what has to be refused." group:"Mix" default:"5"`
	History string        `help:"File that takes what the clients were told, for check --history." placeholder:"FILE"`
}

// Run acts, waits until what was asked for has ended, and says what was answered.
// Where it is told of the parts (ATELIER_BROKERS and DATABASE_URL) it waits until they
// are at rest: else a command that nobody answered may be decided after the end, and
// a check then finds that its user's stream does not know of it. Accounts have the
// limits of the API: with few users and a high rate many calls are refused.
func (cmd loadCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	for _, broker := range c.Brokers {
		if host, _, _ := net.SplitHostPort(broker); !load.IsHere(host) {
			return fmt.Errorf("%w: ATELIER_BROKERS names %s: load is for brokers of this machine", errUsage, broker)
		}
	}
	history, closeHistory, err := cmd.history()
	if err != nil {
		return err
	}
	defer closeHistory()
	config := load.Config{
		Address: func() string { return cmd.Address }, Users: cmd.Users, Rate: cmd.Rate, Duration: cmd.For, Calls: cmd.Calls, Seed: cmd.Seed,
		Mix:     load.Mix{Save: cmd.Save, Request: cmd.Request, Cancel: cmd.Cancel, Read: cmd.Read, Repeat: cmd.Repeat, Refuse: cmd.Refuse},
		History: history,
	}
	if len(c.Brokers) > 0 && c.DatabaseURL != "" {
		p, err := c.openParts(ctx)
		if err != nil {
			return err
		}
		defer p.close()
		checked, err := p.checking(ctx)
		if err != nil {
			return err
		}
		config.Rest = func(ctx context.Context) error { return check.Settle(ctx, checked) }
	}
	if cmd.Credits > 0 {
		grant, closeGrant, err := c.granting(ctx, cmd.Credits)
		if err != nil {
			return err
		}
		defer closeGrant()
		config.Grant = grant
	}
	l, err := load.New(config)
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	stop := showCalls(ctx, l, cmd.For)
	err = l.Run(ctx)
	stop()
	answers := history.Answers()
	fmt.Fprintf(out, "%d calls: of the commands %d acknowledged, %d refused, %d without an answer that settles it\n",
		l.Calls(), answers[check.Acknowledged], answers[check.Refused], answers[check.Unknown])
	return err
}

func (cmd loadCmd) history() (*check.History, func(), error) {
	if cmd.History == "" {
		return check.NewHistory(nil), func() {}, nil
	}
	file, err := os.Create(cmd.History)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return check.NewHistory(file), func() { _ = file.Close() }, nil // History.Err has what could not be written
}

// granting returns what grants an account credits.
func (c *Config) granting(ctx context.Context, credits int64) (func(context.Context, string) error, func(), error) {
	admin, err := c.admin(ctx)
	if err != nil {
		return nil, nil, err
	}
	admin.Close()
	codec, err := c.codec(ctx)
	if err != nil {
		return nil, nil, err
	}
	producer, err := kafka.NewProducer(c.kafka("load", c.logger()))
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, account string) error {
		id := schemas.NewID()
		record, err := kafka.NewRecord(codec, schemas.TopicCommands, &schemas.GrantCredits{
			CommandMetadata: schemas.CommandMetadata{
				ID: id, AccountID: account, OccurredAt: time.Now().UTC(), CorrelationID: id, CausationID: id,
				Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "load", Via: "cli"},
			},
			BlockID: schemas.DeriveID(id, "block"), Credits: credits, Source: "operator", Priority: 50, Reason: "load",
		})
		if err != nil {
			return err
		}
		return producer.Produce(ctx, record)
	}, producer.Close, nil
}

// showEvery is the pause between two lines of progress.
const showEvery = time.Second

// showCalls shows how far the load is, until stop is called.
func showCalls(ctx context.Context, l *load.Load, whole time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		show, began := progressOf("load, s"), time.Now()
		tick := time.NewTicker(showEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if passed := time.Since(began); passed < whole {
				show(int64(passed.Seconds()), int64(whole.Seconds()))
			}
		}
	}()
	return func() { cancel(); <-done }
}
