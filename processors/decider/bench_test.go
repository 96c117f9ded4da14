package decider

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkShares decides a backlog in memory: everything that a batch costs but
// the brokers. One operation is one command.
func BenchmarkShares(b *testing.B) {
	const accounts, rounds, perBatch = 2_000, 2, 2_500
	d := newDesk(b, accounts, rounds)
	b.ReportAllocs()
	at := len(d.mix.Backlog)
	for done := 0; done < b.N; {
		if at >= len(d.mix.Backlog) {
			b.StopTimer()
			d.begin(b)
			at = 0
			b.StartTimer()
		}
		records := d.mix.Backlog[at:min(at+perBatch, at+b.N-done, len(d.mix.Backlog))]
		batch := d.batch(records, func(*share) {})
		require.Equal(b, len(records), batch.codes["ok"])
		batch.publish()
		at += len(records)
		done += len(records)
	}
}
