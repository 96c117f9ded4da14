package workflow

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// The workflow of docs/workflows.md, as it stands there: the line of the clients'
// table, and the file.
var seasonLine = schemas.Workflow{
	Name: "season", Description: "A picture again in another season.",
	Params: []string{schemas.ParamSource, schemas.ParamFactor}, Placements: schemas.PlacementsSource,
	Factors: []schemas.Factor{
		{Name: "spring", Title: "Spring", Description: "Fresh green, clear mornings."},
		{Name: "autumn", Title: "Autumn", Description: "Gold leaves, low light."},
	},
}

// season makes a picture again in another season.
var season = Workflow{Name: "season", Prompt: seasonPrompt}

const (
	seasonTemplate = "season"
	seasonVersion  = 1
)

// seasons says what each looks like, by the factor's name.
var seasons = map[string]string{
	"spring": "fresh green, blossom and the clear light of a cool morning",
	"autumn": "gold leaves, low warm light and a little mist",
}

func seasonPrompt(in Input) (Prompt, error) {
	kit, brief, err := in.fromSource()
	if err != nil {
		return Prompt{}, err
	}
	look := seasons[in.Params[schemas.ParamFactor]]
	if look == "" {
		return Prompt{}, errNoFactor
	}
	return prompt(seasonTemplate, seasonVersion,
		task(in.Placement, fmt.Sprintf("Make picture 1, the source, again in another season: %s. Hold the product and the frame.\n", look)),
		palette(kit.colors()),
		brandBlock(kit),
		briefBlock(brief),
		pictures(in.Roles),
		findings(in.Findings),
	), nil
}

// A workflow more is a line of each table and its file: nothing else knows their names.
func TestAFifthWorkflow(t *testing.T) {
	four := all
	t.Cleanup(func() { all = four })
	all = append(slices.Clone(four), season)
	w, ok := ByName(seasonLine.Name)
	require.True(t, ok)
	for _, f := range seasonLine.Factors {
		in := source(t, "meta_story")
		in.Params[schemas.ParamFactor] = f.Name
		got, err := w.Prompt(in)
		require.NoError(t, err)
		require.Contains(t, got.Text, seasons[f.Name])
	}
	in := source(t, "meta_story")
	in.Params[schemas.ParamFactor] = "autumn"
	got, err := w.Prompt(in)
	require.NoError(t, err)
	golden(t, "season_story", got)
}

// What docs/workflows.md shows is what is tried here.
func TestTheExampleIsTheOneOfTheDocs(t *testing.T) {
	docs, err := os.ReadFile("../../../docs/workflows.md")
	require.NoError(t, err)
	here, err := os.ReadFile("fifth_test.go")
	require.NoError(t, err)
	blocks := strings.Split(string(docs), "```go\n")[1:]
	require.Len(t, blocks, 2)
	for _, block := range blocks {
		code, _, ok := strings.Cut(block, "```")
		require.True(t, ok)
		require.Contains(t, string(here), code)
	}
}
