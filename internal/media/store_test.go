package media

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openStore(t *testing.T, location string) *Store {
	t.Helper()
	s, err := Open(t.Context(), location)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// each runs a test on every kind of store that there is.
func each(t *testing.T, run func(t *testing.T, s *Store)) {
	t.Run("directory", func(t *testing.T) { run(t, openStore(t, t.TempDir())) })
	t.Run("memory", func(t *testing.T) { run(t, openStore(t, "mem://")) })
	t.Run("S3", func(t *testing.T) { run(t, openStore(t, fakeS3(t, nil))) })
}

func TestAnObjectComesBackAsItWasStored(t *testing.T) { each(t, testAnObject) }

func testAnObject(t *testing.T, s *Store) {
	for key, data := range map[string][]byte{
		content("master", "x", "png"): bytes.Repeat([]byte("pixels"), 1000),
		content("export", "x", "jpg"): {},
		"journal/a/b":                 []byte("claim"),
		"journal/a__b/c":              []byte("another claim"),
		"journal/a/b.result":          []byte("result"),
	} {
		before := time.Now()
		require.NoError(t, s.Put(t.Context(), key, data, MIMEType(key)))
		got, attributes, err := s.Get(t.Context(), key)
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), key)
		require.EqualValues(t, len(data), attributes.Bytes)
		require.Equal(t, MIMEType(key), attributes.MIMEType)
		require.WithinDuration(t, before, attributes.ModTime, time.Minute)
		there, err := s.Exists(t.Context(), key)
		require.NoError(t, err)
		require.True(t, there)
	}
}

func TestPutReplacesAndPutIfAbsentDoesNot(t *testing.T) { each(t, testPutAndPutIfAbsent) }

func testPutAndPutIfAbsent(t *testing.T, s *Store) {
	key := "journal/a/b.json"
	created, err := s.PutIfAbsent(t.Context(), key, []byte("first, and longer"))
	require.NoError(t, err)
	require.True(t, created)
	created, err = s.PutIfAbsent(t.Context(), key, []byte("second"))
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, "first, and longer", read(t, s, key))
	require.NoError(t, s.Put(t.Context(), key, []byte("third"), "application/json"))
	require.Equal(t, "third", read(t, s, key))

	require.NoError(t, s.Delete(t.Context(), key))
	created, err = s.PutIfAbsent(t.Context(), key, []byte("fourth"))
	require.NoError(t, err)
	require.True(t, created, "the key is free again")
}

func read(t *testing.T, s *Store, key string) string {
	t.Helper()
	data, _, err := s.Get(t.Context(), key)
	require.NoError(t, err)
	return string(data)
}

func TestWhatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		require.NoError(t, s.Put(t.Context(), "journal/a/b/c", nil, "application/octet-stream"))
		for _, key := range []string{content("master", "x", "png"), "journal/none/b", "journal/a/b"} {
			_, _, err := s.Get(t.Context(), key)
			require.ErrorIs(t, err, ErrNotFound, key)
			_, _, err = s.Open(t.Context(), key)
			require.ErrorIs(t, err, ErrNotFound, key)
			there, err := s.Exists(t.Context(), key)
			require.NoError(t, err)
			require.False(t, there, key)
		}
		require.NoError(t, s.Delete(t.Context(), "journal/none/b"))
		keys, more, err := s.List(t.Context(), AccountPrefix(testAccount))
		require.NoError(t, err)
		require.Empty(t, keys)
		require.False(t, more)
	})
}

func TestEveryCallRefusesAKeyThatIsNotAllowed(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		for _, key := range []string{"", "../x", "journal/a/../../x", "journal/A/b", "media/x", "journal/a/b.attrs"} {
			assert.ErrorIs(t, s.Put(t.Context(), key, nil, MIMEType(key)), ErrKey, key)
			_, err := s.PutIfAbsent(t.Context(), key, nil)
			assert.ErrorIs(t, err, ErrKey, key)
			_, _, err = s.Get(t.Context(), key)
			assert.ErrorIs(t, err, ErrKey, key)
			_, _, err = s.Open(t.Context(), key)
			assert.ErrorIs(t, err, ErrKey, key)
			_, err = s.Exists(t.Context(), key)
			assert.ErrorIs(t, err, ErrKey, key)
			assert.ErrorIs(t, s.Delete(t.Context(), key), ErrKey, key)
			_, _, err = s.List(t.Context(), key)
			assert.ErrorIs(t, err, ErrKey, key)
		}
	})
}

func TestATypeThatIsNotTheKeysIsRefused(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		key := content("master", "x", "png")
		for _, mime := range []string{"image/jpeg", "", "image/PNG", "text/html", "image/png; charset=utf-8"} {
			require.ErrorIs(t, s.Put(t.Context(), key, []byte("x"), mime), ErrMIMEType, mime)
		}
		there, err := s.Exists(t.Context(), key)
		require.NoError(t, err)
		require.False(t, there)
	})
}

func TestWhatIsTooLarge(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		big := make([]byte, objectBytesMax+1)
		key := content("master", "x", "png")
		require.ErrorIs(t, s.Put(t.Context(), key, big, "image/png"), ErrTooLarge)
		_, err := s.PutIfAbsent(t.Context(), key, big[:createdBytesMax+1])
		require.ErrorIs(t, err, ErrTooLarge)
		for _, created := range []bool{true, false} {
			got, err := s.PutIfAbsent(t.Context(), "journal/a/b", big[:createdBytesMax])
			require.NoError(t, err)
			require.Equal(t, created, got, "its own bound is taken, and once")
		}
		require.NoError(t, s.Put(t.Context(), key, big[1:], "image/png"), "the bound itself is taken")
		got, _, err := s.Get(t.Context(), key)
		require.NoError(t, err)
		require.Len(t, got, objectBytesMax)
	})
}

func TestOpenReadsAStreamThatSeeks(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		key := content("master", "x", "zip")
		require.NoError(t, s.Put(t.Context(), key, []byte("0123456789"), "application/zip"))
		r, attributes, err := s.Open(t.Context(), key)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		require.EqualValues(t, 10, attributes.Bytes)
		end, err := r.Seek(0, io.SeekEnd)
		require.NoError(t, err)
		require.EqualValues(t, 10, end)
		_, err = r.Seek(-4, io.SeekEnd)
		require.NoError(t, err)
		rest, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, "6789", string(rest))
	})
}

func TestListIsOfOnePrefixInOrder(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		other := strings.Replace(content("master", "other", "png"), "0a0000", "0b0000", 1)
		var mine []string
		for _, kind := range []string{"thumbnail", "master", "export"} {
			for i := range 3 {
				mine = append(mine, content(kind, fmt.Sprint(i), "jpg"))
			}
		}
		for _, key := range append([]string{other, "journal/a/b"}, mine...) {
			_, err := s.PutIfAbsent(t.Context(), key, []byte(key))
			require.NoError(t, err)
		}
		slices.Sort(mine)
		keys, more, err := s.List(t.Context(), AccountPrefix(testAccount))
		require.NoError(t, err)
		require.Equal(t, mine, keys)
		require.False(t, more)
		keys, _, err = s.List(t.Context(), AccountPrefix(testAccount)+"master/")
		require.NoError(t, err)
		require.Len(t, keys, 3)
		keys, _, err = s.List(t.Context(), "journal/")
		require.NoError(t, err)
		require.Equal(t, []string{"journal/a/b"}, keys, "the store's own probe is gone")
	})
}

func TestObjectsMayBeDeletedWhileTheyAreListed(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		var want, got []string
		for _, key := range []string{"journal/a/1", "journal/a/1.result", "journal/a/2", "journal/a/spend", "journal/b/1"} {
			want = append(want, key)
			require.NoError(t, s.Put(t.Context(), key, []byte(key), MIMEType(key)))
		}
		for object, err := range s.Objects(t.Context(), "journal/") {
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), object.ModTime, time.Minute)
			got = append(got, object.Key)
			require.NoError(t, s.Delete(t.Context(), object.Key))
		}
		require.Equal(t, want, got)
		for object, err := range s.Objects(t.Context(), "journal/") {
			t.Errorf("%s is left: %v", object.Key, err)
		}
		var failed error
		for _, failed = range s.Objects(t.Context(), "../") {
		}
		require.ErrorIs(t, failed, ErrKey)
	})
}

// An account's erasure lists and deletes until nothing is left.
func TestListSaysThatThereIsMore(t *testing.T) {
	s := openStore(t, "mem://")
	const objects = listKeysMax + 7
	for i := range objects {
		_, err := s.PutIfAbsent(t.Context(), content("master", fmt.Sprint(i), "png"), nil)
		require.NoError(t, err)
	}
	var rounds []int
	for more := true; more; {
		var keys []string
		var err error
		keys, more, err = s.List(t.Context(), AccountPrefix(testAccount))
		require.NoError(t, err)
		require.True(t, slices.IsSorted(keys))
		for _, key := range keys {
			require.NoError(t, s.Delete(t.Context(), key))
		}
		rounds = append(rounds, len(keys))
	}
	require.Equal(t, []int{listKeysMax, 7}, rounds)
}

func TestExactlyOneOfManyCreatesAKey(t *testing.T) {
	dir := t.TempDir()
	mem, bucket := openStore(t, "mem://"), fakeS3(t, nil)
	for name, stores := range map[string][]*Store{
		"directory": {openStore(t, t.TempDir())},
		"memory":    {mem},
		"S3":        {openStore(t, bucket), openStore(t, bucket)},
		// As two processes would have it.
		"two stores on one directory": {openStore(t, dir), openStore(t, "file://"+dir)},
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 20 {
				// The directory of the key does not exist either.
				raceForKey(t, stores, fmt.Sprintf("journal/round-%d/1", round))
			}
		})
	}
}

func raceForKey(t *testing.T, stores []*Store, key string) {
	t.Helper()
	const callers = 32
	var (
		begin   = make(chan struct{})
		work    sync.WaitGroup
		winners atomic.Int64
		winner  atomic.Int64
	)
	for i := range callers {
		work.Go(func() {
			<-begin
			created, err := stores[i%len(stores)].PutIfAbsent(t.Context(), key, fmt.Appendf(nil, "caller %d", i))
			assert.NoError(t, err)
			if created {
				winners.Add(1)
				winner.Store(int64(i))
			}
		})
	}
	close(begin)
	work.Wait()
	require.EqualValues(t, 1, winners.Load(), key)
	for _, s := range stores {
		require.Equal(t, fmt.Sprintf("caller %d", winner.Load()), read(t, s, key), "who was told so wrote it")
	}
}

// Readers see one whole object or the other while it is being replaced.
func TestAnObjectIsNeverSeenInPart(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		key := "journal/a/b"
		versions := [][]byte{bytes.Repeat([]byte("a"), 100), bytes.Repeat([]byte("b"), 200_000)}
		require.NoError(t, s.Put(t.Context(), key, versions[0], MIMEType(key)))
		stop := make(chan struct{})
		var writer sync.WaitGroup
		writer.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					assert.NoError(t, s.Put(t.Context(), key, versions[i%2], MIMEType(key)))
				}
			}
		})
		rounds := 2000
		if strings.HasSuffix(t.Name(), "/S3") {
			rounds = 100 // each is two requests
		}
		for range rounds {
			got, _, err := s.Get(t.Context(), key)
			if !assert.NoError(t, err) || !assert.True(t, bytes.Equal(got, versions[0]) || bytes.Equal(got, versions[1]), "%d bytes", len(got)) {
				break
			}
		}
		close(stop)
		writer.Wait()
	})
}

func TestNothingIsStoredOnceTheContextHasEnded(t *testing.T) {
	each(t, func(t *testing.T, s *Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		key := content("master", "x", "png")
		require.ErrorIs(t, s.Put(ctx, key, []byte("x"), "image/png"), context.Canceled)
		created, err := s.PutIfAbsent(ctx, key, []byte("x"))
		require.ErrorIs(t, err, context.Canceled)
		require.False(t, created)
		there, err := s.Exists(t.Context(), key)
		require.NoError(t, err)
		require.False(t, there)
	})
}
