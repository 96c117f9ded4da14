package media

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

// careless is a store that takes no notice of a condition, as S3-compatible ones
// that do not know If-None-Match. What Open does not use is left out.
type careless struct {
	driver.Bucket
	// refuse is what it says to a condition, where it notices it.
	refuse  error
	mu      sync.Mutex
	objects map[string][]byte
}

func (c *careless) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, c.refuse) {
		return gcerrors.Unimplemented
	}
	return gcerrors.Unknown
}

func (*careless) ErrorAs(error, any) bool { return false }

func (c *careless) NewTypedWriter(_ context.Context, key, _ string, o *driver.WriterOptions) (driver.Writer, error) {
	if o.IfNotExist && c.refuse != nil {
		return nil, c.refuse
	}
	return &carelessWriter{store: c, key: key}, nil
}

func (c *careless) Delete(_ context.Context, key string, _ *driver.DeleteOptions) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, key)
	return nil
}

func (*careless) Close() error { return nil }

type carelessWriter struct {
	bytes.Buffer
	store *careless
	key   string
}

func (w *carelessWriter) Close() error {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	w.store.objects[w.key] = w.Bytes()
	return nil
}

// shelf is where gocloud's table of schemes finds stores, by the URL's host.
type shelf struct{ stores sync.Map }

// OpenBucketURL implements blob.BucketURLOpener.
func (s *shelf) OpenBucketURL(_ context.Context, u *url.URL) (*blob.Bucket, error) {
	store, ok := s.stores.Load(u.Host)
	if !ok {
		return nil, errors.New("no such store")
	}
	return blob.NewBucket(store.(driver.Bucket)), nil
}

// registered is the process's one shelf: a scheme cannot be registered twice.
var registered = sync.OnceValue(func() *shelf {
	s := &shelf{}
	blob.DefaultURLMux().RegisterBucket("shelf", s)
	return s
})

func TestAStoreWithoutConditionalCreateIsRefused(t *testing.T) {
	ignores := &careless{objects: map[string][]byte{}}
	registered().stores.Store("ignores", ignores)
	s, err := Open(t.Context(), "shelf://ignores")
	require.ErrorIs(t, err, ErrUnconditional)
	require.Nil(t, s)
	require.Empty(t, ignores.objects, "the probe is removed")

	registered().stores.Store("honest", &careless{objects: map[string][]byte{}, refuse: errors.New("no such condition here")})
	s, err = Open(t.Context(), "shelf://honest")
	require.ErrorContains(t, err, "no such condition here")
	require.Nil(t, s)
}
