package strangers

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

func (w *world) kcat(input string, args ...string) string {
	w.t.Helper()
	return w.run(input, "kcat", append([]string{"-q", "-b", w.brokers}, args...)...)
}

func kcatMetadata(w *world) {
	var found struct {
		Topics []struct {
			Topic      string
			Partitions []struct{ Leader int }
		}
	}
	said := w.kcat("", "-L", "-J")
	require.NoError(w.t, json.Unmarshal([]byte(said), &found), said)
	count := map[string]int{}
	for _, topic := range found.Topics {
		count[topic.Topic] = len(topic.Partitions)
	}
	for _, topic := range schemas.Topics {
		require.Equal(w.t, partitions, count[w.topic(topic.Name)], topic.Name)
	}
}

// kcatRead reads the events to their end by header.
func (w *world) kcatRead(args ...string) string {
	w.t.Helper()
	return w.kcat("", append(args, "-e", "-f", "%p %o %k %h\n")...)
}

func kcatEvents(w *world) {
	events := w.topic(schemas.TopicEvents)
	committed := w.kcatRead("-C", "-t", events, "-o", "beginning", "-X", "isolation.level=read_committed")
	require.Equal(w.t, len(w.events), strings.Count(committed, "\n"))
	for id, event := range w.events {
		require.Regexp(w.t, fmt.Sprintf(`\d \d+ %s type=%s,id=%s`, event.Meta().AccountID, regexp.QuoteMeta(event.SchemaName()), id), committed)
	}
	group := w.kcatRead("-G", w.topic("kcat"), "-X", "isolation.level=read_committed", "-X", "auto.offset.reset=earliest", events)
	require.ElementsMatch(w.t, strings.Split(committed, "\n"), strings.Split(group, "\n"), "in a group, too")
	require.Empty(w.t, w.kcatRead("-G", w.topic("kcat"), "-X", "isolation.level=read_committed", events), "and behind what it has read")

	all := w.kcatRead("-C", "-t", events, "-o", "beginning", "-X", "isolation.level=read_uncommitted")
	require.Greater(w.t, strings.Count(all, "\n"), len(w.events))

	for partition := range partitions {
		at := w.kcat("", "-Q", "-t", fmt.Sprintf("%s:%d:1", events, partition))
		require.Contains(w.t, at, fmt.Sprintf("[%d] offset 0", partition), "the first record after 1970")
	}
}

func kcatProduce(w *world) {
	own := w.topic("strangers.kcat")
	w.java("", tools+"TopicCommand", "--create", "--topic", own, "--partitions", "1")
	w.kcat("one\ntwo\n", "-P", "-t", own)
	w.kcat("three\n", "-P", "-t", own, "-z", "gzip", "-X", "enable.idempotence=true")
	w.kcat("four\n", "-P", "-t", own, "-X", "transactional.id="+w.topic("kcat"))
	require.Equal(w.t, "one\ntwo\nthree\nfour\n", w.kcat("", "-C", "-t", own, "-o", "beginning", "-e", "-X", "isolation.level=read_committed"))
}
