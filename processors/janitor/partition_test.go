package janitor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/media"
	"atelier/schemas"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func deleted(image string, at time.Time) schemas.Record {
	return &schemas.ImageDeleted{EventMetadata: schemas.EventMetadata{AccountID: "ann", OccurredAt: at}, GenerationID: image}
}

func restored(image string) schemas.Record {
	return &schemas.ImageRestored{EventMetadata: schemas.EventMetadata{AccountID: "ann"}, GenerationID: image}
}

func TestWhatIsErasedAndFromWhereTheLogIsReadAgain(t *testing.T) {
	t.Parallel()
	other := &schemas.GenerationSucceeded{GenerationID: "other"}
	for name, test := range map[string]struct {
		given      []schemas.Record
		due        string
		checkpoint int64
	}{
		"nothing":                          {nil, "[]", 0},
		"what is none of its business":     {[]schemas.Record{other, restored("a")}, "[]", 2},
		"in the bin":                       {[]schemas.Record{other, deleted("a", noon)}, "[a]", 1},
		"not for long enough":              {[]schemas.Record{deleted("a", noon.Add(time.Microsecond))}, "[]", 0},
		"out of the bin":                   {[]schemas.Record{deleted("a", noon), restored("a")}, "[]", 2},
		"out and in again, since then":     {[]schemas.Record{deleted("a", noon), restored("a"), deleted("a", noon.Add(time.Hour))}, "[]", 2},
		"in again without coming out":      {[]schemas.Record{deleted("a", noon), deleted("a", noon.Add(time.Hour))}, "[]", 1},
		"out, of two":                      {[]schemas.Record{deleted("a", noon), deleted("b", noon), restored("a"), other}, "[b]", 1},
		"most at once, the oldest first":   {[]schemas.Record{deleted("c", noon), deleted("b", noon), deleted("a", noon)}, "[c b]", 0},
		"the oldest is not the first":      {[]schemas.Record{deleted("a", noon.Add(time.Hour)), deleted("b", noon)}, "[b]", 0},
		"twice in one batch, the later is": {[]schemas.Record{deleted("a", noon.Add(time.Hour)), deleted("a", noon)}, "[a]", 1},
	} {
		p := newPartition(0, 1, 0, 0, noon.Add(media.EraseAfter))
		for i, e := range test.given {
			p.apply(int64(i), e)
			p.position = int64(i) + 1
		}
		require.Equal(t, test.due, images(p.due(2)), name)
		require.Equal(t, test.checkpoint, p.checkpoint(), name)
	}
}

func images(due []*binned) string {
	names := []string{}
	for _, b := range due {
		names = append(names, b.image)
	}
	return fmt.Sprint(names)
}

func TestABinBeyondItsBoundIsReadAgainOnceThereIsRoom(t *testing.T) {
	t.Parallel()
	p := newPartition(0, 1, 0, 0, noon.Add(media.EraseAfter))
	p.max = 4
	for i := range int64(10) {
		p.apply(i, deleted(fmt.Sprint(i), noon))
		p.position = i + 1
	}
	require.Equal(t, "[0 1 2 3]", images(p.due(100)))
	require.EqualValues(t, 0, p.checkpoint())
	require.False(t, p.roomAgain())
	for n, b := range p.due(100)[:2] {
		require.False(t, p.roomAgain(), n)
		p.forget(b)
	}
	require.True(t, p.roomAgain())
	require.EqualValues(t, 2, p.checkpoint())
	for _, b := range p.due(100) {
		p.forget(b)
	}
	require.EqualValues(t, 4, p.checkpoint(), "what was passed over is not lost")
}

// Whoever goes on putting an image into the bin and taking it out fills nothing.
func TestTheLineIsBounded(t *testing.T) {
	t.Parallel()
	p := newPartition(0, 1, 0, 0, noon)
	p.max = 10
	p.apply(0, deleted("oldest", noon))
	for i := range int64(1000) {
		p.apply(2*i+1, deleted("a", noon))
		p.apply(2*i+2, restored("a"))
		require.LessOrEqual(t, len(p.line), 2*p.max+1)
	}
	require.EqualValues(t, 0, p.checkpoint())
}
