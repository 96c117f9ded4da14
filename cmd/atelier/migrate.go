package main

import (
	"context"
	"fmt"
	"io"

	"atelier/internal/postgres"
	"atelier/migrations"
	"atelier/projections"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Bring the database to this build's version; idempotent."`
	Down   migrateDownCmd   `cmd:"" help:"Take everything of ours out of the database again."`
	Status migrateStatusCmd `cmd:"" help:"Say which version the database has."`
}

type migrateUpCmd struct{}

// Run applies what is missing.
func (migrateUpCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if c.DatabaseURL == "" {
		return errNoDatabase
	}
	if err := c.migrate(ctx); err != nil {
		return err
	}
	return migrateStatusCmd{}.Run(ctx, c, out)
}

// migrate sets up the database and the first version of each read model. It waits
// for the server.
func (c *Config) migrate(ctx context.Context) error {
	at := postgres.Config{URL: c.DatabaseURL}
	if err := postgres.WaitReady(ctx, at, patience, c.logger()); err != nil {
		return err
	}
	if err := migrations.Up(ctx, c.DatabaseURL); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, at)
	if err != nil {
		return err
	}
	defer pool.Close()
	return projections.Create(ctx, pool)
}

type migrateDownCmd struct {
	Yes bool `help:"Really: the vault's keys are deleted too, and with them all personal text."`
}

// Run takes everything out.
func (cmd migrateDownCmd) Run(ctx context.Context, c *Config) error {
	if c.DatabaseURL == "" {
		return errNoDatabase
	}
	if !cmd.Yes {
		return fmt.Errorf("%w: migrate down deletes the vault's keys, and with them all personal text for ever; say --yes", errUsage)
	}
	return migrations.Down(ctx, c.DatabaseURL)
}

type migrateStatusCmd struct{}

// Run says what there is.
func (migrateStatusCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if c.DatabaseURL == "" {
		return errNoDatabase
	}
	status, err := migrations.Status(ctx, c.DatabaseURL)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "version %d of %d%s\n", status.Version, status.Newest, map[bool]string{true: ", interrupted: run `atelier migrate up` again"}[status.Dirty])
	return err
}
