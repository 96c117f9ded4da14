package api

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
)

// Limits are what one account, or one request, may take. Zero values take the
// defaults, which the OpenAPI file names.
type Limits struct {
	// ImagesPerBatch and OpenGenerations are counts of images.
	ImagesPerBatch, OpenGenerations int
	// Brands and Assets are counts; archived brands count.
	Brands, Assets int
	// KitBytes, BriefBytes and FileBytes bound what is sent.
	KitBytes, BriefBytes, FileBytes int
	// Reads, Writes and Uploads are requests a minute.
	Reads, Writes, Uploads int
	// Streams is how many may be open at a time.
	Streams int
}

const (
	imagesPerBatchMax  = 48
	openGenerationsMax = 96
	brandsMax          = 50
	assetsMax          = 500
	kitBytesMax        = 16 << 10
	briefBytesMax      = 8 << 10
	fileBytesMax       = 20 << 20
	readsMax           = 300
	writesMax          = 60
	uploadsMax         = 10

	// The hard bounds of the domain, below which an operator's limits lie.
	domainOpenMax   = 500
	domainBrandsMax = 100
	domainAssetsMax = 1000
)

// Validate sets the defaults and refuses what is out of its bounds.
func (l *Limits) Validate() error {
	for _, limit := range []struct {
		name         string
		value        *int
		usual, bound int
	}{
		{"images a batch", &l.ImagesPerBatch, imagesPerBatchMax, imagesPerBatchMax},
		{"open generations", &l.OpenGenerations, openGenerationsMax, domainOpenMax},
		{"brands", &l.Brands, brandsMax, domainBrandsMax},
		{"assets", &l.Assets, assetsMax, domainAssetsMax},
		{"bytes of a kit", &l.KitBytes, kitBytesMax, kitBytesMax},
		{"bytes of a brief", &l.BriefBytes, briefBytesMax, briefBytesMax},
		{"bytes of a file", &l.FileBytes, fileBytesMax, fileBytesMax},
		{"reads a minute", &l.Reads, readsMax, math.MaxInt32},
		{"writes a minute", &l.Writes, writesMax, math.MaxInt32},
		{"uploads a minute", &l.Uploads, uploadsMax, math.MaxInt32},
		{"streams", &l.Streams, streamsPerAccountMax, math.MaxInt32},
	} {
		if *limit.value == 0 {
			*limit.value = limit.usual
		}
		if *limit.value < 1 || *limit.value > limit.bound {
			return fmt.Errorf("limit of %s is %d; it may be 1 to %d", limit.name, *limit.value, limit.bound)
		}
	}
	if l.Writes < l.Uploads {
		return errors.New("limit of uploads a minute lies above that of writes")
	}
	return nil
}

const (
	// rateWindow is the time in which a quota comes back whole.
	rateWindow = time.Minute
	// bucketsMax bounds the accounts whose use is remembered (count), some 10 MB.
	// Beyond it, those that are whole again go first, then any.
	bucketsMax = 100_000
)

// bucket is a token bucket: a quota that comes back evenly over rateWindow.
type bucket struct {
	left float64
	at   time.Time
}

// rate counts the requests of each account against one quota. It is safe for
// concurrent use.
type rate struct {
	name  string
	quota int
	now   func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
}

func newRate(name string, quota int, now func() time.Time) *rate {
	return &rate{name: name, quota: quota, now: now, buckets: map[string]bucket{}}
}

// take uses one request of the account's quota. It returns what is left, the time
// until the quota is whole, and the time to wait where nothing was left.
func (r *rate) take(account string) (left int, whole, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	b, known := r.buckets[account]
	if !known {
		r.makeRoom(now)
		b = bucket{left: float64(r.quota), at: now}
	}
	b = r.refilled(b, now)
	if b.left < 1 {
		wait = time.Duration((1 - b.left) / float64(r.quota) * float64(rateWindow))
	} else {
		b.left--
	}
	r.buckets[account] = b
	whole = time.Duration((float64(r.quota) - b.left) / float64(r.quota) * float64(rateWindow))
	return int(b.left), whole, wait
}

func (r *rate) refilled(b bucket, now time.Time) bucket {
	passed := max(0, now.Sub(b.at))
	b.left = min(float64(r.quota), b.left+float64(r.quota)*float64(passed)/float64(rateWindow))
	b.at = now
	return b
}

func (r *rate) makeRoom(now time.Time) {
	if len(r.buckets) < bucketsMax {
		return
	}
	for account, b := range r.buckets {
		if r.refilled(b, now).left >= float64(r.quota) {
			delete(r.buckets, account)
		}
	}
	for account := range r.buckets {
		if len(r.buckets) < bucketsMax {
			return
		}
		delete(r.buckets, account)
	}
}

// limit counts the request against its quota, says what is left in the headers of
// draft-ietf-httpapi-ratelimit-headers-10, and refuses what is too much.
func (r *rate) limit(c *fiber.Ctx, account string) error {
	left, whole, wait := r.take(account)
	c.Set("RateLimit-Policy", fmt.Sprintf("%q;q=%d;w=%d", r.name, r.quota, int(rateWindow.Seconds())))
	c.Set("RateLimit", fmt.Sprintf("%q;r=%d;t=%d", r.name, left, int(math.Ceil(whole.Seconds()))))
	if wait > 0 {
		return &refusal{
			code: codeRateLimited, retryAfter: wait,
			detail: fmt.Sprintf("at most %d %s a minute", r.quota, r.name),
		}
	}
	return nil
}

// rates are the quotas of an account.
type rates struct{ reads, writes, uploads *rate }

func newRates(l Limits, now func() time.Time) rates {
	return rates{
		reads: newRate("reads", l.Reads, now), writes: newRate("writes", l.Writes, now),
		uploads: newRate("uploads", l.Uploads, now),
	}
}

// of returns the quota that a request counts against. A quote spends nothing, a
// preview keeps nothing: they count as reads.
func (r rates) of(method, path string) *rate {
	switch {
	case method == fiber.MethodGet, method == fiber.MethodHead, path == "/v1/quotes", strings.HasSuffix(path, "/layout/preview"):
		return r.reads
	case path == "/v1/assets":
		return r.uploads
	default:
		return r.writes
	}
}
