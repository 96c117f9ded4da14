package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

const (
	// tokenBytesMax bounds a token before anything of it is decoded. Supabase's
	// are about 1 KB; a server's header buffer ends at some 4 to 16 KB.
	tokenBytesMax = 8 << 10
	// clockLeeway is how far an issuer's clock may be off.
	clockLeeway = 10 * time.Second
	// emailBytesMax is RFC 5321's longest path without its angle brackets.
	emailBytesMax = 254
)

// ErrUnauthorized is a token that does not prove who asks. What wraps it gives a
// short reason, never any part of the token.
var ErrUnauthorized = errors.New("unauthorized")

// ErrKeysAway is an issuer whose keys could not be fetched yet: no token can be
// judged, and asking again later may help (503).
var ErrKeysAway = errors.New("the issuer's keys cannot be fetched")

// Identity is whom a token names.
type Identity struct {
	// AccountID is the subject, a UUID in its usual lower-case form.
	AccountID string
	// Email is as the issuer has it, at most emailBytesMax bytes; may be empty.
	Email string
	// EmailConfirmed says that the auth server itself vouches for Email.
	EmailConfirmed bool
	// ExpiresAt is when the token ends.
	ExpiresAt time.Time
}

// Verifier says whom a token names. Its error is ErrUnauthorized or ErrKeysAway.
// It is safe for concurrent use.
type Verifier interface {
	Verify(ctx context.Context, token string) (Identity, error)
}

// VerifierConfig is how the tokens of one issuer are judged.
type VerifierConfig struct {
	// Issuer and Audience must be the token's iss, and among its aud.
	Issuer, Audience string
	// JWKSURL is where the issuer publishes its keys: https, or http on loopback.
	JWKSURL string
	// Algorithm is the one that is accepted: ES256 or RS256.
	Algorithm string
	// EmailConfirmedClaim names the claim by which the auth server says that the
	// address is confirmed (true, or the time it was), with dots between levels,
	// such as "app_metadata.email_confirmed_at". Empty: no address counts as
	// confirmed. Claims that the person can write (user_metadata) are refused.
	EmailConfirmedClaim string
	// HTTPClient fetches the keys; nil: one of its own. It must not follow
	// redirects to other hosts.
	HTTPClient *http.Client
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

func (c VerifierConfig) validate() error {
	writable := strings.Contains(c.EmailConfirmedClaim, "user_meta")
	switch {
	case c.Issuer == "":
		return errors.New("verifier: no issuer given")
	case c.Audience == "":
		return errors.New("verifier: no audience given")
	case c.Algorithm != jwt.SigningMethodES256.Alg() && c.Algorithm != jwt.SigningMethodRS256.Alg():
		return fmt.Errorf("verifier: algorithm %q, must be ES256 or RS256", c.Algorithm)
	case writable:
		return fmt.Errorf("verifier: claim %q can be written by the person", c.EmailConfirmedClaim)
	}
	return nil
}

// tokenVerifier implements Verifier over a set of keys.
type tokenVerifier struct {
	config VerifierConfig
	parser *jwt.Parser
	keys   keyfunc.Keyfunc
}

// NewVerifier makes a verifier of a remote issuer's tokens. It fetches the keys
// when the first token comes, so that an issuer that is away stops no start.
func NewVerifier(c VerifierConfig) (Verifier, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	at, err := url.Parse(c.JWKSURL)
	if err != nil || at.Host == "" {
		return nil, fmt.Errorf("verifier: %q is no address of a key set", c.JWKSURL)
	}
	if at.Scheme != "https" && (at.Scheme != "http" || !isLoopback(at.Hostname())) {
		return nil, fmt.Errorf("verifier: keys from %q: must be https, or http on loopback", c.JWKSURL)
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{
			Timeout:       jwksTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return newTokenVerifier(c, &remoteKeys{
		Storage: jwkset.NewMemoryStorage(), url: c.JWKSURL, algorithm: c.Algorithm, http: c.HTTPClient, now: c.Now,
	})
}

// newTokenVerifier makes a verifier over keys that are already known to be valid for
// the configured algorithm.
func newTokenVerifier(c VerifierConfig, keys jwkset.Storage) (*tokenVerifier, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	find, err := keyfunc.New(keyfunc.Options{Storage: keys})
	if err != nil {
		return nil, fmt.Errorf("verifier: %w", err)
	}
	return &tokenVerifier{config: c, keys: find, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{c.Algorithm}),
		jwt.WithIssuer(c.Issuer),
		jwt.WithAudience(c.Audience),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(clockLeeway),
		jwt.WithTimeFunc(c.Now),
		jwt.WithStrictDecoding(),
	)}, nil
}

// claims are what is read of a token: Supabase's shape.
type claims struct {
	jwt.RegisteredClaims
	Role  string `json:"role"`
	Email string `json:"email"`
	// Anonymous must be absent or false; anything else is refused.
	Anonymous json.RawMessage `json:"is_anonymous"`
	// all are the claims by name, for EmailConfirmedClaim.
	all map[string]any
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *claims) UnmarshalJSON(b []byte) error {
	type plain claims
	if err := json.Unmarshal(b, (*plain)(c)); err != nil {
		return err
	}
	return json.Unmarshal(b, &c.all)
}

// Verify implements Verifier.
func (v *tokenVerifier) Verify(ctx context.Context, token string) (Identity, error) {
	switch {
	case token == "":
		return Identity{}, unauthorized("no token")
	case len(token) > tokenBytesMax:
		return Identity{}, unauthorized("the token is too long")
	case strings.ContainsAny(token, "\r\n"):
		// Go's base64 skips line breaks; RFC 7515 allows none.
		return Identity{}, unauthorized("the token is malformed")
	}
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.key(ctx)); err != nil {
		return Identity{}, tokenRefusal(err)
	}
	account, err := accountID(c.Subject)
	switch {
	case err != nil:
		return Identity{}, err
	case c.Role != "authenticated":
		return Identity{}, unauthorized("the role is not authenticated")
	case !slices.Contains([]string{"", "false", "null"}, string(c.Anonymous)):
		return Identity{}, unauthorized("the account is anonymous")
	case len(c.Email) > emailBytesMax:
		return Identity{}, unauthorized("the e-mail address is too long")
	}
	return Identity{
		AccountID: account, Email: c.Email, ExpiresAt: c.ExpiresAt.Time,
		EmailConfirmed: c.Email != "" && confirmed(c.all, v.config.EmailConfirmedClaim),
	}, nil
}

// refusedHeaders bring a key of the sender's own, or ask for what is not
// understood (RFC 7515, 4.1): such a token is refused, not read without them.
var refusedHeaders = []string{"jku", "jwk", "x5u", "x5c", "crit"}

// errHeader is a header that the token may not have, or lacks.
var errHeader = errors.New("header refused")

// key finds the token's key by its ID, which it must have.
func (v *tokenVerifier) key(ctx context.Context) jwt.Keyfunc {
	find := v.keys.KeyfuncCtx(ctx)
	return func(t *jwt.Token) (any, error) {
		for _, name := range refusedHeaders {
			if _, ok := t.Header[name]; ok {
				return nil, errHeader
			}
		}
		if kid, ok := t.Header["kid"].(string); !ok || kid == "" {
			return nil, errHeader
		}
		return find(t)
	}
}

func unauthorized(reason string) error { return fmt.Errorf("%w: %s", ErrUnauthorized, reason) }

// tokenRefusal turns the library's errors into fixed reasons: its own texts repeat
// parts of the token.
func tokenRefusal(err error) error {
	if errors.Is(err, ErrKeysAway) {
		return ErrKeysAway
	}
	for _, known := range []struct {
		is     error
		reason string
	}{
		{jwt.ErrTokenMalformed, "the token is malformed"},
		{errHeader, "the token's header is refused"},
		{jwkset.ErrKeyNotFound, "the signing key is unknown"},
		{jwt.ErrTokenExpired, "the token has expired"},
		{jwt.ErrTokenNotValidYet, "the token is not valid yet"},
		{jwt.ErrTokenUsedBeforeIssued, "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "the issuer is another"},
		{jwt.ErrTokenInvalidAudience, "the audience is another"},
		{jwt.ErrTokenRequiredClaimMissing, "a required claim is missing"},
		{jwt.ErrTokenSignatureInvalid, "the signature or its algorithm is not accepted"},
	} {
		if errors.Is(err, known.is) {
			return unauthorized(known.reason)
		}
	}
	return unauthorized("the token cannot be verified")
}

// accountID is the subject as an account ID: only a UUID's usual form, never nil.
func accountID(subject string) (string, error) {
	id, err := uuid.Parse(subject)
	if err != nil || len(subject) != len(id.String()) || id == uuid.Nil {
		return "", unauthorized("the subject is no UUID")
	}
	return id.String(), nil
}

// confirmed reads the claim at path: true, or the time at which it was confirmed.
func confirmed(all map[string]any, path string) bool {
	if path == "" {
		return false
	}
	var at any = all
	for name := range strings.SplitSeq(path, ".") {
		level, ok := at.(map[string]any)
		if !ok {
			return false
		}
		at = level[name]
	}
	switch at := at.(type) {
	case bool:
		return at
	case string:
		_, err := time.Parse(time.RFC3339, at)
		return err == nil
	default:
		return false
	}
}
