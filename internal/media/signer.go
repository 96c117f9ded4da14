package media

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// signingKeyBytesMin is the least length of a signer's key: the size of the
// hash, below which HMAC is weaker than its hash (RFC 2104, section 3).
const signingKeyBytesMin = 32

// Parameters of a signed link.
const (
	paramExpires  = "expires"
	paramFilename = "filename"
	paramToken    = "token"
)

// filename is what a link may call its download. No control characters and no
// quotes, because it becomes a header; no separators, because it becomes a file.
var filename = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

var (
	// ErrExpired means that a link was good once.
	ErrExpired = errors.New("media link has expired")
	// ErrSignature means that a link was not made by this signer.
	ErrSignature = errors.New("media link has no valid signature")
	// ErrFilename means that a file name cannot stand in a link.
	ErrFilename = errors.New("media file name is not allowed")
)

// Signer makes and checks links to objects: HMAC-SHA256 over
// "key\nexpires\nfilename", base64url without padding. It is safe for
// concurrent use.
type Signer struct{ key []byte }

// NewSigner returns a signer. The key has at least 32 bytes.
func NewSigner(key []byte) (*Signer, error) {
	if len(key) < signingKeyBytesMin {
		return nil, fmt.Errorf("signing key has %d bytes, at least %d", len(key), signingKeyBytesMin)
	}
	return &Signer{key: append([]byte(nil), key...)}, nil
}

// Sign returns the query of a link to a media key, good until expires (whole
// seconds). The file name is what a browser stores it under, empty to show it.
func (s *Signer) Sign(key string, expires time.Time, name string) (url.Values, error) {
	if !mediaKey.MatchString(key) {
		return nil, fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	if name != "" && !filename.MatchString(name) {
		return nil, fmt.Errorf("%w: %.140q", ErrFilename, name)
	}
	seconds := strconv.FormatInt(expires.Unix(), 10)
	query := url.Values{paramExpires: {seconds}, paramToken: {s.token(key, seconds, name)}}
	if name != "" {
		query.Set(paramFilename, name)
	}
	return query, nil
}

// Link returns the path and query of a link to a media key: /media/...?expires=...
func (s *Signer) Link(key string, expires time.Time, name string) (string, error) {
	query, err := s.Sign(key, expires, name)
	if err != nil {
		return "", err
	}
	return "/" + key + "?" + query.Encode(), nil
}

// Origin is empty: links lead to the server that they are made by.
func (s *Signer) Origin() string { return "" }

// Verify checks the query of a link to a key at a time, and returns the file
// name that it asks for, empty where it asks for none. It returns ErrSignature
// for a link that this signer did not make, and ErrExpired for one that is over.
func (s *Signer) Verify(key string, query url.Values, now time.Time) (name string, err error) {
	// A parameter given twice could be read differently by a cache in between.
	for param, values := range query {
		if len(values) != 1 || (param != paramExpires && param != paramFilename && param != paramToken) {
			return "", ErrSignature
		}
	}
	seconds, name := query.Get(paramExpires), query.Get(paramFilename)
	want := s.token(key, seconds, name)
	if !hmac.Equal([]byte(want), []byte(query.Get(paramToken))) || !mediaKey.MatchString(key) {
		return "", ErrSignature
	}
	expires, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return "", ErrSignature
	}
	if now.Unix() >= expires {
		return "", ErrExpired
	}
	return name, nil
}

func (s *Signer) token(key, seconds, name string) string {
	mac := hmac.New(sha256.New, s.key)
	// Neither part can hold a line break, so no two links share a text: keys and
	// names match their patterns when signed.
	mac.Write([]byte(key + "\n" + seconds + "\n" + name))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
