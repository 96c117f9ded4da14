package api

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"atelier/schemas"
)

const (
	// tokenTTLMax bounds a token of the embedded issuer: nobody can revoke one.
	tokenTTLMax = 24 * time.Hour
	// tokenTTL is the default, Supabase's own.
	tokenTTL = time.Hour
	// keyFileBytesMax bounds what is read of the key file; a key has some 240 bytes.
	keyFileBytesMax = 4 << 10
	// issuerSpace is the parent of account IDs: the same address is the same
	// account whatever host and port the issuer is reached by.
	issuerSpace = "atelier/embedded-issuer"
	// emailConfirmedClaim is the embedded issuer's own claim, OpenID Connect's name.
	emailConfirmedClaim = "email_verified"
)

// ErrEmail is an address that cannot be signed in with.
var ErrEmail = errors.New("not a usable e-mail address")

// IssuerConfig is how the embedded issuer signs.
type IssuerConfig struct {
	// KeyFile keeps the ES256 key (PKCS #8, PEM, mode 0600); made when absent.
	KeyFile string
	// Issuer and Audience are the iss and aud of its tokens.
	Issuer, Audience string
	// TTL is how long a token is valid; 0: one hour; at most a day.
	TTL time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

func (c IssuerConfig) validate() error {
	switch {
	case c.KeyFile == "":
		return errors.New("issuer: no key file given")
	case c.Issuer == "" || c.Audience == "":
		return errors.New("issuer: issuer and audience must be given")
	case c.TTL < 0 || c.TTL > tokenTTLMax:
		return fmt.Errorf("issuer: tokens valid for %s, at most %s", c.TTL, tokenTTLMax)
	}
	return nil
}

// Issuer is the sign-in of `atelier up`: it believes every address that it is
// given, so it may only be reached from the machine itself (RefuseListener). It
// is safe for concurrent use.
type Issuer struct {
	config IssuerConfig
	key    *ecdsa.PrivateKey
	public jwkset.JWKMarshal
}

// NewIssuer reads the key, or makes it.
func NewIssuer(c IssuerConfig) (*Issuer, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.TTL == 0 {
		c.TTL = tokenTTL
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	key, err := readKey(c.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = makeKey(c.KeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("issuer: key file %s: %w", c.KeyFile, err)
	}
	public, err := publicJWK(&key.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return &Issuer{config: c, key: key, public: public}, nil
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	switch {
	case !info.Mode().IsRegular() || info.Size() > keyFileBytesMax:
		return nil, errors.New("is no key")
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("mode %#o: others can read it, must be 0600", info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("is no PKCS #8 key")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("is no P-256 key")
	}
	return key, nil
}

// makeKey writes a fresh key so that a crash leaves either a whole file or none.
func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	// CreateTemp makes the file with mode 0600.
	file, err := os.CreateTemp(filepath.Dir(path), ".issuer-key-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already when it was renamed
	_, err = file.Write(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return nil, err
	}
	return key, os.Rename(file.Name(), path)
}

// publicJWK is the key as a set publishes it; its ID is the thumbprint of RFC 7638.
func publicJWK(key *ecdsa.PublicKey) (jwkset.JWKMarshal, error) {
	point, err := key.Bytes() // 0x04, then X and Y of 32 bytes each
	if err != nil {
		return jwkset.JWKMarshal{}, err
	}
	x := base64.RawURLEncoding.EncodeToString(point[1:33])
	y := base64.RawURLEncoding.EncodeToString(point[33:])
	thumbprint := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + x + `","y":"` + y + `"}`))
	return jwkset.JWKMarshal{
		KTY: jwkset.KtyEC, CRV: jwkset.CrvP256, X: x, Y: y, USE: jwkset.UseSig, ALG: jwkset.AlgES256,
		KID: base64.RawURLEncoding.EncodeToString(thumbprint[:]),
	}, nil
}

// SignIn returns a token for the address, and when it expires. The same address,
// whatever its letters' case, is the same account. The error is ErrEmail for an
// address that is none.
func (i *Issuer) SignIn(email string) (token string, expires time.Time, err error) {
	email, err = normalAddress(email)
	if err != nil {
		return "", time.Time{}, err
	}
	now := i.config.Now()
	expires = now.Add(i.config.TTL).Truncate(time.Second)
	t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": i.config.Issuer, "aud": i.config.Audience, "sub": schemas.DeriveID(issuerSpace, email),
		"iat": now.Unix(), "exp": expires.Unix(), "email": email, "phone": "", "role": "authenticated",
		emailConfirmedClaim: true, "is_anonymous": false, "session_id": schemas.NewID(),
		"aal": "aal1", "amr": []map[string]any{{"method": "otp", "timestamp": now.Unix()}},
		"app_metadata":  map[string]any{"provider": "email", "providers": []string{"email"}},
		"user_metadata": map[string]any{},
	})
	t.Header["kid"] = i.public.KID
	token, err = t.SignedString(i.key)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("issuer: sign: %w", err)
	}
	return token, expires, nil
}

// normalAddress returns the plain address in lower case. Names, comments, quoted
// local parts and domain literals are refused: each has several spellings.
func normalAddress(email string) (string, error) {
	email = strings.ToLower(strings.TrimSpace(email))
	if len(email) > emailBytesMax {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrEmail, emailBytesMax)
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Name != "" || parsed.Address != email || strings.ContainsAny(email, "\"[]<>() ") {
		return "", ErrEmail
	}
	return email, nil
}

// Verifier verifies the issuer's own tokens, without a fetch.
func (i *Issuer) Verifier() (Verifier, error) {
	keys, err := parseKeys(i.JWKS(), jwt.SigningMethodES256.Alg())
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	store := jwkset.NewMemoryStorage()
	if err := store.KeyReplaceAll(context.Background(), keys); err != nil { // in memory
		return nil, fmt.Errorf("issuer: %w", err)
	}
	return newTokenVerifier(VerifierConfig{
		Issuer: i.config.Issuer, Audience: i.config.Audience, Algorithm: jwt.SigningMethodES256.Alg(),
		EmailConfirmedClaim: emailConfirmedClaim, Now: i.config.Now,
	}, store)
}

// JWKS is the issuer's public key set as JSON.
func (i *Issuer) JWKS() []byte {
	set, err := json.Marshal(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{i.public}})
	if err != nil {
		panic(fmt.Sprintf("api: a set of strings does not marshal: %v", err)) // cannot be
	}
	return set
}

// RefuseListener returns an error unless the address, "host:port", can be
// reached from this machine alone. An empty host listens everywhere.
func RefuseListener(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("embedded sign-in: address %q: %w", addr, err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("embedded sign-in: address %q is not loopback: anybody could sign in as anybody", addr)
	}
	return nil
}

// isLoopback says whether the host is this machine alone: a loopback address, or
// "localhost" where that resolves to nothing else (the hosts file may say anything).
func isLoopback(host string) bool {
	addresses := []string{host}
	if strings.EqualFold(host, "localhost") {
		addresses, _ = net.LookupHost(host)
	}
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err != nil || !ip.Unmap().IsLoopback() {
			return false
		}
	}
	return len(addresses) > 0
}
