package generator

import (
	"context"
	"errors"
	"fmt"

	"atelier/internal/media"
	"atelier/internal/picture"
	"atelier/internal/vault"
	"atelier/processors/gemini"
	"atelier/processors/generator/workflow"
	"atelier/schemas"
)

const (
	// referencesMax and referenceBytesMax bound what goes with a prompt: Google
	// takes 14 pictures inline, at most 7 MB each.
	referencesMax     = 14
	referenceBytesMax = 7_000_000
	// referencePixels is the longer side to which a larger file is shrunk.
	referencePixels = 2048
)

// order is what the image model is asked for.
type order struct {
	model      string
	size       string
	placement  schemas.Placement
	seed       int
	prompt     workflow.Prompt
	references []reference
	// standards are what the picture is checked against.
	standards standards
	// imageOnly is set after an answer in words.
	imageOnly bool
	// estimateMicros is the list price, millionths of a US dollar.
	estimateMicros int64
}

type reference struct {
	role     string
	data     []byte
	mimeType string
}

// product is the picture of the product that went along, nil where none did.
func (o order) product() *reference {
	for i, r := range o.references {
		if r.role == "product" {
			return &o.references[i]
		}
	}
	return nil
}

// prepare opens what the batch carries and builds the order. A failure is for
// ever; an error is for now.
func (w *worker) prepare(ctx context.Context, t task) (order, *failure, error) {
	if t.batch == nil {
		return order{}, &failure{Code: reasonInternal, Fault: faultOurs, Detail: "The request was not found on our side."}, nil
	}
	placement, ok := schemas.PlacementByID(t.request.Placement)
	if !ok {
		return order{}, &failure{Code: reasonPlacement, Fault: faultOurs, Detail: "This placement is not known."}, nil
	}
	flow, ok := workflow.ByName(t.batch.Workflow)
	model, priced := w.config.Models[t.batch.Tier]
	if !ok || !priced {
		return order{}, &failure{Code: reasonWorkflow, Fault: faultOurs, Detail: "This kind of work is not offered."}, nil
	}
	in, refusal, err := w.input(ctx, t, placement)
	if err != nil || refusal != nil {
		return order{}, refusal, err
	}
	prompt, err := flow.Prompt(in)
	if errors.Is(err, workflow.ErrParams) {
		return order{}, &failure{Code: reasonWorkflow, Fault: faultOurs, Detail: "This kind of work is not offered."}, nil
	}
	if err != nil {
		return order{}, &failure{Code: reasonBrief, Fault: faultUser, Detail: "The brief or the brand kit could not be used."}, nil
	}
	references, refusal, err := w.references(ctx, t.batch.References)
	if err != nil || refusal != nil {
		return order{}, refusal, err
	}
	number, size := len(t.work.attempts)+1, model.size(placement)
	known, _ := gemini.ModelByID(model.ID)
	return order{
		standards: standardsOf(in),
		model:     model.ID, size: size, placement: placement, seed: seed(t.request.GenerationID, number),
		prompt: prompt, references: references, estimateMicros: known.PriceMicros(size),
		imageOnly: number > 1 && t.work.attempts[number-2].Outcome == gemini.CodeNoImage,
	}, nil, nil
}

// input opens the batch's personal text.
func (w *worker) input(ctx context.Context, t task, placement schemas.Placement) (workflow.Input, *failure, error) {
	in := workflow.Input{
		Params: t.batch.Params, Placement: placement, Number: t.request.Number, Findings: findings(t.work.attempts),
	}
	for _, r := range t.batch.References[:min(len(t.batch.References), referencesMax)] {
		in.Roles = append(in.Roles, r.Role)
	}
	var feedback []byte
	for _, text := range []struct {
		sealed []byte
		into   *[]byte
	}{{t.batch.Kit, &in.Kit}, {t.batch.Brief, &in.Brief}, {t.batch.Feedback, &feedback}} {
		opened, err := w.config.Open(ctx, t.request.AccountID, text.sealed)
		if err != nil {
			return in, nil, fmt.Errorf("open personal text: %w", err)
		}
		if vault.IsErased(opened) {
			return in, &failure{Code: reasonErased, Fault: faultUser, Detail: "The account was erased."}, nil
		}
		*text.into = opened
	}
	in.Feedback = string(feedback)
	return in, nil, nil
}

// findings are what earlier attempts are to teach the next one. They follow from
// the attempts alone, so that every owner builds the same prompt.
func findings(attempts []schemas.Attempt) []string {
	var found []string
	for _, a := range attempts {
		switch a.Outcome {
		case outcomeRejected:
			for _, v := range a.Verdicts {
				if refuses(v) {
					found = append(found, v.Evidence)
				}
			}
		case gemini.CodeImageSafety:
			found = append(found, "the picture was withheld for safety: show a plainly harmless scene, without people where the brief allows")
		case gemini.CodeImageOther:
			found = append(found, "the picture was withheld: choose a simpler scene")
		}
	}
	return found
}

func (w *worker) references(ctx context.Context, listed []schemas.Reference) ([]reference, *failure, error) {
	var references []reference
	for _, r := range listed[:min(len(listed), referencesMax)] {
		data, _, err := w.config.Media.Get(ctx, r.MediaKey)
		switch {
		case errors.Is(err, media.ErrNotFound), errors.Is(err, media.ErrKey), errors.Is(err, media.ErrTooLarge):
			return nil, &failure{Code: reasonReference, Fault: faultOurs, Detail: "A " + role(r.Role) + " picture is no longer there."}, nil
		case err != nil:
			return nil, nil, fmt.Errorf("read a reference: %w", err)
		}
		if len(data) > referenceBytesMax {
			if data, err = shrink(data); err != nil {
				return nil, &failure{Code: reasonReference, Fault: faultUser, Detail: "A " + role(r.Role) + " picture is too large."}, nil
			}
		}
		references = append(references, reference{role: r.Role, data: data, mimeType: picture.MIMEType(picture.Sniff(data))})
	}
	return references, nil, nil
}

// role is the word for a person; an unknown one does not reach them.
func role(name string) string {
	switch name {
	case schemas.RoleSource, "logo", "product":
		return name
	default:
		return "reference"
	}
}

func shrink(data []byte) ([]byte, error) {
	img, _, err := picture.Decode(data)
	if err != nil {
		return nil, err
	}
	return picture.Thumbnail(img, referencePixels)
}
