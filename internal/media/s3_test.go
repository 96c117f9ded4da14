package media

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const testBucket = "atelier-media"

// s3Keys are credentials as a machine has them, for the length of a test.
func s3Keys(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester-secret", "AWS_REGION": "eu-central-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

func s3Location(server string) string {
	return "s3://" + testBucket + "?use_path_style=true&endpoint=" + server
}

// fakeS3 is a server that behaves as S3 does and believes every signature. front,
// which may be nil, stands before it.
func fakeS3(t *testing.T, front func(http.Handler) http.Handler) string {
	t.Helper()
	s3Keys(t)
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket(testBucket))
	handler := gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	if front != nil {
		handler = front(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return s3Location(server.URL)
}

// before lets a function answer a request, or leave it to the server.
func before(answers func(w http.ResponseWriter, r *http.Request, server http.Handler) bool) func(http.Handler) http.Handler {
	return func(server http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answers(w, r, server) {
				server.ServeHTTP(w, r)
			}
		})
	}
}

// The object is written and its answer lost: the client tries again, and is refused
// by what it has written itself.
func TestALostAnswerIsNotAnothersObject(t *testing.T) {
	var lost atomic.Int64
	s := openStore(t, fakeS3(t, before(func(w http.ResponseWriter, r *http.Request, server http.Handler) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/lost/") || lost.Add(1) > 1 {
			return false
		}
		server.ServeHTTP(httptest.NewRecorder(), r)
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})))
	created, err := s.PutIfAbsent(t.Context(), "journal/lost/1", []byte("mine"))
	require.NoError(t, err)
	require.True(t, created, "it is its own")
	require.EqualValues(t, 2, lost.Load(), "the request was repeated")
	created, err = s.PutIfAbsent(t.Context(), "journal/lost/1", []byte("another's"))
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, "mine", read(t, s, "journal/lost/1"))
}

// Two conditional writes met: S3 says so to one, which has to try again.
func TestAConflictIsTriedAgain(t *testing.T) {
	var met atomic.Bool
	s := openStore(t, fakeS3(t, before(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/met/") || met.Swap(true) {
			return false
		}
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `<Error><Code>ConditionalRequestConflict</Code><Message>try again</Message></Error>`)
		return true
	})))
	created, err := s.PutIfAbsent(t.Context(), "journal/met/1", []byte("mine"))
	require.NoError(t, err)
	require.True(t, created)
}

// As of servers that speak S3 and do not know If-None-Match, or do not want to.
func TestAnS3ServerWithoutConditionalCreateIsRefused(t *testing.T) {
	_, err := Open(t.Context(), fakeS3(t, before(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		r.Header.Del("If-None-Match")
		return false
	})))
	require.ErrorIs(t, err, ErrUnconditional)
	_, err = Open(t.Context(), fakeS3(t, before(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotImplemented)
			return true
		}
		return false
	})))
	require.ErrorContains(t, err, "open media store")
}

func TestS3Locations(t *testing.T) {
	for location, want := range map[string]s3Place{
		"s3://bucket":                                               {bucket: "bucket"},
		"s3://bucket/?region=eu-west-1":                             {bucket: "bucket", region: "eu-west-1"},
		"s3://b-1?use_path_style=false":                             {bucket: "b-1"},
		s3Location("http://127.0.0.1:99"):                           {bucket: testBucket, endpoint: "http://127.0.0.1:99", pathStyle: true},
		"s3://bucket?region=auto&endpoint=https%3A%2F%2Fs3.example": {bucket: "bucket", region: "auto", endpoint: "https://s3.example"},
	} {
		got, err := parseS3(location)
		require.NoError(t, err, location)
		require.Equal(t, want, got, location)
		require.NoError(t, CheckLocation(location), location)
	}
	for _, location := range []string{
		"s3:", "s3://", "s3:bucket", "s3://b", "s3://Bucket", "s3://a.bucket", "s3://bucket/folder", "s3://bucket#x", "s3://key:hidden@bucket",
		"s3://bucket?prefix=hidden", "s3://bucket?region=a&region=b", "s3://bucket?use_path_style=hidden", "s3://bucket?endpoint=s3.example",
		"s3://bucket?endpoint=https%3A%2F%2Fkey%3Ahidden%40host", "s3://bucket?a;b",
	} {
		err := CheckLocation(location)
		assert.Error(t, err, location)
		assert.NotContains(t, err.Error(), "hidden", location)
	}
	for _, location := range []string{"media", "/var/media", "file:///var/media"} {
		require.NoError(t, CheckLocation(location), location)
	}
	for _, location := range []string{"mem://", "gs://bucket", "file://x", "https://bucket"} {
		require.Error(t, CheckLocation(location), location)
	}
}

func TestAnS3StoreWithoutARegionIsRefused(t *testing.T) {
	s3Keys(t)
	t.Setenv("AWS_REGION", "")
	_, err := Open(t.Context(), "s3://bucket")
	require.ErrorContains(t, err, "AWS_REGION")
}
