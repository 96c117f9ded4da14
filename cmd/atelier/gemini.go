package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"atelier/processors/gemini/standin"
)

type geminiCmd struct {
	Address   string        `name:"address" default:"127.0.0.1:8090" help:"Where it listens."`
	Key       string        `name:"key" default:"stand-in" help:"The API key that it asks for."`
	Faults    []string      `name:"fault" sep:"none" placeholder:"NAME[,call=N][,model=ID][,tag=TAG][,times=N][,question=ID]" help:"A fault to play, on the calls that match; may be given again."`
	Storm     string        `name:"storm" placeholder:"NAME=PERCENT,..." help:"Faults at random, by their shares, such as quota_minute=10,cut=2; rough: the storm that the system is measured in."`
	Seed      uint64        `name:"seed" default:"1" help:"Seed of the storm and of the latency: the same calls meet the same."`
	Latency   string        `name:"latency" default:"none" placeholder:"MEDIAN,P99" help:"How long calls take, such as 800ms,3s; real: as long as the models; none."`
	QuotaWait time.Duration `name:"quota-wait" default:"18s" help:"Wait that quota_minute tells."`
	PerMinute int           `name:"per-minute" default:"0" help:"Calls a minute and model; 0: any number."`
	PerDay    int           `name:"per-day" default:"0" help:"Calls a day (Pacific) and model; 0: any number."`
}

// Run serves the stand-in until ctx ends.
func (cmd geminiCmd) Run(ctx context.Context, out io.Writer) error {
	options, err := cmd.options()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	listener, err := listen(cmd.Address, "--address")
	if err != nil {
		return err
	}
	model := standin.New(options)
	server := &http.Server{Handler: model, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		model.Close()
		_ = server.Close()
	})
	defer stop()
	fmt.Fprintf(out, "stand-in for Gemini at http://%s\nits ledger at http://%s/ledger\n", listener.Addr(), listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (cmd geminiCmd) options() (standin.Options, error) {
	o := standin.Options{Key: cmd.Key, QuotaWait: cmd.QuotaWait, PerMinute: cmd.PerMinute, PerDay: cmd.PerDay}
	if cmd.QuotaWait <= 0 || cmd.PerMinute < 0 || cmd.PerDay < 0 {
		return o, errors.New("--quota-wait, --per-minute and --per-day count up from 0")
	}
	for _, text := range cmd.Faults {
		rule, err := parseRule(text)
		if err != nil {
			return o, fmt.Errorf("--fault is %q: %w", text, err)
		}
		o.Rules = append(o.Rules, rule)
	}
	var err error
	if o.Storm, err = parseStorm(cmd.Storm, cmd.Seed); err != nil {
		return o, fmt.Errorf("--storm is %q: %w", cmd.Storm, err)
	}
	if o.Latency, err = parseLatency(cmd.Latency, cmd.Seed); err != nil {
		return o, fmt.Errorf("--latency is %q: %w", cmd.Latency, err)
	}
	return o, nil
}

// parseRule reads a fault's name and what its calls must match.
func parseRule(text string) (standin.Rule, error) {
	parts := strings.Split(text, ",")
	rule := standin.Rule{Fault: parts[0]}
	if err := knownFault(rule.Fault); err != nil {
		return rule, err
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		var err error
		switch name {
		case "call":
			rule.Call, err = strconv.ParseInt(value, 10, 64)
		case "times":
			rule.Times, err = strconv.Atoi(value)
		case "model":
			rule.Model = value
		case "tag":
			rule.Tag = value
		case "question":
			rule.Question = value
		default:
			return rule, fmt.Errorf("%q is not call, model, tag, times or question", name)
		}
		if err != nil {
			return rule, fmt.Errorf("%s is no number", name)
		}
	}
	return rule, nil
}

func knownFault(name string) error {
	if err := (standin.Storm{Rates: []standin.Rate{{Fault: name}}}).Validate(); err != nil {
		return fmt.Errorf("%w; it may be %s", err, strings.Join(standin.Faults(), ", "))
	}
	return nil
}

// parseStorm reads shares in percent, or a storm's name.
func parseStorm(text string, seed uint64) (standin.Storm, error) {
	storm := standin.Storm{Seed: seed}
	switch text {
	case "":
		return storm, nil
	case "rough":
		return standin.Rough(seed), nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name, percent, _ := strings.Cut(part, "=")
		if err := knownFault(name); err != nil {
			return storm, err
		}
		share, err := strconv.ParseFloat(percent, 64)
		if err != nil {
			return storm, fmt.Errorf("the share of %s is no number of percent", name)
		}
		storm.Rates = append(storm.Rates, standin.Rate{Fault: name, Share: share / 100})
	}
	return storm, storm.Validate()
}

// parseLatency reads a median and the time that 99 of 100 calls keep to.
func parseLatency(text string, seed uint64) (func(standin.Call) time.Duration, error) {
	switch text {
	case "none":
		return nil, nil
	case "real":
		return func(c standin.Call) time.Duration { return standin.RealLatency(c.Model).Within(seed)(c) }, nil
	}
	median, p99, _ := strings.Cut(text, ",")
	var l standin.Latency
	var err error
	if l.Median, err = time.ParseDuration(median); err == nil {
		l.P99, err = time.ParseDuration(p99)
	}
	if err != nil {
		return nil, errors.New("it may be real, none, or a median and a longer time, such as 800ms,3s")
	}
	return l.Within(seed), l.Validate()
}
