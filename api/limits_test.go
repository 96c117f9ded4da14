package api

import (
	"fmt"
	"image/color"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// However requests come, no more than the quota pass in a window beyond what was
// saved up, and who waits as told passes.
func TestRateIsATokenBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, quota := time.Unix(1_800_000_000, 0), rapid.IntRange(1, 300).Draw(t, "quota")
		r := newRate("reads", quota, func() time.Time { return now })
		passed, began := 0, now
		for range rapid.IntRange(1, 500).Draw(t, "requests") {
			left, whole, wait := r.take("a")
			require.LessOrEqual(t, left, quota)
			require.LessOrEqual(t, whole, rateWindow)
			if wait == 0 {
				passed++
			} else {
				now = now.Add(wait + time.Microsecond) // floating point
				_, _, again := r.take("a")
				require.Zero(t, again, "who waits as told passes")
				passed++
			}
			_, _, other := r.take(fmt.Sprint("b", passed))
			require.Zero(t, other, "another account has its own")
			now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "pause")) * time.Millisecond)
		}
		saved := float64(quota) * float64(now.Sub(began)) / float64(rateWindow)
		require.LessOrEqual(t, float64(passed), float64(quota)+saved+1)
	})
}

func TestRateForgetsWhoIsWhole(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := newRate("reads", 10, func() time.Time { return now })
	for i := range bucketsMax {
		r.take(fmt.Sprint(i))
	}
	require.Len(t, r.buckets, bucketsMax)
	now = now.Add(rateWindow)
	r.take("one more")
	require.Len(t, r.buckets, 1)
}

func TestLimitsAreChecked(t *testing.T) {
	var l Limits
	require.NoError(t, l.Validate())
	require.Equal(t, 300, l.Reads)
	for _, wrong := range []Limits{{Brands: 101}, {OpenGenerations: 501}, {Reads: -1}, {Writes: 5, Uploads: 6}, {FileBytes: 1 << 30}} {
		require.Error(t, wrong.Validate(), wrong)
	}
}

func testRates(t *testing.T, w *world) {
	n := w.startNode(func(c *Config) { c.Limits = Limits{Reads: 5, Writes: 3, Uploads: 1, Streams: 1} })
	ann := n.person(t) // uses one read
	first := ann.get("/v1/brands")
	require.Equal(t, `"reads";q=5;w=60`, first.headers.Get("RateLimit-Policy"))
	require.Contains(t, first.headers.Get("RateLimit"), `"reads";r=3;t=`)
	for range 3 {
		ann.get("/v1/placements")
	}
	refused := ann.send(http.MethodGet, "/v1/brands", nil, nil).refused(http.StatusTooManyRequests, codeRateLimited)
	require.Equal(t, "12", refused.headers.Get("Retry-After"))
	require.Equal(t, http.StatusCreated, ann.upload(newForm(map[string]string{"kind": "logo"}, pngOf(4, 4, color.White)), nil).status, "uploads have their own")
	ann.upload(newForm(map[string]string{"kind": "logo"}, pngOf(4, 4, color.White)), nil).refused(http.StatusTooManyRequests, codeRateLimited)
	for range 3 {
		require.NotEqual(t, http.StatusTooManyRequests, ann.send(http.MethodDelete, "/v1/brands/"+ann.account, nil, nil).status)
	}
	ann.send(http.MethodDelete, "/v1/brands/"+ann.account, nil, nil).refused(http.StatusTooManyRequests, codeRateLimited)
	// Strangers are not counted, and not served.
	stranger := &person{t: t, node: n}
	stranger.send(http.MethodGet, "/v1/brands", nil, nil).refused(http.StatusUnauthorized, codeUnauthorized)
	require.Equal(t, `Bearer realm="atelier"`, stranger.send(http.MethodGet, "/v1/me", nil, nil).headers.Get("WWW-Authenticate"))
}
