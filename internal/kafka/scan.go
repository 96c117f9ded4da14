package kafka

import (
	"context"
	"maps"
)

// scanPollMax bounds the records taken from the client at once (count).
const scanPollMax = 10_000

// Scan hands over every record of a topic that stands before the high watermarks
// of now, in the order of each partition, transaction markers left out. Where a
// transaction is open it waits for its end, which the brokers bring about after
// the transaction timeout. progress, which may be nil, hears of the records read
// and to be read.
func Scan(ctx context.Context, c Config, admin *Admin, topic string, take func(*Record) error, progress func(done, total int64)) error {
	ends, err := admin.HighWatermarks(ctx, topic)
	if err != nil {
		return err
	}
	from, err := admin.StartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	var done, total int64
	for p := range ends {
		if from[p] >= ends[p] {
			delete(from, p)
			delete(ends, p)
			continue
		}
		total += ends[p] - from[p]
	}
	if len(from) == 0 {
		return nil
	}
	left := maps.Clone(ends)
	reader, err := NewReader(c, topic, from)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 {
		records, err := reader.Poll(ctx, scanPollMax)
		if err != nil {
			return err
		}
		for _, r := range records {
			// What stands last may be of a transaction that aborts, and is not read:
			// then its marker, behind the end, says that all was.
			if r.Offset+1 >= ends[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Offset >= ends[r.Partition] {
				continue // written since
			}
			done++
			if IsControl(r) {
				continue
			}
			if err := take(r); err != nil {
				return err
			}
		}
		if progress != nil {
			progress(min(done, total), total)
		}
	}
	return nil
}
