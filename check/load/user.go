package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"atelier/projections"
	"atelier/schemas"
)

const (
	// brandsMax and batchesMax bound what a user remembers of its things (count).
	brandsMax, batchesMax = 4, 50
	// refineEvery is how many requests there are for one that starts from an image.
	refineEvery = 4
	// beginTries bounds the tries of a user to begin (count).
	beginTries = 40
)

// user is one person. act and catchUp are called one after the other; follow runs
// beside them.
type user struct {
	load   *Load
	number int
	random *rand.Rand

	account string
	email   string
	brands  []brand
	batches []batch
	last    *request // the last command that was acknowledged, for Repeat
	batch   string   // that it was answered with

	stream stream

	mu    sync.Mutex
	token string
	at    projections.Position
	known bool // at is a position
}

type brand struct {
	id      string
	version int
}

type batch struct {
	id          string
	generations []string
}

func newUser(l *Load, number int, random *rand.Rand) *user {
	u := &user{load: l, number: number, random: random}
	u.email = fmt.Sprintf("load-%s@example.com", schemas.NewID())
	u.stream = stream{generations: map[string]string{}}
	return u
}

func (u *user) bearer() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.token
}

func (u *user) position() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.known {
		return ""
	}
	return u.at.String()
}

// reached notes the position of a command's last event.
func (u *user) reached(text string) {
	at, err := projections.ParsePosition(text)
	if err != nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.known || at.Generation > u.at.Generation || at.Generation == u.at.Generation && at.Offset > u.at.Offset {
		u.at, u.known = at, true
	}
}

func (u *user) signIn(ctx context.Context) error {
	token, err := u.newToken(ctx)
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.token = token
	return nil
}

func (u *user) newToken(ctx context.Context) (string, error) {
	if u.load.config.SignIn != nil {
		return u.load.config.SignIn(ctx, u.email)
	}
	a := u.sendOnce(ctx, request{method: http.MethodPost, path: "/dev/sign-in", body: map[string]string{"email": u.email}})
	var signedIn struct {
		Token string `json:"access_token"`
	}
	a.json(&signedIn)
	if signedIn.Token == "" {
		return "", fmt.Errorf("sign-in was answered with %d", a.status)
	}
	return signedIn.Token, nil
}

// begin signs in, which opens the account, and saves a first brand.
func (u *user) begin(ctx context.Context) error {
	err := errors.New("no try was made")
	for try := 0; try < beginTries; try++ {
		if err = u.tryBegin(ctx); err == nil {
			return nil
		}
		if !wait(ctx, tryAgain) {
			break
		}
	}
	return err
}

func (u *user) tryBegin(ctx context.Context) error {
	if err := u.signIn(ctx); err != nil {
		return err
	}
	a := u.send(ctx, request{method: http.MethodGet, path: "/v1/me"})
	var me struct {
		Account string `json:"account_id"`
	}
	a.json(&me)
	if me.Account == "" {
		return fmt.Errorf("/v1/me was answered with %d", a.status)
	}
	u.account = me.Account
	if len(u.brands) == 0 {
		u.save(ctx)
	}
	if len(u.brands) == 0 {
		return errors.New("no brand could be saved")
	}
	if grant := u.load.config.Grant; grant != nil {
		return grant(ctx, u.account)
	}
	return nil
}

// act does one thing.
func (u *user) act(ctx context.Context) {
	mix := u.load.config.Mix
	choices := []struct {
		weight int
		do     func(context.Context)
	}{{mix.Save, u.save}, {mix.Request, u.request}, {mix.Cancel, u.cancel}, {mix.Read, u.look}, {mix.Repeat, u.repeat}, {mix.Refuse, u.refused}}
	var total int
	for _, c := range choices {
		total += c.weight
	}
	n := u.random.IntN(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			c.do(ctx)
			return
		}
	}
}

func (u *user) key(does string) string { return does + "-" + schemas.NewID() }

func (u *user) kit() map[string]any {
	return map[string]any{"kit": map[string]any{
		"name":    "Load " + strconv.Itoa(u.random.IntN(1000)),
		"colours": []map[string]string{{"name": "Pine", "hex": "#1f4d3a", "role": "primary"}, {"name": "Mist", "hex": "#eef2ee", "role": "background"}},
		"voice":   "calm and exact",
	}}
}

// save saves a new brand, or a new version of one.
func (u *user) save(ctx context.Context) {
	var saved struct {
		ID      string `json:"id"`
		Version int    `json:"version"`
	}
	if len(u.brands) < brandsMax && u.random.IntN(2) == 0 || len(u.brands) == 0 {
		a := u.commanded(ctx, request{method: http.MethodPost, path: "/v1/brands", body: u.kit(), key: u.key("save"), does: "save brand"})
		if a.json(&saved); saved.ID != "" && a.isDone() {
			u.brands = append(u.brands, brand{saved.ID, saved.Version})
		}
		return
	}
	i := u.random.IntN(len(u.brands))
	b := &u.brands[i]
	a := u.commanded(ctx, request{
		method: http.MethodPut, path: "/v1/brands/" + b.id, body: u.kit(), key: u.key("version"),
		ifMatch: strconv.Quote(strconv.Itoa(b.version)), does: "save version",
	})
	a.json(&saved)
	switch {
	case a.isDone() && saved.Version > 0:
		b.version = saved.Version
	default: // somebody will know: an earlier save may have been done without an answer
		u.lookAtBrand(ctx, b)
	}
}

// commanded sends a command and remembers it for Repeat.
func (u *user) commanded(ctx context.Context, r request) answer {
	a := u.command(ctx, r)
	if a.isDone() {
		var named struct {
			Batch string `json:"batch_id"`
		}
		a.json(&named)
		u.last, u.batch = &r, named.Batch
	}
	return a
}

// placementsUsual are four of usual sizes.
var placementsUsual = []string{"meta_feed_square", "meta_story", "google_landscape", "google_portrait"}

func (u *user) order(maxCredits int) map[string]any {
	placements := u.load.config.Placements
	from := u.random.IntN(len(placements))
	return map[string]any{
		"brand_id": u.brands[u.random.IntN(len(u.brands))].id, "workflow": "create", "tier": "standard", "max_credits": maxCredits,
		"variants": 1 + u.random.IntN(2), "placements": placements[from:min(len(placements), from+1+u.random.IntN(2))],
		"brief": map[string]any{"product": "a steel bottle " + strconv.Itoa(u.random.IntN(1000)), "headline": "Hot at the summit"},
	}
}

// refinement asks for an image again, as it should be.
func (u *user) refinement(image string) map[string]any {
	return map[string]any{
		"workflow": "refine", "tier": "standard", "max_credits": 100,
		"params": map[string]any{"source_generation_id": image, "feedback": "warmer " + strconv.Itoa(u.random.IntN(1000))},
	}
}

// made is an image of the newest batches that the stream has shown as made; empty:
// there is none.
func (u *user) made() string {
	u.stream.mu.Lock()
	defer u.stream.mu.Unlock()
	for _, b := range slices.Backward(u.batches) {
		for _, id := range b.generations {
			if u.stream.generations[id] == "succeeded" {
				return id
			}
		}
	}
	return ""
}

// request requests a batch of one to four images, or now and then one of those that
// were made again.
func (u *user) request(ctx context.Context) {
	body, does := u.order(100), "request batch"
	if image := u.made(); image != "" && u.random.IntN(refineEvery) == 0 {
		body, does = u.refinement(image), "refine"
	}
	a := u.commanded(ctx, request{method: http.MethodPost, path: "/v1/generations", body: body, key: u.key("batch"), does: does})
	var requested struct {
		Batch       string `json:"batch_id"`
		Generations []struct {
			ID string `json:"id"`
		} `json:"generations"`
	}
	if a.json(&requested); !a.isDone() || requested.Batch == "" {
		return
	}
	b := batch{id: requested.Batch}
	for _, g := range requested.Generations {
		b.generations = append(b.generations, g.ID)
	}
	if len(u.batches) == batchesMax {
		u.batches = slices.Delete(u.batches, 0, 1)
	}
	u.batches = append(u.batches, b)
}

// cancel cancels an image, or the rest of a batch. What has ended is refused.
func (u *user) cancel(ctx context.Context) {
	if len(u.batches) == 0 {
		u.request(ctx)
		return
	}
	b := u.batches[len(u.batches)-1-u.random.IntN(min(3, len(u.batches)))]
	path, does := "/v1/batches/"+b.id+"/cancel", "cancel batch"
	if len(b.generations) > 0 && u.random.IntN(2) == 0 {
		path, does = "/v1/generations/"+b.generations[u.random.IntN(len(b.generations))]+"/cancel", "cancel image"
	}
	u.command(ctx, request{method: http.MethodPost, path: path, key: u.key("cancel"), does: does})
}

// look reads something of its own; all of it is there, at the position of the last
// command.
func (u *user) look(ctx context.Context) {
	switch n := u.random.IntN(3); {
	case n == 0 && len(u.batches) > 0:
		b := u.batches[u.random.IntN(len(u.batches))]
		if a := u.read(ctx, "/v1/batches/"+b.id); a.status == http.StatusNotFound {
			u.missing("read batch", "batch "+b.id)
		}
	case n == 1 && len(u.brands) > 0:
		u.lookAtBrand(ctx, &u.brands[u.random.IntN(len(u.brands))])
	default:
		u.read(ctx, "/v1/credits")
	}
}

// lookAtBrand reads a brand and takes its version over.
func (u *user) lookAtBrand(ctx context.Context, b *brand) {
	a := u.read(ctx, "/v1/brands/"+b.id)
	var read struct {
		Version int `json:"version"`
	}
	a.json(&read)
	switch {
	case a.status == http.StatusNotFound:
		u.missing("read brand", "brand "+b.id)
	case a.status != http.StatusOK:
	case read.Version < b.version:
		u.missing("read brand", fmt.Sprintf("version %d of brand %s", b.version, b.id))
	default:
		b.version = read.Version
	}
}

// repeat sends the last command again: it gets the first one's answer.
func (u *user) repeat(ctx context.Context) {
	if u.last == nil {
		u.request(ctx)
		return
	}
	again := *u.last
	again.does = "repeat: " + again.does
	a := u.command(ctx, again)
	var named struct {
		Batch string `json:"batch_id"`
	}
	if a.json(&named); a.status == http.StatusCreated && named.Batch != u.batch {
		u.missing(again.does, fmt.Sprintf("the first answer of key %s again: batch %q instead of %q", again.key, named.Batch, u.batch))
	}
}

// refused asks for what must be refused.
func (u *user) refused(ctx context.Context) {
	r := request{method: http.MethodPost, path: "/v1/generations", body: u.order(0), key: u.key("dear"), does: "request above the agreed price"}
	if u.random.IntN(2) == 0 {
		b := u.brands[u.random.IntN(len(u.brands))]
		r = request{
			method: http.MethodPut, path: "/v1/brands/" + b.id, body: u.kit(), key: u.key("stale"),
			ifMatch: strconv.Quote(strconv.Itoa(b.version + 1_000)), does: "save a version that is not there",
		}
	}
	if a := u.command(ctx, r); a.isDone() {
		u.missing(r.does, "a refusal")
	}
}
