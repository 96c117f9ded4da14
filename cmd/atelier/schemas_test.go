package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/deploy/registry/registrytest"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// A deploy on a registry that others use: what is missing is said at once, what is
// registered once stays as it is, and a whole campaign carries the registry's ids.
func TestACampaignWithTheIDsOfARealRegistry(t *testing.T) {
	kafkatest.Each(t, campaignWithTheIDsOfARealRegistry)
}

func campaignWithTheIDsOfARealRegistry(t *testing.T, brokers []string, prefix string) {
	registry := registrytest.Start(t)
	registry.Claim("somebody-else", "NONE", `"string"`)
	issuer := environment(t, brokers, prefix)
	t.Setenv("ATELIER_REGISTRY_URL", registry.URL())

	began := time.Now()
	_, err := atelier(t, "schemas", "check")
	require.ErrorContains(t, err, "run `atelier schemas register`")
	require.Less(t, time.Since(began), patience, "it does not wait for what will not come by itself")
	for _, args := range [][]string{{"schemas", "register"}, {"schemas", "register"}, {"schemas", "check"}, {"topics", "apply"}, {"migrate", "up"}} {
		out, err := atelier(t, args...)
		require.NoError(t, err, "%v: %s", args, out)
	}
	_, public := startRoles(t, issuer)
	campaign(t, "http://"+public)
	for _, args := range [][]string{{"verify"}, {"events"}} {
		out, err := atelier(t, args...)
		require.NoError(t, err, "%v: %s", args, out)
	}
	// With the lock's ids the stream is somebody else's: each is one too low.
	t.Setenv("ATELIER_REGISTRY_URL", "")
	_, err = atelier(t, "events")
	require.ErrorIs(t, err, schemas.ErrUnreadable)
}

// Somebody has our subject with another schema: the deploy ends there, in one line.
func TestAnIncompatibleSchemaIsNotRegistered(t *testing.T) {
	registry := registrytest.Start(t)
	const subject = schemas.TopicEvents + "-atelier.events.v1.CreditsGranted"
	registry.Claim(subject, "FULL_TRANSITIVE", `{"type":"record","name":"CreditsGranted","namespace":"atelier.events.v1","fields":[]}`)
	t.Setenv("ATELIER_REGISTRY_URL", registry.URL())
	_, err := atelier(t, "schemas", "register")
	require.ErrorContains(t, err, "register "+subject)
	require.ErrorContains(t, err, "ncompatible")
	require.NotContains(t, oneLine(err), "\n")
	_, err = atelier(t, "schemas", "check")
	require.ErrorIs(t, err, schemas.ErrUnknownSchema)
	require.ErrorContains(t, err, "atelier schemas register")
}
