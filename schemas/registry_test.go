package schemas

import (
	"context"
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
