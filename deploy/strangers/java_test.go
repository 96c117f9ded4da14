package strangers

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/kafka"
	"atelier/schemas"
)

// java runs one of Kafka's own tools, which must end well and without a Java
// exception. Java's AdminClient is what the embedded broker's version table is
// for: without it these tools end in a NullPointerException.
func (w *world) java(input, class string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), installTimeout)
	defer cancel()
	libs, err := kafka.Jars(ctx, "", zerolog.Nop())
	require.NoError(w.t, err)
	out := w.run(input, "java", append([]string{"-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"),
		class, "--bootstrap-server", w.brokers}, args...)...)
	require.NotContains(w.t, out, "Exception", "%s %v", class, args)
	return out
}

const tools = "org.apache.kafka.tools."

func javaTopics(w *world) {
	listed := w.java("", tools+"TopicCommand", "--list")
	for _, topic := range schemas.Topics {
		require.Contains(w.t, strings.Split(listed, "\n"), w.topic(topic.Name))
	}
	own := w.topic("strangers.java")
	w.java("", tools+"TopicCommand", "--create", "--topic", own, "--partitions", "3", "--config", "cleanup.policy=compact")
	described := w.java("", tools+"TopicCommand", "--describe", "--topic", own)
	require.Contains(w.t, described, "PartitionCount: 3")
	require.Contains(w.t, described, "cleanup.policy=compact")

	config := []string{"--entity-type", "topics", "--entity-name", own}
	w.java("", "kafka.admin.ConfigCommand", append(config, "--alter", "--add-config", "retention.ms=86400000")...)
	require.Contains(w.t, w.java("", "kafka.admin.ConfigCommand", append(config, "--describe")...), "retention.ms=86400000")

	w.java("k:one\nk:two\n", tools+"ConsoleProducer", "--topic", own, "--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
	require.Contains(w.t, w.java("", tools+"consumer.ConsoleConsumer", "--topic", own, "--from-beginning", "--max-messages", "2"), "one\ntwo")
}

// javaConsume reads n events; the tool prints their headers alone.
func (w *world) javaConsume(isolation string, n int, args ...string) string {
	return w.java("", tools+"consumer.ConsoleConsumer", append([]string{"--topic", w.topic(schemas.TopicEvents), "--max-messages", strconv.Itoa(n),
		"--formatter-property", "print.headers=true", "--formatter-property", "print.value=false",
		"--command-property", "auto.offset.reset=earliest", "--command-property", "isolation.level=" + isolation}, args...)...)
}

// Java's own default is the other level, and shows what was aborted.
func javaEvents(w *world) {
	committed := w.javaConsume("read_committed", len(w.events))
	for id := range w.events {
		require.Contains(w.t, committed, "id:"+id)
	}
	all, seen := w.javaConsume("read_uncommitted", len(w.events)+1), 0
	for id := range w.aborted {
		require.NotContains(w.t, committed, id)
		seen += strings.Count(all, "id:"+id)
	}
	require.Positive(w.t, seen)
}

func javaGroups(w *world) {
	group := w.topic("java")
	w.javaConsume("read_committed", len(w.events), "--group", group)
	require.Contains(w.t, strings.Split(w.java("", tools+"consumer.group.ConsumerGroupCommand", "--list"), "\n"), group)
	require.EqualValues(w.t, 0, w.javaLag(group))

	reset := w.java("", tools+"consumer.group.ConsumerGroupCommand", "--group", group, "--topic", w.topic(schemas.TopicEvents),
		"--reset-offsets", "--to-earliest", "--execute")
	require.Equal(w.t, partitions, strings.Count(reset, w.topic(schemas.TopicEvents)), reset)
	require.Greater(w.t, w.javaLag(group), len(w.events), "and what is aborted, and markers")
}

// javaLag sums what the tool says of a group: GROUP TOPIC PARTITION CURRENT-OFFSET
// LOG-END-OFFSET LAG ...
func (w *world) javaLag(group string) int {
	w.t.Helper()
	said := w.java("", tools+"consumer.group.ConsumerGroupCommand", "--describe", "--group", group)
	sum, rows := 0, 0
	for line := range strings.Lines(said) {
		if fields := strings.Fields(line); len(fields) > 5 && fields[0] == group {
			lag, err := strconv.Atoi(fields[5])
			require.NoError(w.t, err, line)
			sum, rows = sum+lag, rows+1
		}
	}
	require.Equal(w.t, partitions, rows, said)
	return sum
}

func javaOffsets(w *world) {
	offsets := func(time string) map[string]int {
		found := map[string]int{}
		for line := range strings.Lines(w.java("", tools+"GetOffsetShell", "--topic", w.topic(schemas.TopicEvents), "--time", time)) {
			parts := strings.Split(strings.TrimSpace(line), ":")
			require.Len(w.t, parts, 3, line)
			offset, err := strconv.Atoi(parts[2])
			require.NoError(w.t, err, line)
			found[parts[1]] = offset
		}
		return found
	}
	earliest, latest, at := offsets("earliest"), offsets("latest"), offsets("1")
	require.Equal(w.t, map[string]int{"0": 0, "1": 0, "2": 0}, earliest)
	require.Equal(w.t, earliest, at, "the first record after 1970")
	sum := 0
	for _, offset := range latest {
		sum += offset
	}
	require.Greater(w.t, sum, len(w.events), "and what is aborted, and markers")
}

func javaTransactions(w *world) {
	listed := w.java("", tools+"TransactionsCommand", "list")
	require.Contains(w.t, listed, w.topic("writer"))
	described := w.java("", tools+"TransactionsCommand", "describe", "--transactional-id", w.topic("writer"))
	require.Contains(w.t, described, "15000", "its timeout in ms")
	require.NotContains(w.t, described, "Ongoing")
}
