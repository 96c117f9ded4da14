// Package mix makes the commands that the decider is measured with.
package mix

import (
	"fmt"
	"math/rand/v2"
	"time"

	"atelier/commands"
	"atelier/internal/kafka"
	"atelier/schemas"
)

const (
	// kitBytes and briefBytes are what people send, sealed (bytes): the example's
	// kit and brief with the fields filled in that it leaves out.
	kitBytes   = 1_500
	briefBytes = 800

	// usualKeys and usualAssets are what a usual account knows (counts); see
	// commands.TestUsualAccountSize.
	usualKeys   = 64
	usualAssets = 24

	// commandsPerRound are one batch of four images: the request, three that are
	// completed and one that is canceled.
	commandsPerRound = 5
	// commandsBefore are a grant of credits and a new version of the brand.
	commandsBefore = 2
)

// Mix is a backlog: usual accounts, each of which is granted credits, saves its
// brand, and then asks for batch after batch of four images. They take turns, so
// that a command stands beside those of other accounts, as under load; it is the
// hard case, because nearly each command has a snapshot of its own.
type Mix struct {
	Accounts []schemas.Account // as they are before their first command
	Backlog  []*kafka.Record
	Single   []*kafka.Record   // one more grant for each account
	Outputs  map[string]Output // by the ID of the command
}

// Output is what a command leads to: the sizes of the values, in bytes.
type Output struct {
	Events   []int
	Snapshot int
}

// mixer makes a mix, and decides it in memory to know what it leads to.
type mixer struct {
	codec  *schemas.Codec
	random *rand.ChaCha8
	now    time.Time
	states []schemas.Account
	mix    *Mix
}

// New makes the mix of so many accounts and batches of each. It takes some 100
// microseconds a command.
func New(codec *schemas.Codec, accounts, rounds int) (*Mix, error) {
	m := &mixer{codec: codec, random: rand.NewChaCha8([32]byte{}), now: time.Now().UTC(), mix: &Mix{Outputs: map[string]Output{}}}
	usual := m.usualAccount()
	for n := range accounts {
		usual.AccountID = schemas.DeriveID("bench", fmt.Sprint("account ", n))
		m.states = append(m.states, usual)
	}
	m.mix.Accounts = append(m.mix.Accounts, m.states...)
	for turn := range commandsBefore + rounds*commandsPerRound {
		for n := range accounts {
			record, err := m.decide(n, m.command(n, turn))
			if err != nil {
				return nil, err
			}
			m.mix.Backlog = append(m.mix.Backlog, record)
		}
	}
	for n := range accounts {
		record, err := m.decide(n, m.grant(m.states[n].AccountID))
		if err != nil {
			return nil, err
		}
		m.mix.Single = append(m.mix.Single, record)
	}
	return m.mix, nil
}

// usualAccount has a brand, assets, credits and all its keys in use.
func (m *mixer) usualAccount() schemas.Account {
	id := schemas.NewID()
	prepare := []schemas.Command{&schemas.OpenAccount{CommandMetadata: m.meta(id), Email: m.bytes(50)}, m.grant(id), m.saveBrand(id, 0)}
	for range usualAssets {
		prepare = append(prepare, &schemas.AddAsset{CommandMetadata: m.meta(id), AssetID: schemas.NewID(), Kind: "product", Media: m.media()})
	}
	for range usualKeys {
		prepare = append(prepare, &schemas.RemoveAsset{CommandMetadata: m.keyed(id), AssetID: schemas.NewID()})
	}
	var account schemas.Account
	for i, c := range prepare {
		account = commands.Handle(account, c, schemas.CommandPosition{Offset: int64(i)}, m.now).Account
	}
	account.NextCommandOffset = 0 // the backlog begins there
	return account
}

// command is what an account asks for at its turn.
func (m *mixer) command(n, turn int) schemas.Command {
	account := &m.states[n]
	switch {
	case turn == 0:
		return m.grant(account.AccountID)
	case turn == 1:
		return m.saveBrand(account.AccountID, 1)
	case (turn-commandsBefore)%commandsPerRound == 0:
		return m.request(account.AccountID)
	}
	batch := account.Batches[len(account.Batches)-1]
	batchID, generationID := schemas.IDString(batch.ID), schemas.IDString(batch.Generations[0])
	if len(batch.Generations) == 1 {
		return &schemas.CancelGeneration{CommandMetadata: m.meta(account.AccountID), BatchID: batchID, GenerationID: generationID}
	}
	return m.complete(account.AccountID, batchID, generationID)
}

// decide encodes a command and notes what it leads to. None may be rejected: that
// would be a mix of another kind.
func (m *mixer) decide(n int, c schemas.Command) (*kafka.Record, error) {
	at := schemas.CommandPosition{Offset: m.states[n].NextCommandOffset}
	d := commands.Handle(m.states[n], c, at, m.now)
	var out Output
	for _, event := range d.Events {
		if r, rejected := event.(*schemas.CommandRejected); rejected {
			return nil, fmt.Errorf("mix: it has a %s that is rejected: %s: %s", schemas.ShortName(c), r.Code, r.Detail)
		}
		value, err := m.codec.Encode(event)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, len(value))
	}
	snapshot, err := m.codec.Encode(&d.Account)
	if err != nil {
		return nil, err
	}
	out.Snapshot = len(snapshot)
	m.states[n], m.mix.Outputs[c.Meta().ID] = d.Account, out
	return kafka.NewRecord(m.codec, schemas.TopicCommands, c)
}

func (m *mixer) meta(account string) schemas.CommandMetadata {
	id := schemas.NewID()
	return schemas.CommandMetadata{
		ID: id, AccountID: account, OccurredAt: m.now, CorrelationID: id, CausationID: id,
		Actor: schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "api"},
	}
}

// keyed is the metadata of a request with an idempotency key.
func (m *mixer) keyed(account string) schemas.CommandMetadata {
	meta := m.meta(account)
	meta.IdempotencyKey, meta.RequestHash = meta.ID, m.bytes(32)
	return meta
}

// bytes are as sealed text is: without a pattern.
func (m *mixer) bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = m.random.Read(b) // never fails; math/rand/v2 says so
	return b
}

func (m *mixer) grant(account string) *schemas.GrantCredits {
	return &schemas.GrantCredits{CommandMetadata: m.meta(account), BlockID: schemas.NewID(), Credits: 1_000, Source: commands.SourceOperator, Reason: "bench"}
}

var (
	brandID = schemas.DeriveID("bench", "brand")
	kitHash = make([]byte, 16)
)

func (m *mixer) saveBrand(account string, expected int) *schemas.SaveBrand {
	return &schemas.SaveBrand{CommandMetadata: m.keyed(account), BrandID: brandID, ExpectedVersion: expected, Kit: m.bytes(kitBytes), KitHash: kitHash, KitSchema: 1}
}

func (m *mixer) request(account string) *schemas.RequestGeneration {
	return &schemas.RequestGeneration{
		CommandMetadata: m.keyed(account), BatchID: schemas.NewID(), BrandID: brandID, BrandVersion: 2, Kit: m.bytes(kitBytes), KitHash: kitHash, KitSchema: 1,
		Brief: m.bytes(briefBytes), References: []schemas.Reference{{AssetID: schemas.NewID(), Role: "logo", MediaKey: m.key(), MIMEType: "image/png"}},
		Workflow: "create", Tier: "standard", Placements: []string{schemas.Placements[0].ID, schemas.Placements[2].ID}, PlacementTable: schemas.PlacementsVersion,
		Variants: 2, MaxCredits: 100, OpenMax: 96, DeadlineMs: (30 * time.Minute).Milliseconds(),
	}
}

func (m *mixer) complete(account, batch, generation string) *schemas.CompleteGeneration {
	return &schemas.CompleteGeneration{
		CommandMetadata: m.meta(account), GenerationID: generation, BatchID: batch, Media: m.media(), ThumbnailKey: m.key(),
		Model: "gemini-2.5-flash-image", ModelVersion: "gemini-2.5-flash-image", Template: "create", TemplateVersion: 1,
		Attempts: []schemas.Attempt{{Number: 1, Model: "gemini-2.5-flash-image", Seed: 1, Outcome: "ok", Tokens: 1_600, CostMicros: 39_000, DurationMs: 8_000,
			Verdicts: []schemas.Verdict{{Check: "decodes", Version: 1, Verdict: "pass", Evidence: "png of 1024x1024 pixels, 1400000 bytes",
				Figures: map[string]float64{"width_px": 1024, "height_px": 1024, "bytes": 1_400_000}}}}},
		Tokens: 1_600, CostMicros: 39_000, Durations: schemas.Durations{QueuedMs: 200, GeneratingMs: 8_000, CheckingMs: 150},
	}
}

func (m *mixer) media() schemas.Media {
	return schemas.Media{Key: m.key(), SHA256: m.bytes(32), Bytes: 1_400_000, Width: 1024, Height: 1024, MIMEType: "image/png"}
}

// key is as long as a key of the media store is.
func (m *mixer) key() string {
	return fmt.Sprintf("accounts/%s/images/%x.png", schemas.DeriveID("bench", "media"), m.bytes(32))
}
