package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Who buys more pays less for each, and no ID stands twice.
func TestPacks(t *testing.T) {
	seen := map[string]bool{}
	for i, p := range Packs {
		require.False(t, seen[p.ID], p.ID)
		seen[p.ID] = true
		require.Regexp(t, `^[A-Z]{3}$`, p.Currency)
		require.Positive(t, p.Price)
		if i > 0 {
			before := Packs[i-1]
			require.Greater(t, p.Credits, before.Credits)
			require.Less(t, p.Price*before.Credits, before.Price*p.Credits, "%s is cheaper by the credit than %s", p.ID, before.ID)
		}
	}
}
