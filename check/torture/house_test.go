package torture

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/api"
	"atelier/check"
	"atelier/check/load"
	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/internal/postgres"
	"atelier/internal/vault"
	"atelier/schemas"
)

var (
	kills = flag.Int("kills", 0, "kills of the long form; 0: the short form")
	seed  = flag.Uint64("seed", 0, "makes the choices of moments and victims; 0: another one each time")
)

const (
	// patience bounds each wait of a test.
	patience = 2 * time.Minute
	// restTimeout bounds the wait until everything has ended: a call of the model
	// whose owner was killed is waited out (callTimeout and 30 s to keep it).
	restTimeout = 3 * time.Minute
	callTimeout = 8 * time.Second
	poll        = 10 * time.Millisecond
	partitions  = 3
	credits     = 10_000
)

// The roles, in the order in which they are started.
const (
	decide   = "decide"
	project  = "project"
	generate = "generate"
	serve    = "api"
)

var roles = []string{decide, project, generate, serve}

// house is the system as processes of their own, on given parts.
type house struct {
	t         *testing.T
	dir       string
	brokers   []string
	prefix    string
	database  string
	tags      string // what the roles are built with; the checker never is
	env       []string
	issuer    *api.Issuer
	model     *process
	processes map[string]*process
	random    *rand.Rand
}

// newHouse sets everything up and starts one process for each role that is named.
func newHouse(t *testing.T, brokers []string, prefix, database, tags string, with ...string) *house {
	t.Helper()
	return newHouseOn(t, nil, brokers, prefix, database, tags, with...)
}

// newHouseOn is newHouse with arguments for the model.
func newHouseOn(t *testing.T, model []string, brokers []string, prefix, database, tags string, with ...string) *house {
	t.Helper()
	h := &house{
		t: t, dir: t.TempDir(), brokers: brokers, prefix: prefix, database: database, tags: tags,
		processes: map[string]*process{}, random: newRandom(t),
	}
	var err error
	h.issuer, err = api.NewIssuer(api.IssuerConfig{KeyFile: filepath.Join(h.dir, "issuer.pem"), Issuer: "https://issuer.test/auth/v1", Audience: "authenticated"})
	require.NoError(t, err)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(h.issuer.JWKS()) }))
	t.Cleanup(keys.Close)
	h.model = h.process("model", append([]string{"gemini", "--address", "127.0.0.1:0", "--key", "k"}, model...)...)
	h.model.start()
	key := base64.StdEncoding.EncodeToString(masterKey())
	h.env = append(limits(),
		"ATELIER_BROKERS="+strings.Join(brokers, ","), "ATELIER_TOPIC_PREFIX="+prefix, "ATELIER_REPLICATION=1", fmt.Sprintf("ATELIER_PARTITIONS=%d", partitions),
		"DATABASE_URL="+database, "ATELIER_DATA="+h.dir, "ATELIER_MASTER_KEY="+key, "ATELIER_MEDIA_KEY="+key,
		"ATELIER_JWT_ISSUER=https://issuer.test/auth/v1", "ATELIER_JWKS_URL="+keys.URL, "ATELIER_JWT_EMAIL_CLAIM=email_verified",
		"ATELIER_MEDIA_URL="+h.mediaDir(), "GEMINI_API_KEY=k", "ATELIER_GEMINI_URL="+h.model.base(),
	)
	for _, args := range [][]string{{"topics", "apply"}, {"migrate", "up"}} {
		cmd := exec.Command(program(t, ""), args...)
		cmd.Env = append(os.Environ(), h.env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%v: %s", args, out)
	}
	for _, role := range with {
		h.processes[role] = h.role(role, role)
		h.processes[role].start()
	}
	t.Cleanup(h.tell)
	return h
}

// limits let few accounts do much, and calls of the model end soon.
func limits() []string {
	return []string{
		"ATELIER_LIMIT_WRITES=1000000", "ATELIER_LIMIT_READS=1000000", "ATELIER_LIMIT_STREAMS=100", "ATELIER_LIMIT_OPEN=500",
		"ATELIER_CALL_TIMEOUT=" + callTimeout.String(), "ATELIER_LOG_LEVEL=info",
	}
}

func masterKey() []byte { return bytes.Repeat([]byte("k"), vault.MasterKeyBytes) }

func newRandom(t *testing.T) *rand.Rand {
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	t.Logf("seed %d", from)
	return rand.New(rand.NewPCG(from, 0))
}

// role is a process of a role that is not started yet. Its instance is unique and
// stays the same when it is started again.
func (h *house) role(role, instance string) *process {
	return h.process(instance, role, "--operator-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")
}

// process is a process of the program that is not started yet and ends with the test.
func (h *house) process(instance string, args ...string) *process {
	p := &process{
		t: h.t, path: program(h.t, h.tags), env: append([]string{"ATELIER_INSTANCE=" + instance}, h.env...),
		args: args, logFile: filepath.Join(h.dir, instance+".log"),
	}
	h.t.Cleanup(func() {
		if running := p.running(); running != nil {
			p.goOn()
			p.kill()
		}
	})
	return p
}

// tell shows the logs of a test that failed.
func (h *house) tell() {
	if !h.t.Failed() {
		return
	}
	for name, p := range h.processes {
		h.t.Logf("%s: ...%s", name, p.lastWords())
	}
}

func (h *house) mediaDir() string { return filepath.Join(h.dir, "media") }

// ready waits until a process says that it does its work.
func ready(t *testing.T, p *process) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.mu.Lock()
		address := p.operator
		p.mu.Unlock()
		answer, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, patience, poll, "%v is not ready; its log: %s", p.args, p.lastWords())
}

func (h *house) ready() {
	h.t.Helper()
	for _, p := range h.processes {
		ready(h.t, p)
	}
}

func (h *house) kafka() kafka.Config {
	return kafka.Config{Brokers: h.brokers, Prefix: h.prefix, ClientID: "torture", Log: zerolog.Nop()}
}

// pool reads the database as its owner.
func (h *house) pool() *pgxpool.Pool {
	h.t.Helper()
	pool, err := postgres.Open(context.Background(), postgres.Config{URL: h.database})
	require.NoError(h.t, err)
	h.t.Cleanup(pool.Close)
	return pool
}

// running is a load that runs.
type running struct {
	t *testing.T
	*load.Load
	history *check.History
	ended   chan error
}

// load begins a load on the house.
func (h *house) load(change func(*load.Config)) *running {
	h.t.Helper()
	producer, err := kafka.NewProducer(h.kafka())
	require.NoError(h.t, err)
	h.t.Cleanup(producer.Close)
	codec := schemas.NewLockedCodec()
	api := h.processes[serve]
	c := load.Config{
		Address: api.base,
		Rest:    func(ctx context.Context) error { return settle(ctx, h.where()) },
		SignIn: func(_ context.Context, email string) (string, error) {
			token, _, err := h.issuer.SignIn(email)
			return token, err
		},
		Grant: func(ctx context.Context, account string) error {
			record, err := kafka.NewRecord(codec, schemas.TopicCommands, grant(account))
			if err != nil {
				return err
			}
			return producer.Produce(ctx, record)
		},
	}
	return begin(h.t, c, h.random, change)
}

func grant(account string) *schemas.GrantCredits {
	id := schemas.NewID()
	return &schemas.GrantCredits{
		CommandMetadata: schemas.CommandMetadata{
			ID: id, AccountID: account, OccurredAt: time.Now().UTC(), CorrelationID: id, CausationID: id,
			Actor: schemas.Actor{Kind: schemas.ActorOperator, ID: "torture", Via: "cli"},
		},
		BlockID: schemas.DeriveID(id, "block"), Credits: credits, Source: "operator", Priority: 50, Reason: "torture",
	}
}

// mix asks for fewer images than people do: making one takes most of a second of a core,
// and what is tried here is what happens around it.
var mix = load.Mix{Save: 24, Request: 16, Cancel: 10, Read: 24, Repeat: 16, Refuse: 10}

// placements are those that a small picture is large enough for: a quarter of the work.
var placements = []string{"google_landscape"}

// begin starts a load and waits until its users are signed in.
func begin(t *testing.T, c load.Config, random *rand.Rand, change func(*load.Config)) *running {
	t.Helper()
	if c.History == nil {
		c.History = check.NewHistory(nil)
	}
	c.Users, c.Rate, c.Duration, c.End = 6, 30, load.DurationMax, restTimeout
	c.Seed, c.Mix, c.Placements = random.Uint64(), mix, placements
	if change != nil {
		change(&c)
	}
	l, err := load.New(c)
	require.NoError(t, err)
	r := &running{t: t, Load: l, history: c.History, ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { r.ended <- r.Run(ctx) }()
	t.Cleanup(func() { cancel(); r.Stop() })
	select {
	case <-r.Begun():
	case err := <-r.ended:
		t.Fatalf("the load ended before it began: %v", err)
	}
	return r
}

// goes waits until the load has sent some more commands: a moment that is as random
// as they are.
func (r *running) goes(commands int) {
	r.t.Helper()
	until := r.commands() + commands
	require.Eventually(r.t, func() bool { return r.commands() >= until }, patience, poll, "the load stands still")
}

// commands is how often commands were sent.
func (r *running) commands() int {
	answers := r.history.Answers()
	return answers[check.Acknowledged] + answers[check.Refused] + answers[check.Unknown]
}

// end ends the load and waits until what it asked for has ended.
func (r *running) end() {
	r.t.Helper()
	r.Stop()
	require.NoError(r.t, <-r.ended)
	require.Positive(r.t, r.history.Answers()[check.Acknowledged], "nothing was acknowledged: nothing was tried")
}

// where is what the checker reads.
type where struct {
	kafka    kafka.Config
	database string
	media    string
	key      []byte
}

func (h *house) where() where { return where{h.kafka(), h.database, h.mediaDir(), masterKey()} }

// open opens what the checker reads, until close is called.
func (w where) open(ctx context.Context) (c check.Config, close func(), err error) {
	var closers []func()
	close = func() {
		for _, f := range closers {
			f()
		}
	}
	owner, err := postgres.Open(ctx, postgres.Config{URL: w.database})
	if err != nil {
		return c, close, err
	}
	closers = append(closers, owner.Close)
	keys, err := postgres.Open(ctx, postgres.Config{URL: w.database, Role: "atelier_vault"})
	if err != nil {
		return c, close, err
	}
	closers = append(closers, keys.Close)
	store, err := media.Open(ctx, w.media)
	if err != nil {
		return c, close, err
	}
	closers = append(closers, func() { _ = store.Close() })
	return check.Config{
		Kafka: w.kafka, Codec: schemas.NewLockedCodec(), Pool: owner, Open: vault.Open(keys, w.key).Open, Media: store, Log: zerolog.Nop(),
	}, close, nil
}

// settle waits until everything is at rest.
func settle(ctx context.Context, w where) error {
	c, close, err := w.open(ctx)
	defer close()
	if err != nil {
		return err
	}
	return check.Settle(ctx, c)
}

// judge waits until everything is at rest and lets the checker look.
func judge(t *testing.T, w where, history *check.History, name string) *check.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), restTimeout)
	defer cancel()
	if err := settle(ctx, w); err != nil {
		t.Logf("%v", err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), restTimeout)
	defer cancel()
	c, close, err := w.open(ctx)
	defer close()
	require.NoError(t, err)
	c.History = history
	report, err := check.Run(ctx, c)
	require.NoError(t, err)
	var table bytes.Buffer
	report.Print(&table)
	t.Logf("%s\n%s", name, table.String())
	return report
}

// whole says that nothing is broken.
func whole(t *testing.T, report *check.Report) {
	t.Helper()
	require.Zero(t, report.Broken(), "what the system promised is not so; see the table")
	for _, i := range []check.Invariant{report.C1, report.C3, report.C4, report.C5, report.C6, report.C7, report.C8, report.C9} {
		require.Positive(t, i.Checked, "%s looked at nothing", i.ID)
	}
}
