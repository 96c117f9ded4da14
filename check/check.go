// Package check says whether the whole system kept its promises, whatever was
// killed, cut or repeated meanwhile: it reads the topics, the read models, the
// media and what the clients were told, and counts what broke each invariant. It
// shares no rule with what it judges: the ledger is added up here from the events'
// own lines.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/projections"
	"atelier/schemas"
)

// examplesMax bounds the violations that a report names for each invariant (count).
const examplesMax = 5

// Config is where everything is.
type Config struct {
	Kafka kafka.Config
	Codec *schemas.Codec
	// Pool's user must be allowed to take the role atelier_owner.
	Pool  *pgxpool.Pool
	Open  projections.OpenFunc
	Media *media.Store
	// TopicGeneration counts how often the topics were made anew, from 0.
	TopicGeneration int
	// History is what clients were told; nil: only what the system itself knows is
	// checked.
	History *History
	// Progress hears of what is read: its name, the records read and to be read. It
	// may be nil.
	Progress func(what string, done, total int64)
	Log      zerolog.Logger
}

func (c *Config) validate() error {
	switch {
	case c.Codec == nil:
		return errors.New("check: no codec")
	case c.Pool == nil:
		return errors.New("check: no pool")
	case c.Open == nil:
		return errors.New("check: nothing that opens sealed fields")
	case c.Media == nil:
		return errors.New("check: no media store")
	}
	if c.History == nil {
		c.History = &History{}
	}
	return nil
}

// progress returns the listener of one part of the work.
func (c *Config) progress(what string) func(done, total int64) {
	return func(done, total int64) {
		if c.Progress != nil {
			c.Progress(what, done, total)
		}
	}
}

// Invariant is one promise, with how often it was looked at and broken.
type Invariant struct {
	ID       string   `json:"id"`
	Says     string   `json:"says"`
	Checked  int64    `json:"checked"`
	Broken   int64    `json:"broken"`
	Examples []string `json:"examples"`
}

// broke counts a violation and keeps the first ones' words.
func (i *Invariant) broke(format string, args ...any) {
	i.Broken++
	if len(i.Examples) < examplesMax {
		i.Examples = append(i.Examples, fmt.Sprintf(format, args...))
	}
}

// holds counts one look, and a violation where ok is false.
func (i *Invariant) holds(ok bool, format string, args ...any) {
	i.Checked++
	if !ok {
		i.broke(format, args...)
	}
}

// Report is what a check found.
type Report struct {
	C1, C2, C3, C4, C5, C6, C7, C8, C9 Invariant
	// Commands, Events and DeadLetters are how many records were read.
	Commands    int64 `json:"commands"`
	Events      int64 `json:"events"`
	DeadLetters int64 `json:"dead_letters"`
	// Acknowledged, Refused and Unknown are the clients' calls by their answer.
	Acknowledged int `json:"acknowledged"`
	Refused      int `json:"refused"`
	Unknown      int `json:"unknown"`
}

func newReport() *Report {
	return &Report{
		C1: Invariant{ID: "C1", Says: "what was acknowledged has exactly one outcome"},
		C2: Invariant{ID: "C2", Says: "what was not answered has at most one"},
		C3: Invariant{ID: "C3", Says: "debits equal credits at every event"},
		C4: Invariant{ID: "C4", Says: "no balance is below zero at any event"},
		C5: Invariant{ID: "C5", Says: "every generation has ended exactly once"},
		C6: Invariant{ID: "C6", Says: "a charge for every image, an image for every charge"},
		C7: Invariant{ID: "C7", Says: "read models and snapshots equal the fold"},
		C8: Invariant{ID: "C8", Says: "what was refused had no effect"},
		C9: Invariant{ID: "C9", Says: "streams end as the read models do"},
	}
}

// Invariants are all of them, in order.
func (r *Report) Invariants() []*Invariant {
	return []*Invariant{&r.C1, &r.C2, &r.C3, &r.C4, &r.C5, &r.C6, &r.C7, &r.C8, &r.C9}
}

// Broken is how often any invariant was broken.
func (r *Report) Broken() int64 {
	var n int64
	for _, i := range r.Invariants() {
		n += i.Broken
	}
	return n
}

// Print writes the table.
func (r *Report) Print(out io.Writer) {
	fmt.Fprintf(out, "%d commands, %d events, %d dead letters; clients were told: %d acknowledged, %d refused, %d unknown\n",
		r.Commands, r.Events, r.DeadLetters, r.Acknowledged, r.Refused, r.Unknown)
	for _, i := range r.Invariants() {
		fmt.Fprintf(out, "%s  %-52s %8d checked %6d broken\n", i.ID, i.Says, i.Checked, i.Broken)
		for _, example := range i.Examples {
			fmt.Fprintf(out, "      %s\n", example)
		}
	}
}

// Run checks everything. The system may be running, but what is open counts as not
// ended: call Settle before, or stop the load. The error is of what could not be
// read; violations are in the report.
func Run(ctx context.Context, c Config) (*Report, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	report := newReport()
	read, err := readLog(ctx, &c, report)
	if err != nil {
		return nil, fmt.Errorf("check: %w", err)
	}
	read.outcomes.judge(report, c.History)
	read.books.judge(report)
	for _, step := range []func(context.Context, *Config, *record, *Report) error{checkMedia, checkModels, checkStreams} {
		if err := step(ctx, &c, read, report); err != nil {
			return nil, fmt.Errorf("check: %w", err)
		}
	}
	return report, nil
}
