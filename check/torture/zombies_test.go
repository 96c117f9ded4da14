package torture

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
)

// workers are the roles that share partitions with others of their kind.
var workers = []string{decide, project, generate}

// A process is stopped where it is until another has taken over, and then goes on
// as if nothing had happened. What it still believes to own is not its any more.
func TestZombies(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		h := newHouse(t, brokers, prefix, postgrestest.New(t), "", roles...)
		h.ready()
		l := h.load(nil)
		pool := h.pool()
		for _, role := range workers {
			l.goes(10 + h.random.IntN(20))
			h.processes[role].stand()
			heir := h.role(role, role+"-heir")
			h.processes[role+"-heir"] = heir
			heir.start()
			ready(t, heir)
			// An image that is asked for, made and shown needs every role.
			enough := h.shown(pool) + 5
			require.Eventually(t, func() bool { return h.shown(pool) >= enough }, patience, poll, "nobody has taken over from %s", role)
			h.processes[role].goOn()
			l.goes(10)
		}
		l.end()
		whole(t, judge(t, h.where(), l.history, "zombies"))
	})
}

// shown counts the images that are done in the gallery.
func (h *house) shown(pool *pgxpool.Pool) (done int64) {
	h.t.Helper()
	options := pgx.TxOptions{BeginQuery: "BEGIN READ ONLY; SET LOCAL ROLE atelier_owner"}
	err := pgx.BeginTxFunc(h.t.Context(), pool, options, func(tx pgx.Tx) error {
		return tx.QueryRow(h.t.Context(), `SELECT count(*) FROM galleries_api.generations WHERE status = 'succeeded'`).Scan(&done)
	})
	require.NoError(h.t, err)
	return done
}

const (
	// stormShort is how long the storm of the short form lasts, stormLong that of the
	// long one.
	stormShort, stormLong = 20 * time.Second, 3 * time.Minute
	// stormEvery is the pause between two members that come or go.
	stormEvery = 2 * time.Second
)

// Every two seconds a member joins each group or leaves it, in order or killed.
func TestStorm(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		h := newHouse(t, brokers, prefix, postgrestest.New(t), "", roles...)
		h.ready()
		l := h.load(nil)
		for _, role := range workers {
			h.processes[role+"-guest"] = h.role(role, role+"-guest")
		}
		lasts := stormShort
		if *kills > 0 {
			lasts = stormLong
		}
		tick := time.NewTicker(stormEvery)
		defer tick.Stop()
		changes := 0
		for end := time.Now().Add(lasts); time.Now().Before(end); changes++ {
			<-tick.C
			for _, role := range workers {
				switch guest := h.processes[role+"-guest"]; {
				case changes%2 == 0:
					guest.start()
				case h.random.IntN(2) == 0:
					guest.drain()
				default:
					guest.kill()
				}
			}
			say("storm: %d changes of each group", changes+1)
		}
		require.GreaterOrEqual(t, changes, int(lasts/stormEvery)/4, "it was no storm")
		l.end()
		whole(t, judge(t, h.where(), l.history, fmt.Sprintf("a storm: %d changes of each group", changes)))
	})
}
