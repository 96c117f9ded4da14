package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

const (
	testIssuer   = "https://project.example/auth/v1"
	testAudience = "authenticated"
)

// authServer is a remote issuer with a key set.
type authServer struct {
	*httptest.Server
	ec      *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
	fetches atomic.Int64

	mu     sync.Mutex
	keys   []map[string]string
	status int
	hold   chan struct{} // answers wait for it where it is set
}

func newAuthServer(t *testing.T) *authServer {
	t.Helper()
	s := &authServer{status: http.StatusOK}
	var err error
	s.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	s.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s.publish(s.ecJWK(t, "ec"), s.rsaJWK("rsa"))
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		s.mu.Lock()
		hold, status, keys := s.hold, s.status, s.keys
		s.mu.Unlock()
		if hold != nil {
			<-hold
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": keys})
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *authServer) publish(keys ...map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = keys
}

func (s *authServer) answer(status int, hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.hold = status, hold
}

func (s *authServer) ecJWK(t *testing.T, kid string) map[string]string {
	t.Helper()
	point, err := s.ec.PublicKey.Bytes()
	require.NoError(t, err)
	return map[string]string{"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])}
}

func (s *authServer) rsaJWK(kid string) map[string]string {
	return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
		"n": base64.RawURLEncoding.EncodeToString(s.rsa.N.Bytes()),
		"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.rsa.E)).Bytes())}
}

func (s *authServer) verifier(t *testing.T, algorithm string, change func(*VerifierConfig)) Verifier {
	t.Helper()
	c := VerifierConfig{Issuer: testIssuer, Audience: testAudience, JWKSURL: s.URL + "/.well-known/jwks.json", Algorithm: algorithm}
	if change != nil {
		change(&c)
	}
	v, err := NewVerifier(c)
	require.NoError(t, err)
	return v
}

// goodClaims are as Supabase makes them.
func goodClaims() jwt.MapClaims {
	return jwt.MapClaims{
		"iss": testIssuer, "aud": testAudience, "sub": "6F9619FF-8B86-D011-B42D-00C04FC964FF",
		"exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"email": "ada@example.com", "role": "authenticated", "is_anonymous": false,
		"app_metadata": map[string]any{"provider": "email"}, "user_metadata": map[string]any{"email_verified": true},
	}
}

func sign(t *testing.T, method jwt.SigningMethod, kid string, key any, claims jwt.MapClaims, headers map[string]any) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	for name, value := range headers {
		token.Header[name] = value
	}
	signed, err := token.SignedString(key)
	require.NoError(t, err)
	return signed
}

func TestVerifyAcceptsSupabasesTokens(t *testing.T) {
	s := newAuthServer(t)
	ctx := context.Background()
	for algorithm, token := range map[string]string{
		"ES256": sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), nil),
		"RS256": sign(t, jwt.SigningMethodRS256, "rsa", s.rsa, goodClaims(), nil),
	} {
		identity, err := s.verifier(t, algorithm, nil).Verify(ctx, token)
		require.NoError(t, err, algorithm)
		require.Equal(t, "6f9619ff-8b86-d011-b42d-00c04fc964ff", identity.AccountID)
		require.Equal(t, "ada@example.com", identity.Email)
		require.False(t, identity.EmailConfirmed, "user_metadata proves nothing")
		require.WithinDuration(t, time.Now().Add(time.Hour), identity.ExpiresAt, 2*time.Second)
	}
}

func TestVerifyRefuses(t *testing.T) {
	s := newAuthServer(t)
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	ec := func(claims jwt.MapClaims) string { return sign(t, jwt.SigningMethodES256, "ec", s.ec, claims, nil) }
	with := func(name string, value any) string {
		claims := goodClaims()
		if value == nil {
			delete(claims, name)
		} else {
			claims[name] = value
		}
		return ec(claims)
	}
	header := func(name string, value any) string {
		return sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), map[string]any{name: value})
	}
	public, err := x509.MarshalPKIXPublicKey(&s.ec.PublicKey)
	require.NoError(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	point, err := s.ec.PublicKey.Bytes()
	require.NoError(t, err)
	rsaPublic, err := x509.MarshalPKIXPublicKey(&s.rsa.PublicKey)
	require.NoError(t, err)
	good := ec(goodClaims())
	parts := strings.Split(good, ".")
	hour := time.Hour

	for name, token := range map[string]string{
		"empty":                   "",
		"no token":                "abc",
		"two parts":               parts[0] + "." + parts[1],
		"too long":                good + strings.Repeat("A", tokenBytesMax),
		"alg none":                sign(t, jwt.SigningMethodNone, "ec", jwt.UnsafeAllowNoneSignatureType, goodClaims(), nil),
		"alg none, capitals":      base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"NONE","kid":"ec"}`)) + "." + parts[1] + ".",
		"no signature":            parts[0] + "." + parts[1] + ".",
		"HS256, public PEM":       sign(t, jwt.SigningMethodHS256, "ec", publicPEM, goodClaims(), nil),
		"HS256, public DER":       sign(t, jwt.SigningMethodHS256, "ec", public, goodClaims(), nil),
		"HS256, public point":     sign(t, jwt.SigningMethodHS256, "ec", point, goodClaims(), nil),
		"HS256, RSA key":          sign(t, jwt.SigningMethodHS256, "rsa", rsaPublic, goodClaims(), nil),
		"RS256 of the same set":   sign(t, jwt.SigningMethodRS256, "rsa", s.rsa, goodClaims(), nil),
		"RS256 with the EC key":   sign(t, jwt.SigningMethodRS256, "ec", s.rsa, goodClaims(), nil),
		"ES384":                   sign(t, jwt.SigningMethodES384, "ec", p384, goodClaims(), nil),
		"stranger's key":          sign(t, jwt.SigningMethodES256, "ec", stranger, goodClaims(), nil),
		"unknown kid":             sign(t, jwt.SigningMethodES256, "other", s.ec, goodClaims(), nil),
		"no kid":                  sign(t, jwt.SigningMethodES256, "", s.ec, goodClaims(), nil),
		"kid no string":           header("kid", 7),
		"jku":                     header("jku", "https://evil.example/keys"),
		"x5u":                     header("x5u", "https://evil.example/cert"),
		"x5c":                     header("x5c", []string{"AAAA"}),
		"jwk":                     sign(t, jwt.SigningMethodES256, "ec", stranger, goodClaims(), map[string]any{"jwk": s.ecJWK(t, "ec")}),
		"crit":                    header("crit", []string{"b64"}),
		"changed claims":          parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"role":"authenticated"}`)) + "." + parts[2],
		"other iss":               with("iss", "https://evil.example/auth/v1"),
		"no iss":                  with("iss", nil),
		"other aud":               with("aud", "anon"),
		"other auds":              with("aud", []string{"anon", "other"}),
		"no aud":                  with("aud", nil),
		"expired":                 with("exp", time.Now().Add(-clockLeeway-2*time.Second).Unix()),
		"no exp":                  with("exp", nil),
		"exp a string":            with("exp", "tomorrow"),
		"issued in the future":    with("iat", time.Now().Add(hour).Unix()),
		"not valid yet":           with("nbf", time.Now().Add(hour).Unix()),
		"role anon":               with("role", "anon"),
		"role service_role":       with("role", "service_role"),
		"no role":                 with("role", nil),
		"anonymous":               with("is_anonymous", true),
		"anonymous, as text":      with("is_anonymous", "false"),
		"anonymous, as a number":  with("is_anonymous", 1),
		"no sub":                  with("sub", nil),
		"sub no UUID":             with("sub", "ada"),
		"sub in braces":           with("sub", "{6f9619ff-8b86-d011-b42d-00c04fc964ff}"),
		"sub as urn":              with("sub", "urn:uuid:6f9619ff-8b86-d011-b42d-00c04fc964ff"),
		"sub nil":                 with("sub", "00000000-0000-0000-0000-000000000000"),
		"e-mail too long":         with("email", strings.Repeat("a", emailBytesMax)+"@example.com"),
		"claims no JSON":          parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{`)) + "." + parts[2],
		"with a space before":     " " + good,
		"with a line break after": good + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			v := s.verifier(t, "ES256", nil)
			_, err := v.Verify(context.Background(), good)
			require.NoError(t, err)
			identity, err := v.Verify(context.Background(), token)
			require.ErrorIs(t, err, ErrUnauthorized)
			require.Zero(t, identity)
			require.Less(t, len(err.Error()), 80)
			for part := range strings.SplitSeq(token, ".") {
				if len(part) > 3 {
					require.NotContains(t, err.Error(), part)
				}
			}
		})
	}
	_, err = s.verifier(t, "RS256", nil).Verify(context.Background(), good)
	require.ErrorIs(t, err, ErrUnauthorized, "the other algorithm of the same set")
}

func TestEmailIsConfirmedByTheAuthServersOwnClaimAlone(t *testing.T) {
	s := newAuthServer(t)
	for _, c := range []struct {
		claim string
		value any
		want  bool
	}{
		{"email_verified", true, true},
		{"email_verified", false, false},
		{"email_verified", "true", false},
		{"email_verified", 1, false},
		{"email_confirmed_at", "2026-11-01T10:00:00Z", true},
		{"email_confirmed_at", "", false},
		{"", true, false},
		{"other", nil, false},
	} {
		claims := goodClaims()
		if c.claim != "" && c.value != nil {
			claims[c.claim] = c.value
		}
		token := sign(t, jwt.SigningMethodES256, "ec", s.ec, claims, nil)
		identity, err := s.verifier(t, "ES256", func(v *VerifierConfig) { v.EmailConfirmedClaim = c.claim }).Verify(context.Background(), token)
		require.NoError(t, err)
		require.Equal(t, c.want, identity.EmailConfirmed, "%+v", c)
	}

	claims := goodClaims()
	claims["app_metadata"] = map[string]any{"email_confirmed_at": "2026-11-01T10:00:00Z"}
	nested := s.verifier(t, "ES256", func(v *VerifierConfig) { v.EmailConfirmedClaim = "app_metadata.email_confirmed_at" })
	identity, err := nested.Verify(context.Background(), sign(t, jwt.SigningMethodES256, "ec", s.ec, claims, nil))
	require.NoError(t, err)
	require.True(t, identity.EmailConfirmed)
	delete(claims, "email")
	identity, err = nested.Verify(context.Background(), sign(t, jwt.SigningMethodES256, "ec", s.ec, claims, nil))
	require.NoError(t, err)
	require.False(t, identity.EmailConfirmed, "there is no address to confirm")
}

func TestVerifierConfigIsRefused(t *testing.T) {
	good := VerifierConfig{Issuer: testIssuer, Audience: testAudience, JWKSURL: "https://project.example/jwks", Algorithm: "ES256"}
	_, err := NewVerifier(good)
	require.NoError(t, err)
	for name, change := range map[string]func(*VerifierConfig){
		"no issuer":           func(c *VerifierConfig) { c.Issuer = "" },
		"no audience":         func(c *VerifierConfig) { c.Audience = "" },
		"HS256":               func(c *VerifierConfig) { c.Algorithm = "HS256" },
		"none":                func(c *VerifierConfig) { c.Algorithm = "none" },
		"two algorithms":      func(c *VerifierConfig) { c.Algorithm = "ES256,RS256" },
		"no algorithm":        func(c *VerifierConfig) { c.Algorithm = "" },
		"keys over http":      func(c *VerifierConfig) { c.JWKSURL = "http://project.example/jwks" },
		"keys from a file":    func(c *VerifierConfig) { c.JWKSURL = "file:///etc/passwd" },
		"no address":          func(c *VerifierConfig) { c.JWKSURL = "" },
		"a claim of the user": func(c *VerifierConfig) { c.EmailConfirmedClaim = "user_metadata.email_verified" },
	} {
		c := good
		change(&c)
		_, err := NewVerifier(c)
		require.Error(t, err, name)
	}
}

// clock is a time that a test moves.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Now().UnixNano())
	return c
}
func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestUnknownKeyFetchesOnceAMinute(t *testing.T) {
	s, at := newAuthServer(t), newClock()
	v := s.verifier(t, "ES256", func(c *VerifierConfig) { c.Now = at.now })
	good := sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), nil)
	_, err := v.Verify(context.Background(), good)
	require.NoError(t, err)
	require.EqualValues(t, 1, s.fetches.Load())

	flood := func() {
		for range 100 {
			_, err := v.Verify(context.Background(), sign(t, jwt.SigningMethodES256, schemas.NewID(), s.ec, goodClaims(), nil))
			require.ErrorIs(t, err, ErrUnauthorized)
		}
	}
	flood()
	require.EqualValues(t, 1, s.fetches.Load(), "the first fetch was within this minute")
	at.advance(jwksFetchEvery)
	flood()
	require.EqualValues(t, 2, s.fetches.Load())

	// A rotation is found at the next fetch, by the new key's first token.
	s.publish(s.ecJWK(t, "new"))
	at.advance(jwksFetchEvery)
	_, err = v.Verify(context.Background(), sign(t, jwt.SigningMethodES256, "new", s.ec, goodClaims(), nil))
	require.NoError(t, err)
	require.EqualValues(t, 3, s.fetches.Load())
	_, err = v.Verify(context.Background(), good)
	require.ErrorIs(t, err, ErrUnauthorized, "the old key is gone from the set")
}

func TestKeyThatIsTakenBackIsRefused(t *testing.T) {
	s, at := newAuthServer(t), newClock()
	v := s.verifier(t, "ES256", func(c *VerifierConfig) { c.Now = at.now })
	good := sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), nil)
	_, err := v.Verify(context.Background(), good)
	require.NoError(t, err)
	s.publish(s.ecJWK(t, "other"))
	at.advance(jwksAge - time.Second)
	_, err = v.Verify(context.Background(), good)
	require.NoError(t, err)
	at.advance(2 * time.Second)
	_, err = v.Verify(context.Background(), good)
	require.ErrorIs(t, err, ErrUnauthorized)
}

func TestIssuerThatIsAway(t *testing.T) {
	s, at := newAuthServer(t), newClock()
	v := s.verifier(t, "ES256", func(c *VerifierConfig) { c.Now = at.now })
	good := sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), nil)
	s.answer(http.StatusBadGateway, nil)
	for range 3 {
		_, err := v.Verify(context.Background(), good)
		require.ErrorIs(t, err, ErrKeysAway)
		require.NotErrorIs(t, err, ErrUnauthorized)
	}
	require.EqualValues(t, 1, s.fetches.Load())
	_, err := v.Verify(context.Background(), "nonsense")
	require.ErrorIs(t, err, ErrUnauthorized)

	s.answer(http.StatusOK, nil)
	at.advance(jwksRetryEvery)
	_, err = v.Verify(context.Background(), good)
	require.NoError(t, err)

	// An old set stays in force while the issuer is away.
	s.answer(http.StatusBadGateway, nil)
	at.advance(jwksAge + time.Second)
	_, err = v.Verify(context.Background(), good)
	require.NoError(t, err)
	require.EqualValues(t, 3, s.fetches.Load())
}

func TestOneRequestFetchesForAll(t *testing.T) {
	s, at := newAuthServer(t), newClock()
	hold := make(chan struct{})
	s.answer(http.StatusOK, hold)
	v := s.verifier(t, "ES256", func(c *VerifierConfig) { c.Now = at.now })
	good := sign(t, jwt.SigningMethodES256, "ec", s.ec, goodClaims(), nil)
	var all sync.WaitGroup
	var failed atomic.Int64
	for range 20 {
		all.Go(func() {
			if _, err := v.Verify(context.Background(), good); err != nil {
				failed.Add(1)
			}
		})
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	require.Eventually(t, func() bool { return s.fetches.Load() == 1 }, 5*time.Second, time.Millisecond)
	_, err := v.Verify(gone, good)
	require.ErrorIs(t, err, ErrKeysAway, "who leaves does not wait")
	close(hold)
	all.Wait()
	require.Zero(t, failed.Load())
	require.EqualValues(t, 1, s.fetches.Load())
}

func TestKeySetsAreBounded(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	s := &authServer{rsa: weak}
	set := func(keys ...map[string]string) []byte {
		b, err := json.Marshal(map[string]any{"keys": keys})
		require.NoError(t, err)
		return b
	}
	_, err = parseKeys(set(s.rsaJWK("weak")), "RS256")
	require.Error(t, err, "1024 bits")
	_, err = parseKeys(set(map[string]string{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}), "ES256")
	require.Error(t, err, "a shared secret is no key")
	_, err = parseKeys(set(make([]map[string]string, jwksKeysMax+1)...), "ES256")
	require.Error(t, err)
	_, err = parseKeys([]byte("<html>"), "ES256")
	require.Error(t, err)

	remote := newAuthServer(t)
	encryption := remote.ecJWK(t, "enc")
	encryption["use"] = "enc"
	unknown := map[string]string{"kty": "FUTURE", "kid": "x"}
	keys, err := parseKeys(set(unknown, encryption, remote.ecJWK(t, "ec"), remote.rsaJWK("rsa")), "ES256")
	require.NoError(t, err)
	require.Len(t, keys, 1)
	require.Equal(t, "ec", keys[0].Marshal().KID)
}
