package decider

import (
	"context"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/bench/mix"
	"atelier/internal/kafka"
	"atelier/schemas"
)

// BenchmarkShares decides a backlog in memory: everything that a batch costs but
// the brokers. One operation is one command.
func BenchmarkShares(b *testing.B) {
	const accounts, rounds, perBatch = 2_000, 2, 2_500
	codec := schemas.NewLockedCodec()
	m, err := mix.New(codec, accounts, rounds)
	require.NoError(b, err)
	offsets := map[int32]int64{}
	for _, r := range m.Backlog {
		r.Partition = kafka.PartitionOf(string(r.Key), partitions)
		r.Offset = offsets[r.Partition]
		offsets[r.Partition]++
	}
	d, err := New(Config{Codec: codec, Instance: "bench", Log: zerolog.Nop()})
	require.NoError(b, err)
	s := &session{Decider: d, partitions: partitions}
	begin := func() {
		s.owned.clear()
		for _, p := range s.owned.take([]int32{0, 1, 2}) {
			s.owned.publish(p)
		}
		for _, account := range m.Accounts {
			encoded, err := codec.Encode(&account)
			require.NoError(b, err)
			s.owned.get(kafka.PartitionOf(account.AccountID, partitions)).set(&account, encoded)
		}
	}
	b.ReportAllocs()
	at := len(m.Backlog)
	for done := 0; done < b.N; {
		if at >= len(m.Backlog) {
			b.StopTimer()
			begin()
			at = 0
			b.StartTimer()
		}
		records := m.Backlog[at:min(at+perBatch, at+b.N-done, len(m.Backlog))]
		batch := batch{shares: s.sharesOf(records), codes: map[string]int{}}
		for one := range s.decideShares(context.Background(), batch.shares) {
			batch.add(one)
		}
		require.True(b, batch.committable())
		require.Equal(b, len(records), batch.codes["ok"])
		batch.publish()
		at += len(records)
		done += len(records)
	}
}
