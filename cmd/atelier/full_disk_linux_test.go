package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// When the disk is full, everything ends and says so, and begins again with all that it had.
func TestAFullDiskEndsEverythingInOrder(t *testing.T) {
	data := t.TempDir()
	first := up(t, data)
	before := get(t, first.address+"/v1/credits", signIn(t, first.address, "again@example.com"))

	// Commands of accounts whose partition has none yet find no room.
	var full []string
	for partition := range 12 {
		log := filepath.Join(data, "broker", "partitions", fmt.Sprintf("%s-%d", schemas.TopicCommands, partition), "0.dat")
		if _, err := os.Stat(log); err == nil {
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(log), 0o755))
		require.NoError(t, os.Symlink("/dev/full", log))
		full = append(full, log)
	}
	require.NotEmpty(t, full)
	go func() { // who comes until one cannot
		for n := 0; ; n++ {
			if _, err := arrive(t.Context(), first.address, fmt.Sprintf("%d@example.com", n)); err != nil {
				return
			}
		}
	}()
	err := first.ended()
	require.ErrorContains(t, err, "no space left on device; see that "+data+" can be written")

	for _, log := range full {
		require.NoError(t, os.Remove(log))
	}
	second := up(t, data)
	require.JSONEq(t, before, get(t, second.address+"/v1/credits", signIn(t, second.address, "again@example.com")))
	campaign(t, second.address)
}
