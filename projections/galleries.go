package projections

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"atelier/schemas"
)

// galleries: batches and the images in them.
var galleries = Projection{Name: "galleries", DDL: 3, fold: func(o *opener) fold {
	return &galleriesFold{opener: o, finished: map[[2]string]bool{}, paid: map[[2]string]int{}, money: map[[2]string]int{}, said: map[[2]string]int{}}
}}

type batchRow struct {
	AccountID       uuidText          `json:"account_id"`
	BatchID         uuidText          `json:"batch_id"`
	BrandID         uuidText          `json:"brand_id"`
	BrandVersion    int               `json:"brand_version"`
	Workflow        string            `json:"workflow"`
	Params          map[string]string `json:"params"`
	Brief           json.RawMessage   `json:"brief"`
	Campaign        string            `json:"campaign"`
	Tier            string            `json:"tier"`
	Images          int               `json:"images"`
	PerImage        int64             `json:"per_image"`
	PriceList       int               `json:"price_list"`
	PlacementTable  int               `json:"placement_table"`
	Deadline        time.Time         `json:"deadline"`
	RequestedAt     time.Time         `json:"requested_at"`
	Succeeded       int               `json:"succeeded"`
	Failed          int               `json:"failed"`
	Canceled        int               `json:"canceled"`
	CreditsCaptured int64             `json:"credits_captured"`
	CreditsReleased int64             `json:"credits_released"`
	Seq             int64             `json:"seq"`
	Search          string            `json:"search"`
	Source          uuidText          `json:"source_generation_id"`
	Feedback        string            `json:"feedback"`
	References      []uuidText        `json:"reference_asset_ids"`
	Kit             json.RawMessage   `json:"kit"`
	LogoKey         string            `json:"logo_key"`
}

type requestedRow struct {
	AccountID    uuidText  `json:"account_id"`
	GenerationID uuidText  `json:"generation_id"`
	BatchID      uuidText  `json:"batch_id"`
	Seq          int64     `json:"seq"`
	Placement    string    `json:"placement"`
	Number       int       `json:"number"`
	RequestedAt  time.Time `json:"requested_at"`
	Deadline     time.Time `json:"deadline"`
}

type finishedRow struct {
	AccountID       uuidText          `json:"account_id"`
	GenerationID    uuidText          `json:"generation_id"`
	Status          string            `json:"status"`
	FinishedAt      time.Time         `json:"finished_at"`
	MediaKey        string            `json:"media_key"`
	ThumbnailKey    string            `json:"thumbnail_key"`
	SHA256          hexBytes          `json:"sha256"`
	Bytes           int64             `json:"bytes"`
	Width           int               `json:"width"`
	Height          int               `json:"height"`
	MIMEType        string            `json:"mime_type"`
	Model           string            `json:"model"`
	ModelVersion    string            `json:"model_version"`
	Template        string            `json:"template"`
	TemplateVersion int               `json:"template_version"`
	Attempts        []schemas.Attempt `json:"attempts"`
	Reason          string            `json:"reason"`
	Fault           string            `json:"fault"`
	Detail          string            `json:"detail"`
}

type paidChange struct {
	AccountID    uuidText `json:"account_id"`
	GenerationID uuidText `json:"generation_id"`
	Credits      int64    `json:"credits"`
}

type moneyChange struct {
	AccountID uuidText `json:"account_id"`
	BatchID   uuidText `json:"batch_id"`
	Captured  int64    `json:"captured"`
	Released  int64    `json:"released"`
}

// saidChange is what a person said of an image: nil is what was not said.
type saidChange struct {
	AccountID    uuidText   `json:"account_id"`
	GenerationID uuidText   `json:"generation_id"`
	Favourite    *bool      `json:"favourite"`
	Tags         []string   `json:"tags"`
	TagKeys      []string   `json:"tag_keys"`
	Rating       *string    `json:"rating"`
	RatingReason *string    `json:"rating_reason"`
	Binned       *bool      `json:"binned"`
	DeletedAt    *time.Time `json:"deleted_at"`
	// Layout of an erased account says nothing.
	Layout json.RawMessage `json:"layout"`
}

type galleriesChanges struct {
	Batches   []batchRow     `json:"batches,omitempty"`
	Requested []requestedRow `json:"requested,omitempty"`
	Finished  []finishedRow  `json:"finished,omitempty"`
	Paid      []paidChange   `json:"paid,omitempty"`
	Money     []moneyChange  `json:"money,omitempty"`
	Said      []saidChange   `json:"said,omitempty"`
}

type galleriesFold struct {
	opener   *opener
	out      galleriesChanges
	changed  bool
	finished map[[2]string]bool // by account and generation
	paid     map[[2]string]int  // index in out.Paid, by account and generation
	money    map[[2]string]int  // index in out.Money, by account and batch
	said     map[[2]string]int  // index in out.Said, by account and generation
}

func (f *galleriesFold) changes() any {
	if !f.changed {
		return nil
	}
	return f.out
}

func (f *galleriesFold) add(ctx context.Context, e schemas.Event, at Position) error {
	m := e.Meta()
	account := uuidText(m.AccountID)
	switch e := e.(type) {
	case *schemas.BatchRequested:
		if err := f.batch(ctx, e, at.Offset); err != nil {
			return err
		}
	case *schemas.GenerationRequested:
		f.out.Requested = append(f.out.Requested, requestedRow{AccountID: account, GenerationID: uuidText(e.GenerationID), BatchID: uuidText(e.BatchID),
			Seq: at.Offset, Placement: e.Placement, Number: e.Number, RequestedAt: m.OccurredAt, Deadline: e.Deadline})
	case *schemas.GenerationSucceeded:
		f.finish(finishedRow{AccountID: account, GenerationID: uuidText(e.GenerationID), Status: "succeeded", FinishedAt: m.OccurredAt,
			MediaKey: e.Media.Key, ThumbnailKey: e.ThumbnailKey, SHA256: e.Media.SHA256, Bytes: e.Media.Bytes, Width: e.Media.Width,
			Height: e.Media.Height, MIMEType: e.Media.MIMEType, Model: e.Model, ModelVersion: e.ModelVersion, Template: e.Template,
			TemplateVersion: e.TemplateVersion, Attempts: e.Attempts})
	case *schemas.GenerationFailed:
		f.finish(finishedRow{AccountID: account, GenerationID: uuidText(e.GenerationID), Status: "failed", FinishedAt: m.OccurredAt,
			Attempts: e.Attempts, Reason: e.Reason, Fault: e.Fault, Detail: e.Detail})
	case *schemas.GenerationCanceled:
		f.finish(finishedRow{AccountID: account, GenerationID: uuidText(e.GenerationID), Status: "canceled", FinishedAt: m.OccurredAt})
	case *schemas.CreditsCaptured:
		f.pay(m.AccountID, e.GenerationID, e.Credits)
		f.settle(m.AccountID, e.BatchID).Captured += e.Credits
	case *schemas.CreditsReleased:
		f.settle(m.AccountID, e.BatchID).Released += e.Credits
	case *schemas.ImageRated:
		if err := f.rated(ctx, e); err != nil {
			return err
		}
	case *schemas.ImageComposed:
		layout, err := f.opener.document(ctx, e.AccountID, e.Layout)
		if err != nil {
			return err
		}
		if said := f.of(m.AccountID, e.GenerationID); layout != nil {
			said.Layout = layout
		}
	case *schemas.ImageDeleted:
		said := f.of(m.AccountID, e.GenerationID)
		said.Binned, said.DeletedAt = new(true), &m.OccurredAt
	case *schemas.ImageRestored:
		said := f.of(m.AccountID, e.GenerationID)
		said.Binned, said.DeletedAt = new(false), nil
	default:
		return nil
	}
	f.changed = true
	return nil
}

func (f *galleriesFold) batch(ctx context.Context, e *schemas.BatchRequested, seq int64) error {
	brief, err := f.opener.document(ctx, e.AccountID, e.Brief)
	if err != nil {
		return err
	}
	campaign, err := f.opener.text(ctx, e.AccountID, e.Campaign)
	if err != nil {
		return err
	}
	feedback, err := f.opener.text(ctx, e.AccountID, e.Feedback)
	if err != nil {
		return err
	}
	kit, err := f.opener.document(ctx, e.AccountID, e.Kit)
	if err != nil {
		return err
	}
	var logo string
	if i := slices.IndexFunc(e.References, func(r schemas.Reference) bool { return r.Role == "logo" }); i >= 0 {
		logo = e.References[i].MediaKey
	}
	params := e.Params
	if params == nil {
		params = map[string]string{}
	}
	f.out.Batches = append(f.out.Batches, batchRow{AccountID: uuidText(e.AccountID), BatchID: uuidText(e.BatchID), BrandID: uuidText(e.BrandID),
		BrandVersion: e.BrandVersion, Workflow: e.Workflow, Params: params, Brief: brief, Campaign: campaign, Tier: e.Tier, Images: e.Images,
		PerImage: e.PerImage, PriceList: e.PriceList, PlacementTable: e.PlacementTable, Deadline: e.Deadline, RequestedAt: e.OccurredAt,
		Seq: seq, Search: searchText(brief, campaign), Source: asUUID(params[schemas.ParamSource]), Feedback: feedback, References: shownAssets(e.References),
		Kit: kit, LogoKey: logo})
	return nil
}

// shownAssets are the pictures that a person chose for the model to see: neither
// the source, which is no asset, nor the logo, which comes with the brand.
func shownAssets(references []schemas.Reference) []uuidText {
	shown := []uuidText{}
	for _, r := range references {
		if id := asUUID(r.AssetID); id != "" && r.Role != schemas.RoleSource && r.Role != "logo" {
			shown = append(shown, id)
		}
	}
	return shown
}

// searched are the fields of a brief in which words are looked for.
var searched = []string{"product", "offer", "headline", "call_to_action", "scene"}

// searchText is what is looked for in a batch, in lower case and a line a field:
// no word reaches over two.
func searchText(brief json.RawMessage, campaign string) string {
	var fields map[string]any
	_ = json.Unmarshal(brief, &fields) // an erased brief, or one that is no object, has none
	lines := make([]string, 0, len(searched)+1)
	for _, name := range searched {
		if text, ok := fields[name].(string); ok && text != "" {
			lines = append(lines, text)
		}
	}
	if campaign != "" {
		lines = append(lines, campaign)
	}
	return strings.ToLower(strings.Join(lines, "\n"))
}

// rated adds what is said to what was said of the image before: the later wins.
func (f *galleriesFold) rated(ctx context.Context, e *schemas.ImageRated) error {
	var tags []string
	if e.Tags != nil {
		opened, err := f.opener.bytes(ctx, e.AccountID, *e.Tags)
		if err != nil {
			return err
		}
		if json.Unmarshal(opened, &tags) != nil || tags == nil {
			tags = []string{} // erased, or none of our making
		}
	}
	var reason *string
	if e.Reason != nil {
		opened, err := f.opener.text(ctx, e.AccountID, *e.Reason)
		if err != nil {
			return err
		}
		reason = &opened
	}
	said := f.of(e.AccountID, e.GenerationID)
	if tags != nil {
		said.Tags, said.TagKeys = tags, make([]string, len(tags))
		for i, tag := range tags {
			said.TagKeys[i] = strings.ToLower(tag)
		}
	}
	if reason != nil {
		said.RatingReason = reason
	}
	if e.Favourite != nil {
		said.Favourite = e.Favourite
	}
	if e.Rating != nil {
		said.Rating = e.Rating
	}
	return nil
}

// of is what the batch of events says of an image.
func (f *galleriesFold) of(account, generation string) *saidChange {
	key := [2]string{account, generation}
	i, ok := f.said[key]
	if !ok {
		i = len(f.out.Said)
		f.said[key] = i
		f.out.Said = append(f.out.Said, saidChange{AccountID: uuidText(account), GenerationID: uuidText(generation)})
	}
	return &f.out.Said[i]
}

// finish keeps the first end of a generation, as the stored procedure does.
func (f *galleriesFold) finish(row finishedRow) {
	key := [2]string{string(row.AccountID), string(row.GenerationID)}
	if f.finished[key] {
		return
	}
	f.finished[key] = true
	if row.Attempts == nil {
		row.Attempts = []schemas.Attempt{}
	}
	f.out.Finished = append(f.out.Finished, row)
}

func (f *galleriesFold) pay(account, generation string, credits int64) {
	key := [2]string{account, generation}
	i, ok := f.paid[key]
	if !ok {
		i = len(f.out.Paid)
		f.paid[key] = i
		f.out.Paid = append(f.out.Paid, paidChange{AccountID: uuidText(account), GenerationID: uuidText(generation)})
	}
	f.out.Paid[i].Credits += credits
}

func (f *galleriesFold) settle(account, batch string) *moneyChange {
	key := [2]string{account, batch}
	i, ok := f.money[key]
	if !ok {
		i = len(f.out.Money)
		f.money[key] = i
		f.out.Money = append(f.out.Money, moneyChange{AccountID: uuidText(account), BatchID: uuidText(batch)})
	}
	return &f.out.Money[i]
}
