package projections

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"atelier/commands"
	"atelier/schemas"
)

// cutColumns are all tables with all columns.
var cutColumns = map[string]map[string]string{
	"credits":   {"balances": "*", "blocks": "*", "entries": "*"},
	"brands":    {"brands": "*", "assets": "*"},
	"galleries": {"batches": "*", "generations": "*"},
	"outcomes":  {"outcomes": "*"},
}

// TestAnyCutGivesTheSameRows decides random commands of two accounts that share a
// partition, and applies their events whole and in random batches. The rows must
// be the same, and agree with what the decider knows of the accounts.
func TestAnyCutGivesTheSameRows(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	whole, cut := map[string]version{}, map[string]version{}
	for _, p := range All {
		whole[p.Name], cut[p.Name] = d.newVersion(p), d.newVersion(p)
	}
	// Every run has accounts and a partition of its own: the rows of earlier runs,
	// failed ones among them, stay and do not matter.
	var runs atomic.Int32
	rapid.Check(t, func(t *rapid.T) {
		partition := runs.Add(1)
		w := newWriting(t, d, id("0a", int(partition)), id("0b", int(partition)))
		for range rapid.IntRange(1, 40).Draw(t, "commands") {
			w.decide(w.command())
		}
		for _, c := range w.due() {
			w.decide(c)
		}
		records := d.records(w.events)
		for _, p := range All {
			d.fill(whole[p.Name], partition, records, all)
			d.fill(cut[p.Name], partition, records, func() int { return rapid.IntRange(1, 5).Draw(t, "events of a batch") })
			for name := range cutColumns[p.Name] {
				want, got := w.rows(whole[p.Name], name), w.rows(cut[p.Name], name)
				if !slices.Equal(want, got) {
					t.Fatalf("%s, whole:\n%s\nin batches:\n%s", name, strings.Join(want, "\n"), strings.Join(got, "\n"))
				}
			}
		}
		w.agrees(cut)
	})
}

// writing is a partition's log in the making, with the state of its accounts.
type writing struct {
	t        *rapid.T
	d        *database
	ids      []string
	accounts map[string]schemas.Account
	sealed   map[string][]byte // a document of each account
	tags     map[string][][]byte
	now      time.Time
	offset   int64
	made     int
	sent     []schemas.Command
	names    map[string]string // short name of each command, by ID
	events   []schemas.Event
	images   map[string][][2]string // batch and generation, by account
}

func newWriting(t *rapid.T, d *database, ids ...string) *writing {
	w := &writing{t: t, d: d, ids: ids, accounts: map[string]schemas.Account{}, sealed: map[string][]byte{}, tags: map[string][][]byte{}, now: noon,
		names: map[string]string{}, images: map[string][][2]string{}}
	for _, account := range ids {
		w.sealed[account] = d.seal(account, `{"of":"`+account+`"}`)
		w.tags[account] = [][]byte{d.seal(account, `[]`), d.seal(account, `["Sale","tea"]`), d.seal(account, `["winter"]`)}
	}
	return w
}

func (w *writing) decide(c schemas.Command) {
	account := c.Meta().AccountID
	decided := commands.Handle(w.accounts[account], c, schemas.CommandPosition{Offset: w.offset}, w.now)
	w.offset++
	w.accounts[account] = decided.Account
	w.events = append(w.events, decided.Events...)
	w.sent = append(w.sent, c)
	if _, ok := w.names[c.Meta().ID]; !ok {
		w.names[c.Meta().ID] = schemas.ShortName(c)
	}
	for _, e := range decided.Events {
		if g, ok := e.(*schemas.GenerationRequested); ok {
			w.images[account] = append(w.images[account], [2]string{g.BatchID, g.GenerationID})
		}
	}
}

// due lets time pass until nothing is open or expires, in one of the accounts.
func (w *writing) due() []schemas.Command {
	if !rapid.Bool().Draw(w.t, "time passes") {
		return nil
	}
	w.now = w.now.Add(9 * 24 * time.Hour)
	return commands.Due(w.accounts[w.ids[0]], w.now)
}

// command draws the next command, of few subjects, so that they meet again; some
// are sent a second time.
func (w *writing) command() schemas.Command {
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{
		0, 0, time.Second, time.Minute, -time.Hour, 40 * time.Minute, 13 * time.Hour, 8 * 24 * time.Hour, 20 * 24 * time.Hour,
	}).Draw(w.t, "later"))
	if len(w.sent) > 0 && rapid.IntRange(0, 9).Draw(w.t, "again") == 0 {
		return rapid.SampledFrom(w.sent).Draw(w.t, "sent")
	}
	w.made++
	account := rapid.SampledFrom(w.ids).Draw(w.t, "account")
	m := schemas.CommandMetadata{ID: commandID(w.made), AccountID: account, OccurredAt: w.now, CorrelationID: commandID(w.made),
		CausationID: commandID(w.made), Actor: schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "web"}}
	if rapid.IntRange(0, 3).Draw(w.t, "has key") == 0 {
		m.IdempotencyKey, m.RequestHash = fmt.Sprint("key ", rapid.IntRange(1, 5).Draw(w.t, "key")), make([]byte, 32)
	}
	asset := assetID(rapid.IntRange(1, 3).Draw(w.t, "asset"))
	image := [2]string{batchID(0), generationID(0)}
	if images := w.images[account]; len(images) > 0 {
		image = images[rapid.IntRange(max(0, len(images)-8), len(images)-1).Draw(w.t, "image")]
	}
	switch rapid.SampledFrom([]string{"open", "welcome", "grant", "grant", "grant", "save", "save", "archive", "restore", "add", "add", "remove", "request",
		"request", "request", "request", "cancel", "cancel all", "complete", "complete", "complete", "fail", "expire", "spend",
		"rate", "rate", "compose", "delete image", "restore image",
	}).Draw(w.t, "kind") {
	case "open":
		return &schemas.OpenAccount{CommandMetadata: m}
	case "welcome":
		return &schemas.ClaimWelcome{CommandMetadata: m, EmailHash: make([]byte, 32)}
	case "grant":
		return w.grant(m)
	case "save":
		return w.save(m)
	case "archive":
		return &schemas.ArchiveBrand{CommandMetadata: m, BrandID: w.brand()}
	case "restore":
		return &schemas.RestoreBrand{CommandMetadata: m, BrandID: w.brand()}
	case "add":
		return &schemas.AddAsset{CommandMetadata: m, AssetID: asset, Kind: "logo", Name: w.sealed[account], Media: bigPicture}
	case "remove":
		return &schemas.RemoveAsset{CommandMetadata: m, AssetID: asset}
	case "request":
		return w.request(m)
	case "cancel":
		return &schemas.CancelGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "cancel all":
		return &schemas.CancelGeneration{CommandMetadata: m, BatchID: image[0]}
	case "complete":
		return &schemas.CompleteGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Media: bigPicture, TemplateVersion: 1}
	case "fail":
		return &schemas.FailGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Reason: "rejected", Fault: "model"}
	case "expire": // nobody but the sweep asks for it
		m.Actor = schemas.Actor{Kind: schemas.ActorSystem, ID: viaSweep, Via: viaSweep}
		return &schemas.ExpireGeneration{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "rate":
		return w.rate(m, image)
	case "compose":
		return &schemas.ComposeImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], LayoutSchema: 1, Layout: w.sealed[m.AccountID]}
	case "delete image":
		return &schemas.DeleteImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	case "restore image":
		return &schemas.RestoreImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1]}
	default:
		return &schemas.RecordSpend{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Reason: "lost"}
	}
}

var bigPicture = schemas.Media{Key: "m/1.png", SHA256: make([]byte, 32), Bytes: 1, Width: 1, Height: 1, MIMEType: "image/png"}

func (w *writing) brand() string { return brandID(rapid.IntRange(1, 2).Draw(w.t, "brand")) }

// grant takes one of few blocks, so that some are given again when they are used up.
func (w *writing) grant(m schemas.CommandMetadata) schemas.Command {
	g := &schemas.GrantCredits{CommandMetadata: m, BlockID: blockID(rapid.IntRange(1, 4).Draw(w.t, "block")), Source: "operator",
		Credits: rapid.Int64Range(1, 9).Draw(w.t, "credits"), Priority: rapid.IntRange(0, 2).Draw(w.t, "priority")}
	if rapid.Bool().Draw(w.t, "expires") {
		later := w.accounts[m.AccountID].LastAt
		if later.Before(w.now) {
			later = w.now
		}
		g.ExpiresAt = ref(later.Add(time.Duration(rapid.IntRange(1, 400).Draw(w.t, "hours")) * time.Hour))
	}
	return g
}

// rate says something of an image, at least that it is a favourite or not.
func (w *writing) rate(m schemas.CommandMetadata, image [2]string) schemas.Command {
	c := &schemas.RateImage{CommandMetadata: m, BatchID: image[0], GenerationID: image[1], Favourite: ref(rapid.Bool().Draw(w.t, "favourite"))}
	if rapid.Bool().Draw(w.t, "tagged") {
		c.Tags = ref(rapid.SampledFrom(w.tags[m.AccountID]).Draw(w.t, "tags"))
	}
	if rapid.Bool().Draw(w.t, "rated") {
		c.Rating, c.Reason = ref(rapid.SampledFrom([]string{"up", "down", "none"}).Draw(w.t, "rating")), ref(w.sealed[m.AccountID])
	}
	return c
}

func (w *writing) save(m schemas.CommandMetadata) schemas.Command {
	c := &schemas.SaveBrand{CommandMetadata: m, BrandID: w.brand(), Kit: w.sealed[m.AccountID], KitHash: make([]byte, 16), KitSchema: 1}
	for _, b := range w.accounts[m.AccountID].Brands {
		if schemas.IDString(b.ID) == c.BrandID {
			c.ExpectedVersion = b.Version
		}
	}
	return c
}

func (w *writing) request(m schemas.CommandMetadata) schemas.Command {
	if m.IdempotencyKey == "" {
		// Without a key a request that came again after its batch had ended would be
		// decided once more, under the same IDs; the read model keeps the first.
		m.IdempotencyKey, m.RequestHash = m.ID, make([]byte, 32)
	}
	c := &schemas.RequestGeneration{CommandMetadata: m, BatchID: id("b3", w.made), Kit: w.sealed[m.AccountID], KitHash: make([]byte, 16), KitSchema: 1,
		BrandID: brandID(1), Brief: w.sealed[m.AccountID], Workflow: "create", Campaign: w.sealed[m.AccountID], Tier: "standard",
		Placements: []string{"meta_story"}, PlacementTable: 1, Variants: rapid.IntRange(1, 3).Draw(w.t, "variants"), MaxCredits: 100,
		OpenMax: 100, DeadlineMs: 3_600_000}
	for _, b := range w.accounts[m.AccountID].Brands {
		if !b.Archived {
			c.BrandID, c.BrandVersion = schemas.IDString(b.ID), b.Version
		}
	}
	return c
}

// rows are those of the run's accounts, as text.
func (w *writing) rows(v version, name string) []string {
	return w.texts("SELECT r::text FROM " + table(v, name) + " r WHERE account_id = ANY($1) ORDER BY 1")
}

// texts runs a query for one text a row. It has read all of it when a check fails.
func (w *writing) texts(sql string) []string {
	rows, err := w.d.admin.Query(w.d.t.Context(), sql, w.ids)
	require.NoError(w.t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(w.t, err)
	return lines
}

// agrees compares the rows with what the decider knows.
func (w *writing) agrees(versions map[string]version) {
	for _, account := range w.ids {
		state := w.accounts[account]
		left, versionsOf, open := map[string]int64{}, map[string]string{}, 0
		var available, held int64
		for _, b := range state.Blocks {
			left[schemas.IDString(b.ID)] = b.Credits
			available += b.Credits
		}
		for _, b := range state.Batches {
			open += len(b.Generations)
			for _, h := range b.Holds {
				held += h.Credits
			}
		}
		for _, b := range state.Brands {
			versionsOf[schemas.IDString(b.ID)] = fmt.Sprint(b.Version, " ", b.Archived)
		}
		one := func(sql string, p string, name string) string {
			var text string
			require.NoError(w.t, w.d.admin.QueryRow(w.d.t.Context(), fmt.Sprintf(sql, table(versions[p], name)), account).Scan(&text))
			return text
		}
		same := func(what, want, got string) {
			if want != got {
				w.t.Fatalf("%s of %s: the decider knows %s, the rows say %s", what, account, want, got)
			}
		}
		same("balance", fmt.Sprint(available, " ", held),
			one("SELECT coalesce(sum(available), 0) || ' ' || coalesce(sum(held), 0) FROM %s WHERE account_id = $1", "credits", "balances"))
		same("block total", fmt.Sprint(available), one("SELECT coalesce(sum(remaining), 0)::text FROM %s WHERE account_id = $1", "credits", "blocks"))
		for block, credits := range left {
			same(block, fmt.Sprint(credits), one("SELECT remaining::text FROM %s WHERE account_id = $1 AND block_id = '"+block+"'", "credits", "blocks"))
		}
		same("open images", fmt.Sprint(open), one("SELECT count(*)::text FROM %s WHERE account_id = $1 AND status = 'requested'", "galleries", "generations"))
		for brand, want := range versionsOf {
			same(brand, want, one("SELECT version || ' ' || archived FROM %s WHERE account_id = $1 AND brand_id = '"+brand+"'", "brands", "brands"))
		}
		same("assets", fmt.Sprint(len(state.Assets)), one("SELECT count(*)::text FROM %s WHERE account_id = $1", "brands", "assets"))
	}
	for _, line := range w.texts("SELECT command_id || ' ' || command FROM " + table(versions["outcomes"], "outcomes") + " WHERE account_id = ANY($1)") {
		id, name, _ := strings.Cut(line, " ")
		if want := w.names[id]; name != want {
			w.t.Fatalf("command %s was %s, its outcome says %s", id, want, name)
		}
	}
}
