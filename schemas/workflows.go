package schemas

import "slices"

// Workflow is one way to make a picture, as clients see it. How it prompts is in
// processors/generator/workflow, under the same name.
type Workflow struct {
	Name        string
	Description string
	// Params are the params that a request must have, and no others.
	Params []string
	// Factors are what ParamFactor may be; nil where it is no param.
	Factors []Factor
	// Placements is where its pictures may stand.
	Placements PlacementRule
}

// The names of params. Feedback is a person's text: it travels sealed, in a field
// of its own.
const (
	// ParamSource is the generation whose picture is worked on (UUID).
	ParamSource   = "source_generation_id"
	ParamFeedback = "feedback"
	// ParamFactor is the one thing that changes: one of the workflow's factors.
	ParamFactor = "factor"
)

// Params are all that there are.
var Params = []string{ParamSource, ParamFeedback, ParamFactor}

// RoleSource is the role of the reference that ParamSource names. It comes first.
const RoleSource = "source"

// PlacementRule says where the pictures of a workflow may stand.
type PlacementRule string

const (
	// PlacementsAny: wherever the request says.
	PlacementsAny PlacementRule = "any"
	// PlacementsSource: where the source stands, and nowhere else.
	PlacementsSource PlacementRule = "source"
	// PlacementsOther: anywhere but where the source stands.
	PlacementsOther PlacementRule = "other"
)

// Factor is one thing of a picture that can change while the rest is held.
type Factor struct {
	Name string
	// Title and Description are for people.
	Title       string
	Description string
}

// Workflows is the table, in the order that screens show it.
var Workflows = []Workflow{
	{Name: "create", Description: "New pictures from a brief.", Placements: PlacementsAny},
	{
		Name: "refine", Description: "A picture again, changed as you say.",
		Params: []string{ParamSource, ParamFeedback}, Placements: PlacementsSource,
	},
	{
		Name: "vary", Description: "A picture again with one thing changed and the rest held.",
		Params: []string{ParamSource, ParamFactor}, Placements: PlacementsSource,
		Factors: []Factor{
			{Name: "angle", Title: "Angle", Description: "The side and the height from which the product is seen."},
			{Name: "setting", Title: "Setting", Description: "The place around the product."},
			{Name: "light", Title: "Light", Description: "The time of day, and where the light comes from."},
			{Name: "colour", Title: "Colour", Description: "Which of the brand's colours leads."},
			{Name: "composition", Title: "Composition", Description: "Where the product stands, and how close it is."},
			{Name: "props", Title: "Props", Description: "What lies and stands beside the product."},
		},
	},
	{
		Name: "adapt", Description: "A picture composed anew for another placement.",
		Params: []string{ParamSource}, Placements: PlacementsOther,
	},
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

// Takes says whether a request must have a param; all others it must not have.
func (w Workflow) Takes(param string) bool { return slices.Contains(w.Params, param) }

// FactorByName returns one of the workflow's factors, and false where it has no such.
func (w Workflow) FactorByName(name string) (Factor, bool) {
	for _, f := range w.Factors {
		if f.Name == name {
			return f, true
		}
	}
	return Factor{}, false
}
