package torture

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"atelier/check"
	"atelier/check/load"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
)

// say shows the progress of a long run.
func say(format string, args ...any) {
	if *kills > 0 {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// roundKills is after how many kills everything comes to rest and is judged (count).
const roundKills = 20

// Every role is killed under load, at moments that nobody chose, and started again.
func TestKillsOfRoles(t *testing.T) {
	t.Parallel()
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		h := newHouse(t, brokers, prefix, postgrestest.New(t), "", roles...)
		h.ready()
		victims := append(append([]string{}, roles...), roles...)
		for len(victims) < *kills {
			victims = append(victims, roles[h.random.IntN(len(roles))])
		}
		h.random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
		history, killed := check.NewHistory(nil), 0
		for round := range slices.Chunk(victims, roundKills) {
			l := h.load(func(c *load.Config) { c.History = history })
			for _, role := range round {
				l.goes(5 + h.random.IntN(40))
				h.processes[role].kill()
				l.goes(h.random.IntN(10)) // some commands meet what is dead
				h.processes[role].start()
				killed++
				say("kill %d of %d: %s, %d commands so far", killed, len(victims), role, l.commands())
			}
			l.end()
			whole(t, judge(t, h.where(), history, fmt.Sprintf("%d kills of roles", killed)))
		}
	})
}
