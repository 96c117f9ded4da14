package strangers

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// python runs a script with confluent-kafka.
func (w *world) python(script string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), installTimeout)
	defer cancel()
	interpreter, err := python(ctx)
	require.NoError(w.t, err)
	return w.run("", interpreter, append([]string{script}, args...)...)
}

// librdkafka asks for one of the script's reports.
func librdkafka[T any](w *world, command string) T {
	w.t.Helper()
	var report T
	said := w.python("librdkafka.py", w.brokers, w.registry, w.prefix, command)
	require.NoError(w.t, json.Unmarshal([]byte(said), &report), said)
	return report
}

// timeZeros are those at the end of a time's fraction: Python writes all six
// digits, Go only those that say something.
var timeZeros = regexp.MustCompile(`(\.\d*?)0+Z"`)

// The example, as a consumer of the stream would run it: what our session has
// committed, and nothing else, with every field as we wrote it.
func exampleConsumer(w *world) {
	args := []string{w.brokers, w.registry, "--topic", w.topic(schemas.TopicEvents), "--group", w.topic("example")}
	lines := strings.Split(strings.TrimSpace(w.python("../../examples/consumer.py", args...)), "\n")
	var ids []string
	for _, line := range lines {
		var got struct {
			Type  string          `json:"type"`
			Event json.RawMessage `json:"event"`
		}
		var meta struct{ ID string }
		require.NoError(w.t, json.Unmarshal([]byte(line), &got), line)
		require.NoError(w.t, json.Unmarshal(got.Event, &meta), line)
		ids = append(ids, meta.ID)
		written, ok := w.events[meta.ID]
		require.True(w.t, ok, "was not committed: %s", line)
		require.Equal(w.t, schemas.ShortName(written), got.Type)
		ours, err := json.Marshal(written)
		require.NoError(w.t, err)
		require.JSONEq(w.t, string(ours), timeZeros.ReplaceAllString(string(got.Event), `${1}Z"`), got.Type)
	}
	require.ElementsMatch(w.t, w.ids(), ids)
	require.Empty(w.t, w.python("../../examples/consumer.py", args...), "its group goes on behind what it has read")
}

func librdkafkaTopics(w *world) {
	found := librdkafka[map[string]struct {
		Partitions int
		Cleanup    string `json:"cleanup.policy"`
		Retention  string `json:"retention.ms"`
	}](w, "topics")
	for _, topic := range schemas.Topics {
		require.Equal(w.t, partitions, found[topic.Name].Partitions, topic.Name)
		require.Equal(w.t, topic.Config()["cleanup.policy"], found[topic.Name].Cleanup, topic.Name)
		if retention, ok := topic.Config()["retention.ms"]; ok {
			require.Equal(w.t, retention, found[topic.Name].Retention, topic.Name)
		}
	}
}

func librdkafkaOffsets(w *world) {
	var records int64
	for partition, at := range librdkafka[map[string]struct {
		Low, High, Latest int64
		LongAgo           int64 `json:"long_ago"`
		InAnHour          int64 `json:"in_an_hour"`
	}](w, "offsets") {
		require.Zero(w.t, at.Low, partition)
		require.Equal(w.t, at.High, at.Latest, partition)
		require.Zero(w.t, at.LongAgo, "the first record is after 1970")
		require.EqualValues(w.t, -1, at.InAnHour, "no record is of the future: the end, which librdkafka calls -1")
		records += at.High
	}
	require.Greater(w.t, records, int64(len(w.events)), "and what is aborted, and markers")
}

func librdkafkaGroups(w *world) {
	for protocol, found := range librdkafka[map[string]struct {
		IDs        []string
		Listed     bool
		State      string
		Lag        int64
		AfterReset int64 `json:"after_reset"`
	}](w, "groups") {
		require.ElementsMatch(w.t, w.ids(), found.IDs, protocol)
		require.True(w.t, found.Listed, protocol)
		require.Equal(w.t, "EMPTY", found.State, protocol)
		require.Zero(w.t, found.Lag, protocol)
		require.Zero(w.t, found.AfterReset, protocol)
	}
}

func librdkafkaTransactions(w *world) {
	found := librdkafka[struct {
		Unsent    int
		Copied    []string
		Committed int64
	}](w, "transactions")
	require.Zero(w.t, found.Unsent)
	require.Equal(w.t, []string{"one committed", "two committed"}, found.Copied)
	require.EqualValues(w.t, 2, found.Committed)
}

func librdkafkaRegistry(w *world) {
	if w.readOnly {
		refusals := librdkafka[map[string]string](w, "refusals")
		require.Len(w.t, refusals, 4)
		for attempt, answer := range refusals {
			require.Equal(w.t, "422 42205", answer, attempt)
		}
	}
	found := librdkafka[struct {
		Subjects      []string
		Versions      []int
		LookedUp      bool `json:"looked_up"`
		Compatibility string
	}](w, "registry")
	var ours []string
	if !w.readOnly {
		ours = append(ours, "somebody-else")
	}
	for _, r := range schemas.Newest() {
		ours = append(ours, r.Subject)
	}
	require.ElementsMatch(w.t, ours, found.Subjects)
	require.True(w.t, found.LookedUp)
	require.Equal(w.t, []int{1}, found.Versions)
	require.Equal(w.t, "FULL_TRANSITIVE", found.Compatibility)
}
