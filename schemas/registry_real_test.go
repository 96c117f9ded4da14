package schemas

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/deploy/registry/registrytest"
)

const eventSubject, commandSubject = TopicEvents + "-atelier.events.v1.CreditsGranted", TopicCommands + "-atelier.commands.v1.GrantCredits"

// ask speaks to a registry as anybody could, and returns the status and the body.
func ask(t *testing.T, method, url string, body any) (int, string) {
	t.Helper()
	sent, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(string(sent)))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(got)
}

// register posts a schema and returns its id, or the status of a refusal.
func register(t *testing.T, registry, subject, schema string) (id, refused int) {
	t.Helper()
	status, body := ask(t, http.MethodPost, registry+"/subjects/"+subject+"/versions", map[string]string{"schema": schema})
	if status != http.StatusOK {
		return 0, status
	}
	var answer struct{ ID int }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	return answer.ID, 0
}

// held is all that the registry has of ours: each subject's newest version, with
// its id and level.
func held(t *testing.T, registry string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, r := range Newest() {
		_, versions := ask(t, http.MethodGet, registry+"/subjects/"+r.Subject+"/versions", nil)
		_, latest := ask(t, http.MethodGet, registry+"/subjects/"+r.Subject+"/versions/latest", nil)
		_, level := ask(t, http.MethodGet, registry+"/config/"+r.Subject, nil)
		all[r.Subject] = versions + latest + level
	}
	return all
}

// extended is a released schema with one more field at its end.
func extended(t *testing.T, subject, field string) string {
	t.Helper()
	for _, r := range Newest() {
		if r.Subject == subject {
			var schema map[string]any
			require.NoError(t, json.Unmarshal(r.Schema, &schema))
			schema["fields"] = append(schema["fields"].([]any), json.RawMessage(field))
			text, err := json.Marshal(schema)
			require.NoError(t, err)
			return string(text)
		}
	}
	t.Fatalf("no subject %s", subject)
	return ""
}

// A registry that others use too: its ids are not the lock's.
func TestARealRegistry(t *testing.T) {
	at := registrytest.Start(t).URL()
	_, refused := register(t, at, "somebody-else", `{"type":"record","name":"Else","fields":[]}`)
	require.Zero(t, refused)
	registry, err := OpenRegistry(at + "/") // a slash more is no other address
	require.NoError(t, err)
	require.NoError(t, registry.Ping(t.Context()))

	_, err = NewCodec(t.Context(), registry)
	require.ErrorIs(t, err, ErrUnknownSchema, "nothing is registered yet")
	require.ErrorContains(t, err, "atelier schemas register")

	var both sync.WaitGroup // two deploys at once
	results := make([]error, 2)
	for i := range results {
		both.Go(func() { results[i] = registry.Register(t.Context()) })
	}
	both.Wait()
	for _, err := range results {
		require.NoError(t, err)
	}
	before := held(t, at)
	for subject, is := range before {
		level := "BACKWARD"
		if strings.HasPrefix(subject, TopicEvents+"-") {
			level = "FULL_TRANSITIVE"
		}
		require.Contains(t, is, lockedVersions(t, subject), "those of the lock, in order")
		require.Contains(t, is, `"compatibilityLevel":"`+level+`"`, subject)
	}
	require.NoError(t, registry.Register(t.Context()))
	require.Equal(t, before, held(t, at), "a second register changes nothing")

	t.Run("what is incompatible is refused", func(t *testing.T) {
		for _, subject := range []string{eventSubject, commandSubject} {
			_, refused := register(t, at, subject, extended(t, subject, `{"name":"note","type":"string"}`))
			require.Equal(t, http.StatusConflict, refused, subject)
		}
	})
	t.Run("every record survives the wire", func(t *testing.T) { everyRecordUnder(t, registry) })
	t.Run("a newer version", func(t *testing.T) { newerVersion(t, at, registry) })
}

// lockedVersions are a subject's, as the registry lists them: Apicurio takes schemas
// that differ in their docs alone for one, and numbers what is left.
func lockedVersions(t *testing.T, subject string) string {
	t.Helper()
	var versions []string
	seen := map[string]bool{}
	for _, r := range Lock() {
		if r.Subject != subject {
			continue
		}
		var schema any
		require.NoError(t, json.Unmarshal(r.Schema, &schema))
		text, err := json.Marshal(withoutDocs(schema))
		require.NoError(t, err)
		if !seen[string(text)] {
			seen[string(text)] = true
			versions = append(versions, strconv.Itoa(len(seen)))
		}
	}
	return "[" + strings.Join(versions, ",") + "]"
}

func withoutDocs(schema any) any {
	switch s := schema.(type) {
	case map[string]any:
		delete(s, "doc")
		for _, value := range s {
			withoutDocs(value)
		}
	case []any:
		for _, value := range s {
			withoutDocs(value)
		}
	}
	return schema
}

// everyRecordUnder writes with the registry's ids and reads by asking for them.
func everyRecordUnder(t *testing.T, registry *ConfluentRegistry) {
	writing, err := NewCodec(t.Context(), registry)
	require.NoError(t, err)
	reading, err := NewCodec(t.Context(), registry)
	require.NoError(t, err)
	reading.readers = map[uint32]reader{} // as a process that has written none of it
	locked := NewLockedCodec()
	for _, name := range names() {
		wire, err := writing.Encode(sample(name))
		require.NoError(t, err, name)
		require.NotEqual(t, locked.writers[name].id, binary.BigEndian.Uint32(wire[1:]), "%s has the lock's id", name)
		got, err := reading.Decode(t.Context(), topic(name), wire)
		require.NoError(t, err, name)
		require.Equal(t, sample(name), got, name)
	}
	_, err = reading.Decode(t.Context(), TopicEvents, []byte{0, 0, 1, 0, 0, 2})
	require.ErrorIs(t, err, ErrUnknownSchema)
	require.NotErrorIs(t, err, ErrRegistryAway)
}

// newerVersion is a rolling deploy: the next build has registered its schema and
// writes with it, while this one reads, and is deployed once more.
func newerVersion(t *testing.T, at string, registry *ConfluentRegistry) {
	codec, err := NewCodec(t.Context(), registry)
	require.NoError(t, err)
	id, refused := register(t, at, eventSubject, extended(t, eventSubject, `{"name":"note","type":"string","default":""}`))
	require.Zero(t, refused)
	name := strings.TrimPrefix(eventSubject, TopicEvents+"-")
	wire, err := codec.Encode(sample(name))
	require.NoError(t, err)
	binary.BigEndian.PutUint32(wire[1:], uint32(id))
	got, err := codec.Decode(t.Context(), TopicEvents, append(wire, 2, 'n')) // the note is "n"
	require.NoError(t, err)
	require.Equal(t, sample(name), got)

	before := held(t, at)
	require.Contains(t, before[eventSubject], "[1,2]")
	require.NoError(t, registry.Register(t.Context()))
	require.Equal(t, before, held(t, at), "the older build takes nothing back")
}
