package projections

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/vault"
	"atelier/schemas"
)

// Bytes that nobody can read are not skipped: every projection stands still in
// that partition, says so, and goes on in the others. A restart changes nothing.
func TestWhatCannotBeReadHaltsItsPartitionAlone(t *testing.T) {
	for name, broken := range map[string]func(good []byte) []byte{
		"truncated": func(good []byte) []byte { return good[:len(good)-3] },
		"garbage":   func([]byte) []byte { return []byte("{}") },
		"null":      func([]byte) []byte { return nil },
		"a command": func([]byte) []byte {
			raw, err := schemas.NewLockedCodec().Encode(&schemas.RemoveAsset{AssetID: assetID(1)})
			if err != nil {
				panic(err)
			}
			return raw
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				w.write(w.grant(account(0, 0), account(1, 0), account(2, 0))...)
				bad := w.writeRaw(1, broken(w.encode(w.grant(account(1, 0))...)[0].Value))
				w.write(w.grant(account(0, 1), account(1, 1), account(2, 1))...)
				for range 2 {
					p := w.start()
					for _, halt := range p.halted(len(All)) {
						require.Equal(t, bad.Partition, halt.Partition)
						require.Equal(t, bad.Offset, halt.Offset)
						require.ErrorIs(t, halt, schemas.ErrUnreadable)
						require.Regexp(t, `^`+halt.Projection+` version 1 stands still at atelier.events\[1\]@1: unreadable record: .*; nothing is skipped: `+
							`start a build that reads the record`, halt.Error())
					}
					w.caughtUp(All, 0, 2)
					w.write(w.grant(account(0, 1), account(1, 1), account(2, 1))...)
					w.caughtUp(All, 0, 2)
					require.NoError(t, p.stop())
					for _, q := range All {
						require.EqualValues(t, 1, w.next(w.live(q), 1), "what came before it was applied, and no more")
					}
				}
				require.Equal(t, 9, w.count(credits, "entries"))
			})
		})
	}
}

// What one projection cannot take does not concern the others. It is found in
// the middle of a batch.
func TestWhatOneProjectionCannotTakeDoesNotStopTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		halts  Projection
		event  schemas.Event
		cause  string
		advice string
	}{
		"sealed with another key": {brands, &schemas.AssetAdded{AssetID: assetID(1), Name: []byte("not sealed at all, but long enough"), Media: picture(1)},
			vault.ErrTampered.Error(), adviceSealed},
		"not what the tables take": {galleries, &schemas.GenerationRequested{GenerationID: "nameless", BatchID: batchID(1)},
			"invalid input syntax for type uuid", adviceUnfit},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *world) {
				ours := account(2, 0)
				w.seal(ours, "so that the account has a key")
				w.write(w.grant(account(0, 0), ours)...)
				w.write(of(ours, 50, noon, &schemas.AssetRemoved{AssetID: assetID(1)},
					&schemas.GenerationRequested{GenerationID: generationID(1), BatchID: batchID(1)})...)
				bad := w.write(of(ours, 60, noon, c.event)...)[0]
				w.write(w.grant(ours, account(0, 0))...)

				p := w.start()
				halt := p.halted(1)[0]
				require.Equal(t, c.halts.Name, halt.Projection)
				require.Equal(t, bad.Partition, halt.Partition)
				require.Equal(t, bad.Offset, halt.Offset)
				require.ErrorContains(t, halt, c.cause)
				require.True(t, strings.HasSuffix(halt.Error(), c.advice), halt.Error())
				require.Equal(t, bad.Offset, w.next(w.live(c.halts), 2), "what came before it in the batch was applied")
				for _, other := range All {
					if other.Name == c.halts.Name {
						w.caughtUp([]Projection{other}, 0, 1)
					} else {
						w.caughtUp([]Projection{other})
					}
				}
			})
		})
	}
}

// A topic that was made anew cannot be read on into the old rows: every way of
// not having said so is refused with advice, and no row changes.
func TestATopicThatWasMadeAnewIsRefused(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write(w.grant(account(0, 0), account(1, 0), account(2, 0))...)
		p := w.start()
		w.caughtUp(All)
		require.NoError(t, p.stop())
		before := w.hashes(w.live(credits))

		t.Run("another generation", func(t *testing.T) {
			next := w.start(func(c *Config) { c.TopicGeneration, c.Only = 1, []string{"credits"} })
			next.t = t
			for _, halt := range next.halted(partitions) {
				require.ErrorContains(t, halt, "filled from topic generation 0, not 1")
				require.True(t, strings.HasSuffix(halt.Error(), adviceRebuild), halt.Error())
			}
			w.write(w.grant(account(0, 0))...)
			require.NoError(t, next.stop())
			require.Equal(t, before, w.hashes(w.live(credits)))
			_, err := Verify(t.Context(), w.config(func(c *Config) { c.Pool, c.TopicGeneration = w.admin, 1 }), "credits")
			require.ErrorContains(t, err, "filled from topic generation 0, not 1")
			require.ErrorContains(t, err, "rebuild")
		})
		t.Run("a stored offset behind the topic's end", func(t *testing.T) {
			w.exec(`UPDATE projections.offsets SET next = 1000 WHERE name = 'credits' AND partition = 1`)
			next := w.start(func(c *Config) { c.Only = []string{"credits"} })
			next.t = t
			halt := next.halted(1)[0]
			require.EqualValues(t, 1, halt.Partition)
			require.EqualValues(t, 1000, halt.Offset)
			require.ErrorContains(t, halt, "the topic ends at 1, before the stored offset")
			require.True(t, strings.HasSuffix(halt.Error(), adviceTopic), halt.Error())
			w.caughtUp([]Projection{credits}, 0, 2)
			require.NoError(t, next.stop())
			_, err := Verify(t.Context(), w.config(func(c *Config) { c.Pool = w.admin }), "credits")
			require.ErrorContains(t, err, "ends at 1, before the stored offset 1000")
			require.ErrorContains(t, err, adviceTopic)
		})
	})
}

// A group's offsets mean nothing: those in Postgres do.
func TestTheGroupsOffsetsMeanNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.write(w.grant(account(0, 0), account(1, 0), account(2, 0))...)
		require.NoError(t, w.brokers.ResetOffsets(t.Context(), Group("credits", 1), schemas.TopicEvents, map[int32]int64{0: 1, 1: 1, 2: 1}))
		p := w.start(func(c *Config) { c.Only = []string{"credits"} })
		w.caughtUp([]Projection{credits})
		require.NoError(t, p.stop())
		require.Equal(t, 3, w.count(credits, "entries"))
		committed, err := w.brokers.CommittedOffsets(t.Context(), Group("credits", 1), schemas.TopicEvents)
		require.NoError(t, err)
		require.Equal(t, map[int32]int64{0: 1, 1: 1, 2: 1}, committed, "nor are they written")
	})
}
