package decider

import "time"

const (
	// batchTimeMax is what a transaction should take at most: a third of the
	// transaction timeout, after which the broker aborts it.
	batchTimeMax = 5 * time.Second
	// batchTimeLow is below what a batch may grow again.
	batchTimeLow = time.Second
)

// pace bounds how many commands go into one transaction. Usually that is
// CommandsPerTransactionMax. Where commands are heavy or the brokers slow, as many
// would not end before the transaction times out, and would come again for ever:
// so a batch that took too long halves the next, and quick ones double it. The
// zero pace is ready to use. It is for one goroutine.
type pace struct{ slower uint }

// commands is the most that the next transaction takes (count), at least 1.
func (p *pace) commands() int { return max(1, CommandsPerTransactionMax>>p.slower) }

// took says how long a batch of so many commands took, also one that failed.
func (p *pace) took(commands int, took time.Duration) {
	switch {
	case took > batchTimeMax && p.commands() > 1:
		p.slower++
	case took < batchTimeLow && p.slower > 0 && commands == p.commands():
		p.slower--
	}
}
