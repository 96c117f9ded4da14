// Command atelier is the whole system in one binary: a subcommand for each role
// and for each thing that an operator does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
)

// The exit codes. What scripts depend on: 1 may work the next time, 2 will not.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks an error that another try with the same words will repeat.
var errUsage = errors.New("wrong usage")

// cli is the command line. Every flag has its variable.
type cli struct {
	Config `embed:""`

	Up       upCmd       `cmd:"" help:"Run everything in one process on embedded parts, and print the address when it is ready."`
	API      apiCmd      `cmd:"" name:"api" help:"Serve the HTTP API."`
	Decide   decideCmd   `cmd:"" help:"Decide commands: the one writer of events."`
	Generate generateCmd `cmd:"" help:"Make the images that were requested."`
	Project  projectCmd  `cmd:"" help:"Build the read models in Postgres from the events."`

	Migrate migrateCmd `cmd:"" help:"Set up Postgres: roles, the vault, the read models."`
	Topics  topicsCmd  `cmd:"" help:"Set up the topics, or say how they differ."`
	Schemas schemasCmd `cmd:"" help:"Check the schemas, or register them."`

	Events      eventsCmd      `cmd:"" help:"Read the event log."`
	Deadletters deadlettersCmd `cmd:"" help:"Look at records that could not be read, and deal with them."`
	Verify      verifyCmd      `cmd:"" help:"Compare the read models with the fold of the events."`
	Load        loadCmd        `cmd:"" help:"Behave as a crowd of people, on this machine's own system, and note what they were told."`
	Check       checkCmd       `cmd:"" help:"Count what broke the system's promises; exit 1 if anything did."`
	Bench       benchCmd       `cmd:"" help:"Measure, beside a bare baseline in the same run."`
	Gemini      geminiCmd      `cmd:"" help:"Serve the stand-in for the image model."`
	Show        configCmd      `cmd:"" name:"config" help:"Print the configuration, secrets hidden."`
	Version     versionCmd     `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "atelier:", oneLine(err))
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "atelier:", oneLine(err))
		os.Exit(exitFailed)
	}
}

// oneLine is an error as a script greps for it; drivers and joined errors have several.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\t' }), "; ")
}

// run parses args and does what they say, until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var c cli
	exited := false
	parser, err := kong.New(&c,
		kong.Name("atelier"),
		kong.Description("On-brand advertising images: commands in, events out, on Kafka."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { exited = true }),
		kong.UsageOnError(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if exited { // --help
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if err := c.validate(); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.BindTo(stdout, (*io.Writer)(nil))
	parsed.Bind(&c.Config)
	return parsed.Run()
}
