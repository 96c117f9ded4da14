package embedded_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/sr"

	"atelier/internal/embedded"
)

const (
	schemaOne = `{"type":"record","name":"One","fields":[]}`
	schemaTwo = `{"type":"record","name":"One","fields":[{"name":"a","type":"string","default":""}]}`
)

func startRegistry(t *testing.T) *embedded.Registry {
	t.Helper()
	r, err := embedded.StartRegistry(t.Context(), "127.0.0.1:0", []embedded.SeedSubject{
		{Subject: "atelier.events-One", Version: 1, ID: 17, Schema: schemaOne},
		{Subject: "atelier.events-One", Version: 2, ID: 40, Schema: schemaTwo},
	}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

func TestRegistryAnswersWithTheIDsItWasGiven(t *testing.T) {
	r := startRegistry(t)
	client, err := sr.NewClient(sr.URLs(r.URL()))
	require.NoError(t, err)
	found, err := client.LookupSchema(t.Context(), "atelier.events-One", sr.Schema{Schema: schemaTwo})
	require.NoError(t, err)
	assert.Equal(t, []int{40, 2}, []int{found.ID, found.Version})
	schema, err := client.SchemaByID(t.Context(), 17)
	require.NoError(t, err)
	assert.Equal(t, schemaOne, schema.Schema)
	for _, path := range []string{"/schemas/ids/17?subject=atelier.events-value", "/schemas/ids/17/schema?subject=atelier.events-value"} {
		answer, err := http.Get(r.URL() + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, http.StatusOK, answer.StatusCode, "Confluent's clients guess the subject: %s", path)
	}
	_, err = client.SchemaByID(t.Context(), 1)
	var missing *sr.ResponseError
	require.ErrorAs(t, err, &missing)
	assert.Equal(t, http.StatusNotFound, missing.StatusCode)
}

func TestRegistryTakesNoWrites(t *testing.T) {
	r := startRegistry(t)
	client, err := sr.NewClient(sr.URLs(r.URL()))
	require.NoError(t, err)
	_, err = client.CreateSchema(t.Context(), "atelier.events-One", sr.Schema{Schema: `"string"`})
	var refused *sr.ResponseError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode)

	for _, attempt := range []string{
		"POST /subjects/a/versions", "POST /subjects/atelier.events-One/versions", "DELETE /subjects/atelier.events-One",
		"DELETE /subjects/atelier.events-One/versions/1", "PUT /config", "PUT /config/a", "PUT /mode", "DELETE /mode", "DELETE /contexts/x",
		"POST /compatibility/subjects/atelier.events-One/versions/latest", "POST /contexts/x/subjects/a/versions", "POST /subjects/",
		"PATCH /subjects/a",
	} {
		method, path, _ := strings.Cut(attempt, " ")
		request, err := http.NewRequestWithContext(t.Context(), method, r.URL()+path, strings.NewReader(`{"schema":"\"string\""}`))
		require.NoError(t, err)
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		assert.Equal(t, http.StatusUnprocessableEntity, answer.StatusCode, attempt)
		var problem struct {
			Code    int    `json:"error_code"`
			Message string `json:"message"`
		}
		require.NoError(t, json.Unmarshal(body, &problem), attempt)
		assert.Equal(t, 42205, problem.Code)
	}
	subjects, err := client.Subjects(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"atelier.events-One"}, subjects)
}

func TestRegistryRefusesBadSeedsAndAddresses(t *testing.T) {
	twice := []embedded.SeedSubject{{Subject: "a", Version: 1, ID: 1, Schema: schemaOne}, {Subject: "b", Version: 1, ID: 1, Schema: schemaOne}}
	_, err := embedded.StartRegistry(t.Context(), "127.0.0.1:0", twice, zerolog.Nop())
	require.ErrorContains(t, err, "already seeded")
	_, err = embedded.StartRegistry(t.Context(), "0.0.0.0:0", nil, zerolog.Nop())
	require.ErrorContains(t, err, "loopback only")
	r := startRegistry(t)
	_, err = embedded.StartRegistry(t.Context(), strings.TrimPrefix(r.URL(), "http://"), nil, zerolog.Nop())
	require.ErrorContains(t, err, "is in use")
}
