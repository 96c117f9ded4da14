// Package workflow turns what a person asked for into what the image model is
// asked for. A workflow is one file and one line of the list below; events
// carry its name, and its parameters as a map.
//
// What people wrote is data: it stands JSON-encoded between markers that it
// cannot contain, and the instructions say that nothing between them is one.
package workflow

import (
	"atelier/schemas"
)

// all is the list of workflows. The names are part of the commands' contract.
var all = []Workflow{create}

// Workflow is one way to make a picture.
type Workflow struct {
	// Name is what events call it.
	Name string
	// Prompt builds what the model is asked. It is pure: the same input gives
	// the same prompt. An error means that the input does not fit, for ever.
	Prompt func(Input) (Prompt, error)
}

// Input is what a workflow may use. Its text is opened, so it is never logged.
type Input struct {
	// Kit and Brief are JSON documents, as the batch carries them.
	Kit   []byte
	Brief []byte
	// Feedback is what the person wants changed, empty where there is none.
	Feedback string
	// Params are the workflow's own, such as source_generation_id.
	Params map[string]string
	// Placement is where the picture will stand.
	Placement schemas.Placement
	// Number is which variant of its placement it is, counted from 1.
	Number int
	// Roles are those of the pictures that go with the prompt, in order: logo,
	// product or reference.
	Roles []string
	// Findings are what the checks refused in earlier attempts, oldest first.
	Findings []string
}

// Prompt is what the model is asked, with the template that it was made from.
type Prompt struct {
	Template string
	Version  int
	// System are the rules, ours alone.
	System string
	// Text is the task; what people wrote stands in it as delimited data.
	Text string
}

// ByName returns a workflow, and false where there is none.
func ByName(name string) (Workflow, bool) {
	for _, w := range all {
		if w.Name == name {
			return w, true
		}
	}
	return Workflow{}, false
}
