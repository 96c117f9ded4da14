package media

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// bunnyKeyBytesMin and bunnyKeyBytesMax bound a pull zone's key; Bunny's own have 36.
const (
	bunnyKeyBytesMin = 16
	bunnyKeyBytesMax = 256
)

// Bunny makes links to a pull zone of Bunny's CDN, which checks them itself before it
// asks the bucket behind it: token authentication, version 2.
// https://docs.bunny.net/cdn/security/token-authentication/advanced
// It is safe for concurrent use.
type Bunny struct {
	zone url.URL // without a slash at the end
	key  []byte
}

// NewBunny returns a signer for the pull zone at an address such as
// https://zone.b-cdn.net, below which the keys of the bucket stand. The key is the
// zone's token authentication key.
func NewBunny(address, key string) (*Bunny, error) {
	zone, err := url.Parse(address)
	if err != nil || zone.Scheme != "https" || zone.Host == "" || zone.User != nil || zone.RawQuery != "" || zone.Fragment != "" {
		return nil, errors.New("address of the CDN: want https://HOST")
	}
	if len(key) < bunnyKeyBytesMin || len(key) > bunnyKeyBytesMax {
		return nil, fmt.Errorf("key of the CDN has %d bytes, want %d to %d", len(key), bunnyKeyBytesMin, bunnyKeyBytesMax)
	}
	zone.Path = strings.TrimSuffix(zone.Path, "/")
	return &Bunny{zone: *zone, key: []byte(key)}, nil
}

// Link returns the address of a media key, good until expires (whole seconds). A file
// name goes with it as the parameter filename: an edge rule of the zone makes a
// Content-Disposition of it, and nobody can change it, because it is signed.
func (b *Bunny) Link(key string, expires time.Time, name string) (string, error) {
	if !mediaKey.MatchString(key) {
		return "", fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	params := url.Values{}
	if name != "" {
		if !filename.MatchString(name) {
			return "", fmt.Errorf("%w: %.140q", ErrFilename, name)
		}
		params.Set(paramFilename, name)
	}
	link := b.zone
	link.Path += "/" + key
	seconds := strconv.FormatInt(expires.Unix(), 10)
	token := bunnyToken(b.key, link.Path, seconds, params)
	params.Set(paramToken, token)
	params.Set(paramExpires, seconds)
	link.RawQuery = params.Encode()
	return link.String(), nil
}

// Origin is the pull zone's: https://HOST.
func (b *Bunny) Origin() string { return b.zone.Scheme + "://" + b.zone.Host }

// bunnyToken signs a path and its parameters, which are sorted and stand unescaped
// in what is signed.
func bunnyToken(key []byte, path, seconds string, params url.Values) string {
	var signed []string
	for _, pair := range strings.Split(params.Encode(), "&") { // sorted by name
		plain, _ := url.QueryUnescape(pair) // it was escaped just now
		signed = append(signed, plain)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(path + seconds + strings.Join(signed, "&")))
	return "HS256-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
