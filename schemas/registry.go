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

// registryTimeout bounds one question to the registry; who asks tries again.
const registryTimeout = 10 * time.Second

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

// ID implements Registry.
func (r *ConfluentRegistry) ID(ctx context.Context, subject, schema string) (int, error) {
	found, err := r.client.LookupSchema(ctx, subject, sr.Schema{Schema: schema})
	if err != nil {
		return 0, fmt.Errorf("registry: look up %s: %w", subject, err)
	}
	return found.ID, nil
}

// Schema implements Registry.
func (r *ConfluentRegistry) Schema(ctx context.Context, id int) (string, error) {
	found, err := r.client.SchemaByID(ctx, id)
	var refused *sr.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound {
		return "", ErrUnknownSchema
	}
	if err != nil {
		return "", fmt.Errorf("registry: schema %d: %w", id, err)
	}
	return found.Schema, nil
}

// Register makes the registry hold every released schema, oldest first, events
// under FULL_TRANSITIVE (they are replayed for ever) and the rest under BACKWARD.
// It is idempotent.
func (r *ConfluentRegistry) Register(ctx context.Context) error {
	for _, s := range Lock() {
		level := sr.CompatBackward
		if strings.HasPrefix(s.Subject, TopicEvents+"-") {
			level = sr.CompatFullTransitive
		}
		for _, result := range r.client.SetCompatibility(ctx, sr.SetCompatibility{Level: level}, s.Subject) {
			if result.Err != nil {
				return fmt.Errorf("registry: compatibility of %s: %w", s.Subject, result.Err)
			}
		}
		if _, err := r.client.CreateSchema(ctx, s.Subject, sr.Schema{Schema: string(s.Schema)}); err != nil {
			return fmt.Errorf("registry: register %s: %w", s.Subject, err)
		}
	}
	return nil
}
