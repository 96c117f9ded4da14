package media

import "time"

const (
	// InBin is how long an image lies in the bin, counted from its ImageDeleted. Then
	// it is gone: it is shown to nobody, and nothing takes it out any more.
	InBin = 30 * 24 * time.Hour
	// EraseAfter is when its bytes are erased. In the day between, what was begun
	// before ends: batches refer to pictures until their deadline, 24 hours at most,
	// a restore waits for a decider that is away, and clocks differ.
	EraseAfter = InBin + 24*time.Hour
)
