// Package workflow turns what a person asked for into what the image model is
// asked for. A workflow is one file and one line of the list below; events
// carry its name, and its parameters as a map. docs/workflows.md adds one.
//
// What people wrote is data: it stands JSON-encoded between markers that it
// cannot contain, and the instructions say that nothing between them is one.
package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"atelier/schemas"
)

// all is the list of workflows. The names are part of the commands' contract.
var all = []Workflow{create, refine, vary, adapt}

// Workflow is one way to make a picture.
type Workflow struct {
	// Name is what events call it.
	Name string
	// Prompt builds what the model is asked. It is pure: the same input gives
	// the same prompt. An error means that the input does not fit, for ever: ErrParams,
	// or a document that is none.
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
	// Roles are those of the pictures that go with the prompt, in order: source,
	// logo, product or reference. A source comes first.
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

// documents returns the brand kit and the brief.
func (in Input) documents() (kit, brief document, err error) {
	if kit, err = parse(in.Kit); err != nil {
		return kit, brief, fmt.Errorf("brand kit %w", err)
	}
	if brief, err = parse(in.Brief); err != nil {
		return kit, brief, fmt.Errorf("brief %w", err)
	}
	return kit, brief, nil
}

// ErrParams says that a batch does not have what its workflow works with. Another
// build than this one made it.
var ErrParams = errors.New("the params do not fit the workflow")

var errNoSource = fmt.Errorf("%w: the first picture is not the source", ErrParams)

// fromSource are the documents of a task that starts from a picture.
func (in Input) fromSource() (kit, brief document, err error) {
	if len(in.Roles) == 0 || in.Roles[0] != schemas.RoleSource {
		return kit, brief, errNoSource
	}
	return in.documents()
}

// prompt joins the sections that are not empty.
func prompt(template string, version int, sections ...string) Prompt {
	sections = append(slices.DeleteFunc(sections, func(s string) bool { return s == "" }), "Make the picture now.")
	return Prompt{Template: template, Version: version, System: system, Text: strings.Join(sections, "\n")}
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
