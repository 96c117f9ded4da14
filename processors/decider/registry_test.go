package decider

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/deploy/registry/registrytest"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// A registry that is killed holds the partition of a command whose schema it alone
// knows, however long that is; the others go on, and when it is back, nothing is lost.
func TestARegistryThatIsAwayForAWhile(t *testing.T) {
	real := registrytest.Start(t)
	registry, err := schemas.OpenRegistry(real.URL())
	require.NoError(t, err)
	require.NoError(t, registry.Register(t.Context()))
	newerID := registerNewerGrant(t, real.URL())
	each(t, func(t *testing.T, w *world) {
		w.codec, err = schemas.NewCodec(t.Context(), registry)
		require.NoError(t, err)
		metrics, alarms := prometheus.NewRegistry(), atomic.Int64{}
		w.start("a", func(c *Config) {
			c.Registerer, c.UnknownSchemaWait = metrics, time.Millisecond // it is over long before the registry is back
			c.Log = c.Log.Hook(zerolog.HookFunc(func(_ *zerolog.Event, level zerolog.Level, _ string) {
				if level == zerolog.ErrorLevel {
					alarms.Add(1)
				}
			}))
		})
		before := grants(20, 1)
		w.send(before...)
		w.outcome(ids(before)...)

		real.Kill()
		early := grant(account(0), 7)
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, early)
		require.NoError(t, err)
		binary.BigEndian.PutUint32(r.Value[1:], newerID)
		r.Value = append(r.Value, 2, 'n') // the newer build's field
		require.NoError(t, w.producer.Produce(t.Context(), r))
		require.Eventually(t, func() bool { return measured(t, metrics, "atelier_decider_waiting_for_schema") == 1 },
			time.Minute, time.Millisecond, "the partition waits, and the alarm says so")
		others := grants(20, 1)
		w.send(others...)
		var elsewhere []string
		for _, c := range others {
			if kafka.PartitionOf(c.Meta().AccountID, partitions) != r.Partition {
				elsewhere = append(elsewhere, c.Meta().ID)
			}
		}
		require.NotEmpty(t, elsewhere)
		for _, e := range w.outcome(elsewhere...) {
			require.NotEqual(t, early.ID, e.Meta().CausationID)
		}

		real.Restart()
		got := granted(t, w.outcome(append(ids(others), early.ID)...))
		require.EqualValues(t, 9, got[account(0)], "one before, seven of the newer build, one behind")
		require.Zero(t, measured(t, metrics, "atelier_decider_dead_letters_total"))
		require.EqualValues(t, 1, alarms.Load(), "said once")
		require.Eventually(t, func() bool { return measured(t, metrics, "atelier_decider_waiting_for_schema") == 0 },
			time.Minute, time.Millisecond, "the alarm ends")
	})
}

// registerNewerGrant registers GrantCredits as a newer build has it, with one field
// more, and returns its id.
func registerNewerGrant(t *testing.T, registry string) uint32 {
	t.Helper()
	const subject = schemas.TopicCommands + "-atelier.commands.v1.GrantCredits"
	for _, r := range schemas.Newest() {
		if r.Subject != subject {
			continue
		}
		var schema map[string]any
		require.NoError(t, json.Unmarshal(r.Schema, &schema))
		schema["fields"] = append(schema["fields"].([]any), json.RawMessage(`{"name":"note","type":"string","default":""}`))
		text, err := json.Marshal(schema)
		require.NoError(t, err)
		body, err := json.Marshal(map[string]string{"schema": string(text)})
		require.NoError(t, err)
		answer, err := http.Post(registry+"/subjects/"+subject+"/versions", "application/json", strings.NewReader(string(body)))
		require.NoError(t, err)
		defer answer.Body.Close()
		var registered struct{ ID uint32 }
		require.NoError(t, json.NewDecoder(answer.Body).Decode(&registered))
		require.NotZero(t, registered.ID)
		return registered.ID
	}
	t.Fatalf("no subject %s", subject)
	return 0
}
