package decider

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
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

// A snapshot that lacks the account's last command is what a decider would decide on
// after its next start: an old balance.
func TestVerifyAccountsSeesAStaleSnapshot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		var snapshots [][]byte
		for credits := range int64(2) {
			d := w.start("a")
			command := grant(account(1), credits+1)
			w.send(command)
			w.outcome(command.ID)
			require.NoError(t, d.stop())
			require.NoError(t, kafka.Scan(t.Context(), w.kafka, w.admin, schemas.TopicAccounts, func(r *kafka.Record) error {
				snapshots = append(snapshots, r.Value)
				return nil
			}, nil))
		}
		stale := &kafka.Record{Topic: schemas.TopicAccounts, Key: []byte(account(1)), Value: snapshots[0]}
		require.NoError(t, w.producer.Produce(t.Context(), stale))
		report, err := VerifyAccounts(t.Context(), Config{Kafka: w.kafka, Codec: w.codec}, nil)
		require.NoError(t, err)
		require.Equal(t, AccountsReport{Accounts: 1, Events: 1, Differ: 1, Different: []string{account(1)}}, report)
	})
}

// What stands last may be of a transaction that is open and then aborts: nobody
// ever reads it, and the verification ends all the same.
func TestVerifyAccountsBesideATransactionThatAborts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		open := w.session("a decider")
		require.NoError(t, open.Begin())
		stranger := &schemas.CreditsGranted{EventMetadata: schemas.EventMetadata{ID: schemas.NewID(), AccountID: account(99), Count: 1}, Credits: 1}
		r, err := kafka.NewRecord(w.codec, schemas.TopicEvents, stranger)
		require.NoError(t, err)
		partition := kafka.PartitionOf(stranger.AccountID, partitions)
		r.Partition = partition
		open.Produce(t.Context(), r)
		require.Eventually(t, func() bool {
			ends, err := w.admin.HighWatermarks(t.Context(), schemas.TopicEvents)
			return err == nil && ends[partition] > 0
		}, time.Minute, time.Millisecond)

		fetching, once := make(chan struct{}), sync.Once{}
		network := &kafkatest.Network{Choose: func(e kafkatest.Exchange) kafkatest.Fault {
			if e.Key == kafkatest.Fetch { // it knows the end
				once.Do(func() { close(fetching) })
			}
			return kafkatest.Pass
		}}
		c := Config{Kafka: w.kafka, Codec: w.codec}
		c.Kafka.Dial = network.Dial
		var report AccountsReport
		verified := make(chan struct{})
		go func() {
			defer close(verified)
			report, err = VerifyAccounts(t.Context(), c, nil)
		}()
		waitFor(t, fetching, "the verification reads")
		_, aborted := open.End(t.Context(), false)
		require.NoError(t, aborted)
		waitFor(t, verified, "the verification is through")
		require.NoError(t, err)
		require.Equal(t, AccountsReport{}, report)
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
