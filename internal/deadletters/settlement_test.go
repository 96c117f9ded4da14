package deadletters

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/schemas"
)

func says(state string, takesOver int64) settlement {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	s := settlement{Settlement: Settlement{State: state, By: "ada", At: &now, from: none}, takesOver: takesOver}
	switch state {
	case Redriving:
		s.from = 5
	case Redriven:
		s.To = &Place{1, 7}
	case Discarded:
		s.Reason = "why"
	}
	return s
}

// The order in the partition decides. The letter stands at 0, what follows from 1 on.
func TestWhatBecameOfALetter(t *testing.T) {
	open, begun, done, aside := Open, says(Redriving, none), says(Redriven, none), says(Discarded, none)
	over := func(marker int64) settlement { return says(Redriving, marker) }
	asideInstead := says(Discarded, 1)
	for name, c := range map[string]struct {
		given  []settlement
		state  string
		marker int64
	}{
		"nothing":                           {nil, open, none},
		"redriving":                         {[]settlement{begun}, Redriving, 1},
		"redriven":                          {[]settlement{begun, done}, Redriven, 2},
		"discarded":                         {[]settlement{aside}, Discarded, 1},
		"two at once: the first":            {[]settlement{begun, begun}, Redriving, 1},
		"discarded while it is redriven":    {[]settlement{begun, aside}, Redriving, 1},
		"redriving what is discarded":       {[]settlement{aside, begun}, Discarded, 1},
		"taken over":                        {[]settlement{begun, over(1)}, Redriving, 2},
		"taken over twice: the first":       {[]settlement{begun, over(1), over(1)}, Redriving, 2},
		"taken over from who took it over":  {[]settlement{begun, over(1), over(2)}, Redriving, 3},
		"taken over from nobody":            {[]settlement{begun, over(7)}, Redriving, 1},
		"given up and discarded":            {[]settlement{begun, asideInstead}, Discarded, 2},
		"taken over, then discarded":        {[]settlement{begun, over(1), asideInstead}, Redriving, 2},
		"the first one ends after all":      {[]settlement{begun, over(1), done}, Redriven, 3},
		"ended twice":                       {[]settlement{begun, done, done}, Redriven, 2},
		"redriving again what was redriven": {[]settlement{begun, done, begun, over(2)}, Redriven, 2},
		"an end without a beginning":        {[]settlement{done}, open, none},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPartition(0)
			letter := kafka.DeadLetter(&kafka.Record{Topic: schemas.TopicCommands, Key: []byte("k"), Value: []byte("v")}, "why")
			p.apply(letter)
			for i, s := range c.given {
				r := s.record(0, letter.Key)
				r.Offset = int64(i + 1)
				require.True(t, kafka.IsSettlement(r))
				p.apply(r)
			}
			became := p.settlement(0)
			require.Equal(t, c.state, became.State)
			require.Equal(t, c.marker, became.marker)
			require.NotContains(t, became.String(), "%!")
		})
	}
}

// What nobody can understand settles nothing.
func TestASettlementThatIsNone(t *testing.T) {
	for name, change := range map[string]func(*kafka.Record){
		"a state that nobody knows": func(r *kafka.Record) { r.Headers[0].Value = []byte("gone") },
		"an offset of letters":      func(r *kafka.Record) { r.Headers[1].Value = []byte("x") },
		"no time":                   func(r *kafka.Record) { r.Headers[3].Value = nil },
		"no place to begin at":      func(r *kafka.Record) { r.Headers = r.Headers[:4] },
	} {
		s := says(Redriving, none)
		r := s.record(0, nil)
		_, ok := settlementOf(r)
		require.True(t, ok, name)
		change(r)
		_, ok = settlementOf(r)
		require.False(t, ok, name)
	}
}

func TestPlaces(t *testing.T) {
	var p Place
	require.NoError(t, p.UnmarshalText([]byte("3@17")))
	require.Equal(t, Place{3, 17}, p)
	require.Equal(t, "3@17", p.String())
	for _, text := range []string{"", "3", "@", "3@", "@17", "-1@17", "3@-1", "3@17@1", "3 @17", "2147483648@1", "3@9223372036854775808"} {
		require.ErrorContains(t, p.UnmarshalText([]byte(text)), "PARTITION@OFFSET", text)
	}
}

// Whoever wrote the record may have meant the terminal of who looks at it.
func TestTextsArePrintable(t *testing.T) {
	require.Equal(t, "a?[31mb??", printable("a\x1b[31mb\n\xff"))
	require.Len(t, printable(string(make([]byte, 10_000))), textBytesMax)
}
