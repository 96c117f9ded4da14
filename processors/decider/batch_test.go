package decider

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// Under load a transaction takes what is there.
func TestBatchesAreLargeUnderLoad(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const accounts, grantsEach = 1_000, 10
		cs := grants(accounts, grantsEach)
		w.send(cs...)
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) { c.Registerer = registry })
		got := granted(t, w.outcome(ids(cs)...))
		for a := range accounts {
			require.EqualValues(t, grantsEach, got[account(a)])
		}
		transactions := measured(t, registry, "atelier_decider_batch_commands")
		require.Less(t, transactions, 100.0)
		t.Logf("%d commands in %.0f transactions", len(cs), transactions)
	})
}

// And no more than its bound. The records are so small that one fetch could bring
// all of them.
func TestATransactionIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const records = 2*CommandsPerTransactionMax + 1
		small := make([]*kafka.Record, records)
		for i := range small {
			small[i] = &kafka.Record{Topic: schemas.TopicCommands, Key: strconv.AppendInt(nil, int64(i), 36)}
		}
		require.NoError(t, w.producer.Produce(t.Context(), small...))
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) { c.Log, c.Registerer = zerolog.Nop(), registry })
		require.Eventually(t, func() bool { return w.committed() == records }, time.Minute, 5*time.Millisecond, "all are dealt with")
		require.Eventually(t, func() bool { return measured(t, registry, "atelier_decider_batch_commands") >= 3 }, 5*time.Second, time.Millisecond)
	})
}
