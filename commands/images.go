package commands

import "atelier/schemas"

const (
	// tagsBytesMax is above what 20 tags of 40 characters have as JSON: no
	// character has more than 6 bytes there.
	tagsBytesMax = 5 << 10
	// ratingReasonBytesMax are 500 characters of UTF-8.
	ratingReasonBytesMax = 4 * 500
)

var ratings = []string{"up", "down", "none"}

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
