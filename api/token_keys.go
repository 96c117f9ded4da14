package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// jwksBytesMax and jwksKeysMax bound what the issuer may answer.
	jwksBytesMax = 64 << 10
	jwksKeysMax  = 32
	// jwksTimeout bounds one fetch: the request that caused it waits.
	jwksTimeout = 5 * time.Second
	// jwksFetchEvery is the least time between two fetches, whatever key IDs come.
	jwksFetchEvery = time.Minute
	// jwksRetryEvery takes its place until the first set is there: nobody can sign
	// in before.
	jwksRetryEvery = 5 * time.Second
	// jwksAge is how long a key set is believed, so that a key that the issuer
	// takes back is refused. An issuer that is away leaves the old set in force.
	jwksAge = 10 * time.Minute
	// rsaBitsMin is what NIST SP 800-131A asks for.
	rsaBitsMin = 2048
)

// remoteKeys is a key set behind a URL. It fetches at most once in
// jwksFetchEvery: when a key ID is unknown, and when the set is old. One request
// fetches; those whose key is known go on, the others wait for it.
type remoteKeys struct {
	jwkset.Storage // the newest set; replaced as a whole

	url, algorithm string
	http           *http.Client
	now            func() time.Time

	mu       sync.Mutex
	tried    time.Time     // of the last fetch, zero before the first
	fetched  time.Time     // of the last fetch that succeeded
	fetching chan struct{} // closed when the fetch under way ends; nil without one
}

// KeyRead implements jwkset.Storage.
func (k *remoteKeys) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	_, err := k.Storage.KeyRead(ctx, kid)
	if err := k.refresh(ctx, err != nil); err != nil {
		return jwkset.JWK{}, err
	}
	return k.Storage.KeyRead(ctx, kid)
}

// refresh fetches the set when that is due. Its error is ErrKeysAway, and only
// while there never was a set.
func (k *remoteKeys) refresh(ctx context.Context, unknown bool) error {
	due, fetching := k.due(unknown)
	switch {
	case due:
		k.replace(ctx, fetching)
	case unknown && fetching != nil:
		select {
		case <-fetching:
		case <-ctx.Done():
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fetched.IsZero() {
		return ErrKeysAway
	}
	return nil
}

// due says whether the caller is to fetch, and gives the fetch under way.
func (k *remoteKeys) due(unknown bool) (bool, chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, every := k.now(), jwksFetchEvery
	if k.fetched.IsZero() {
		every = jwksRetryEvery
	}
	old := now.Sub(k.fetched) > jwksAge
	if !unknown && !old || k.fetching != nil || !k.tried.IsZero() && now.Sub(k.tried) < every {
		return false, k.fetching
	}
	k.tried, k.fetching = now, make(chan struct{})
	return true, k.fetching
}

// replace fetches a new set; the old one stays where that fails.
func (k *remoteKeys) replace(ctx context.Context, fetching chan struct{}) {
	// The fetch serves everybody: the request that began it may leave.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
	defer cancel()
	keys, err := k.fetch(ctx)
	if err == nil {
		err = k.KeyReplaceAll(ctx, keys)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.fetched = k.now()
	}
	k.fetching = nil
	close(fetching)
}

func (k *remoteKeys) fetch(ctx context.Context) ([]jwkset.JWK, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	response, err := k.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: status %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jwksBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	if len(body) > jwksBytesMax {
		return nil, fmt.Errorf("fetch keys: more than %d bytes", jwksBytesMax)
	}
	return parseKeys(body, k.algorithm)
}

// parseKeys reads the keys of a set that fit the algorithm and leaves out the
// rest: no other kind of key can ever be used to verify.
func parseKeys(body []byte, algorithm string) ([]jwkset.JWK, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("parse keys: %w", err)
	}
	if len(set.Keys) > jwksKeysMax {
		return nil, fmt.Errorf("parse keys: %d keys, at most %d", len(set.Keys), jwksKeysMax)
	}
	var keys []jwkset.JWK
	for _, m := range set.Keys {
		if m.KID == "" || m.USE != "" && m.USE != jwkset.UseSig {
			continue
		}
		key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
		if err != nil || !fits(key.Key(), algorithm) {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("parse keys: none for %s", algorithm)
	}
	return keys, nil
}

func fits(key any, algorithm string) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		return algorithm == jwt.SigningMethodES256.Alg() && key.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return algorithm == jwt.SigningMethodRS256.Alg() && key.N.BitLen() >= rsaBitsMin
	default:
		return false
	}
}
