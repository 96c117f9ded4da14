package quality

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden prompts anew")

var table = flag.Bool("table", false, "measure 200 pictures of each kind and write the table of docs/quality.md")

const (
	tablePage = "../../docs/quality.md"
	// picturesFew are measured in every run, picturesMany for the table (count of
	// each kind).
	picturesFew, picturesMany = 8, 200
)

// tally is how often a check was wrong.
type tally struct{ pictures, wrong int }

func (t *tally) add(wrong bool) {
	t.pictures++
	if wrong {
		t.wrong++
	}
}

func (t tally) String() string {
	if t.pictures == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d", t.wrong, t.pictures)
}

// TestThresholds measures false alarms on good pictures and misses on those with
// a known defect. With -args -table it writes the table anew.
func TestThresholds(t *testing.T) {
	count := picturesFew
	if *table {
		count = picturesMany
	}
	missed := map[string]*tally{}            // by kind
	alarms := map[string]map[string]*tally{} // by kind without a defect, by check
	for n := range count {
		d := drawGood(n)
		for _, k := range kinds {
			e := k.make(t, d)
			for _, r := range Inspect(Open(e.data, "image/jpeg"), e.asked) {
				switch k.finds {
				case "":
					counted(alarms, k.name, r.Check).add(r.Verdict != Pass)
				case r.Check:
					if missed[k.name] == nil {
						missed[k.name] = &tally{}
					}
					missed[k.name].add(r.Verdict == Pass)
				}
			}
		}
	}
	for kind, m := range missed {
		require.LessOrEqual(t, m.wrong*10, m.pictures*2, "%s is missed in %s", kind, m)
	}
	for kind, byCheck := range alarms {
		for check, a := range byCheck {
			require.LessOrEqual(t, a.wrong*10, a.pictures, "%s alarms at %s: %s", check, kind, a)
		}
	}
	if *table {
		write(t, rows(missed, alarms))
	}
}

func counted(all map[string]map[string]*tally, kind, check string) *tally {
	if all[kind] == nil {
		all[kind] = map[string]*tally{}
	}
	if all[kind][check] == nil {
		all[kind][check] = &tally{}
	}
	return all[kind][check]
}

func rows(missed map[string]*tally, alarms map[string]map[string]*tally) string {
	var b strings.Builder
	b.WriteString("| picture | to be found by | missed | false alarms |\n|---|---|---|---|\n")
	for _, k := range kinds {
		if k.finds != "" {
			fmt.Fprintf(&b, "| %s | %s | %s | |\n", k.name, k.finds, missed[k.name])
			continue
		}
		var found []string
		pictures := 0
		for _, c := range checks {
			a := alarms[k.name][c.ID]
			pictures = a.pictures
			if a.wrong > 0 {
				found = append(found, fmt.Sprintf("%s %d", c.ID, a.wrong))
			}
		}
		if len(found) == 0 {
			found = []string{"none"}
		}
		fmt.Fprintf(&b, "| %s | nothing | | %s of %d |\n", k.name, strings.Join(found, ", "), pictures)
	}
	return b.String()
}

var tableArea = regexp.MustCompile(`(?s)(<!-- thresholds -->\n).*(<!-- /thresholds -->)`)

func write(t *testing.T, rows string) {
	page, err := os.ReadFile(tablePage)
	require.NoError(t, err)
	require.True(t, tableArea.Match(page))
	replaced := tableArea.ReplaceAll(page, slices.Concat([]byte("${1}"), []byte(rows), []byte("${2}")))
	require.NoError(t, os.WriteFile(tablePage, replaced, 0o600))
}
