package torture

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/check"
	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
	"atelier/processors/decider"
	"atelier/schemas"
)

// backlogCommands is what keeps a part busy for a second or so (count).
const backlogCommands = 10_000

// The checker is believed because it has caught these. Each wrong system is the
// right one with one build tag, and each experiment finds nothing broken in the
// right one.
func TestTheCheckerCatchesWrongSystems(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tags       string
		roles      []string
		experiment func(*house) *check.History
		breaks     []string // at least these; none: nothing may be broken
	}{
		"lost offsets, right":                  {"", []string{decide, project}, lostOffsets, nil},
		"skipped dedup":                        {"wrong_dedup", []string{decide, project}, lostOffsets, []string{"C1"}},
		"a killed decider, right":              {"", []string{decide, project}, killedDecider, nil},
		"early offset commit":                  {"wrong_early_commit", []string{decide, project}, killedDecider, []string{"C1"}},
		"read_uncommitted":                     {"wrong_uncommitted", []string{decide, project}, killedDecider, []string{"C7"}},
		"double capture":                       {"wrong_capture", roles, someImages, []string{"C6"}},
		"a killed projector, right":            {"", []string{decide, project}, killedProjector, nil},
		"offset outside the rows' transaction": {"wrong_offset", []string{decide, project}, killedProjector, []string{"C7"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, kafkatest.Embedded(t), "", postgrestest.New(t), tt.tags, tt.roles...)
			h.ready()
			report := judge(t, h.where(), tt.experiment(h), name)
			var broken []string
			for _, i := range report.Invariants() {
				if i.Broken > 0 {
					broken = append(broken, i.ID)
				}
			}
			if tt.breaks == nil {
				require.Empty(t, broken)
			}
			for _, id := range tt.breaks {
				require.True(t, slices.Contains(broken, id), "%s was not caught: broken are %v", id, broken)
			}
		})
	}
}

// backlog writes many commands at once, as an outage leaves them.
func (h *house) backlog() {
	h.t.Helper()
	producer, err := kafka.NewProducer(h.kafka())
	require.NoError(h.t, err)
	defer producer.Close()
	var accounts []string
	for range 200 {
		accounts = append(accounts, schemas.NewID())
	}
	codec := schemas.NewLockedCodec()
	var records []*kafka.Record
	for n := range backlogCommands {
		record, err := kafka.NewRecord(codec, schemas.TopicCommands, grant(accounts[n%len(accounts)]))
		require.NoError(h.t, err)
		records = append(records, record)
	}
	require.NoError(h.t, producer.Produce(h.t.Context(), records...))
}

// sum adds offsets up.
func sum(offsets map[int32]int64, err error) (total int64) {
	if err != nil {
		return -1 // a part is away for the moment
	}
	for _, offset := range offsets {
		total += offset
	}
	return total
}

func (h *house) admin() *kafka.Admin {
	h.t.Helper()
	admin, err := kafka.NewAdmin(h.kafka())
	require.NoError(h.t, err)
	h.t.Cleanup(admin.Close)
	return admin
}

// decided waits until every command is decided.
func (h *house) decided(admin *kafka.Admin) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.idle(admin) }, patience, poll)
}

// idle says whether every command is decided.
func (h *house) idle(admin *kafka.Admin) bool {
	ends := sum(admin.HighWatermarks(h.t.Context(), schemas.TopicCommands))
	return ends > 0 && ends == sum(admin.CommittedOffsets(h.t.Context(), decider.Group, schemas.TopicCommands))
}

// lostOffsets has every command read again, as when a group's offsets expire.
func lostOffsets(h *house) *check.History {
	admin := h.admin()
	h.backlog()
	h.decided(admin)
	h.processes[decide].kill()
	begin := map[int32]int64{}
	for partition := range int32(partitions) {
		begin[partition] = 0
	}
	require.Eventually(h.t, func() bool { // not while the dead member is in the group
		return admin.ResetOffsets(h.t.Context(), decider.Group, schemas.TopicCommands, begin) == nil
	}, patience, poll)
	h.processes[decide].start()
	h.decided(admin)
	return nil
}

const (
	// rounds is how often a part is killed in the middle of its work (count).
	rounds = 2
	// triesMax bounds the kills that it takes (count).
	triesMax = 20
)

// killedDecider kills the decider inside a transaction: as often as it takes, and what
// the dead one has left open shows that it was inside.
func killedDecider(h *house) *check.History {
	admin := h.admin()
	open := func() bool {
		stable := sum(admin.StableOffsets(h.t.Context(), schemas.TopicEvents))
		return stable >= 0 && sum(admin.HighWatermarks(h.t.Context(), schemas.TopicEvents)) > stable
	}
	for inside, tries := 0, 0; inside < rounds; tries++ {
		require.Less(h.t, tries, triesMax, "no kill has met a transaction")
		h.backlog()
		require.Eventually(h.t, func() bool { return open() || h.idle(admin) }, patience, time.Millisecond)
		h.processes[decide].kill()
		if open() {
			inside++
		}
		h.processes[decide].start()
		h.decided(admin)
	}
	return nil
}

// killedProjector kills the projector while the rows of a batch wait for a lock: what
// its connection has committed by then is all that is left of the batch.
func killedProjector(h *house) *check.History {
	pool := h.pool()
	for range rounds {
		tx, err := pool.Begin(h.t.Context())
		require.NoError(h.t, err)
		_, err = tx.Exec(h.t.Context(), `LOCK TABLE credits_v1.balances IN SHARE ROW EXCLUSIVE MODE`)
		require.NoError(h.t, err)
		h.backlog()
		require.Eventually(h.t, func() bool {
			var waiting bool
			err := pool.QueryRow(h.t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l
				WHERE l.relation = 'credits_v1.balances'::regclass AND NOT l.granted)`).Scan(&waiting)
			return err == nil && waiting
		}, patience, time.Millisecond)
		h.processes[project].kill()
		// A backend goes on when its client is gone: it has to end before the lock does.
		_, err = tx.Exec(h.t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
			WHERE relation = 'credits_v1.balances'::regclass AND NOT granted`)
		require.NoError(h.t, err)
		require.NoError(h.t, tx.Rollback(h.t.Context()))
		h.processes[project].start()
	}
	return nil
}

// someImages has images made and paid for.
func someImages(h *house) *check.History {
	l := h.load(nil)
	l.goes(60)
	l.end()
	return l.history
}
