package commands

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"atelier/schemas"
)

// accountBytesMax is the promise about every account, usualBytesMax about a usual one.
const (
	accountBytesMax = 128 << 10
	usualBytesMax   = 6 << 10
)

// TestAnySequence sends random commands to one account and checks after each what
// must hold whatever is sent. In the end time passes until nothing is due.
func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(1, 60).Draw(t, "commands") {
			w.now = w.now.Add(rapid.SampledFrom([]time.Duration{
				0, time.Second, time.Second, time.Minute, -time.Hour, 40 * time.Minute, 13 * time.Hour, 8 * 24 * time.Hour,
			}).Draw(t, "later"))
			w.handle(w.command())
		}
		w.end()
	})
}

// world is an account with its whole log, and a ledger that is kept from the
// events alone.
type world struct {
	t       *rapid.T
	account schemas.Account
	offset  int64
	now     time.Time
	made    int // commands so far, for their IDs
	events  []schemas.Event
	batches []string
	images  [][2]string // batch and generation
	blocks  []string
	ledger  ledger
}

func newWorld(t *rapid.T) *world {
	return &world{t: t, now: noon, ledger: ledger{
		blocks: map[string]*blockLedger{}, batches: map[string]map[string]int64{}, ended: map[string]int{}}}
}

// handle decides a command at the next position and checks all that must hold.
func (w *world) handle(c schemas.Command) {
	t := w.t
	before, wire := w.account, encode(t, w.account)
	at := position(0, w.offset)
	w.offset++
	d := Handle(before, c, at, w.now)

	if d.Panic != "" {
		t.Fatalf("%T panicked: %s", c, d.Panic)
	}
	if len(d.Events) == 0 {
		t.Fatalf("%T had no outcome", c)
	}
	if !bytes.Equal(wire, encode(t, before)) {
		t.Fatalf("%T changed the account that it was given", c)
	}
	folded := before
	for i, event := range d.Events {
		previous, previousWire := folded, encode(t, folded)
		folded = Evolve(folded, event)
		if !bytes.Equal(previousWire, encode(t, previous)) {
			t.Fatalf("Evolve of %T changed the account that it was given", event)
		}
		if i > 0 {
			if _, ok := event.(*schemas.CommandRejected); ok {
				t.Fatalf("%T has a rejection beside other events", c)
			}
		}
		w.ledger.apply(t, event)
		w.remember(event)
	}
	if !bytes.Equal(encode(t, folded), encode(t, d.Account)) {
		t.Fatalf("%T: the fold of its events is not the account", c)
	}
	if size := len(encode(t, d.Account)); size > accountBytesMax {
		t.Fatalf("the account has %d bytes", size)
	}
	w.ledger.compare(t, d.Account)

	if again := Handle(d.Account, c, at, w.now); len(again.Events) != 0 || !reflect.DeepEqual(again.Account, d.Account) {
		t.Fatalf("%T again at the same position: %s", c, show(again.Events))
	}
	w.sameKey(d.Account, c)
	w.account = d.Account
	w.events = append(w.events, d.Events...)
}

// sameKey sends the command again under its key, elsewhere and with another ID.
func (w *world) sameKey(account schemas.Account, c schemas.Command) {
	m := *c.Meta()
	if m.IdempotencyKey == "" {
		return
	}
	repeated := &schemas.RemoveAsset{CommandMetadata: m, AssetID: assetID(1)}
	repeated.ID = id("dd", w.made)
	d := Handle(account, repeated, position(0, w.offset), w.now)
	known, _ := keyOf(&account, keyHash(m.IdempotencyKey))
	want := schemas.CodeDuplicate
	if known.RequestHash != hash16(m.RequestHash) {
		want = schemas.CodeIdempotencyConflict
	}
	r, ok := d.Events[0].(*schemas.CommandRejected)
	if !ok || r.Code != want || r.FirstCommandID != schemas.IDString(known.CommandID) {
		w.t.Fatalf("the same key again: %s", show(d.Events))
	}
}

func (w *world) remember(event schemas.Event) {
	switch e := event.(type) {
	case *schemas.CreditsGranted:
		w.blocks = append(w.blocks, e.BlockID)
	case *schemas.BatchRequested:
		w.batches = append(w.batches, e.BatchID)
	case *schemas.GenerationRequested:
		w.images = append(w.images, [2]string{e.BatchID, e.GenerationID})
	}
}

// end lets time pass until nothing is due, and checks what must hold then.
func (w *world) end() {
	t := w.t
	for range 1000 {
		at, ok := NextDue(w.account)
		if !ok {
			break
		}
		if at.After(w.now) {
			w.now = at
		}
		for _, c := range Due(w.account, w.now) {
			w.handle(c)
		}
	}
	if _, ok := NextDue(w.account); ok || len(w.account.Batches) > 0 {
		t.Fatalf("something is due for ever: %+v", w.account)
	}
	if w.ledger.reserved != w.ledger.captured+w.ledger.released {
		t.Fatalf("held %d, captured %d, released %d", w.ledger.reserved, w.ledger.captured, w.ledger.released)
	}
	for _, image := range w.images {
		if w.ledger.ended[image[1]] != 1 {
			t.Fatalf("generation %s ended %d times", image[1], w.ledger.ended[image[1]])
		}
	}
	var replayed schemas.Account
	ids := map[string]bool{}
	for _, event := range w.events {
		replayed = Evolve(replayed, event)
		ids[event.Meta().ID] = true
	}
	if !bytes.Equal(encode(t, replayed), encode(t, w.account)) {
		t.Fatalf("the fold from the beginning is another account")
	}
}

// command draws the next command: mostly one that makes sense, of few enough
// subjects that they meet again.
func (w *world) command() schemas.Command {
	t := w.t
	w.made++
	m := meta(w.made)
	if rapid.IntRange(0, 2).Draw(t, "has key") == 0 {
		m.IdempotencyKey = fmt.Sprint("key ", rapid.IntRange(1, 20).Draw(t, "key"))
		sum := sha256.Sum256([]byte{byte(rapid.IntRange(0, 1).Draw(t, "request"))})
		m.RequestHash = sum[:]
	}
	brand := brandID(rapid.IntRange(1, 3).Draw(t, "brand"))
	asset := assetID(rapid.IntRange(1, 4).Draw(t, "asset"))
	block, batch, image := w.block(), w.batch(), w.image()
	cost := rapid.SampledFrom([]int64{0, 1, 40_000, 300_000}).Draw(t, "cost")
	switch rapid.SampledFrom([]string{
		"open", "welcome", "grant", "grant", "expire credits", "save", "save", "archive", "restore", "add", "remove",
		"request", "request", "request", "request", "request", "cancel", "cancel all", "complete", "complete", "complete",
		"fail", "fail", "expire", "spend", "rate", "compose", "export", "delete image", "restore image",
	}).Draw(t, "kind") {
	case "open":
		return &schemas.OpenAccount{CommandMetadata: m}
	case "welcome":
		return &schemas.ClaimWelcome{CommandMetadata: m, EmailHash: bytesOf(1, 32)}
	case "grant":
		return w.grant(m)
	case "expire credits":
		return &schemas.ExpireCredits{CommandMetadata: m, BlockID: block}
	case "save":
		return &schemas.SaveBrand{CommandMetadata: m, BrandID: brand, ExpectedVersion: rapid.IntRange(0, 2).Draw(t, "expected"),
			Kit: []byte("kit"), KitHash: bytesOf(1, 16), KitSchema: 1}
	case "archive":
		return &schemas.ArchiveBrand{CommandMetadata: m, BrandID: brand}
	case "restore":
		return &schemas.RestoreBrand{CommandMetadata: m, BrandID: brand}
	case "add":
		return &schemas.AddAsset{CommandMetadata: m, AssetID: asset, Kind: "logo", Media: testMedia()}
	case "remove":
		return &schemas.RemoveAsset{CommandMetadata: m, AssetID: asset}
	case "request":
		return w.request(m, brand)
	case "cancel":
		return &schemas.CancelGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "cancel all":
		return &schemas.CancelGeneration{CommandMetadata: m, BatchID: batch}
	case "complete":
		return &schemas.CompleteGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Media: testMedia(), TemplateVersion: 1, CostMicros: cost}
	case "fail":
		return &schemas.FailGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Reason: "rejected", Fault: "model", CostMicros: cost}
	case "expire":
		return &schemas.ExpireGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "rate":
		return &schemas.RateImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Favourite: ref(true), Rating: ref("up")}
	case "compose":
		return &schemas.ComposeImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], LayoutSchema: 1, Layout: []byte("layout")}
	case "export":
		return &schemas.RecordExport{CommandMetadata: m, Kind: "file", Images: []schemas.ExportedImage{{BatchID: image[0], GenerationID: image[1], Placement: "meta_story"}}}
	case "delete image":
		return &schemas.DeleteImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "restore image":
		return &schemas.RestoreImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	default:
		m.IdempotencyKey, m.RequestHash = "", nil // the generator has none
		return &schemas.RecordSpend{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Reason: "lost", CostMicros: cost}
	}
}

func (w *world) grant(m schemas.CommandMetadata) schemas.Command {
	g := &schemas.GrantCredits{CommandMetadata: m, BlockID: id("b1", w.made), Credits: int64(rapid.IntRange(0, 30).Draw(w.t, "credits")),
		Source: rapid.SampledFrom(sources).Draw(w.t, "source"), Priority: rapid.IntRange(0, 2).Draw(w.t, "priority")}
	if rapid.Bool().Draw(w.t, "expires") {
		later := max(w.now.UnixNano(), w.account.LastAt.UnixNano()) + int64(rapid.IntRange(1, 100).Draw(w.t, "hours"))*int64(time.Hour)/4
		g.ExpiresAt = ref(time.Unix(0, later))
	}
	return g
}

// request asks for a batch of the brand as the account has it, if it has one.
func (w *world) request(m schemas.CommandMetadata, brand string) schemas.Command {
	r := testRequest()
	r.CommandMetadata, r.BrandID, r.BatchID = m, brand, id("b3", w.made)
	for _, b := range w.account.Brands {
		if !b.Archived {
			r.BrandID, r.BrandVersion = schemas.IDString(b.ID), b.Version
		}
	}
	r.Tier = rapid.SampledFrom([]string{"standard", "pro"}).Draw(w.t, "tier")
	r.Variants = rapid.IntRange(1, 6).Draw(w.t, "variants")
	r.MaxCredits = int64(rapid.SampledFrom([]int{5, 1000, 1000}).Draw(w.t, "agreed"))
	r.OpenMax = rapid.SampledFrom([]int{10, 500, 500}).Draw(w.t, "open max")
	r.DeadlineMs = rapid.SampledFrom([]int64{60_000, 86_400_000}).Draw(w.t, "deadline")
	return r
}

func (w *world) image() [2]string {
	if len(w.images) == 0 {
		return [2]string{batchID(0), generationID(0)}
	}
	return w.images[rapid.IntRange(max(0, len(w.images)-20), len(w.images)-1).Draw(w.t, "image")]
}

func (w *world) batch() string {
	if len(w.batches) == 0 {
		return batchID(0)
	}
	return rapid.SampledFrom(w.batches).Draw(w.t, "batch")
}

func (w *world) block() string {
	if len(w.blocks) == 0 {
		return blockID(0)
	}
	return rapid.SampledFrom(w.blocks).Draw(w.t, "block")
}

// ledger is the books as an accountant would keep them from the events: for each
// block, granted = remaining + held + captured + expired.
type ledger struct {
	blocks                       map[string]*blockLedger
	batches                      map[string]map[string]int64 // held by batch and block
	ended                        map[string]int              // terminal events by generation
	available, held              int64
	reserved, captured, released int64
}

type blockLedger struct{ granted, remaining, held, captured, expired int64 }

func (l *ledger) apply(t *rapid.T, event schemas.Event) {
	switch e := event.(type) {
	case *schemas.CreditsGranted:
		if l.blocks[e.BlockID] != nil {
			t.Fatalf("block %s came twice", e.BlockID)
		}
		l.blocks[e.BlockID] = &blockLedger{granted: e.Credits, remaining: e.Credits}
		l.available += e.Credits
		l.after(t, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsReserved:
		l.batches[e.BatchID] = map[string]int64{}
		for _, x := range e.Lines {
			l.move(e.BatchID, x.BlockID, -x.Credits, x.Credits)
		}
		l.reserved += e.Credits
		l.after(t, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsCaptured:
		l.captured += e.Credits
		for _, x := range e.Lines {
			l.move(e.BatchID, x.BlockID, 0, -x.Credits)
			l.blocks[x.BlockID].captured += x.Credits
		}
		l.after(t, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsReleased:
		l.released += e.Credits
		for _, x := range e.Lines {
			l.move(e.BatchID, x.BlockID, x.Credits, -x.Credits)
			if x.ExpiresAt != nil && !x.ExpiresAt.After(e.OccurredAt) {
				t.Fatalf("credits released to a block that is over: %+v", e)
			}
		}
		l.after(t, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.CreditsExpired:
		for _, x := range e.Lines {
			l.blocks[x.BlockID].remaining -= x.Credits
			l.blocks[x.BlockID].expired += x.Credits
			l.available -= x.Credits
		}
		l.after(t, e, e.AvailableAfter, e.HeldAfter)
	case *schemas.GenerationSucceeded:
		l.ended[e.GenerationID]++
	case *schemas.GenerationFailed:
		l.ended[e.GenerationID]++
	case *schemas.GenerationCanceled:
		l.ended[e.GenerationID]++
	}
}

func (l *ledger) move(batch, block string, available, held int64) {
	l.blocks[block].remaining += available
	l.blocks[block].held += held
	l.batches[batch][block] += held
	l.available += available
	l.held += held
}

func (l *ledger) after(t *rapid.T, event schemas.Event, available, held int64) {
	if available != l.available || held != l.held || available < 0 || held < 0 {
		t.Fatalf("%T says available %d, held %d; the books say %d and %d", event, available, held, l.available, l.held)
	}
	for id, b := range l.blocks {
		if b.granted != b.remaining+b.held+b.captured+b.expired || b.remaining < 0 || b.held < 0 {
			t.Fatalf("after %T: block %s does not add up: %+v", event, id, *b)
		}
	}
}

// compare checks the account against the books.
func (l *ledger) compare(t *rapid.T, account schemas.Account) {
	for _, b := range account.Blocks {
		if got := l.blocks[schemas.IDString(b.ID)].remaining; got != b.Credits {
			t.Fatalf("block %x has %d credits, the books say %d", b.ID, b.Credits, got)
		}
	}
	for id, b := range l.blocks {
		kept := false
		for _, in := range account.Blocks {
			kept = kept || schemas.IDString(in.ID) == id
		}
		if kept != (b.remaining > 0 || b.held > 0) {
			t.Fatalf("block %s kept %v: %+v", id, kept, *b)
		}
	}
	for _, batch := range account.Batches {
		var held int64
		for _, hold := range batch.Holds {
			held += hold.Credits
			if hold.Credits <= 0 || hold.Credits != l.batches[schemas.IDString(batch.ID)][schemas.IDString(hold.BlockID)] {
				t.Fatalf("hold %+v is not in the books", hold)
			}
		}
		if held != batch.PerImage*int64(len(batch.Generations)) || held == 0 {
			t.Fatalf("batch %+v holds %d", batch, held)
		}
	}
}
