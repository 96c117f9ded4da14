package decider

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/bench/mix"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// desk is a decider without brokers, whose partitions hold the accounts of a mix.
type desk struct {
	*session
	mix *mix.Mix
}

func newDesk(t testing.TB, accounts, rounds int) *desk {
	codec := schemas.NewLockedCodec()
	m, err := mix.New(codec, accounts, rounds)
	require.NoError(t, err)
	offsets := map[int32]int64{}
	for _, r := range m.Backlog {
		r.Partition = kafka.PartitionOf(string(r.Key), partitions)
		r.Offset = offsets[r.Partition]
		offsets[r.Partition]++
	}
	now := time.Now()
	d, err := New(Config{Codec: codec, Instance: "desk", Log: zerolog.Nop(), Now: func() time.Time { return now }})
	require.NoError(t, err)
	return &desk{session: &session{Decider: d, partitions: partitions}, mix: m}
}

// begin puts the accounts back to where they were.
func (d *desk) begin(t testing.TB) {
	d.owned.clear()
	for _, p := range d.owned.take([]int32{0, 1, 2}) {
		d.owned.publish(p)
	}
	for _, account := range d.mix.Accounts {
		encoded, err := d.config.Codec.Encode(&account)
		require.NoError(t, err)
		d.owned.get(kafka.PartitionOf(account.AccountID, partitions)).set(&account, encoded)
	}
}

// batch decides records as a transaction does, and gives each share to see.
func (d *desk) batch(records []*kafka.Record, see func(*share)) batch {
	b := batch{shares: d.sharesOf(records), codes: map[string]int{}}
	for one := range d.decideShares(context.Background(), b.shares) {
		b.add(one)
		see(one)
	}
	return b
}

// Every command of the mix depends on the one before it, so each is accepted only
// where they are decided in their order; and what follows stands in that order.
func TestSharesKeepTheOrderOfTheirPartition(t *testing.T) {
	d := newDesk(t, 50, 2)
	d.begin(t)
	last := map[int32]int64{0: -1, 1: -1, 2: -1}
	for at := 0; at < len(d.mix.Backlog); at += 70 {
		records := d.mix.Backlog[at:min(at+70, len(d.mix.Backlog))]
		snapshots := map[string]int{}
		b := d.batch(records, func(one *share) {
			for _, r := range one.outputs {
				require.Equal(t, one.partition.id, r.Partition)
				if r.Topic == schemas.TopicAccounts {
					snapshots[string(r.Key)]++
					continue
				}
				require.Empty(t, snapshots[string(r.Key)], "an event behind its account's snapshot")
				record, err := d.config.Codec.Decode(t.Context(), schemas.TopicEvents, r.Value)
				require.NoError(t, err)
				offset := record.(schemas.Event).Meta().CommandPosition.Offset
				require.GreaterOrEqual(t, offset, last[r.Partition])
				last[r.Partition] = offset
			}
		})
		require.True(t, b.committable())
		require.Equal(t, map[string]int{"ok": len(records)}, b.codes)
		for account, n := range snapshots {
			require.Equal(t, 1, n, account)
		}
		b.publish()
	}
}

// What is staged is seen when it is published and not before: an abort forgets it.
func TestSharesAreStagedUntilTheyArePublished(t *testing.T) {
	d := newDesk(t, 50, 1)
	d.begin(t)
	first := d.mix.Backlog[:100]
	outputs := func() (values []string) {
		b := d.batch(first, func(one *share) {
			for _, r := range one.outputs {
				values = append(values, string(r.Value))
			}
		})
		require.True(t, b.committable())
		slices.Sort(values)
		return values
	}
	once := outputs()
	require.Equal(t, once, outputs(), "nothing was published: decided again")
	b := d.batch(first, func(*share) {})
	b.publish()
	require.Empty(t, outputs(), "published: each comes again")
}

// One share that must not commit is enough.
func TestABatchIsCommittableAsAWhole(t *testing.T) {
	d := newDesk(t, 50, 1)
	for name, spoil := range map[string]func([]*kafka.Record){
		"a partition that was lost": func([]*kafka.Record) { d.owned.drop([]int32{1}) },
		"a schema that nobody knows": func(records []*kafka.Record) {
			unknown := *records[0]
			unknown.Value = []byte{0, 0, 1, 0, 0}
			records[0] = &unknown
		},
	} {
		t.Run(name, func(t *testing.T) {
			d.begin(t)
			records := append([]*kafka.Record(nil), d.mix.Backlog[:50]...)
			spoil(records)
			b := d.batch(records, func(*share) {})
			require.False(t, b.committable())
			require.NoError(t, b.err)
			require.Len(t, b.shares, partitions)
		})
	}
}
