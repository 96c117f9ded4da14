// Package media keeps objects (pictures, exports, the generator's journal) in a
// bucket: a directory, memory, or S3 and what speaks like it. Keys are made by the server and checked at every call, objects
// are whole or absent, and PutIfAbsent creates a key at most once, whoever asks.
package media

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"
)

const (
	// objectBytesMax bounds one object in memory. The largest is a master with
	// its journal entry (32 MiB); larger ones are read as a stream.
	objectBytesMax = 64 << 20
	// createdBytesMax bounds an object that is created on condition. It goes to the
	// store in one request: some S3 servers know the condition there, and not at the
	// end of an upload in parts, which the SDK begins at 16 MiB.
	createdBytesMax = 8 << 20
	// listKeysMax bounds one List (count): one page of what every store gives.
	listKeysMax = 1000
	// inMemory is the location of a store that ends with the process.
	inMemory = "mem://"
	// author is the metadata by which a conditional write knows its own object.
	author = "author"
)

var (
	// ErrKey means that a key has none of the shapes of ValidKey.
	ErrKey = errors.New("media key is not allowed")
	// ErrNotFound means that there is no object under the key.
	ErrNotFound = errors.New("media object not found")
	// ErrTooLarge means that an object is larger than the call takes.
	ErrTooLarge = errors.New("media object too large")
	// ErrMIMEType means that the type is not the one that the key's extension
	// stands for.
	ErrMIMEType = errors.New("media type does not match the key")
	// ErrUnconditional means that the store cannot create an object on condition
	// that there is none. The journal of paid calls would be worth nothing there.
	ErrUnconditional = errors.New("media store has no conditional create")
)

// Attributes describe an object.
type Attributes struct {
	Bytes int64
	// MIMEType follows from the key's extension.
	MIMEType string
	ModTime  time.Time
}

// Store is a bucket of objects. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	// files writes and reads where the bucket is a directory, nil elsewhere.
	files *files
}

// Open opens the store at a location: a directory, which is made where it is
// missing (also file:///path), mem:// for one that ends with the process, an S3
// bucket (s3://BUCKET?region=REGION&endpoint=URL&use_path_style=true), or another
// URL of a gocloud.dev/blob driver that is linked in. It proves with an object of
// its own that the store creates conditionally, and returns ErrUnconditional where
// it does not.
func Open(ctx context.Context, location string) (*Store, error) {
	s, err := open(ctx, location)
	if err != nil {
		return nil, fmt.Errorf("open media store: %w", err)
	}
	if err := s.probe(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open media store: %w", err), s.Close())
	}
	return s, nil
}

func open(ctx context.Context, location string) (*Store, error) {
	if location == "" {
		return nil, errors.New("no location: want a directory or a bucket URL")
	}
	dir, isDir, err := directoryOf(location)
	if err != nil {
		return nil, err
	}
	if isDir {
		return openDirectory(dir)
	}
	var bucket *blob.Bucket
	switch {
	case location == inMemory:
		bucket = memblob.OpenBucket(nil)
	case strings.HasPrefix(location, "s3:"):
		bucket, err = openS3(ctx, location)
	default:
		bucket, err = blob.OpenBucket(ctx, location)
	}
	if err != nil {
		return nil, err
	}
	return &Store{bucket: bucket}, nil
}

func openDirectory(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f, err := openFiles(dir)
	if err != nil {
		return nil, err
	}
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{
		// Nothing is written through it; should that change, temporary files
		// stay on the volume and no .attrs files appear.
		NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, errors.Join(err, f.root.Close())
	}
	return &Store{bucket: bucket, files: &f}, nil
}

// probe creates one object twice. The second must be refused.
func (s *Store) probe(ctx context.Context) error {
	key := "journal/probe/" + strings.ToLower(rand.Text())
	created, err := s.PutIfAbsent(ctx, key, []byte("1"))
	if err != nil {
		return err
	}
	again, err := s.PutIfAbsent(ctx, key, []byte("2"))
	if err := errors.Join(err, s.Delete(ctx, key)); err != nil {
		return err
	}
	if !created || again {
		return ErrUnconditional
	}
	return nil
}

// Close ends the use of the store. A memory store's objects are gone then.
func (s *Store) Close() error {
	err := s.bucket.Close()
	if s.files != nil {
		err = errors.Join(err, s.files.root.Close())
	}
	return err
}

// Put stores an object of at most 64 MiB, over one that is there. The type must be the one that
// the key's extension stands for.
func (s *Store) Put(ctx context.Context, key string, data []byte, mimeType string) error {
	if err := checkWrite(key, data, objectBytesMax); err != nil {
		return err
	}
	if mimeType != MIMEType(key) {
		return fmt.Errorf("%w: %s for %s", ErrMIMEType, mimeType, key)
	}
	if _, err := s.write(ctx, key, data, false); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

// PutIfAbsent stores an object of at most 8 MiB unless there is one under the key, and says
// whether it did. Of any number of callers, in any process, at most one is told
// that it created the key, also where the store's client repeats a request whose
// answer was lost. After an error the object may be there or not: content that has
// to be recognised by who asks again must name its author.
func (s *Store) PutIfAbsent(ctx context.Context, key string, data []byte) (created bool, err error) {
	if err := checkWrite(key, data, createdBytesMax); err != nil {
		return false, err
	}
	created, err = s.write(ctx, key, data, true)
	if err != nil {
		return false, fmt.Errorf("create %s: %w", key, err)
	}
	return created, nil
}

func checkWrite(key string, data []byte, bytesMax int) error {
	if !ValidKey(key) {
		return fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	if len(data) > bytesMax {
		return fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, key, len(data), bytesMax)
	}
	return nil
}

func (s *Store) write(ctx context.Context, key string, data []byte, onlyNew bool) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if s.files != nil && onlyNew {
		return s.files.putIfAbsent(key, data)
	}
	if s.files != nil {
		return true, s.files.put(key, data)
	}
	options := &blob.WriterOptions{ContentType: MIMEType(key), DisableContentTypeDetection: true, IfNotExist: onlyNew}
	if !onlyNew {
		return true, s.bucket.Upload(ctx, key, bytes.NewReader(data), options)
	}
	me := rand.Text()
	options.Metadata = map[string]string{author: me}
	err := s.bucket.Upload(ctx, key, bytes.NewReader(data), options)
	if gcerrors.Code(err) == gcerrors.FailedPrecondition {
		return s.isBy(ctx, key, me)
	}
	return err == nil, err
}

// isBy says whether an object is there that a call has just written: a client that
// repeats a request whose answer was lost is refused by its own object.
func (s *Store) isBy(ctx context.Context, key, name string) (bool, error) {
	attributes, err := s.bucket.Attributes(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return false, nil // deleted since; it was there
	}
	if err != nil {
		return false, err
	}
	return attributes.Metadata[author] == name, nil
}

// Get reads an object of at most 64 MiB.
func (s *Store) Get(ctx context.Context, key string) ([]byte, Attributes, error) {
	r, attributes, err := s.Open(ctx, key)
	if err != nil {
		return nil, Attributes{}, err
	}
	defer func() { _ = r.Close() }() // reading is over; nothing is left to lose
	if attributes.Bytes > objectBytesMax {
		return nil, Attributes{}, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, key, attributes.Bytes, objectBytesMax)
	}
	data := make([]byte, attributes.Bytes)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, Attributes{}, fmt.Errorf("get %s: %w", key, err)
	}
	return data, attributes, nil
}

// Open reads an object of any size as a stream, which the caller closes.
func (s *Store) Open(ctx context.Context, key string) (io.ReadSeekCloser, Attributes, error) {
	if !ValidKey(key) {
		return nil, Attributes{}, fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	r, attributes, err := s.open(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist), gcerrors.Code(err) == gcerrors.NotFound:
		return nil, Attributes{}, fmt.Errorf("%w: %s", ErrNotFound, key)
	case err != nil:
		return nil, Attributes{}, fmt.Errorf("open %s: %w", key, err)
	}
	return r, attributes, nil
}

func (s *Store) open(ctx context.Context, key string) (io.ReadSeekCloser, Attributes, error) {
	if err := ctx.Err(); err != nil {
		return nil, Attributes{}, err
	}
	if s.files != nil {
		file, info, err := s.files.open(key)
		if err != nil {
			return nil, Attributes{}, err
		}
		return file, Attributes{Bytes: info.Size(), MIMEType: MIMEType(key), ModTime: info.ModTime()}, nil
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, Attributes{}, err
	}
	return r, Attributes{Bytes: r.Size(), MIMEType: MIMEType(key), ModTime: r.ModTime()}, nil
}

// Exists says whether there is an object under the key.
func (s *Store) Exists(ctx context.Context, key string) (bool, error) {
	if !ValidKey(key) {
		return false, fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	there, err := s.bucket.Exists(ctx, key)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", key, err)
	}
	return there, nil
}

// Delete removes an object. One that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if !ValidKey(key) {
		return fmt.Errorf("%w: %.80q", ErrKey, key)
	}
	err := ctx.Err()
	switch {
	case err != nil:
	case s.files != nil:
		err = s.files.remove(key)
	default:
		err = s.bucket.Delete(ctx, key)
	}
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// Object is one of a listing.
type Object struct {
	Key     string
	ModTime time.Time
}

// Objects yields what lies under a prefix such as media/<account>/, folder by folder
// and there in the order of names; an error is the last. What is yielded may be
// deleted meanwhile.
func (s *Store) Objects(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if !listPrefix.MatchString(prefix) {
			yield(Object{}, fmt.Errorf("%w: prefix %.80q", ErrKey, prefix))
			return
		}
		if s.files != nil {
			s.files.objects(ctx, prefix, yield)
			return
		}
		objects := s.bucket.List(&blob.ListOptions{Prefix: prefix})
		for {
			object, err := objects.Next(ctx)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			case ValidKey(object.Key) && !yield(Object{Key: object.Key, ModTime: object.ModTime}, nil):
				return
			}
		}
	}
}

// List returns the keys under a prefix, in order, at most 1,000, and whether there
// are more. Who deletes what it returns and asks again sees them all.
func (s *Store) List(ctx context.Context, prefix string) (keys []string, more bool, err error) {
	for object, err := range s.Objects(ctx, prefix) {
		if err != nil {
			return nil, false, err
		}
		if len(keys) == listKeysMax {
			more = true
			break
		}
		keys = append(keys, object.Key)
	}
	slices.Sort(keys)
	return keys, more, nil
}
