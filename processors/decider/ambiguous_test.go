package decider

import (
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
)

// ends cuts the ends of transactions, and counts what became of them.
type ends struct {
	faults []kafkatest.Fault // one after the other

	mu        sync.Mutex
	met       map[kafkatest.Fault]int
	committed map[kafkatest.Fault]int // by the broker, as it answered
}

func newEnds(faults []kafkatest.Fault) *ends {
	return &ends{faults: faults, met: map[kafkatest.Fault]int{}, committed: map[kafkatest.Fault]int{}}
}

// network is the way of one client, whose ends of transactions meet the faults:
// every other one, so that the client comes through.
func (e *ends) network() *kafkatest.Network {
	var seen atomic.Int64
	return &kafkatest.Network{
		Choose: func(x kafkatest.Exchange) kafkatest.Fault {
			if x.Key != kafkatest.EndTxn || seen.Add(1)%2 == 0 {
				return kafkatest.Pass
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			if len(e.faults) == 0 {
				return kafkatest.Pass
			}
			fault := e.faults[0]
			e.faults = e.faults[1:]
			e.met[fault]++
			return fault
		},
		Withheld: func(x kafkatest.Exchange, fault kafkatest.Fault) {
			if !x.Committed() {
				return
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			e.committed[fault]++
		},
	}
}

func (e *ends) count() (left int, met, committed map[kafkatest.Fault]int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.faults), maps.Clone(e.met), maps.Clone(e.committed)
}

// said counts a log message.
type said struct {
	message string
	times   atomic.Int64
}

// Run implements zerolog.Hook.
func (s *said) Run(_ *zerolog.Event, _ zerolog.Level, message string) {
	if message == s.message {
		s.times.Add(1)
	}
}

// Deciders do not hear how their transactions ended, two hundred times: the
// request or the answer is cut, the broker says that it does not know, or the
// client gives up. Some of what they then take for undone is done.
func TestEndsThatNobodyHearsOf(t *testing.T) {
	const cuts, lost = 200, 9
	each(t, func(t *testing.T, w *world) {
		began := time.Now()
		var faults []kafkatest.Fault
		for i := range cuts {
			fault := []kafkatest.Fault{kafkatest.CutAnswer, kafkatest.CutRequest, kafkatest.DenyAnswer}[i%3]
			if i%(cuts/lost) == 0 && i/(cuts/lost) < lost {
				fault = kafkatest.LoseAnswer
			}
			faults = append(faults, fault)
		}
		ends, failed := newEnds(faults), &said{message: "decider session failed"}
		var registries []*prometheus.Registry
		for _, name := range []string{"a", "b", "c"} {
			registry, network := prometheus.NewRegistry(), ends.network()
			registries = append(registries, registry)
			w.start(name, func(c *Config) {
				c.Kafka.Dial, c.Registerer, c.Log = network.Dial, registry, zerolog.New(io.Discard).Hook(failed)
			})
		}
		l := w.keepSending(func() bool { left, _, _ := ends.count(); return left == 0 })
		w.holds(l)

		_, met, committed := ends.count()
		require.Equal(t, lost, met[kafkatest.LoseAnswer])
		require.Positive(t, committed[kafkatest.CutAnswer])
		require.Positive(t, committed[kafkatest.LoseAnswer], "committed, and an error to the decider")
		require.Positive(t, committed[kafkatest.DenyAnswer], "committed, and told as if it was not")
		require.GreaterOrEqual(t, failed.times.Load(), int64(committed[kafkatest.LoseAnswer]))
		var aborted float64
		for _, r := range registries {
			aborted += measured(t, r, "atelier_decider_transaction_seconds", "aborted")
		}
		require.GreaterOrEqual(t, aborted, float64(committed[kafkatest.DenyAnswer]))
		t.Logf("%d commands, %d ends cut in %s: request %d, answer %d (%d committed), denied %d (%d committed), lost %d (%d committed); "+
			"%d sessions failed, %.0f transactions taken for aborted", len(l.ids), cuts, time.Since(began).Round(time.Second),
			met[kafkatest.CutRequest], met[kafkatest.CutAnswer], committed[kafkatest.CutAnswer], met[kafkatest.DenyAnswer],
			committed[kafkatest.DenyAnswer], met[kafkatest.LoseAnswer], committed[kafkatest.LoseAnswer], failed.times.Load(), aborted)
	})
}
