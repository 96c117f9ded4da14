package decider

import (
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

// Every snapshot is the fold of its events, and one that is not is named.
func TestVerifyAccounts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := Config{Kafka: w.kafka, Codec: w.codec}
		empty, err := VerifyAccounts(t.Context(), c, nil)
		require.NoError(t, err)
		require.True(t, empty.Equal())

		d := w.start("a")
		cs := append(grants(20, 3), &schemas.ArchiveBrand{CommandMetadata: meta(account(1)), BrandID: schemas.NewID()}) // rejected: it folds too
		w.send(cs...)
		w.outcome(ids(cs)...)
		var done, total int64
		report, err := VerifyAccounts(t.Context(), c, func(d, t int64) { done, total = d, t })
		require.NoError(t, err)
		require.Equal(t, AccountsReport{Accounts: 20, Events: 61}, report)
		require.Equal(t, total, done)
		require.NoError(t, d.stop())

		// Somebody writes a richer snapshot, and an event that has none.
		w.forge(&schemas.Account{FoldVersion: 1, AccountID: account(3), NextCommandOffset: 1 << 40, Blocks: []schemas.AccountBlock{{Credits: 1000, Source: "operator"}}})
		stranger := account(99)
		w.forge(&schemas.CreditsGranted{EventMetadata: schemas.EventMetadata{ID: schemas.NewID(), AccountID: stranger, Count: 1}, Credits: 1})
		report, err = VerifyAccounts(t.Context(), c, nil)
		require.NoError(t, err)
		require.False(t, report.Equal())
		require.ElementsMatch(t, []string{account(3), stranger}, report.Different)
	})
}

// forge writes what only the decider may.
func (w *world) forge(record schemas.Record) {
	w.t.Helper()
	topic := schemas.TopicAccounts
	if _, ok := record.(schemas.Event); ok {
		topic = schemas.TopicEvents
	}
	r, err := kafka.NewRecord(w.codec, topic, record)
	require.NoError(w.t, err)
	require.NoError(w.t, w.producer.Produce(w.t.Context(), r))
}
