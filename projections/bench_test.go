package projections

import (
	"fmt"
	"slices"
	"testing"

	"atelier/schemas"
)

// BenchmarkApply decodes, folds and applies batches of the events of a usual
// account: an image is asked for, made and paid for. Postgres does not wait for
// the disk here, as a projection does not (synchronous_commit is off).
func BenchmarkApply(b *testing.B) {
	for _, p := range All {
		for _, size := range []int{1, 100, 1_000} {
			b.Run(fmt.Sprintf("%s/%d", p.Name, size), func(b *testing.B) {
				d := newDatabase(b)
				v := d.newVersion(p)
				if _, err := take(b.Context(), d.projector, v, 0, []int32{0}); err != nil {
					b.Fatal(err)
				}
				at, made := place{}, 0
				var waiting []schemas.Event
				b.ResetTimer()
				for range b.N {
					b.StopTimer()
					for len(waiting) < size {
						made++
						waiting = append(waiting, slices.Concat(d.batch(3*made, made, 1, noon), of(ann, 3*made+1, noon, completed(made, 3*made)...))...)
					}
					records := d.records(waiting[:size])
					waiting = waiting[size:]
					for _, r := range records {
						r.Offset += at.next
					}
					b.StartTimer()
					c, _, err := d.folder(p).fold(b.Context(), 0, at, records, size)
					if err != nil {
						b.Fatal(err)
					}
					if err := apply(b.Context(), d.projector, v, 0, c); err != nil {
						b.Fatal(err)
					}
					at = place{next: c.to, logTime: c.logTime}
				}
				b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}
