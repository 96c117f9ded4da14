package projections

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/postgres"
	"atelier/internal/vault"
	"atelier/processors/decider"
	"atelier/schemas"
)

// decides runs a decider until the test ends, so that the events come as they do
// in production: in transactions, whose markers occupy offsets.
func (w *world) decides(instance string) {
	w.t.Helper()
	d, err := decider.New(decider.Config{Kafka: w.kafka, Codec: w.codec, Instance: instance, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		require.NoError(w.t, <-ended)
	})
}

// Of each customer's commands come 12 events. In the end 13 credits are left: 10
// of the welcome and 5 more, less 2 for the one image that was made.
const (
	customerEvents  = 12
	customerCredits = 13
)

// customer returns the commands of one account's whole life, in order. kit is
// sealed for the account.
func customer(account string, kit []byte) []schemas.Command {
	meta := func() schemas.CommandMetadata {
		id := schemas.NewID()
		return schemas.CommandMetadata{ID: id, AccountID: account, OccurredAt: time.Now().UTC().Truncate(time.Microsecond), CorrelationID: id,
			CausationID: id, Actor: schemas.Actor{Kind: schemas.ActorUser, ID: account, Via: "test"}}
	}
	request := &schemas.RequestGeneration{CommandMetadata: meta(), BatchID: schemas.NewID(), BrandID: schemas.NewID(), BrandVersion: 1, Kit: kit,
		KitHash: make([]byte, 16), KitSchema: 1, Brief: kit, Workflow: "create", Campaign: kit, Tier: "standard",
		Placements: []string{"meta_story"}, PlacementTable: 1, Variants: 2, MaxCredits: 100, OpenMax: 100, DeadlineMs: 3_600_000}
	image := func(n int) string { return schemas.DeriveID(request.ID, fmt.Sprint("meta_story/", n)) }
	return []schemas.Command{
		&schemas.OpenAccount{CommandMetadata: meta()},
		&schemas.ClaimWelcome{CommandMetadata: meta(), EmailHash: make([]byte, 32)},
		&schemas.GrantCredits{CommandMetadata: meta(), BlockID: schemas.NewID(), Credits: 5, Source: "operator"},
		&schemas.SaveBrand{CommandMetadata: meta(), BrandID: request.BrandID, Kit: kit, KitHash: make([]byte, 16), KitSchema: 1},
		request,
		&schemas.CompleteGeneration{CommandMetadata: meta(), BatchID: request.BatchID, GenerationID: image(1), Media: bigPicture, TemplateVersion: 1},
		&schemas.CancelGeneration{CommandMetadata: meta(), BatchID: request.BatchID, GenerationID: image(2)},
	}
}

// send writes commands.
func (w *world) send(cs ...schemas.Command) error {
	var records []*kafka.Record
	for _, c := range cs {
		r, err := kafka.NewRecord(w.codec, schemas.TopicCommands, c)
		if err != nil {
			return err
		}
		records = append(records, r)
	}
	return w.producer.Produce(w.t.Context(), records...)
}

// produce lets customers come, three at a time, until stop is called, which
// returns how many came.
func (w *world) produce() (stop func() int) {
	enough, ended := make(chan struct{}), make(chan error, 1)
	came := 0 // read when ended is
	come := func() error {
		account := schemas.DeriveID("customer", fmt.Sprint(came))
		kit, err := w.vault.Seal(w.t.Context(), account, []byte(`{"name":"tea"}`))
		if err != nil {
			return err
		}
		came++
		return w.send(customer(account, kit)...)
	}
	go func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if err := errors.Join(come(), come(), come()); err != nil {
				ended <- err
				return
			}
			select {
			case <-enough:
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() int {
		close(enough)
		require.NoError(w.t, <-ended)
		return came
	}
}

// served checks that every read model is the fold of the events, and that it
// says of each customer what must have come of them.
func (w *world) served(customers int) {
	w.t.Helper()
	var done int
	require.Eventually(w.t, func() bool {
		err := w.admin.QueryRow(w.t.Context(), `SELECT count(*) FROM galleries_v1.batches WHERE canceled = 1`).Scan(&done)
		return err == nil && done == customers
	}, patience, often, "all %d customers are through", customers)
	w.caughtUp(All)
	require.EqualValues(w.t, customers*customerEvents, w.equal())
	for what, sql := range map[string]string{
		"balances":    fmt.Sprintf(`SELECT count(*) FROM credits_v1.balances WHERE available = %d AND held = 0`, customerCredits),
		"statements":  `SELECT count(*) FROM (SELECT FROM credits_v1.entries GROUP BY account_id HAVING count(*) = 5)`,
		"brands":      `SELECT count(*) FROM brands_v1.brands`,
		"batches":     `SELECT count(*) FROM galleries_v1.batches WHERE succeeded = 1 AND canceled = 1 AND credits_captured = 2 AND credits_released = 2`,
		"made images": `SELECT count(*) FROM galleries_v1.generations WHERE status = 'succeeded' AND credits = 2`,
		"outcomes":    `SELECT count(*) / 7 FROM outcomes_v1.outcomes WHERE status = 'done'`,
	} {
		var n int
		require.NoError(w.t, w.admin.QueryRow(w.t.Context(), sql).Scan(&n))
		require.Equal(w.t, customers, n, what)
	}
}

// Projectors join, leave and come back while events flow.
func TestProjectorsComeAndGoOverRunningProduction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.decides("a")
		stop := w.produce()
		first := w.start()
		first.eventually(func() bool { return w.count(credits, "entries") > 0 }, "the first reads")
		second := w.start()
		for _, p := range All {
			second.eventually(func() bool { return second.owns(p.Name) > 0 && first.owns(p.Name) > 0 }, "two share the partitions")
		}
		require.NoError(t, first.stop())
		for _, p := range All {
			second.eventually(func() bool { return second.owns(p.Name) == partitions }, "the second has them all")
		}
		require.NoError(t, second.stop())
		third := w.start() // after a while without any
		before := w.count(credits, "entries")
		third.eventually(func() bool { return w.count(credits, "entries") > before }, "the third goes on")
		w.served(stop())
		require.NoError(t, third.Ready())
		require.NoError(t, third.stop())
	})
}

// Postgres ends all connections, and then refuses new ones for a while: the
// projector asks until it is answered, and nothing is lost or counted twice.
func TestPostgresGoesAwayAndComesBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.decides("a")
		stop := w.produce()
		// A vault of its own has to ask for every account's key.
		at, err := url.Parse(w.url)
		require.NoError(t, err)
		at.RawQuery += "&application_name=projectors_vault"
		keys, err := postgres.Open(t.Context(), postgres.Config{URL: at.String(), Role: "atelier_vault", MaxConns: 2})
		require.NoError(t, err)
		t.Cleanup(keys.Close)
		p := w.start(func(c *Config) { c.Open = vault.Open(keys, masterKey).Open })
		p.eventually(func() bool { return w.count(credits, "entries") > 0 }, "it reads")
		retries := func() (n float64) {
			for _, q := range All {
				n += p.counted(p.metrics.retriedTotal, q)
			}
			return n
		}
		server := w.server()
		for range 3 { // in the middle of whatever it does
			before := retries()
			p.eventually(func() bool {
				server(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s' AND application_name IN ('atelier_projector', 'projectors_vault')`)
				return retries() > before
			}, "a batch is cut off")
		}
		customers := stop() // sealing needs the database, too

		server(`ALTER DATABASE %s WITH ALLOW_CONNECTIONS false`)
		server(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'`)
		before := retries()
		for n := range 3 {
			id := schemas.DeriveID("meanwhile", fmt.Sprint(n))
			require.NoError(t, w.send(&schemas.GrantCredits{CommandMetadata: schemas.CommandMetadata{ID: id, AccountID: id, CorrelationID: id, CausationID: id,
				OccurredAt: noon, Actor: schemas.Actor{Kind: schemas.ActorOperator}}, BlockID: id, Credits: 1, Source: "operator"}))
		}
		p.eventually(func() bool { return retries() >= before+2 }, "it asks again")
		p.eventually(func() bool { return p.Ready() != nil }, "and says so")
		server(`ALTER DATABASE %s WITH ALLOW_CONNECTIONS true`)
		w.admin.Reset()
		w.vaultPool.Reset()

		p.eventually(func() bool { return p.Ready() == nil }, "it is back")
		var granted int
		p.eventually(func() bool {
			err := w.admin.QueryRow(t.Context(), `SELECT count(*) FROM credits_v1.balances WHERE available = 1`).Scan(&granted)
			return err == nil && granted == 3
		}, "what came meanwhile is read")
		require.NoError(t, p.stop())
		require.EqualValues(t, customers*customerEvents+3, w.equal())
	})
}

// server returns what runs statements about the world's database, from another one.
func (w *world) server() func(sql string) {
	w.t.Helper()
	config := w.admin.Config().ConnConfig.Copy()
	name := config.Database
	config.Database = "postgres"
	conn, err := pgx.ConnectConfig(w.t.Context(), config)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return func(sql string) {
		_, err := conn.Exec(w.t.Context(), fmt.Sprintf(sql, name))
		require.NoError(w.t, err)
	}
}
