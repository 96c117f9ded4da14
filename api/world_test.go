package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/media"
	"atelier/internal/postgres"
	"atelier/internal/postgres/postgrestest"
	"atelier/internal/vault"
	"atelier/migrations"
	"atelier/processors/decider"
	"atelier/processors/gemini"
	"atelier/processors/gemini/standin"
	"atelier/processors/generator"
	"atelier/projections"
	"atelier/schemas"
)

// patience bounds each wait of a test.
const patience = 60 * time.Second

// world is the whole system behind the API, on a real Postgres, with the stand-in
// for the model.
type world struct {
	*feedWorld
	t       *testing.T
	issuer  *Issuer
	vault   *vault.Vault
	store   *media.Store
	url     string // the database's
	standin *standin.Server
	model   standin.Options
	node    *node // the first one
	spec    routers.Router
	stop    map[string]func()
}

// node is a server of the API.
type node struct {
	world  *world
	server *Server
	base   string
}

// onWorlds runs a test on every broker there is.
func onWorlds(t *testing.T, run func(t *testing.T, w *world)) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) { run(t, newWorld(t, brokers, prefix, nil)) })
}

// newWorld starts everything. Calls of the model wait until hold is closed; nil: they
// do not.
func newWorld(t *testing.T, brokers []string, prefix string, hold chan struct{}) *world {
	t.Helper()
	var model standin.Options
	if hold != nil {
		model.Hold = func(ctx context.Context, _ standin.Call) {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
	}
	return newWorldOn(t, brokers, prefix, model)
}

// newWorldOn starts everything with a model as it is told.
func newWorldOn(t *testing.T, brokers []string, prefix string, model standin.Options) *world {
	t.Helper()
	model.Key = "key"
	w := &world{feedWorld: newFeedWorld(t, brokers, prefix), t: t, url: postgrestest.New(t), model: model, stop: map[string]func(){}}
	ctx := context.Background()
	require.NoError(t, migrations.Up(ctx, w.url))
	owner := w.pool("")
	require.NoError(t, projections.Create(ctx, owner))
	w.vault = vault.Open(w.pool("atelier_vault"), bytes.Repeat([]byte("m"), vault.MasterKeyBytes))
	var err error
	w.store, err = media.Open(ctx, filepath.Join(t.TempDir(), "media"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.store.Close()) })
	w.issuer, err = NewIssuer(IssuerConfig{KeyFile: filepath.Join(t.TempDir(), "issuer.pem"), Issuer: "http://127.0.0.1/dev", Audience: "authenticated"})
	require.NoError(t, err)
	spec, err := GetSpec()
	require.NoError(t, err)
	// Servers and security are not what is validated here.
	spec.Servers, spec.Security = nil, nil
	w.spec, err = legacy.NewRouter(spec, openapi3.DisableExamplesValidation())
	require.NoError(t, err)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	w.startDecider()
	w.startProjector()
	w.startGenerator()
	w.node = w.startNode(nil)
	return w
}

func (w *world) pool(role string) *pgxpool.Pool {
	pool, err := postgres.Open(context.Background(), postgres.Config{URL: w.url, Role: role})
	require.NoError(w.t, err)
	w.t.Cleanup(pool.Close)
	return pool
}

// start runs a part until the test ends, or stop is called by its name.
func (w *world) start(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var once sync.Once
	w.stop[name] = func() {
		once.Do(func() {
			cancel()
			require.NoError(w.t, <-ended, name)
		})
	}
	w.t.Cleanup(w.stop[name])
}

func (w *world) log() zerolog.Logger {
	return zerolog.New(zerolog.NewTestWriter(w.t)).Level(zerolog.WarnLevel)
}

func (w *world) startDecider() {
	d, err := decider.New(decider.Config{Kafka: w.kafka, Codec: w.codec, Instance: "test", Log: w.log()})
	require.NoError(w.t, err)
	w.start("decider", d.Run)
	require.Eventually(w.t, d.Ready, patience, 5*time.Millisecond)
}

func (w *world) startProjector() {
	p, err := projections.New(projections.Config{Kafka: w.kafka, Pool: w.pool("atelier_projector"), Codec: w.codec, Open: w.vault.Open, Log: w.log()})
	require.NoError(w.t, err)
	w.start("projector", p.Run)
}

func (w *world) startGenerator() {
	w.standin = standin.New(w.model)
	upstream := httptest.NewServer(w.standin)
	w.t.Cleanup(upstream.Close)
	client, err := gemini.New(context.Background(), gemini.Config{APIKey: "key", BaseURL: upstream.URL})
	require.NoError(w.t, err)
	g, err := generator.New(generator.Config{
		Kafka: w.kafka, Codec: w.codec, Producer: w.producer, Gemini: client, Media: w.store, Open: w.vault.Open, Log: w.log(),
	})
	require.NoError(w.t, err)
	w.start("generator", g.Run)
}

// grant gives credits as an operator does.
func (n *node) grant(account string, credits int64) {
	w := n.world
	id := schemas.NewID()
	record, err := kafka.NewRecord(w.codec, schemas.TopicCommands, &schemas.GrantCredits{
		CommandMetadata: schemas.CommandMetadata{
			ID: id, AccountID: account, OccurredAt: time.Now().UTC(), CorrelationID: id, CausationID: id,
			Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "test", Via: "test"},
		},
		BlockID: id, Credits: credits, Source: "operator", Reason: "test",
	})
	require.NoError(w.t, err)
	told, leave := n.server.config.Feed.Await(id)
	defer leave()
	require.NoError(w.t, w.producer.Produce(context.Background(), record))
	require.Nil(w.t, await(w.t, told).Rejected)
}

// startNode starts a server of the API.
func (w *world) startNode(change func(*Config)) *node {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	return w.startNodeOn(listener, change)
}

func (w *world) startNodeOn(listener net.Listener, change func(*Config)) *node {
	w.t.Helper()
	signer, err := media.NewSigner(bytes.Repeat([]byte("s"), 32))
	require.NoError(w.t, err)
	verifier, err := w.issuer.Verifier()
	require.NoError(w.t, err)
	feed, err := NewFeed(FeedConfig{Kafka: w.kafka, Codec: w.codec, Partitions: feedPartitions, Log: w.log()})
	require.NoError(w.t, err)
	c := Config{
		Codec: w.codec, Producer: w.producer, Feed: feed, Pool: w.pool("atelier_api"), Vault: w.vault, Media: w.store, Signer: signer,
		Verifier: verifier, Issuer: w.issuer, Partitions: feedPartitions, Deadline: 30 * time.Minute, Version: "test",
		Limits: Limits{Reads: 1e6, Writes: 1e6, Uploads: 1e6}, Log: w.log(), Registerer: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&c)
	}
	s, err := New(c)
	require.NoError(w.t, err)
	name := "node " + listener.Addr().String()
	w.start(name+" feed", c.Feed.Run)
	w.start(name, func(ctx context.Context) error { return s.Run(ctx, listener) })
	require.Eventually(w.t, s.Ready, patience, 5*time.Millisecond)
	return &node{world: w, server: s, base: "http://" + listener.Addr().String()}
}

// person is a client with a token.
type person struct {
	t        *testing.T
	node     *node
	token    string
	account  string
	position string // of the last command: reads wait for it
}

// person signs a new person in.
func (n *node) person(t *testing.T) *person {
	t.Helper()
	p := &person{t: t, node: n}
	a := p.send(http.MethodPost, "/dev/sign-in", map[string]string{"email": "p-" + schemas.NewID() + "@example.com"}, nil)
	require.Equal(t, http.StatusOK, a.status, a)
	p.token = a.text("access_token")
	me := p.get("/v1/me")
	p.account = me.text("account_id")
	// What this first request brought about is in every read that names its position.
	p.position = me.headers.Get(positionHeader)
	return p
}

// at is the same person at another node.
func (p *person) at(n *node) *person {
	other := *p
	other.node = n
	return &other
}

// in is the same person in another test.
func (p *person) in(t *testing.T) *person {
	other := *p
	other.t = t
	return &other
}

// answer is what a call was answered with.
type answer struct {
	t       *testing.T
	status  int
	headers http.Header
	body    []byte
	json    map[string]any
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// at returns a value of the body by its path, such as "items.0.id".
func (a answer) at(path string) any {
	a.t.Helper()
	var value any = a.json
	for part := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var i int
			_, err := fmt.Sscan(part, &i)
			require.NoError(a.t, err)
			require.Less(a.t, i, len(v), "%s in %s", path, a.body)
			value = v[i]
		default:
			require.FailNow(a.t, "no such value", "%s in %s", path, a.body)
		}
	}
	return value
}

func (a answer) text(path string) string { return fmt.Sprint(a.at(path)) }

func (a answer) number(path string) int {
	a.t.Helper()
	n, ok := a.at(path).(float64)
	require.True(a.t, ok, "%s in %s", path, a.body)
	return int(n)
}

func (a answer) len(path string) int {
	a.t.Helper()
	list, ok := a.at(path).([]any)
	require.True(a.t, ok, "%s in %s", path, a.body)
	return len(list)
}

// refused checks a problem.
func (a answer) refused(status int, code string) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, a)
	require.Equal(a.t, "application/problem+json", a.headers.Get("Content-Type"), a)
	require.Equal(a.t, code, a.text("code"), a)
	return a
}

// send calls and validates the answer against the contract.
func (p *person) send(method, path string, body any, headers map[string]string) answer {
	p.t.Helper()
	var reader io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case []byte:
		reader = bytes.NewReader(b)
	case string:
		reader, kind = strings.NewReader(b), "application/json"
	default:
		raw, err := json.Marshal(b)
		require.NoError(p.t, err)
		reader, kind = bytes.NewReader(raw), "application/json"
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.node.base+path, reader)
	require.NoError(p.t, err)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if p.token != "" {
		request.Header.Set("Authorization", "Bearer "+p.token)
	}
	if p.position != "" {
		request.Header.Set(positionHeader, p.position)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	return p.do(request)
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (p *person) do(request *http.Request) answer {
	p.t.Helper()
	response, err := noRedirects.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	a := answer{t: p.t, status: response.StatusCode, headers: response.Header}
	a.body, err = io.ReadAll(response.Body)
	require.NoError(p.t, err)
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		require.NoError(p.t, json.Unmarshal(a.body, &a.json), a)
	}
	p.validate(request, a)
	return a
}

// validate checks an answer against the contract: its status, headers and body.
func (p *person) validate(request *http.Request, a answer) {
	p.t.Helper()
	plain := request.Clone(context.Background())
	plain.URL.Host, plain.URL.Scheme, plain.Host = "", "", ""
	route, parameters, err := p.node.world.spec.FindRoute(plain)
	if err != nil {
		require.Contains(p.t, []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusFound}, a.status, "%s is no route: %s", request.URL, a)
		return
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: plain, PathParams: parameters, Route: route},
		Status:                 a.status, Header: a.headers, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
	require.NoError(p.t, err, "%s %s: %s", request.Method, request.URL, a)
	require.NotEmpty(p.t, a.headers.Get("Traceparent"))
	require.Equal(p.t, "nosniff", a.headers.Get("X-Content-Type-Options"))
}

func (p *person) get(path string) answer {
	p.t.Helper()
	a := p.send(http.MethodGet, path, nil, nil)
	require.Equal(p.t, http.StatusOK, a.status, a)
	return a
}

// command calls, expects the status and remembers the position.
func (p *person) command(status int, method, path string, body any, headers map[string]string) answer {
	p.t.Helper()
	a := p.send(method, path, body, headers)
	require.Equal(p.t, status, a.status, a)
	require.NotEmpty(p.t, a.headers.Get(positionHeader), a)
	p.position = a.headers.Get(positionHeader)
	return a
}

func withKey(key string) map[string]string { return map[string]string{idempotencyHeader: key} }

// brand saves a brand and returns its ID.
func (p *person) brand(kit map[string]any) string {
	p.t.Helper()
	if kit == nil {
		kit = map[string]any{"name": "Fjord"}
	}
	return p.command(http.StatusCreated, http.MethodPost, "/v1/brands", map[string]any{"kit": kit}, nil).text("id")
}

// request is the body of a batch.
func request(brand string, placements ...string) map[string]any {
	return map[string]any{
		"brand_id": brand, "placements": placements, "max_credits": 1000,
		"brief": map[string]any{"product": "a steel bottle", "headline": "Hot at the summit"},
	}
}

// settled waits until nothing of a batch is open, for as long as its images end one
// after another: how long a whole batch takes depends on the machine.
func (p *person) settled(batch string) answer {
	p.t.Helper()
	for open := -1; ; {
		var a answer
		require.Eventually(p.t, func() bool {
			a = p.get("/v1/batches/" + batch)
			return a.number("counts.open") != open
		}, patience, 20*time.Millisecond, "%d images stay open", open)
		if open = a.number("counts.open"); open == 0 {
			return a
		}
	}
}

// form is a multipart body.
type form struct {
	body bytes.Buffer
	w    *multipart.Writer
}

func newForm(fields map[string]string, file []byte) *form {
	f := &form{}
	f.w = multipart.NewWriter(&f.body)
	for name, value := range fields {
		_ = f.w.WriteField(name, value) // into memory
	}
	if file != nil {
		part, _ := f.w.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {`form-data; name="file"; filename="x.exe"`}, "Content-Type": {"application/octet-stream"},
		})
		_, _ = part.Write(file)
	}
	_ = f.w.Close()
	return f
}

func (p *person) upload(f *form, headers map[string]string) answer {
	p.t.Helper()
	all := map[string]string{"Content-Type": f.w.FormDataContentType()}
	for name, value := range headers {
		all[name] = value
	}
	return p.send(http.MethodPost, "/v1/assets", f.body.Bytes(), all)
}

// pngOf is a PNG of one colour.
func pngOf(width, height int, c color.Color) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err)
	}
	return out.Bytes()
}
