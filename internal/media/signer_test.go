package media

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func testSigner(t *testing.T, key string) *Signer {
	t.Helper()
	s, err := NewSigner([]byte(key))
	require.NoError(t, err)
	return s
}

var signingKey = strings.Repeat("k", 32)

func TestALinkIsGoodUntilItExpires(t *testing.T) {
	s, key := testSigner(t, signingKey), content("master", "x", "png")
	for _, name := range []string{"", "Spring-Sale_1.v2.jpg", strings.Repeat("a", 128)} {
		link, err := s.Link(key, noon.Add(1500*time.Millisecond), name)
		require.NoError(t, err)
		parsed, err := url.Parse(link)
		require.NoError(t, err)
		require.Equal(t, "/"+key, parsed.Path)
		for _, now := range []time.Time{noon.Add(-24 * time.Hour), noon, noon.Add(999 * time.Millisecond)} {
			got, err := s.Verify(key, parsed.Query(), now)
			require.NoError(t, err, now)
			require.Equal(t, name, got)
		}
		for _, now := range []time.Time{noon.Add(time.Second), noon.Add(time.Hour)} {
			_, err := s.Verify(key, parsed.Query(), now)
			require.ErrorIs(t, err, ErrExpired, now)
		}
	}
}

// An independent reading of the documented text: HMAC-SHA256 over
// "key\nexpires\nfilename", made with openssl.
func TestTheTokenIsWhatTheDocumentationSays(t *testing.T) {
	query, err := testSigner(t, signingKey).Sign("media/"+testAccount+"/master/"+strings.Repeat("0", 64)+".png", noon, "a.png")
	require.NoError(t, err)
	require.Equal(t, url.Values{"expires": {"1795521600"}, "filename": {"a.png"}, "token": {"sqBCDja1smDQt0Wqy5QnnfmWT4fVjIsz_9sR0jqv0H0"}}, query)
}

func TestATamperedLinkIsRefused(t *testing.T) {
	s, key := testSigner(t, signingKey), content("master", "x", "png")
	type link struct {
		signer *Signer
		key    string
		query  url.Values
	}
	for name, change := range map[string]func(l *link){
		"another object":         func(l *link) { l.key = content("master", "y", "png") },
		"another account":        func(l *link) { l.key = strings.Replace(l.key, "0a0000", "0b0000", 1) },
		"the journal":            func(l *link) { l.key = "journal/a/b" },
		"no key":                 func(l *link) { l.key = "" },
		"later":                  func(l *link) { l.query.Set("expires", "9999999999") },
		"the same time, written": func(l *link) { l.query.Set("expires", "+"+l.query.Get("expires")) },
		"no time":                func(l *link) { l.query.Del("expires") },
		"another name":           func(l *link) { l.query.Set("filename", "b.png") },
		"no name":                func(l *link) { l.query.Del("filename") },
		"another case":           func(l *link) { l.query.Set("token", strings.ToUpper(l.query.Get("token"))) },
		"a shorter token":        func(l *link) { l.query.Set("token", l.query.Get("token")[1:]) },
		"a padded token":         func(l *link) { l.query.Set("token", l.query.Get("token")+"=") },
		"an empty token":         func(l *link) { l.query.Set("token", "") },
		"no token":               func(l *link) { l.query.Del("token") },
		"two times":              func(l *link) { l.query.Add("expires", "9999999999") },
		"the same token twice":   func(l *link) { l.query.Add("token", l.query.Get("token")) },
		"two names":              func(l *link) { l.query.Add("filename", "b.png") },
		"a parameter too many":   func(l *link) { l.query.Set("width", "10") },
		"a name of no value":     func(l *link) { l.query["filename"] = nil },
		"nothing at all":         func(l *link) { l.query = nil },
		"another signer":         func(l *link) { l.signer = testSigner(t, strings.Repeat("l", 32)) },
		// The parts are separated, so that no two links share a text.
		"a name moved into the time": func(l *link) {
			l.query.Set("expires", l.query.Get("expires")+"\na.png")
			l.query.Set("filename", "")
		},
	} {
		query, err := s.Sign(key, noon, "a.png")
		require.NoError(t, err)
		l := link{signer: s, key: key, query: query}
		_, err = l.signer.Verify(l.key, l.query, noon.Add(-time.Minute))
		require.NoError(t, err)
		change(&l)
		got, err := l.signer.Verify(l.key, l.query, noon.Add(-time.Minute))
		assert.ErrorIs(t, err, ErrSignature, name)
		assert.Empty(t, got, name)
	}
}

// A link that is both forged and over tells nobody that its time was right.
func TestAForgedLinkIsNotCalledExpired(t *testing.T) {
	s, key := testSigner(t, signingKey), content("master", "x", "png")
	query, err := s.Sign(key, noon, "")
	require.NoError(t, err)
	query.Set("expires", "1")
	_, err = s.Verify(key, query, noon)
	require.ErrorIs(t, err, ErrSignature)
}

func TestWhatCannotStandInALink(t *testing.T) {
	s, key := testSigner(t, signingKey), content("master", "x", "png")
	for _, name := range []string{
		".htaccess", "-rf", "_a", "a b.png", "a/b.png", `a\b.png`, "../a.png", "a\n.png", "a\r\nSet-Cookie: x", `a".png`,
		"a;.png", "a%2e.png", "ä.png", "a.png\x00", strings.Repeat("a", 129), " ", "a\n",
	} {
		_, err := s.Sign(key, noon, name)
		assert.ErrorIs(t, err, ErrFilename, "%q", name)
	}
	for _, key := range []string{"", "journal/a/b", "media/../x", key + "\n", strings.ToUpper(key)} {
		_, err := s.Sign(key, noon, "")
		assert.ErrorIs(t, err, ErrKey, "%q", key)
		_, err = s.Link(key, noon, "")
		assert.ErrorIs(t, err, ErrKey, "%q", key)
	}
}

func TestASigningKeyThatIsTooShort(t *testing.T) {
	for _, n := range []int{0, 1, 31} {
		_, err := NewSigner(make([]byte, n))
		require.ErrorContains(t, err, "at least 32", "%d bytes", n)
	}
}

// The caller may clear its copy of the key.
func TestASignerKeepsItsKey(t *testing.T) {
	mine := bytes.Repeat([]byte("k"), 32)
	s, err := NewSigner(mine)
	require.NoError(t, err)
	clear(mine)
	query, err := s.Sign(content("master", "x", "png"), noon, "")
	require.NoError(t, err)
	_, err = testSigner(t, signingKey).Verify(content("master", "x", "png"), query, noon.Add(-time.Minute))
	require.NoError(t, err)
}
