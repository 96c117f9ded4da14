package quality

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
	"atelier/processors/gemini/standin"
)

// Of a picture as the models draw it at 2K for a story: what the checks take
// beside the decoding, which others need too.
func BenchmarkInspect(b *testing.B) {
	colours := []string{"#0b1f3a", "#f2a900", "#f4ecdd"}
	img := standin.Draw(promptOf(colours, 1), nil, 1, 1536, 2752)
	data := encoded(b, img, 93)
	decoded, format, err := picture.Decode(data)
	require.NoError(b, err)
	asked := Expectation{Width: 1536, Height: 2752, Ratio: 9.0 / 16, BytesMax: 32 << 20, Colours: colours,
		ForbiddenColours: []string{"#ff00ff", "#00a2ff"}, Batch: make([]Signature, 47)}
	run := func(name string, once func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpuTime()
			for b.Loop() {
				once()
			}
			b.ReportMetric(float64((cpuTime()-began).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
	small := picture.Reduce(decoded, picture.ReducedSide)
	s := Subject{Data: data, MIMEType: "image/jpeg", Image: decoded, Format: format, Small: small}
	run("reduce", func() { picture.Reduce(decoded, picture.ReducedSide) })
	for _, c := range checks {
		run(c.ID, func() { c.Run(s, asked) })
	}
	run("all", func() {
		s.Small = picture.Reduce(decoded, picture.ReducedSide)
		Inspect(s, asked)
	})
	b.Logf("%v", Inspect(s, asked))
}

// cpuTime is what the process has used, which other processes do not change.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
