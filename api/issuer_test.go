package api

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

func newTestIssuer(t *testing.T, keyFile string, now func() time.Time) *Issuer {
	t.Helper()
	i, err := NewIssuer(IssuerConfig{KeyFile: keyFile, Issuer: "http://127.0.0.1:8080/auth/v1", Audience: "authenticated", Now: now})
	require.NoError(t, err)
	return i
}

func TestIssuerSignsWhatItsVerifierBelieves(t *testing.T) {
	i := newTestIssuer(t, filepath.Join(t.TempDir(), "issuer.key"), nil)
	v, err := i.Verifier()
	require.NoError(t, err)
	token, expires, err := i.SignIn(" Ada.Lovelace@Example.COM ")
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), expires, 2*time.Second)
	identity, err := v.Verify(context.Background(), token)
	require.NoError(t, err)
	require.Equal(t, "ada.lovelace@example.com", identity.Email)
	require.True(t, identity.EmailConfirmed)
	require.True(t, expires.Equal(identity.ExpiresAt))

	again, _, err := i.SignIn("ada.lovelace@example.com")
	require.NoError(t, err)
	same, err := v.Verify(context.Background(), again)
	require.NoError(t, err)
	require.Equal(t, identity.AccountID, same.AccountID)
	require.Equal(t, byte('5'), identity.AccountID[14], "a UUIDv5")
	other, _, err := i.SignIn("grace@example.com")
	require.NoError(t, err)
	another, err := v.Verify(context.Background(), other)
	require.NoError(t, err)
	require.NotEqual(t, identity.AccountID, another.AccountID)
}

func TestIssuersTokensHaveSupabasesShape(t *testing.T) {
	i := newTestIssuer(t, filepath.Join(t.TempDir(), "issuer.key"), nil)
	token, _, err := i.SignIn("ada@example.com")
	require.NoError(t, err)
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, claims)
	require.NoError(t, err)
	require.Equal(t, "ES256", parsed.Header["alg"])
	for _, name := range []string{"iss", "aud", "sub", "iat", "exp", "email", "phone", "role", "is_anonymous", "session_id", "aal", "amr", "app_metadata", "user_metadata"} {
		require.Contains(t, claims, name)
	}
	require.Equal(t, "authenticated", claims["role"])

	// Anybody can verify with the published set alone, and it has no private part.
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal(i.JWKS(), &set))
	require.Len(t, set.Keys, 1)
	require.Equal(t, parsed.Header["kid"], set.Keys[0]["kid"])
	require.NotContains(t, set.Keys[0], "d")
}

func TestIssuerKeepsItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "issuer.key")
	first := newTestIssuer(t, path, nil)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)

	token, _, err := first.SignIn("ada@example.com")
	require.NoError(t, err)
	v, err := newTestIssuer(t, path, nil).Verifier()
	require.NoError(t, err)
	_, err = v.Verify(context.Background(), token)
	require.NoError(t, err)
	stranger, err := newTestIssuer(t, filepath.Join(t.TempDir(), "k"), nil).Verifier()
	require.NoError(t, err)
	_, err = stranger.Verify(context.Background(), token)
	require.ErrorIs(t, err, ErrUnauthorized)

	refused := func(contains string) {
		t.Helper()
		_, err := NewIssuer(IssuerConfig{KeyFile: path, Issuer: "i", Audience: "a"})
		require.ErrorContains(t, err, contains)
		require.ErrorContains(t, err, path)
	}
	require.NoError(t, os.Chmod(path, 0o640))
	refused("0600")
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, []byte("nonsense"), 0o600))
	refused("PEM")
	path = filepath.Join(t.TempDir(), "missing", "k")
	refused("no such file")
}

func TestIssuersTokensExpire(t *testing.T) {
	at := newClock()
	i := newTestIssuer(t, filepath.Join(t.TempDir(), "k"), at.now)
	v, err := i.Verifier()
	require.NoError(t, err)
	token, _, err := i.SignIn("ada@example.com")
	require.NoError(t, err)
	at.advance(time.Hour - time.Second)
	_, err = v.Verify(context.Background(), token)
	require.NoError(t, err)
	at.advance(clockLeeway + 2*time.Second)
	_, err = v.Verify(context.Background(), token)
	require.ErrorIs(t, err, ErrUnauthorized)
}

func TestIssuerRefusesAddresses(t *testing.T) {
	i := newTestIssuer(t, filepath.Join(t.TempDir(), "k"), nil)
	for _, email := range []string{
		"", "ada", "@example.com", "ada@", "Ada <ada@example.com>", "<ada@example.com>", `"ada b"@example.com`, `"ada"@example.com`,
		"ada@example.com (work)", "ada@[127.0.0.1]", "ada@example.com, eve@example.com", "a\r\nb@example.com", "ada@example.com\x00",
		"a@b@example.com", strings.Repeat("a", emailBytesMax) + "@example.com",
	} {
		token, _, err := i.SignIn(email)
		require.ErrorIs(t, err, ErrEmail, "%q", email)
		require.Empty(t, token)
	}
}

func TestIssuerConfigIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	for name, c := range map[string]IssuerConfig{
		"no key file":    {Issuer: "i", Audience: "a"},
		"no issuer":      {KeyFile: path, Audience: "a"},
		"no audience":    {KeyFile: path, Issuer: "i"},
		"too long":       {KeyFile: path, Issuer: "i", Audience: "a", TTL: 25 * time.Hour},
		"before the end": {KeyFile: path, Issuer: "i", Audience: "a", TTL: -time.Second},
	} {
		_, err := NewIssuer(c)
		require.Error(t, err, name)
	}
	require.NoFileExists(t, path)
}

func TestOnlyLoopbackListens(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8080", "127.9.9.9:0", "[::1]:8080", "[::ffff:127.0.0.1]:80", "localhost:8080", "LOCALHOST:1"} {
		require.NoError(t, RefuseListener(addr), addr)
	}
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.168.1.4:8080", "10.0.0.1:80", "example.com:80", "127.0.0.1.example.com:80", "127.0.0.1", "", "[::ffff:10.0.0.1]:80", "localhost.example.com:80", "0:80", "127.1:80"} {
		require.Error(t, RefuseListener(addr), addr)
	}
}
