package main

import (
	"context"
	"fmt"
	"io"

	"atelier/schemas"
)

type schemasCmd struct {
	Check    schemasCheckCmd    `cmd:"" help:"Say whether the registry has every schema of this build."`
	Register schemasRegisterCmd `cmd:"" help:"Register every released schema; idempotent. At deploy, before the roles start."`
}

type schemasCheckCmd struct{}

// Run looks every schema up. Without a registry it reads the embedded lock. It
// waits for a registry that is away, but not for a schema that is missing.
func (schemasCheckCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if c.RegistryURL != "" {
		registry, err := c.registry(ctx)
		if err != nil {
			return err
		}
		if _, err := schemas.NewCodec(ctx, registry); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%d schemas, all known\n", len(schemas.Newest()))
	return err
}

type schemasRegisterCmd struct{}

// Run registers what was released. It waits for a registry that is away.
func (schemasRegisterCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	if c.RegistryURL == "" {
		return fmt.Errorf("%w: ATELIER_REGISTRY_URL is not set; it names the registry to register with", errUsage)
	}
	registry, err := c.registry(ctx)
	if err != nil {
		return err
	}
	if err := registry.Register(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d schemas registered\n", len(schemas.Lock()))
	return err
}
