package media

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The vectors that Bunny's own code gives.
func TestBunnysOwnTokens(t *testing.T) {
	for _, v := range []struct {
		path   string
		params url.Values
		token  string
	}{
		{"/300kb.jpg", url.Values{}, "HS256-o10JRWlsAItyAsdKS6jJKjabHN4FrFsplDHPV1idcX4"},
		{"/abc", url.Values{"token_path": {"/abc"}}, "HS256-uVZvT3SbEoVKYJyDJgbcsDmSFf73cv-uNUVaJiKWpbQ"},
	} {
		require.Equal(t, v.token, bunnyToken([]byte("SecurityKey"), v.path, "1598024587", v.params))
	}
}

func TestLinksToBunny(t *testing.T) {
	const secret = "0f14a7ba-1d2e-4c1f-8f9a-5b7d6c3e2a10"
	b, err := NewBunny("https://zone.b-cdn.net/", secret)
	require.NoError(t, err)
	key, expires := content("export", "x", "jpg"), time.Unix(1598024587, 999)
	link, err := b.Link(key, expires, "meta-feed.jpg")
	require.NoError(t, err)
	require.NotContains(t, link, secret)
	u, err := url.Parse(link)
	require.NoError(t, err)
	require.Equal(t, []string{"https", "zone.b-cdn.net", "/" + key}, []string{u.Scheme, u.Host, u.Path})
	require.Equal(t, url.Values{
		"expires": {"1598024587"}, "filename": {"meta-feed.jpg"},
		"token": {bunnyToken([]byte(secret), "/"+key, "1598024587", url.Values{"filename": {"meta-feed.jpg"}})},
	}, u.Query())

	shown, err := b.Link(key, expires, "")
	require.NoError(t, err)
	require.NotContains(t, shown, "filename")
	require.NotContains(t, shown, u.Query().Get("token"), "the name is signed")

	require.Equal(t, "https://zone.b-cdn.net", b.Origin())
	below, err := NewBunny("https://cdn.example/atelier", secret)
	require.NoError(t, err)
	link, err = below.Link(key, expires, "")
	require.NoError(t, err)
	require.Contains(t, link, "https://cdn.example/atelier/media/")
	require.Contains(t, link, bunnyToken([]byte(secret), "/atelier/"+key, "1598024587", url.Values{}), "the whole path is signed")

	for _, key := range []string{"journal/a/b", "media/../x", ""} {
		_, err = b.Link(key, expires, "")
		assert.ErrorIs(t, err, ErrKey, key)
	}
	_, err = b.Link(key, expires, "a\"b")
	require.ErrorIs(t, err, ErrFilename)
}

func TestWhatIsNoPullZone(t *testing.T) {
	const secret = "0f14a7ba-1d2e-4c1f-8f9a-5b7d6c3e2a10"
	for _, address := range []string{"", "zone.b-cdn.net", "http://zone.b-cdn.net", "https://", "https://user:hidden@zone", "https://zone?a=b", "https://zone#a"} {
		_, err := NewBunny(address, secret)
		assert.ErrorContains(t, err, "want https://HOST", address)
		assert.NotContains(t, err.Error(), "hidden")
	}
	for _, key := range []string{"", "short"} {
		_, err := NewBunny("https://zone", key)
		assert.ErrorContains(t, err, "key of the CDN", key)
	}
}
