package decider

import "time"

// pace bounds how many commands go into one transaction. Usually that is
// CommandsPerTransactionMax. Where commands are heavy or the brokers slow, as many
// would not end before the transaction times out, and would come again for ever:
// so the next batch is at most half of one that took too long, and quick ones
// double it. It is for one goroutine.
type pace struct {
	timeout time.Duration // of a transaction, after which the broker aborts it
	slower  uint
}

// slow is what a batch should take at most: a third of the timeout.
func (p *pace) slow() time.Duration { return p.timeout / 3 }

// quick is below what a batch may grow again.
func (p *pace) quick() time.Duration { return p.timeout / 15 }

// commands is the most that the next transaction takes (count), at least 1.
func (p *pace) commands() int { return max(1, CommandsPerTransactionMax>>p.slower) }

// took says how long a batch of so many commands took, also one that failed.
func (p *pace) took(commands int, took time.Duration) {
	switch {
	case took > p.slow():
		for p.commands() > max(1, commands/2) {
			p.slower++
		}
	case took < p.quick() && p.slower > 0 && commands == p.commands():
		p.slower--
	}
}
