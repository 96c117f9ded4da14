package kafka

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

const (
	// settleWaitMax is how long a transaction waits for the one before it at most.
	// Afterwards the brokers wait themselves: 20 ms at a time
	// (add.partitions.to.txn.retry.backoff.ms).
	settleWaitMax = 20 * time.Millisecond
	// settlePoll is the pause between two questions.
	settlePoll = time.Millisecond
)

// settle waits until the markers of the last transaction are written. A commit is
// answered before they are (KIP-98), and who writes into the next one meanwhile
// stands still for 20 ms in the broker: that would be the usual case where one
// transaction follows another. It comes before the poll, so that what arrives
// meanwhile is part of the next transaction and not of the one after. It is a
// matter of speed alone: where the question fails, one goes on.
func (s *Session) settle(ctx context.Context) {
	deadline := s.ended.Add(settleWaitMax)
	if time.Now().After(deadline) {
		return
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	admin := kadm.NewClient(s.session.Client())
	for {
		described, err := admin.DescribeTransactions(ctx, s.transactionalID)
		if err != nil || !strings.HasPrefix(described[s.transactionalID].State, "Prepare") {
			return
		}
		timer := time.NewTimer(settlePoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
