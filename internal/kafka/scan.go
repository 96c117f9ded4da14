package kafka

import "context"

// readPollMax bounds the records taken from the client at once (count).
const readPollMax = 10_000

// Scan is ReadTo of a whole topic, from its beginning to the high watermarks of now.
func Scan(ctx context.Context, c Config, admin *Admin, topic string, take func(*Record) error, progress func(done, total int64)) error {
	ends, err := admin.HighWatermarks(ctx, topic)
	if err != nil {
		return err
	}
	from, err := admin.StartOffsets(ctx, topic)
	if err != nil {
		return err
	}
	return ReadTo(ctx, c, topic, from, ends, take, progress)
}

// stretch is what is still to be read of a partition.
type stretch struct{ next, end int64 }

// ReadTo hands over the records of a topic that stand in each partition of from
// before its end, in the order of the partition, transaction markers left out. The
// ends are high watermarks: where a transaction is open it waits for its end, which
// the brokers bring about after the transaction timeout. progress, which may be
// nil, hears of the offsets read and to be read. An error of take ends it.
func ReadTo(ctx context.Context, c Config, topic string, from, ends map[int32]int64, take func(*Record) error, progress func(done, total int64)) error {
	var done, total int64
	begin, left := map[int32]int64{}, map[int32]*stretch{}
	for id, offset := range from {
		if end := ends[id]; offset < end {
			begin[id], left[id] = offset, &stretch{offset, end}
			total += end - offset
		}
	}
	if len(left) == 0 {
		return nil
	}
	reader, err := NewReader(c, topic, begin)
	if err != nil {
		return err
	}
	defer reader.Close()
	for len(left) > 0 {
		records, err := reader.Poll(ctx, readPollMax)
		if err != nil {
			return err
		}
		for _, r := range records {
			s := left[r.Partition]
			if s == nil {
				continue // written since
			}
			if r.Offset < s.end && !IsControl(r) {
				if err := take(r); err != nil {
					return err
				}
			}
			next := min(r.Offset+1, s.end)
			done, s.next = done+next-s.next, next
			// What stands last may be of a transaction that aborts, and is not read:
			// then its marker, behind the end, says that all was.
			if next == s.end {
				delete(left, r.Partition)
			}
		}
		if progress != nil {
			progress(done, total)
		}
	}
	return nil
}
