package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/schemas"
)

// story is a log and what clients were told of it. Tests forge one thing of a
// story that is right.
type story struct {
	commands []*kafka.Record
	events   []schemas.Event // at 0@0, 0@1 and so on, but where places says otherwise
	places   map[int]place
	dead     map[place]int
	calls    []Call
}

const (
	anna                       = "7d9f1c52-7e0e-4f57-9b3c-2f4f5a1d6c11"
	batch, block               = "batch", "block"
	passed, failed             = "passed", "failed"
	granted, requested         = "command-grant", "command-request"
	completed, gaveUp, refused = "command-complete", "command-fail", "command-refused"
)

// readTo is how far the commands were read: there are none behind the story's.
const readTo = 100

// told: 20 credits granted; two images of 5 credits asked for, of which one
// succeeds and one fails; a command that is refused; and a client who heard all of
// it, of one call that was cut and of one that was refused at the door.
func told() *story {
	s := &story{places: map[int]place{}, dead: map[place]int{}}
	for _, id := range []string{granted, requested, completed, gaveUp, refused} {
		s.command([]byte(anna), kafka.Header{Key: schemas.HeaderID, Value: []byte(id)})
	}
	five := []schemas.BlockCredits{{BlockID: block, Credits: 5}}
	s.decided(granted, &schemas.CreditsGranted{BlockID: block, Credits: 20, AvailableAfter: 20})
	s.decided(requested,
		&schemas.BatchRequested{BatchID: batch, PerImage: 5, Images: 2},
		&schemas.CreditsReserved{BatchID: batch, Credits: 10, PerImage: 5, Lines: []schemas.BlockCredits{{BlockID: block, Credits: 10}}, AvailableAfter: 10, HeldAfter: 10},
		&schemas.GenerationRequested{GenerationID: passed, BatchID: batch},
		&schemas.GenerationRequested{GenerationID: failed, BatchID: batch})
	s.decided(completed,
		&schemas.GenerationSucceeded{GenerationID: passed, BatchID: batch},
		&schemas.CreditsCaptured{GenerationID: passed, BatchID: batch, Credits: 5, Lines: five, AvailableAfter: 10, HeldAfter: 5})
	s.decided(gaveUp,
		&schemas.GenerationFailed{GenerationID: failed, BatchID: batch, Reason: "blocked"},
		&schemas.CreditsReleased{GenerationID: failed, BatchID: batch, Credits: 5, Lines: []schemas.ReleasedCredits{{BlockID: block, Credits: 5}}, AvailableAfter: 15})
	s.decided(refused, &schemas.CommandRejected{Code: "insufficient_credits"})
	s.event(1).IdempotencyKey = "key-request"
	s.event(9).IdempotencyKey = "key-refused"
	s.calls = []Call{
		{Account: anna, Does: "request batch", Key: "key-request", Answer: Unknown},
		{Account: anna, Does: "request batch", Key: "key-request", Answer: Acknowledged, Command: requested, Batch: batch},
		{Account: anna, Does: "request batch", Key: "key-refused", Answer: Refused, Code: "insufficient_credits"},
		{Account: anna, Does: "save brand", Key: "key-cut", Answer: Unknown},
	}
	return s
}

// command appends a command to the log of commands and returns its offset.
func (s *story) command(key []byte, headers ...kafka.Header) int64 {
	offset := int64(len(s.commands))
	s.commands = append(s.commands, &kafka.Record{Key: key, Offset: offset, Headers: headers})
	return offset
}

// decided appends what a command has led to.
func (s *story) decided(command string, events ...schemas.Event) {
	offset := slices.IndexFunc(s.commands, func(r *kafka.Record) bool { return kafka.HeaderValue(r, schemas.HeaderID) == command })
	for i, e := range events {
		*e.Meta() = schemas.EventMetadata{
			AccountID: anna, CausationID: command, Index: i, Count: len(events),
			CommandPosition: schemas.CommandPosition{Partition: 0, Offset: int64(offset)},
		}
		s.events = append(s.events, e)
	}
}

func (s *story) event(n int) *schemas.EventMetadata { return s.events[n].Meta() }

// remove takes n events out, and closes the gap.
func (s *story) remove(at, n int) { s.events = slices.Delete(s.events, at, at+n) }

// judged returns how often each invariant is broken.
func (s *story) judged(t *testing.T) (*Report, string) {
	t.Helper()
	outcomes, books, report := newOutcomes(0), newBooks(), newReport()
	outcomes.ends = map[int32]int64{0: readTo}
	for _, c := range s.commands {
		outcomes.command(c)
	}
	outcomes.dead = s.dead
	for n, e := range s.events {
		at, ok := s.places[n]
		if !ok {
			at = place{0, int64(n)}
		}
		outcomes.event(at, e)
		books.event(at, e)
	}
	history := NewHistory(nil)
	for _, c := range s.calls {
		history.Call(c)
	}
	outcomes.judge(report, history)
	books.judge(report)
	var broken []string
	for _, i := range report.Invariants() {
		if i.Broken > 0 {
			broken = append(broken, i.ID)
		}
		require.LessOrEqual(t, len(i.Examples), examplesMax)
		require.Equal(t, i.Broken > 0, len(i.Examples) > 0, i.ID)
	}
	return report, strings.Join(broken, " ")
}

func TestWhatIsRightBreaksNothing(t *testing.T) {
	report, broken := told().judged(t)
	require.Empty(t, broken)
	for _, i := range []Invariant{report.C1, report.C2, report.C3, report.C4, report.C5, report.C6, report.C8} {
		require.Positive(t, i.Checked, i.ID)
	}
	require.Equal(t, [3]int{1, 1, 2}, [3]int{report.Acknowledged, report.Refused, report.Unknown})
}

// Each forgery breaks the invariants that it names, and no other.
func TestEachForgeryIsSeen(t *testing.T) {
	for name, c := range map[string]struct {
		forge  func(*story)
		breaks string
	}{
		"a command without an outcome":              {func(s *story) { s.remove(9, 1) }, "C1"},
		"an acknowledged command that was not done": {func(s *story) { s.remove(1, 8); s.calls = s.calls[1:2] }, "C1"},
		"an acknowledged batch that is not there": {func(s *story) {
			s.calls = append(s.calls, Call{Account: anna, Key: "other", Answer: Acknowledged, Batch: "another"})
		}, "C1"},
		"an acknowledged command that nobody knows": {func(s *story) {
			s.calls = append(s.calls, Call{Account: anna, Key: "other", Answer: Acknowledged, Command: "lost"})
		}, "C1"},
		"a command that was told to be done in the end, and was not": {func(s *story) {
			s.calls = append(s.calls, Call{Account: anna, Key: "later", Answer: Acknowledged, Command: refused}, Call{Account: anna, Key: "later", Answer: Acknowledged})
		}, "C1"},
		"a command that has a dead letter for an outcome": {func(s *story) { s.remove(9, 1); s.dead[place{0, 4}] = 1 }, "C1"},
		"a command that was told to be refused in the end, and was done": {func(s *story) {
			s.calls[1] = Call{Account: anna, Key: "key-request", Answer: Refused, Command: requested}
		}, "C8"},
		"half an outcome":                 {func(s *story) { s.event(0).Count = 2 }, "C1"},
		"an outcome that is torn":         {func(s *story) { s.places[6] = place{0, 60} }, "C1"},
		"an outcome in the wrong order":   {func(s *story) { s.event(3).Index, s.event(4).Index = 3, 2 }, "C1"},
		"an event without its command":    {func(s *story) { s.commands = s.commands[:4] }, "C1"},
		"two dead letters of one command": {func(s *story) { s.dead[place{0, 4}] = 2 }, "C1"},
		"a read that lacks its own write": {func(s *story) { s.calls = append(s.calls, Call{Account: anna, Answer: Acknowledged, Missing: "brand"}) }, "C1"},
		"a command that was sent twice and done twice": {func(s *story) {
			again := *s.events[0].(*schemas.CreditsGranted)
			again.CommandPosition.Offset, again.AvailableAfter = s.command([]byte(anna)), 35
			s.events = append(s.events, &again)
		}, "C1"},
		"a cut call that was done twice": {func(s *story) {
			for range 2 {
				offset := s.command([]byte(anna))
				saved := &schemas.BrandSaved{}
				saved.EventMetadata = schemas.EventMetadata{
					AccountID: anna, CausationID: schemas.DeriveID("save", string(rune(offset))), IdempotencyKey: "key-cut", Count: 1,
					CommandPosition: schemas.CommandPosition{Offset: offset},
				}
				s.events = append(s.events, saved)
			}
		}, "C2"},
		"a key that nobody noted, done twice": {func(s *story) {
			s.event(5).IdempotencyKey, s.event(7).IdempotencyKey = "nobody's", "nobody's"
		}, "C2"},
		"credits from nowhere": {func(s *story) { s.events[0].(*schemas.CreditsGranted).AvailableAfter = 21 }, "C3"},
		"lines that are not the sum": {func(s *story) {
			s.events[2].(*schemas.CreditsReserved).Lines[0].Credits = 9
		}, "C3 C4 C6"}, // one credit is held of nothing at the end
		"more held than there is": {func(s *story) {
			grant := s.events[0].(*schemas.CreditsGranted)
			grant.Credits, grant.AvailableAfter = 4, 4
			for n, after := range map[int]int64{2: -6, 6: -6} {
				switch e := s.events[n].(type) {
				case *schemas.CreditsReserved:
					e.AvailableAfter = after
				case *schemas.CreditsCaptured:
					e.AvailableAfter = after
				}
			}
			s.events[8].(*schemas.CreditsReleased).AvailableAfter = -1
		}, "C4"},
		"an image that never ended": {func(s *story) {
			s.remove(7, 2)
			s.commands = slices.Delete(s.commands, 3, 4)
			for n, c := range s.commands {
				c.Offset = int64(n)
			}
			s.event(7).CommandPosition.Offset = 3
		}, "C5"},
		"an image that ended twice": {func(s *story) {
			s.events[7] = &schemas.GenerationFailed{EventMetadata: *s.event(7), GenerationID: passed, BatchID: batch}
		}, "C5 C6"}, // what was captured is an image that failed, and the other one never ended
		"an image that nobody asked for": {func(s *story) {
			s.events[4] = &schemas.GenerationRequested{EventMetadata: *s.event(4), GenerationID: "another", BatchID: batch}
		}, "C5"},
		"an image without a charge": {func(s *story) {
			s.events[6] = &schemas.CreditsReleased{EventMetadata: *s.event(6), GenerationID: passed, BatchID: batch, Credits: 5,
				Lines: []schemas.ReleasedCredits{{BlockID: block, Credits: 5}}, AvailableAfter: 15, HeldAfter: 5}
			s.events[8].(*schemas.CreditsReleased).AvailableAfter = 20
		}, "C6"},
		"a charge without an image": {func(s *story) {
			s.events[8] = &schemas.CreditsCaptured{EventMetadata: *s.event(8), GenerationID: failed, BatchID: batch, Credits: 5,
				Lines: []schemas.BlockCredits{{BlockID: block, Credits: 5}}, AvailableAfter: 10}
		}, "C6"},
		"a charge that is not the price": {func(s *story) { s.events[1].(*schemas.BatchRequested).PerImage = 4 }, "C6"},
		"a refused command that did something": {func(s *story) {
			s.event(9).Count = 2
			saved := &schemas.BrandSaved{EventMetadata: *s.event(9)}
			saved.Index, saved.IdempotencyKey = 1, ""
			s.events = append(s.events, saved)
		}, "C8"},
		"a refused call that was done": {func(s *story) { s.event(7).IdempotencyKey = "key-refused" }, "C8"},
	} {
		t.Run(name, func(t *testing.T) {
			s := told()
			c.forge(s)
			report, broken := s.judged(t)
			var out strings.Builder
			report.Print(&out)
			require.Equal(t, c.breaks, broken, out.String())
		})
	}
}

// A record whose key is nobody's is answered by its dead letter alone; who was told
// that a command is refused in the end is told the truth.
func TestWhatIsAnsweredOtherwiseIsRightToo(t *testing.T) {
	s := told()
	s.dead[place{0, s.command([]byte("nobody"))}] = 2
	s.calls = append(s.calls, Call{Account: anna, Key: "later", Answer: Acknowledged, Command: refused}, Call{Account: anna, Key: "later", Answer: Refused, Command: refused})
	s.calls = append(s.calls, Call{Account: anna, Does: "read", Answer: Read, Status: 404})
	report, broken := s.judged(t)
	require.Empty(t, broken)
	require.Equal(t, [3]int{2, 2, 2}, [3]int{report.Acknowledged, report.Refused, report.Unknown}, "and a read is none of them")
}

// What retention took, what was written since, and what a log before this one decided, is not held against it.
func TestWhatIsGoneIsNotMissed(t *testing.T) {
	s := told()
	older := &schemas.BrandSaved{EventMetadata: schemas.EventMetadata{AccountID: anna, CausationID: "older", Count: 1,
		CommandPosition: schemas.CommandPosition{Generation: 1, Offset: 77}}}
	since := &schemas.BrandSaved{EventMetadata: schemas.EventMetadata{AccountID: anna, CausationID: "since", Count: 1,
		CommandPosition: schemas.CommandPosition{Offset: readTo}}}
	s.events = append(s.events, older, since)
	_, broken := s.judged(t)
	require.Empty(t, broken)

	outcomes, report := newOutcomes(0), newReport()
	outcomes.begins[0] = 10
	older.CommandPosition = schemas.CommandPosition{Offset: 9}
	outcomes.event(place{0, 0}, older)
	outcomes.judge(report, NewHistory(nil))
	require.Zero(t, report.Broken())
}

// A picture that is not there is missed, unless the janitor may have erased it.
func TestWhatTheBinTookIsNotMissed(t *testing.T) {
	const day = 24 * time.Hour
	store, err := media.Open(t.Context(), "mem://")
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	for name, test := range map[string]struct {
		binned, restored time.Duration // ago; 0: never
		broken           int64
	}{
		"never in the bin":         {0, 0, 1},
		"not for long enough":      {30*day + time.Hour, 0, 1},
		"for long enough":          {32 * day, 0, 0},
		"taken out in time":        {40 * day, 11 * day, 1},
		"taken out when it was no": {40 * day, 9 * day, 0},
	} {
		b, image := newBooks(), schemas.DeriveID(batch, "image")
		meta := func(ago time.Duration) schemas.EventMetadata {
			return schemas.EventMetadata{AccountID: anna, OccurredAt: time.Now().Add(-ago)}
		}
		b.event(place{}, &schemas.GenerationSucceeded{EventMetadata: meta(50 * day), GenerationID: image, BatchID: batch,
			Media: schemas.Media{Key: media.ImageKey(schemas.NewID(), image, "master", [32]byte{}, "png")}})
		if test.binned > 0 {
			b.event(place{}, &schemas.ImageDeleted{EventMetadata: meta(test.binned), GenerationID: image, BatchID: batch})
		}
		if test.restored > 0 {
			b.event(place{}, &schemas.ImageRestored{EventMetadata: meta(test.restored), GenerationID: image, BatchID: batch})
		}
		report := newReport()
		require.NoError(t, checkMedia(t.Context(), &Config{Media: store}, &record{books: b}, report))
		require.Equal(t, test.broken, report.Broken(), name)
	}
}

func TestTheTableNamesEveryInvariantAndFiveExamplesAtMost(t *testing.T) {
	report := newReport()
	for range 7 {
		report.C5.holds(false, "generation %s", "x")
	}
	var out strings.Builder
	report.Print(&out)
	for _, id := range []string{"C1", "C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9"} {
		require.Contains(t, out.String(), id+"  ")
	}
	require.Equal(t, examplesMax, strings.Count(out.String(), "generation x"))
	require.Regexp(t, `C5 .* 7 checked +7 broken`, out.String())
	require.EqualValues(t, 7, report.Broken())
}
