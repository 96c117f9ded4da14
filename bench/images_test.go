package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The names that others read.
var imagesFigures = map[string]string{
	"images.cpu_ms": "ms", "images.baseline_cpu_ms": "ms", "images.ratio_to_baseline": "ratio",
	"images.peak_mb": "MB", "images.baseline_peak_mb": "MB",
}

func TestImages(t *testing.T) {
	none := func(string) func(done, total int64) { return func(done, total int64) {} }
	figures, err := Images(t.Context(), ImagesConfig{Runs: 1, Images: 1, Progress: none})
	require.NoError(t, err)
	units := map[string]string{}
	for _, f := range figures {
		units[f.Name] = f.Unit
		require.Positive(t, f.Value, f.Name)
	}
	require.Equal(t, imagesFigures, units)
	for _, c := range []ImagesConfig{{Images: 1, Progress: none}, {Runs: 1, Progress: none}, {Runs: 1, Images: 1}} {
		_, err := Images(t.Context(), c)
		require.Error(t, err)
	}
}

// A peak is seen although what made it is gone at the end.
func TestPeakMemory(t *testing.T) {
	const size = 64 << 20
	peak, err := peakMemory(func() error {
		pages := make([]byte, size)
		for i := 0; i < size; i += 4096 {
			pages[i] = 1
		}
		return nil
	})
	require.NoError(t, err)
	require.GreaterOrEqual(t, peak, int64(size))
	require.Less(t, peak, int64(2*size))
	idle, err := peakMemory(func() error { return nil })
	require.NoError(t, err)
	require.Less(t, idle, int64(8<<20))
}
