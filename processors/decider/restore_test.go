package decider

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/schemas"
)

// The last snapshot of an account may stand in a transaction that is not yet
// known to have committed. To decide before it is would be to decide on an old
// balance (KAFKA-10167); the high watermark is above it, the last stable offset
// below.
func TestRestoreWaitsForAnOpenTransaction(t *testing.T) {
	for name, c := range map[string]struct {
		commit bool
		want   int64
	}{"that commits": {true, 101}, "that aborts": {false, 1}} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				previous := w.session("the previous owner")
				require.NoError(t, previous.Begin())
				rich := &schemas.Account{AccountID: account(1), FoldVersion: 1, LastAt: noon,
					Blocks: []schemas.AccountBlock{{ID: [16]byte{1}, Source: "operator", Credits: 100}}}
				snapshot, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, rich)
				require.NoError(t, err)
				partition := kafka.PartitionOf(rich.AccountID, partitions)
				snapshot.Partition = partition
				previous.Produce(t.Context(), snapshot)
				written := func() bool {
					ends, err := w.admin.HighWatermarks(t.Context(), schemas.TopicAccounts)
					return err == nil && ends[partition] > 0
				}
				require.Eventually(t, written, time.Minute, time.Millisecond)

				d := w.start("a")
				next := grant(account(1), 1)
				w.send(next)
				require.Eventually(t, func() bool { return d.owned.count() == partitions }, time.Minute, time.Millisecond)
				require.Never(t, d.Ready, time.Second, 10*time.Millisecond, "it is not known how the account stands")
				_, err = previous.End(t.Context(), c.commit)
				require.NoError(t, err)
				require.Equal(t, c.want, granted(t, w.outcome(next.ID))[account(1)])
			})
		})
	}
}

// What a killed decider left open is its own: started again it ends that, and does not
// wait until the brokers do. They may be slow at it: a Kafka that was killed itself did
// not for minutes.
func TestADecidersOwnLeftoversAreEndedAtTheStart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		killed, err := kafka.OpenSession(t.Context(), w.kafka, kafka.SessionConfig{
			Group: "another", TransactionalID: "atelier.decider.a", Topic: schemas.TopicProgress, TransactionTimeout: 10 * time.Minute,
			Assigned: func([]int32) {}, Lost: func([]int32) {},
		})
		require.NoError(t, err)
		t.Cleanup(killed.Close)
		require.NoError(t, killed.Begin())
		lost := &schemas.Account{AccountID: account(1), FoldVersion: 1, LastAt: noon,
			Blocks: []schemas.AccountBlock{{ID: [16]byte{1}, Source: "operator", Credits: 100}}}
		snapshot, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, lost)
		require.NoError(t, err)
		partition := kafka.PartitionOf(lost.AccountID, partitions)
		snapshot.Partition = partition
		killed.Produce(t.Context(), snapshot)
		require.Eventually(t, func() bool {
			ends, err := w.admin.HighWatermarks(t.Context(), schemas.TopicAccounts)
			return err == nil && ends[partition] > 0
		}, time.Minute, time.Millisecond)

		w.start("a")
		next := grant(account(1), 1)
		w.send(next)
		require.EqualValues(t, 1, granted(t, w.outcome(next.ID))[account(1)])
	})
}

// A commit is answered before its markers are written (KIP-98). Who reads the accounts
// right behind the answer, two hundred times, never reads the balance before it.
func TestRestoreRightBehindACommit(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const commits = 200
		commit := kafkatest.Committer(t, w.kafka.Brokers, w.kafka.Prefix+"the previous owner")
		restoring := &session{Decider: &Decider{config: Config{Kafka: w.kafka, Codec: w.codec}}, admin: w.admin}
		id := kafka.PartitionOf(account(1), partitions)
		for credits := range int64(commits) {
			a := &schemas.Account{AccountID: account(1), FoldVersion: 1, LastAt: noon,
				Blocks: []schemas.AccountBlock{{ID: [16]byte{1}, Source: "operator", Credits: credits}}}
			snapshot, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, a)
			require.NoError(t, err)
			snapshot.Topic, snapshot.Partition = w.kafka.Prefix+snapshot.Topic, id
			commit(snapshot)

			next := &partition{id: id, accounts: map[string][]byte{}, dueAt: map[string]time.Time{}}
			_, err = restoring.readAccounts(t.Context(), []*partition{next})
			require.NoError(t, err)
			require.Equal(t, snapshot.Value, next.encoded(account(1)), "after commit %d", credits)
		}
	})
}

// Only the newest snapshot counts, and a partition without any is ready at once.
func TestRestoreTakesTheNewestSnapshot(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for credits := range int64(50) {
			a := &schemas.Account{AccountID: account(1), FoldVersion: 1, LastAt: noon,
				Blocks: []schemas.AccountBlock{{ID: [16]byte{1}, Source: "operator", Credits: credits + 1}}}
			r, err := kafka.NewRecord(w.codec, schemas.TopicAccounts, a)
			require.NoError(t, err)
			require.NoError(t, w.producer.Produce(t.Context(), r))
		}
		d := w.start("a")
		require.Eventually(t, d.Ready, time.Minute, time.Millisecond)
		next := grant(account(1), 1)
		w.send(next)
		require.EqualValues(t, 51, granted(t, w.outcome(next.ID))[account(1)])
	})
}

// What nobody can restore from ends the decider, and says what to do.
func TestASnapshotThatCannotBeReadStopsTheDecider(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		require.NoError(t, w.producer.Produce(t.Context(), &kafka.Record{Topic: schemas.TopicAccounts, Key: []byte(account(1)), Value: []byte("{}")}))
		d, err := New(Config{Kafka: w.kafka, Codec: w.codec, Instance: "a", Log: zerolog.Nop()})
		require.NoError(t, err)
		err = d.Run(t.Context())
		require.ErrorIs(t, err, errFatal)
		require.ErrorContains(t, err, "rebuild the topic from the events")
		require.False(t, d.Ready())
	})
}

// A newer topic of commands starts at offset 0: its low offsets are no redeliveries,
// and those of the older one decide nothing any more.
func TestANewTopicGeneration(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.start("a", func(c *Config) { c.TopicGeneration = 1 })
		cs := grants(5, 2)
		w.send(cs...)
		w.outcome(ids(cs)...)
		require.NoError(t, first.stop())
		zero := map[int32]int64{0: 0, 1: 0, 2: 0}
		require.NoError(t, w.admin.ResetOffsets(t.Context(), Group, schemas.TopicCommands, zero))

		// The same commands as if they stood in the next generation: new positions.
		second := w.start("a", func(c *Config) { c.TopicGeneration = 2 })
		last := grants(5, 1)
		w.send(last...)
		events := w.outcome(ids(last)...)
		require.Len(t, events, 2*len(cs)+len(last))
		require.NoError(t, second.stop())
		require.NoError(t, w.admin.ResetOffsets(t.Context(), Group, schemas.TopicCommands, zero))

		// And a decider that was forgotten on the old one decides nothing.
		registry := prometheus.NewRegistry()
		w.start("a", func(c *Config) { c.TopicGeneration, c.Registerer = 1, registry })
		require.Eventually(t, func() bool { return w.committed() == int64(len(cs)+len(last)) }, time.Minute, 5*time.Millisecond, "everything was read")
		require.Len(t, w.outcome(ids(last)...), len(events))
		require.Zero(t, measured(t, registry, "atelier_decider_outcomes_total"))
	})
}
