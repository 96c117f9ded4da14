package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// patience is how long a role goes on trying to reach what it stands on.
	// Orchestrators start parts in any order.
	patience = time.Minute
	// tryEvery is the wait between two tries, tryFor what one may take.
	tryEvery = time.Second
	tryFor   = 10 * time.Second
)

// await tries to reach a part until it answers, says where it tries and how
// long it will go on, and gives up after patience.
func await(ctx context.Context, log zerolog.Logger, part, where string, try func(context.Context) error) error {
	deadline := time.Now().Add(patience)
	for first := true; ; first = false {
		one, cancel := context.WithTimeout(ctx, tryFor)
		err := try(one)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("no %s at %s after %s: %w", part, where, patience, err)
		case first:
			log.Warn().Err(err).Str("part", part).Str("at", where).Stringer("tries_for", patience).Msg("waiting for a part")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(tryEvery):
		}
	}
}

var (
	errNoBrokers  = fmt.Errorf("%w: ATELIER_BROKERS is not set; it names the Kafka brokers, such as 127.0.0.1:9092", errUsage)
	errNoIssuer   = fmt.Errorf("%w: ATELIER_JWT_ISSUER is not set; it names who signs access tokens, such as https://PROJECT.supabase.co/auth/v1", errUsage)
	errNoMedia    = fmt.Errorf("%w: ATELIER_MEDIA_URL is not set; it names the media store that all generators and APIs share, such as file:///var/lib/atelier/media", errUsage)
	errNoDatabase = fmt.Errorf("%w: DATABASE_URL is not set; it may be postgres://user:password@host:5432/name", errUsage)
)

// admin waits for the brokers.
func (c *Config) admin(ctx context.Context) (*kafka.Admin, error) {
	if len(c.Brokers) == 0 {
		return nil, errNoBrokers
	}
	log := c.logger()
	admin, err := kafka.NewAdmin(c.kafka("admin", log))
	if err != nil {
		return nil, err
	}
	if err := await(ctx, log, "Kafka broker", strings.Join(c.Brokers, ","), admin.Ping); err != nil {
		admin.Close()
		return nil, err
	}
	return admin, nil
}

// codec waits for the registry, where there is one.
func (c *Config) codec(ctx context.Context) (*schemas.Codec, error) {
	return c.openCodec(ctx, c.awaitRegistry)
}

// codecNow is codec for who sits before it: a registry that is away is
// schemas.ErrRegistryAway at once.
func (c *Config) codecNow(ctx context.Context) (*schemas.Codec, error) {
	return c.openCodec(ctx, func(ctx context.Context, try func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, tryFor)
		defer cancel()
		err := try(ctx)
		if err == nil || errors.Is(err, schemas.ErrUnknownSchema) {
			return err
		}
		return fmt.Errorf("%w: %w", schemas.ErrRegistryAway, err)
	})
}

func (c *Config) openCodec(ctx context.Context, await func(context.Context, func(context.Context) error) error) (*schemas.Codec, error) {
	if c.RegistryURL == "" {
		return schemas.NewLockedCodec(), nil
	}
	registry, err := schemas.OpenRegistry(c.RegistryURL)
	if err != nil {
		return nil, err
	}
	var codec *schemas.Codec
	err = await(ctx, func(ctx context.Context) (err error) {
		codec, err = schemas.NewCodec(ctx, registry)
		return err
	})
	return codec, err
}

func (c *Config) awaitRegistry(ctx context.Context, try func(context.Context) error) error {
	where := c.RegistryURL
	if u, err := url.Parse(where); err == nil {
		where = u.Redacted()
	}
	return await(ctx, c.logger(), "schema registry", where, try)
}

// registry waits for the registry to answer, whatever it has.
func (c *Config) registry(ctx context.Context) (*schemas.ConfluentRegistry, error) {
	registry, err := schemas.OpenRegistry(c.RegistryURL)
	if err != nil {
		return nil, err
	}
	return registry, c.awaitRegistry(ctx, registry.Ping)
}

// checkTopics refuses topics that are less than they should be: too few replicas
// lose acknowledged commands.
func (c *Config) checkTopics(ctx context.Context) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	changes, err := admin.CheckTopics(ctx, c.Partitions, c.Replication)
	if err == nil {
		err = deviations(changes)
	}
	if err != nil {
		return errors.Join(err, errors.New("run `atelier topics apply`, or set ATELIER_REPLICATION and ATELIER_PARTITIONS to what this cluster is meant to have"))
	}
	return nil
}
