package check

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAHistoryIsReadAsItWasWritten(t *testing.T) {
	var file bytes.Buffer
	wrote := NewHistory(&file)
	wrote.Call(Call{Account: anna, Does: "save brand", Key: "k", Answer: Acknowledged, Command: "c"})
	wrote.Call(Call{Account: anna, Does: "save brand", Answer: Unknown})
	wrote.Stream(Stream{Account: anna, Generations: map[string]string{"g": "succeeded"}, Available: 3})
	require.NoError(t, wrote.Err())
	whole := file.String()

	var read History
	require.NoError(t, read.Read(strings.NewReader(whole)))
	require.Equal(t, wrote.calls, read.calls)
	require.Equal(t, wrote.streams, read.streams)
	require.Equal(t, map[string]int{Acknowledged: 1, Unknown: 1}, read.Answers())

	for cut, line := range map[string]string{
		whole[:len(whole)-9]: "history line 3 ",
		"{}\n":               "history line 1 ",
		whole + "no JSON":    "history line 4 ",
	} {
		require.ErrorContains(t, new(History).Read(strings.NewReader(cut)), line)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestAHistoryThatCannotBeWrittenSaysSo(t *testing.T) {
	h := NewHistory(full{})
	h.Call(Call{Answer: Refused})
	require.ErrorContains(t, h.Err(), "no space left")
	require.Equal(t, 1, h.Answers()[Refused], "and is whole in memory")
}
