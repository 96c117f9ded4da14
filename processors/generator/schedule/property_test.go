package schedule

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is what the scheduler is held against: plain maps and counts.
type model struct {
	config  Config
	state   map[string]string // waiting, delayed, running, done
	account map[string]string
	since   map[string]time.Time
	until   map[string]time.Time
}

func (m *model) count(state, account string) int {
	n := 0
	for id, s := range m.state {
		if s == state && (account == "" || m.account[id] == account) {
			n++
		}
	}
	return n
}

// may says whether the job could be started at now.
func (m *model) may(id string, now time.Time) bool {
	waits := m.state[id] == "waiting" || m.state[id] == "delayed" && !m.until[id].After(now)
	return waits && m.count("running", m.account[id]) < m.config.SlotsPerAccount
}

func (m *model) in(t *rapid.T, states ...string) (string, bool) {
	var ids []string
	for i := range len(m.state) {
		id := fmt.Sprint("j", i)
		for _, s := range states {
			if m.state[id] == s {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return "", false
	}
	return rapid.SampledFrom(ids).Draw(t, "job"), true
}

func TestAnySequence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		slots := rapid.IntRange(1, 6).Draw(t, "slots")
		c := Config{Slots: slots, SlotsPerAccount: rapid.IntRange(1, slots).Draw(t, "per account")}
		s, now := New(c), noon
		m := &model{config: c, state: map[string]string{}, account: map[string]string{}, since: map[string]time.Time{}, until: map[string]time.Time{}}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := fmt.Sprint("j", len(m.state))
				m.account[id] = rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "account")
				m.since[id] = at(rapid.IntRange(0, 50).Draw(t, "since"))
				m.state[id] = "waiting"
				require.True(t, s.Add(Job{ID: id, Account: m.account[id], Since: m.since[id]}))
				require.False(t, s.Add(Job{ID: id, Account: "z", Since: noon}), "twice")
			},
			"next": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "seconds")) * time.Second)
				startedOrFull(t, m, s, now)
			},
			"delay": func(t *rapid.T) {
				id, ok := m.in(t, "running", "waiting", "delayed")
				if !ok {
					t.Skip("no such task: rapid draws another step")
				}
				m.state[id], m.until[id] = "delayed", now.Add(time.Duration(rapid.IntRange(-2, 9).Draw(t, "delay"))*time.Second)
				require.True(t, s.Delay(id, m.until[id]))
			},
			"remove": func(t *rapid.T) {
				id, ok := m.in(t, "running", "waiting", "delayed")
				if !ok {
					t.Skip("no such task: rapid draws another step")
				}
				m.state[id] = "done"
				require.True(t, s.Remove(id))
				require.False(t, s.Remove(id), "a job ends once")
			},
			"": func(t *rapid.T) { holds(t, m, s, c) },
		})
		drains(t, m, s)
	})
}

// startedOrFull takes one slot and checks that it was right to take this one,
// or that none could be.
func startedOrFull(t *rapid.T, m *model, s *Scheduler, now time.Time) {
	job, ok := s.Next(now)
	if !ok {
		if m.count("running", "") < m.config.Slots {
			for id := range m.state {
				require.False(t, m.may(id, now), "%s may run, a slot is free, and it was not started", id)
			}
		}
		for id, state := range m.state {
			if state == "delayed" && !m.until[id].After(now) {
				m.state[id] = "waiting"
			}
		}
		return
	}
	require.True(t, m.may(job.ID, now), "%s may not run", job.ID)
	for id := range m.state {
		if m.may(id, now) {
			require.False(t, m.since[id].Before(m.since[job.ID]), "%s asked before %s", id, job.ID)
		}
	}
	for id, state := range m.state {
		if state == "delayed" && !m.until[id].After(now) {
			m.state[id] = "waiting"
		}
	}
	m.state[job.ID] = "running"
}

func holds(t *rapid.T, m *model, s *Scheduler, c Config) {
	require.LessOrEqual(t, s.Running(), c.Slots)
	require.Equal(t, m.count("running", ""), s.Running(), "no slot is leaked")
	require.Equal(t, m.count("waiting", ""), s.Waiting())
	require.Equal(t, m.count("delayed", ""), s.Delayed())
	for _, account := range []string{"a", "b", "c", "d"} {
		require.LessOrEqual(t, m.count("running", account), c.SlotsPerAccount)
	}
}

// drains ends everything, and proves that each job gets its turn.
func drains(t *rapid.T, m *model, s *Scheduler) {
	now := at(1_000_000)
	left := m.count("waiting", "") + m.count("delayed", "")
	for id, state := range m.state {
		if state == "running" {
			require.True(t, s.Remove(id))
			m.state[id] = "done"
		}
	}
	for range left {
		job, ok := s.Next(now)
		require.True(t, ok, "a job starves")
		require.True(t, s.Remove(job.ID))
		m.state[job.ID] = "done"
	}
	_, ok := s.Next(now)
	require.False(t, ok)
	require.Equal(t, len(m.state), m.count("done", ""), "every job ends once")
	require.Empty(t, s.jobs)
	require.Empty(t, s.accounts)
	require.Empty(t, s.eligible)
}
