package workflow

import "fmt"

// adapt composes a picture anew for another placement.
var adapt = Workflow{Name: "adapt", Prompt: adaptPrompt}

const (
	adaptTemplate = "adapt"
	adaptVersion  = 1
)

func adaptPrompt(in Input) (Prompt, error) {
	kit, brief, err := in.fromSource()
	if err != nil {
		return Prompt{}, err
	}
	return prompt(adaptTemplate, adaptVersion,
		task(in.Placement, adaptHow(in.Number)),
		palette(kit.colors()),
		brandBlock(kit),
		briefBlock(brief),
		pictures(in.Roles),
		findings(in.Findings),
	), nil
}

func adaptHow(number int) string {
	return "Compose picture 1, the source, anew for this frame: the same product, scene, viewpoint, light, colours and style. Go on with the scene where the frame is wider or taller, and move what stands in it; never stretch it, mirror it, cut the product or fill with bars.\n" +
		fmt.Sprintf("Variant %d: arrange it as no other variant number would.\n", number)
}
