package workflow

import (
	"fmt"
	"strings"

	"atelier/schemas"
)

// vary makes a picture again with one factor changed and the rest held.
//
// The source's picture is what holds the rest. Each variant has a seed of its own,
// as everywhere: under the source's seed, variants of nearly the same prompt would
// be the same picture, and only the first of them could leave.
var vary = Workflow{Name: varyTemplate, Prompt: varyPrompt}

const (
	// varyTemplate is also its name in the clients' table.
	varyTemplate = "vary"
	varyVersion  = 1
)

// factorColour is the factor that also changes which colour is named first.
const factorColour = "colour"

// changes says what may change, by the factor's name in schemas.Workflows.
var changes = map[string]string{
	"angle":       "the side and the height from which the product is seen",
	"setting":     "the place around the product",
	"light":       "the time of day, and the direction and softness of the light",
	factorColour:  "which of the brand's colours leads in surfaces and background",
	"composition": "where the product stands in the frame, how close it is, and what is left empty",
	"props":       "the things that lie and stand beside the product",
}

var errNoFactor = fmt.Errorf("%w: the factor is not known", ErrParams)

func varyPrompt(in Input) (Prompt, error) {
	kit, brief, err := in.fromSource()
	if err != nil {
		return Prompt{}, err
	}
	factor := in.Params[schemas.ParamFactor]
	if changes[factor] == "" {
		return Prompt{}, errNoFactor
	}
	wanted, unwanted := kit.colors()
	if factor == factorColour {
		wanted = ledByAnother(wanted, in.Number)
	}
	return prompt(varyTemplate, varyVersion,
		task(in.Placement, varyHow(factor, in.Number)),
		palette(wanted, unwanted),
		brandBlock(kit),
		briefBlock(brief),
		pictures(in.Roles),
		findings(in.Findings),
	), nil
}

func varyHow(factor string, number int) string {
	return fmt.Sprintf("Make picture 1, the source, again with one thing changed, its %s: %s.\n", factor, changes[factor]) +
		fmt.Sprintf("Hold everything else exactly as the source has it: the product, the style, %s.\n", held(factor)) +
		fmt.Sprintf("Where the brief asks for a certain %s, the change counts; what must or must never be stays.\n", factor) +
		fmt.Sprintf("Variant %d: change the %s plainly, and as no other variant number would.\n", number, factor)
}

// held names the other factors, in the order of the table.
func held(factor string) string {
	var names []string
	w, _ := schemas.WorkflowByName(varyTemplate)
	for _, f := range w.Factors {
		if f.Name != factor {
			names = append(names, f.Name)
		}
	}
	return strings.Join(names, ", ")
}

// ledByAnother moves another colour than the first to the front, for each variant
// the next one.
func ledByAnother(colors []string, number int) []string {
	if len(colors) < 2 {
		return colors
	}
	lead := 1 + (number-1)%(len(colors)-1)
	return append([]string{colors[lead]}, append(colors[:lead:lead], colors[lead+1:]...)...)
}
