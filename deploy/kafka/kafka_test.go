package kafka_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"atelier/deploy/kafka"
)

func TestVersionIsThePoms(t *testing.T) {
	pom, err := os.ReadFile("pom.xml")
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(string(pom), "<version>"+kafka.Version+"</version>"), "the pom itself, kafka and kafka-tools")
}
