package projections

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPositionsReadAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	require.Equal(t, "0.7.1042", Position{Partition: 7, Offset: 1042}.String())
	rapid.Check(t, func(t *rapid.T) {
		p := Position{Generation: rapid.IntRange(0, math.MaxInt32).Draw(t, "generation"),
			Partition: rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition"), Offset: rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset")}
		back, err := ParsePosition(p.String())
		if err != nil || back != p {
			t.Fatalf("%v reads as %v, %v", p, back, err)
		}
	})
	for _, bad := range []string{"", "0", "0.7", "0.7.1.2", "..", "0.7.", ".7.1", "a.7.1", "0.7.x", "-1.7.1", "0.-7.1", "0.7.-1", "+0.7.1", "0.7.1 ", " 0.7.1",
		"0.7.1\n", "0x1.7.1", "1_0.7.1", "0.2147483648.1", "2147483648.7.1", "0.7.9223372036854775808", "0.7.1e3", "٠.٧.١"} {
		p, err := ParsePosition(bad)
		require.Error(t, err, bad)
		require.Zero(t, p, bad)
	}
}

// Positions are those of the live version alone, and the api may read them.
func TestPositionsOfTheLiveVersion(t *testing.T) {
	t.Parallel()
	d := newReadModels(t)
	api := d.pool("atelier_api", 1)
	stand := func() map[int32]Position {
		positions, err := Positions(t.Context(), api, "credits")
		require.NoError(t, err)
		return positions
	}
	require.Empty(t, stand())
	d.fill(d.newVersion(credits), 5, d.records(of(ann, 1, noon, granted(1, 1, 1, nil))), all)
	require.Empty(t, stand(), "of a version that is being filled nobody knows")
	d.fill(d.live(credits), 1, d.records(of(ann, 1, noon, granted(1, 1, 1, nil))), all)
	_, err := take(t.Context(), d.projector, d.live(credits), 0, []int32{2})
	require.NoError(t, err)
	require.Equal(t, map[int32]Position{1: {Partition: 1, Offset: 1}, 2: {Partition: 2}}, stand())
	positions, err := Positions(t.Context(), api, "brands")
	require.NoError(t, err)
	require.Empty(t, positions)
}
