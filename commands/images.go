package commands

import "atelier/schemas"

const (
	// tagsBytesMax is above what 20 tags of 40 characters have as JSON: no
	// character has more than 6 bytes there.
	tagsBytesMax = 5 << 10
	// ratingReasonBytesMax are 500 characters of UTF-8.
	ratingReasonBytesMax = 4 * 500
	// layoutBytesMax is above what a layout has as JSON: a headline, a call to action
	// and 20 placements.
	layoutBytesMax = 8 << 10
	// exportedMax bounds the images of one export (count).
	exportedMax = 100
)

var (
	ratings     = []string{"up", "down", "none"}
	exportKinds = []string{exportFile, "zip"}
)

// exportFile is the kind of an export of one file.
const exportFile = "file"

// The account does not know finished images. What is said of one is a fact that
// the api has checked against the read model, and is recorded as it comes.

func (d *deciding) rateImage(c *schemas.RateImage) error {
	var b bounds
	b.id("generation_id", c.GenerationID)
	b.id("batch_id", c.BatchID)
	if c.Favourite == nil && c.Tags == nil && c.Rating == nil && c.Reason == nil {
		b.refuse("nothing is said of the image")
	}
	if c.Tags != nil {
		b.between("bytes of tags sealed", int64(len(*c.Tags)), 1, tagsBytesMax+sealedBytesMore)
	}
	if c.Rating != nil {
		b.oneOf("rating", *c.Rating, ratings)
	}
	if c.Reason != nil {
		b.sealed("reason", *c.Reason, ratingReasonBytesMax)
	}
	if err := b.err(); err != nil {
		return err
	}
	d.emit(&schemas.ImageRated{
		GenerationID: c.GenerationID, BatchID: c.BatchID, Favourite: c.Favourite, Tags: c.Tags, Rating: c.Rating, Reason: c.Reason,
	})
	return nil
}

func (d *deciding) composeImage(c *schemas.ComposeImage) error {
	var b bounds
	b.id("generation_id", c.GenerationID)
	b.id("batch_id", c.BatchID)
	b.between("layout_schema", int64(c.LayoutSchema), 1, versionMax)
	b.between("bytes of layout sealed", int64(len(c.Layout)), 1, layoutBytesMax+sealedBytesMore)
	if err := b.err(); err != nil {
		return err
	}
	d.emit(&schemas.ImageComposed{GenerationID: c.GenerationID, BatchID: c.BatchID, LayoutSchema: c.LayoutSchema, Layout: c.Layout})
	return nil
}

func (d *deciding) recordExport(c *schemas.RecordExport) error {
	var b bounds
	b.oneOf("kind", c.Kind, exportKinds)
	b.between("count of images", int64(len(c.Images)), 1, exportedMax)
	if c.Kind == exportFile && len(c.Images) > 1 {
		b.refuse("a file is one image")
	}
	if b.broken == "" {
		for _, image := range c.Images {
			b.id("images.generation_id", image.GenerationID)
			b.id("images.batch_id", image.BatchID)
			if _, ok := schemas.PlacementByID(image.Placement); !ok {
				b.refuse("images.placement is unknown")
			}
		}
	}
	if err := b.err(); err != nil {
		return err
	}
	d.emit(&schemas.ImagesExported{Kind: c.Kind, Images: c.Images})
	return nil
}

func (d *deciding) deleteImage(c *schemas.DeleteImage) error {
	if err := imageNamed(c.GenerationID, c.BatchID); err != nil {
		return err
	}
	d.emit(&schemas.ImageDeleted{GenerationID: c.GenerationID, BatchID: c.BatchID})
	return nil
}

func (d *deciding) restoreImage(c *schemas.RestoreImage) error {
	if err := imageNamed(c.GenerationID, c.BatchID); err != nil {
		return err
	}
	d.emit(&schemas.ImageRestored{GenerationID: c.GenerationID, BatchID: c.BatchID})
	return nil
}

func imageNamed(generationID, batchID string) error {
	var b bounds
	b.id("generation_id", generationID)
	b.id("batch_id", batchID)
	return b.err()
}
