package commands

import (
	"testing"

	"atelier/schemas"
)

func TestImages(t *testing.T) {
	tags, reason := []byte("sealed tags"), []byte("sealed reason")
	ended := concat([]schemas.Event{granted(1, 2)}, requested(1, 1, 1, 2, noon, line(1, 2)),
		[]schemas.Event{&schemas.GenerationSucceeded{GenerationID: generationID(1), BatchID: batchID(1)}})
	exported := []schemas.ExportedImage{
		{GenerationID: generationID(1), BatchID: batchID(1), Placement: "meta_story"},
		{GenerationID: generationID(1), BatchID: batchID(1), Placement: "meta_reel"},
	}
	image := func(then schemas.Event) []schemas.Event { return []schemas.Event{then} }
	run(t, []scenario{
		{name: "all that can be said of an image", given: ended,
			when: &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Favourite: ref(true), Tags: &tags, Rating: ref("up"), Reason: &reason},
			then: image(&schemas.ImageRated{GenerationID: generationID(1), BatchID: batchID(1), Favourite: ref(true), Tags: &tags, Rating: ref("up"), Reason: &reason})},
		{name: "what is not said is not in the event", given: ended,
			when: &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Favourite: ref(false)},
			then: image(&schemas.ImageRated{GenerationID: generationID(1), BatchID: batchID(1), Favourite: ref(false)})},
		{name: "a reason is taken back",
			when: &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Reason: &[]byte{}},
			then: image(&schemas.ImageRated{GenerationID: generationID(1), BatchID: batchID(1), Reason: &[]byte{}})},
		{name: "an image that the account does not know, as no finished one",
			when: &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(9), BatchID: batchID(9), Rating: ref("none")},
			then: image(&schemas.ImageRated{GenerationID: generationID(9), BatchID: batchID(9), Rating: ref("none")})},
		{name: "nothing said is refused",
			when: &schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1)}, rule: ErrInvalid},
		{name: "composed, and again", given: image(&schemas.ImageComposed{GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1, Layout: tags}),
			when: &schemas.ComposeImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1, Layout: reason},
			then: image(&schemas.ImageComposed{GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1, Layout: reason})},
		{name: "exported together",
			when: &schemas.RecordExport{CommandMetadata: meta(1), Kind: "zip", Images: exported},
			then: image(&schemas.ImagesExported{Kind: "zip", Images: exported})},
		{name: "a file is one image",
			when: &schemas.RecordExport{CommandMetadata: meta(1), Kind: "file", Images: exported}, rule: ErrInvalid},
		{name: "into the bin", given: ended, when: &schemas.DeleteImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1)},
			then: image(&schemas.ImageDeleted{GenerationID: generationID(1), BatchID: batchID(1)})},
		{name: "and once more",
			given: image(&schemas.ImageDeleted{GenerationID: generationID(1), BatchID: batchID(1)}),
			when:  &schemas.DeleteImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1)},
			then:  image(&schemas.ImageDeleted{GenerationID: generationID(1), BatchID: batchID(1)})},
		{name: "and out of it",
			given: image(&schemas.ImageDeleted{GenerationID: generationID(1), BatchID: batchID(1)}),
			when:  &schemas.RestoreImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1)},
			then:  image(&schemas.ImageRestored{GenerationID: generationID(1), BatchID: batchID(1)})},
	})
}

// What is said of images does not make the account grow: only the position moves.
func TestImagesLeaveNothingInTheAccount(t *testing.T) {
	before := usualAccount()
	sealed := bytesOf(1, 100)
	after := before
	for n, c := range []schemas.Command{
		&schemas.RateImage{CommandMetadata: meta(1), GenerationID: generationID(1), BatchID: batchID(1), Tags: &sealed, Reason: &sealed},
		&schemas.ComposeImage{CommandMetadata: meta(4), GenerationID: generationID(1), BatchID: batchID(1), LayoutSchema: 1, Layout: sealed},
		&schemas.RecordExport{CommandMetadata: meta(5), Kind: "file", Images: []schemas.ExportedImage{{GenerationID: generationID(1), BatchID: batchID(1), Placement: "meta_reel"}}},
		&schemas.DeleteImage{CommandMetadata: meta(2), GenerationID: generationID(1), BatchID: batchID(1)},
		&schemas.RestoreImage{CommandMetadata: meta(3), GenerationID: generationID(1), BatchID: batchID(1)},
	} {
		at := position(0, before.NextCommandOffset+int64(n))
		after = Handle(after, c, at, noon).Account
		want := before
		want.NextCommandOffset, want.LastAt = at.Offset+1, after.LastAt
		want.AccountID, want.FoldVersion, want.CommandGeneration = after.AccountID, after.FoldVersion, after.CommandGeneration
		if got := encode(t, after); string(got) != string(encode(t, want)) {
			t.Errorf("%T left something in the account", c)
		}
	}
}
