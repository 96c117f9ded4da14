package schemas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sr"
)

const (
	// registryTimeout bounds one question to the registry; who asks tries again.
	registryTimeout = 10 * time.Second
	// registerAttempts bounds the attempts to register one schema (count). Of two
	// who do so at the same time Apicurio answers one with 409, which is no
	// incompatibility; the next time it finds what the other has done.
	registerAttempts = 3
)

// ConfluentRegistry speaks to a registry with Confluent's API. Only Register
// writes; everything that runs looks up.
type ConfluentRegistry struct{ client *sr.Client }

// errRegistryURL does not quote the address, which may hold a password.
var errRegistryURL = errors.New("registry: the address is no URL, such as http://127.0.0.1:8081")

// OpenRegistry makes a client for the registry at an address such as
// "http://127.0.0.1:8081", with user and password where it has them. It does not
// connect yet. No error holds the password.
func OpenRegistry(address string) (*ConfluentRegistry, error) {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" {
		return nil, errRegistryURL
	}
	options := []sr.ClientOpt{sr.HTTPClient(&http.Client{Timeout: registryTimeout})}
	if password, ok := at.User.Password(); ok {
		options = append(options, sr.BasicAuth(at.User.Username(), password))
	}
	// Beside the address, and not in it: the client's errors quote it.
	at.User = nil
	client, err := sr.NewClient(append(options, sr.URLs(at.String()))...)
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return &ConfluentRegistry{client: client}, nil
}

// Ping says whether the registry answers; that it refuses is an answer too.
func (r *ConfluentRegistry) Ping(ctx context.Context) error {
	_, err := r.client.SupportedTypes(ctx)
	var refused *sr.ResponseError
	if err == nil || errors.As(err, &refused) && refused.StatusCode < http.StatusInternalServerError {
		return nil
	}
	return fmt.Errorf("registry: %w", plain(err))
}

// ID implements Registry. A schema that is not registered is ErrUnknownSchema.
func (r *ConfluentRegistry) ID(ctx context.Context, subject, schema string) (int, error) {
	found, err := r.client.LookupSchema(ctx, subject, sr.Schema{Schema: schema})
	if saysUnknown(err) {
		return 0, fmt.Errorf("%w: the registry does not have it; run `atelier schemas register`", ErrUnknownSchema)
	}
	if err != nil {
		return 0, fmt.Errorf("registry: look up %s: %w", subject, plain(err))
	}
	return found.ID, nil
}

// Schema implements Registry.
func (r *ConfluentRegistry) Schema(ctx context.Context, id int) (string, error) {
	found, err := r.client.SchemaByID(ctx, id)
	if saysUnknown(err) {
		return "", ErrUnknownSchema
	}
	if err != nil {
		return "", fmt.Errorf("registry: schema %d: %w", id, plain(err))
	}
	return found.Schema, nil
}

// saysUnknown tells the registry's own "not found" from that of whoever stands
// before it: a proxy without a registry behind it answers 404 too, and a record
// must not become a dead letter for that.
func saysUnknown(err error) bool {
	var refused *sr.ResponseError
	if !errors.As(err, &refused) {
		return false
	}
	code := refused.SchemaError()
	return code == sr.ErrSchemaNotFound || code == sr.ErrSubjectNotFound || code == sr.ErrVersionNotFound
}

// plain keeps a page of whoever answered in the registry's place out of the error.
func plain(err error) error {
	var refused *sr.ResponseError
	if errors.As(err, &refused) && refused.Message == "" {
		return fmt.Errorf("HTTP %d, and not in a registry's words", refused.StatusCode)
	}
	return err
}

// Register makes the registry hold every released schema, oldest first, events
// under FULL_TRANSITIVE (they are replayed for ever) and the rest under BACKWARD.
// It is idempotent, also beside another one that runs at the same time.
func (r *ConfluentRegistry) Register(ctx context.Context) error {
	for _, s := range Lock() {
		var err error
		for range registerAttempts {
			var refused *sr.ResponseError
			if err = r.register(ctx, s); !errors.As(err, &refused) || refused.StatusCode != http.StatusConflict {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *ConfluentRegistry) register(ctx context.Context, s Released) error {
	level := sr.CompatBackward
	if strings.HasPrefix(s.Subject, TopicEvents+"-") {
		level = sr.CompatFullTransitive
	}
	for _, result := range r.client.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, s.Subject) {
		if result.Err != nil {
			return fmt.Errorf("registry: compatibility of %s: %w", s.Subject, plain(result.Err))
		}
	}
	if _, err := r.client.CreateSchema(ctx, s.Subject, sr.Schema{Schema: string(s.Schema)}); err != nil {
		return fmt.Errorf("registry: register %s: %w", s.Subject, plain(err))
	}
	return nil
}
