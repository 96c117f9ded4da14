package schemas

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A registry's password is sent, and never told.
func TestARegistrysPasswordIsNotTold(t *testing.T) {
	var user, password string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		w.WriteHeader(http.StatusInternalServerError)
	}))
	at := "http://ann:hunter2@" + server.Listener.Addr().String()
	registry, err := OpenRegistry(at)
	require.NoError(t, err)
	_, err = registry.Schema(context.Background(), 1)
	require.Error(t, err)
	require.Equal(t, []string{"ann", "hunter2"}, []string{user, password})
	server.Close()
	_, away := registry.ID(context.Background(), "subject", "{}")
	require.Error(t, away)
	_, wrong := OpenRegistry("http://ann:hunter2@ho st")
	require.Error(t, wrong)
	for _, e := range []error{err, away, wrong} {
		require.NotContains(t, e.Error(), "hunter2")
	}
}

// Who stands before the registry knows of no ids: its 404 makes no record dead.
func TestAProxysNotFoundIsNoRegistrys(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("<html>\n<h1>no such backend</h1>\n</html>"))
	}))
	t.Cleanup(server.Close)
	registry, err := OpenRegistry(server.URL)
	require.NoError(t, err)
	codec := NewLockedCodec()
	codec.registry = registry
	_, err = codec.Decode(t.Context(), TopicEvents, []byte{0, 0, 1, 0, 0, 2})
	require.ErrorIs(t, err, ErrRegistryAway)
	_, unregistered := NewCodec(t.Context(), registry)
	require.NotErrorIs(t, unregistered, ErrUnknownSchema)
	for _, e := range []error{err, unregistered, registry.Register(t.Context())} {
		require.ErrorContains(t, e, "HTTP 404, and not in a registry's words")
		require.NotContains(t, e.Error(), "\n")
	}
}

// A registry with ids of its own, such as the embedded one, says "not found" itself.
func TestARegistrysNotFoundIsAnUnknownSchema(t *testing.T) {
	for code, unknown := range map[int]bool{40401: true, 40402: true, 40403: true, 404: false, 50001: false} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"error_code":%d,"message":"Schema not found"}`, code)
		}))
		registry, err := OpenRegistry(server.URL)
		require.NoError(t, err)
		_, err = registry.Schema(t.Context(), 7)
		require.Equal(t, unknown, errors.Is(err, ErrUnknownSchema), "%d: %v", code, err)
		server.Close()
	}
}
