package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/user"
	"strings"
	"time"

	"atelier/internal/deadletters"
	"atelier/schemas"
)

type deadlettersCmd struct {
	List    deadlettersListCmd    `cmd:"" help:"List the records that could not be read and wait for somebody."`
	Show    deadlettersShowCmd    `cmd:"" help:"Show one with its headers and bytes, and try to read it now."`
	Redrive deadlettersRedriveCmd `cmd:"" help:"Write commands again, once, now that they can be read."`
	Discard deadlettersDiscardCmd `cmd:"" help:"Lay some aside for good."`
}

// deadletters opens a client that acts in somebody's name; without a codec it
// redrives nothing, and needs no registry.
func (c *Config) deadletters(ctx context.Context, actor string, codec *schemas.Codec) (*deadletters.Client, error) {
	admin, err := c.admin(ctx) // says it where no broker is there
	if err != nil {
		return nil, err
	}
	admin.Close()
	if actor == "" {
		actor = "somebody"
		if u, err := user.Current(); err == nil {
			actor = u.Username
		}
		actor += " on " + c.instance()
	}
	return deadletters.New(deadletters.Config{
		Kafka: c.kafka("deadletters", c.logger()), Codec: codec, Actor: actor, Progress: progressOf("deadletters"),
	})
}

// since is the time of an age, the zero time of none.
func since(age time.Duration) time.Time {
	if age == 0 {
		return time.Time{}
	}
	return time.Now().Add(-age)
}

type deadlettersListCmd struct {
	All   bool          `help:"Settled ones too, with what became of them."`
	Since time.Duration `help:"Only of this long ago or newer; 0: all that are kept (30 days)." placeholder:"DURATION"`
	Cause string        `help:"Only with this in their cause." placeholder:"TEXT"`
	Topic string        `help:"Only of this topic, such as atelier.commands."`
	Limit int           `default:"100" help:"Show at most so many, the oldest first."`
	JSON  bool          `name:"json" help:"As one JSON object."`
}

// Run lists letters, one a line, and says how many more there are.
func (cmd deadlettersListCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if cmd.Limit < 1 || cmd.Since < 0 {
		return fmt.Errorf("%w: --limit may be 1 or more, --since no less than 0", errUsage)
	}
	client, err := c.deadletters(ctx, "", nil)
	if err != nil {
		return err
	}
	defer client.Close()
	letters, err := client.List(ctx, deadletters.Filter{Since: since(cmd.Since), Cause: cmd.Cause, Topic: cmd.Topic, All: cmd.All})
	if errors.Is(err, deadletters.ErrTooMany) {
		return fmt.Errorf("%w: ask for fewer with --since, --cause or --topic", err)
	}
	if err != nil {
		return err
	}
	shown := letters[:min(len(letters), cmd.Limit)]
	if more := len(letters) - len(shown); cmd.JSON {
		if shown == nil {
			shown = []deadletters.Letter{}
		}
		return json.NewEncoder(out).Encode(map[string]any{"letters": shown, "more": more})
	}
	for _, l := range shown {
		fmt.Fprintf(out, "%-10s %s  %s  %s  %s  %s\n", l.Place, l.At.Format(time.RFC3339), l.Origin, orDash(l.Type), orDash(l.Account), l.Cause)
		if l.Settled.State != deadletters.Open {
			fmt.Fprintf(out, "%-10s %s\n", "", l.Settled)
		}
	}
	if more := len(letters) - len(shown); more > 0 {
		fmt.Fprintf(out, "and %d more (--limit)\n", more)
	}
	if len(letters) == 0 {
		fmt.Fprintln(out, "no dead letters")
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

type deadlettersShowCmd struct {
	Place deadletters.Place `arg:"" help:"PARTITION@OFFSET, as list names it."`
	Bytes int               `default:"256" help:"Show at most so many of its bytes."`
	JSON  bool              `name:"json" help:"As one JSON object."`
}

// shownLetter is a letter with what can be said of its record. Sealed fields stay
// sealed.
type shownLetter struct {
	deadletters.Letter
	Key     string         `json:"key"`
	Headers [][2]string    `json:"headers"`
	First   string         `json:"first_bytes"` // in hex
	Reads   schemas.Record `json:"reads,omitempty"`
	As      string         `json:"reads_as,omitempty"`
	Error   string         `json:"error,omitempty"`
	// Away: only the registry could say whether it reads, and does not answer.
	Away bool `json:"registry_away,omitempty"`
}

// Run shows a letter.
func (cmd deadlettersShowCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if cmd.Bytes < 0 {
		return fmt.Errorf("%w: --bytes may be 0 or more", errUsage)
	}
	client, err := c.deadletters(ctx, "", nil)
	if err != nil {
		return err
	}
	defer client.Close()
	letter, record, err := client.Show(ctx, cmd.Place)
	if err != nil {
		return err
	}
	first := record.Value[:min(len(record.Value), cmd.Bytes)]
	shown := shownLetter{Letter: *letter, Key: string(record.Key), First: hex.EncodeToString(first)}
	for _, h := range record.Headers {
		shown.Headers = append(shown.Headers, [2]string{h.Key, string(h.Value)})
	}
	if letter.Truncated {
		shown.Error = fmt.Sprintf("only %d bytes were kept", len(record.Value))
	} else {
		shown.read(ctx, c, record.Value)
	}
	if cmd.JSON {
		return json.NewEncoder(out).Encode(shown)
	}
	return shown.print(out, first)
}

// read tries to read the record now.
func (s *shownLetter) read(ctx context.Context, c *Config, value []byte) {
	codec, err := c.codecNow(ctx)
	if err == nil {
		s.Reads, err = codec.Decode(ctx, s.Origin.Topic, value)
	}
	if err != nil {
		s.Error, s.Away = oneLine(err), errors.Is(err, schemas.ErrRegistryAway)
		return
	}
	s.As = s.Reads.SchemaName()
}

func (s shownLetter) print(out io.Writer, first []byte) error {
	fmt.Fprintf(out, "%-10s %s\n%-10s %s\n%-10s %s\n%-10s %s\n%-10s %s\n%-10s %q\n", "place", s.Place, "dead since", s.At.Format(time.RFC3339),
		"origin", s.Origin, "cause", s.Cause, "state", s.Settled, "key", s.Key)
	for _, h := range s.Headers {
		fmt.Fprintf(out, "%-10s %q %q\n", "header", h[0], h[1])
	}
	fmt.Fprintf(out, "%-10s %d, the first %d of them:\n%s", "bytes", s.Bytes, len(first), hex.Dump(first))
	if s.Away {
		_, err := fmt.Fprintf(out, "%-10s not known while the registry is away: %s\n", "readable", s.Error)
		return err
	}
	if s.Error != "" {
		_, err := fmt.Fprintf(out, "%-10s no: %s\n", "readable", s.Error)
		return err
	}
	fields, err := json.Marshal(s.Reads)
	if err == nil {
		_, err = fmt.Fprintf(out, "%-10s now, as %s: %s\n", "readable", s.As, fields)
	}
	return err
}

type deadlettersRedriveCmd struct {
	Places []deadletters.Place `arg:"" optional:"" name:"place" help:"PARTITION@OFFSET, as list names them."`
	All    bool                `help:"All open ones of atelier.commands."`
	Cause  string              `help:"With --all: only with this in their cause." placeholder:"TEXT"`
	Since  time.Duration       `help:"With --all: only of this long ago or newer; 0: all that are kept." placeholder:"DURATION"`
	Force  bool                `help:"Also those that this build cannot read."`
	Actor  string              `help:"Who does it; empty: the user and the instance." placeholder:"NAME"`
}

// Run writes the letters again and says where each went. What is refused is said
// and does not keep the others.
func (cmd deadlettersRedriveCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	switch {
	case cmd.All == (len(cmd.Places) > 0):
		return fmt.Errorf("%w: name the places of dead letters, such as 3@17, or --all", errUsage)
	case cmd.Cause != "" && !cmd.All, cmd.Since != 0 && !cmd.All:
		return fmt.Errorf("%w: --cause and --since go with --all", errUsage)
	case cmd.Since < 0:
		return fmt.Errorf("%w: --since may be no less than 0", errUsage)
	}
	codec, err := c.codecNow(ctx)
	if errors.Is(err, schemas.ErrRegistryAway) {
		return fmt.Errorf("nothing is redriven: bring the registry back and do the same again: %w", err)
	}
	if err != nil {
		return err
	}
	client, err := c.deadletters(ctx, cmd.Actor, codec)
	if err != nil {
		return err
	}
	defer client.Close()
	places := cmd.Places
	if cmd.All {
		letters, err := client.List(ctx, deadletters.Filter{Since: since(cmd.Since), Cause: cmd.Cause, Topic: schemas.TopicCommands})
		if errors.Is(err, deadletters.ErrTooMany) {
			return fmt.Errorf("%w: redrive fewer at once with --cause or --since", err)
		}
		if err != nil {
			return err
		}
		for _, l := range letters {
			places = append(places, l.Place)
		}
	}
	return eachLetter(ctx, out, places, func(at deadletters.Place) (string, error) {
		to, err := client.Redrive(ctx, at, cmd.Force)
		return fmt.Sprintf("redriven to %s", deadletters.Origin{Topic: schemas.TopicCommands, Place: to}), err
	})
}

type deadlettersDiscardCmd struct {
	Places []deadletters.Place `arg:"" name:"place" help:"PARTITION@OFFSET, as list names them."`
	Reason string              `required:"" help:"Why; it is kept." placeholder:"TEXT"`
	Actor  string              `help:"Who does it; empty: the user and the instance." placeholder:"NAME"`
}

// reasonBytesMax bounds the reason that is kept, as it is shown.
const reasonBytesMax = 200

// Run lays the letters aside.
func (cmd deadlettersDiscardCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if reason := strings.TrimSpace(cmd.Reason); reason == "" || len(reason) > reasonBytesMax {
		return fmt.Errorf("%w: --reason may be 1 to %d bytes", errUsage, reasonBytesMax)
	}
	client, err := c.deadletters(ctx, cmd.Actor, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	return eachLetter(ctx, out, cmd.Places, func(at deadletters.Place) (string, error) {
		return "discarded", client.Discard(ctx, at, cmd.Reason)
	})
}

// eachLetter does something to each letter and says what came of it. One refusal
// is returned as it is, of several the first with their number. What would befall
// the next ones too ends it.
func eachLetter(ctx context.Context, out io.Writer, places []deadletters.Place, do func(deadletters.Place) (string, error)) error {
	var first error
	refused := 0
	for i, at := range places {
		said, err := do(at)
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err == nil {
			fmt.Fprintf(out, "%-10s %s\n", at, said)
			continue
		}
		if untried := len(places) - i - 1; untried > 0 && befallsAll(err) {
			return fmt.Errorf("%d of %d were not tried, since %w", untried, len(places), err)
		}
		if refused++; first == nil {
			first = err
		}
		if len(places) > 1 {
			fmt.Fprintf(out, "%-10s refused: %s\n", at, oneLine(err))
		}
	}
	if refused > 1 {
		return fmt.Errorf("%d of %d were refused, the first: %w", refused, len(places), first)
	}
	return first
}

// befallsAll is an error of the brokers or the registry, and not of one letter.
func befallsAll(err error) bool {
	return errors.Is(err, deadletters.ErrUnconfirmed) || errors.Is(err, schemas.ErrRegistryAway)
}
