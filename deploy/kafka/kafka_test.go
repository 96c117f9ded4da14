package kafka_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/deploy/kafka"
	"atelier/internal/embedded"
)

func TestVersionIsThePoms(t *testing.T) {
	pom, err := os.ReadFile("pom.xml")
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(string(pom), "<version>"+kafka.Version+"</version>"), "the pom itself, kafka and kafka-tools")
}

// Java's AdminClient is the client that the embedded broker's version table is
// for: without it these tools end in a NullPointerException.
func TestKafkasOwnToolsWorkOnTheEmbeddedBroker(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	libs, err := kafka.Jars(ctx, "", zerolog.Nop())
	require.NoError(t, err)
	broker, err := embedded.StartBroker(ctx, embedded.BrokerConfig{}, zerolog.Nop())
	require.NoError(t, err)
	defer broker.Close()
	tool := func(class, input string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, "java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", filepath.Join(libs, "*"),
			"org.apache.kafka.tools." + class, "--bootstrap-server", broker.Addrs()[0]}, args...)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s %v: %s", class, args, out)
		assert.NotContains(t, string(out), "Exception", "%s %v", class, args)
		return string(out)
	}
	tool("TopicCommand", "", "--create", "--topic", "events", "--partitions", "3", "--config", "cleanup.policy=compact")
	described := tool("TopicCommand", "", "--describe", "--topic", "events")
	assert.Contains(t, described, "PartitionCount: 3")
	assert.Contains(t, described, "cleanup.policy=compact")
	tool("ConsoleProducer", "k:one\nk:two\n", "--topic", "events", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:")
	read := tool("consumer.ConsoleConsumer", "", "--topic", "events", "--from-beginning", "--max-messages", "2", "--group", "readers",
		"--command-property", "isolation.level=read_committed")
	assert.Contains(t, read, "one\ntwo")
	groups := tool("consumer.group.ConsumerGroupCommand", "", "--describe", "--group", "readers")
	assert.Contains(t, groups, "events")
	offsets := tool("GetOffsetShell", "", "--topic", "events")
	assert.Contains(t, offsets, "events:")
}
