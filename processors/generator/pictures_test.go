package generator

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/processors/quality"
	"atelier/schemas"
)

// Of any number that look alike and are checked at once, one passes.
func TestAPictureIsClaimedOnce(t *testing.T) {
	p := newPictures()
	same := quality.Signature{Across: 7, Down: 9, Tint: 11}
	var passed atomic.Int32
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			for _, other := range p.claim(fmt.Sprint(n), "1:1", same) {
				if same.Near(other) {
					return
				}
			}
			passed.Add(1)
		})
	}
	all.Wait()
	require.EqualValues(t, 1, passed.Load())
}

func TestClaims(t *testing.T) {
	p := newPictures()
	a, b := quality.Signature{Across: 1}, quality.Signature{Across: ^uint64(0)}
	require.Empty(t, p.claim("first", "1:1", a))
	require.Empty(t, p.claim("first", "1:1", a), "its own picture is no other")
	require.Empty(t, p.claim("story", "9:16", a), "another shape is another picture")
	require.Equal(t, []quality.Signature{a}, p.claim("second", "1:1", a))
	require.Equal(t, []quality.Signature{a}, p.claim("third", "1:1", b), "what was refused claims nothing")
	p.release("first")
	require.Equal(t, []quality.Signature{b}, p.claim("second", "1:1", a), "what was given back is free")
	require.Equal(t, []quality.Signature{b}, p.claim("second", "1:1", b), "another picture takes the place of the first, or of none")
	require.Equal(t, []quality.Signature{b}, p.claim("fourth", "1:1", a))
}

// succeeded is the end of a generation whose picture has a signature.
func succeeded(id string, s quality.Signature) *schemas.GenerationSucceeded {
	figures := map[string]float64{
		"hash_across_high": float64(s.Across >> 32), "hash_across_low": float64(uint32(s.Across)),
		"hash_down_high": float64(s.Down >> 32), "hash_down_low": float64(uint32(s.Down)), "hash_tint": float64(s.Tint),
	}
	refused := schemas.Attempt{Number: 1, Verdicts: []schemas.Verdict{{Check: "duplicate", Figures: map[string]float64{"hash_tint": 1}}}}
	return &schemas.GenerationSucceeded{GenerationID: id, Attempts: []schemas.Attempt{refused, {Number: 2, Verdicts: []schemas.Verdict{
		{Check: "decodes"}, {Check: "duplicate", Figures: figures}, {Check: "people", Answer: "no"},
	}}}}
}

// A new owner reads from the log what a batch has, at any point of it.
func TestPicturesAreReadFromTheLog(t *testing.T) {
	s := quality.Signature{Across: 0xdeadbeef01234567, Down: 0x8000000000000001, Tint: 0xabcdef123456}
	l := testLog(batchOf("b", "g1", "g2", "g3", "g4"))
	for _, e := range l {
		if g, ok := e.(*schemas.GenerationRequested); ok {
			g.Placement = "meta_story"
		}
	}
	l[4].(*schemas.GenerationRequested).Placement = "google_square"
	l = append(l, succeeded("g1", s), &schemas.GenerationFailed{GenerationID: "g2"}, succeeded("g4", s))
	p := l.fold(0)
	closeEnded(p)
	require.Equal(t, []quality.Signature{s}, p.byID["b"].pictures.claim("g3", "9:16", s))
	require.Equal(t, []quality.Signature{s}, p.byID["b"].pictures.claim("g3", "1:1", s))
	require.Empty(t, p.byID["b"].pictures.claim("g3", "4:5", s))
}

// Whoever ends without a picture gives back what it had claimed.
func TestAnEndWithoutAPictureGivesItBack(t *testing.T) {
	s := quality.Signature{Across: 5}
	for _, end := range []schemas.Record{&schemas.GenerationFailed{GenerationID: "g1"}, &schemas.GenerationCanceled{GenerationID: "g1"}} {
		p := testLog(batchOf("b", "g1", "g2")).fold(0)
		shown := p.byID["b"].pictures
		require.Empty(t, shown.claim("g1", "1:1", s))
		p.apply(3, end)
		require.Empty(t, shown.claim("g2", "1:1", s))
	}
}
