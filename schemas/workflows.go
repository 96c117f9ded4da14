package schemas

// Workflow is one way to make a picture, as clients see it. How it prompts is in
// processors/generator/workflow, under the same name.
type Workflow struct {
	Name        string
	Description string
	// Params are the params that a request must have, and no others.
	Params []string
}

// Workflows is the table, in the order that screens show it.
var Workflows = []Workflow{
	{Name: "create", Description: "New pictures from a brief."},
}

// WorkflowByName returns the workflow, and false where there is none.
func WorkflowByName(name string) (Workflow, bool) {
	for _, w := range Workflows {
		if w.Name == name {
			return w, true
		}
	}
	return Workflow{}, false
}
