package workflow

import (
	"fmt"
	"strings"
)

// refine makes a picture again, changed as a person says.
var refine = Workflow{Name: "refine", Prompt: refinePrompt}

const (
	refineTemplate = "refine"
	refineVersion  = 1
)

var errNoFeedback = fmt.Errorf("%w: there is no feedback", ErrParams)

func refinePrompt(in Input) (Prompt, error) {
	kit, brief, err := in.fromSource()
	if err != nil {
		return Prompt{}, err
	}
	if strings.TrimSpace(in.Feedback) == "" {
		return Prompt{}, errNoFeedback
	}
	return prompt(refineTemplate, refineVersion,
		task(in.Placement, refineHow(in.Number)),
		"What its owner would like to see changed:\n<feedback>\n"+quoted(in.Feedback)+"\n</feedback>\n",
		palette(kit.colors()),
		brandBlock(kit),
		briefBlock(brief),
		pictures(in.Roles),
		findings(in.Findings),
	), nil
}

// refineHow lets the feedback describe the picture, which is all that rule 1
// leaves to it.
func refineHow(number int) string {
	return "Make picture 1, the source, again, so that it looks as the feedback describes. Where the feedback says nothing, keep the source's product, scene, viewpoint, light, colours and style. Where it wants another scene than the brief, the feedback counts; what must or must never be stays.\n" +
		fmt.Sprintf("Variant %d: where the feedback leaves a choice, choose as no other variant number would.\n", number) +
		"Feedback about a headline, a call to action, a logo or other type is met later, by others: here it only asks for calm where they will stand.\n"
}
