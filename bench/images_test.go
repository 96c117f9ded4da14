package bench

import (
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/internal/picture"
)

// What is measured is a picture as the models send it.
func TestThePictureThatIsMeasured(t *testing.T) {
	data, err := photograph(masterWidth, masterHeight)
	require.NoError(t, err)
	require.InDelta(t, 1e6, len(data), 1e5)
	config, err := picture.DecodeConfig(data)
	require.NoError(t, err)
	require.Equal(t, []any{picture.JPEG, masterWidth, masterHeight}, []any{config.Format, config.Width, config.Height})
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
