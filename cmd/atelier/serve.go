package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"golang.org/x/sync/errgroup"

	"atelier/api"
	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/internal/vault"
	"atelier/web"
)

// apiConnectionsMax bounds the connections of a node's reads (count).
const apiConnectionsMax = 16

func (c *Config) limits() api.Limits {
	return api.Limits{
		ImagesPerBatch: c.LimitImages, OpenGenerations: c.LimitOpen, Brands: c.LimitBrands, Assets: c.LimitAssets,
		KitBytes: c.LimitKitBytes, BriefBytes: c.LimitBriefBytes, FileBytes: c.LimitFileBytes,
		Reads: c.LimitReads, Writes: c.LimitWrites, Uploads: c.LimitUploads, Streams: c.LimitStreams,
	}
}

// verifier judges the tokens of the configured issuer, or of the embedded one.
func (c *Config) verifier(issuer *api.Issuer) (api.Verifier, error) {
	if issuer != nil {
		return issuer.Verifier()
	}
	if c.JWTIssuer == "" {
		return nil, errNoIssuer
	}
	keys := c.JWKSURL
	if keys == "" {
		keys = strings.TrimSuffix(c.JWTIssuer, "/") + "/.well-known/jwks.json"
	}
	return api.NewVerifier(api.VerifierConfig{
		Issuer: c.JWTIssuer, Audience: c.JWTAudience, JWKSURL: keys, Algorithm: c.JWTAlgorithm, EmailConfirmedClaim: c.JWTEmailClaim,
	})
}

// links leads to the CDN where there is one, and to the API itself elsewhere.
func (c *Config) links(signer *media.Signer) (api.Links, error) {
	if c.CDNURL == "" {
		return signer, nil
	}
	return media.NewBunny(c.CDNURL, c.CDNKey)
}

// api serves the HTTP API on the listener. A nil issuer is somebody else's;
// sample gives new accounts something to begin with.
func (p *parts) api(ctx context.Context, v *vault.Vault, store *media.Store, issuer *api.Issuer, sample bool, listener net.Listener) (role, error) {
	log := p.log.With().Str("role", "api").Logger()
	key, err := p.secret(p.config.MediaKey, "ATELIER_MEDIA_KEY", mediaKeyFile)
	if err != nil {
		return role{}, err
	}
	signer, err := media.NewSigner(key)
	if err != nil {
		return role{}, err
	}
	links, err := p.config.links(signer)
	if err != nil {
		return role{}, err
	}
	verifier, err := p.config.verifier(issuer)
	if err != nil {
		return role{}, err
	}
	pool, err := p.pool(ctx, "atelier_api", apiConnectionsMax)
	if err != nil {
		return role{}, err
	}
	producer, err := p.producer("api")
	if err != nil {
		return role{}, err
	}
	admin, err := kafka.NewAdmin(p.config.kafka("api", p.log))
	if err != nil {
		return role{}, err
	}
	p.closeLater(admin.Close)
	feed, err := api.NewFeed(api.FeedConfig{
		Kafka: p.config.kafka("api", p.log), Codec: p.codec, Partitions: p.config.Partitions, Generation: p.config.TopicGeneration,
		DailyBudgetMicros: int64(p.config.DailyBudget * 1e6), Log: log, Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	server, err := api.New(api.Config{
		Codec: p.codec, Producer: producer, Feed: feed, Pool: pool, Vault: v, Media: store, Signer: signer, Links: links, Verifier: verifier,
		Issuer: issuer, SignIn: p.config.signIn(), Site: web.Files(), Sample: sample, Partitions: p.config.Partitions, Limits: p.config.limits(), Deadline: p.config.Deadline,
		Brokers: admin.Ping, Version: version(), Log: log, Registerer: p.operator.registry,
	})
	if err != nil {
		return role{}, err
	}
	return role{"api", orElse(server.Ready, "a part does not answer; /readyz of the API names it"), func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return feed.Run(ctx) })
		group.Go(func() error { return server.Run(ctx, listener) })
		return group.Wait()
	}}, nil
}

// orElse is a question with yes or no, as one that says why not.
func orElse(ready func() bool, why string) func() error {
	notReady := errors.New(why)
	return func() error {
		if ready() {
			return nil
		}
		return notReady
	}
}

type apiCmd struct{}

// Run serves until ctx ends.
func (apiCmd) Run(ctx context.Context, c *Config, out io.Writer) error {
	listener, err := listen(c.Listen, "ATELIER_LISTEN")
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Fprintf(out, "%-10s http://%s\n", "address", listener.Addr())
	return c.runAlone(ctx, out, func(p *parts) ([]role, error) {
		v, err := p.vault(ctx)
		if err != nil {
			return nil, err
		}
		store, err := p.media(ctx)
		if err != nil {
			return nil, err
		}
		serve, err := p.api(ctx, v, store, nil, false, listener)
		return []role{serve}, err
	})
}
