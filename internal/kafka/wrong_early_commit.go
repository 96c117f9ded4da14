//go:build wrong_early_commit

package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// commitsEarly makes a wrong system, which only a test of package check/torture
// builds: offsets are committed before what follows from the records.
const commitsEarly = true

func (s *Session) commitEarly(ctx context.Context, records []*Record) error {
	next := map[int32]kgo.EpochOffset{}
	for _, r := range records {
		next[r.Partition] = kgo.EpochOffset{Epoch: -1, Offset: r.Offset + 1}
	}
	committed := make(chan error, 1)
	s.session.Client().CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{s.topic: next}, commitDone(committed))
	return <-committed
}
