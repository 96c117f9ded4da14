package schedule

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// at is noon and some seconds.
func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// started takes every slot that may be taken and returns the jobs in order.
func started(s *Scheduler, now time.Time) string {
	var ids []string
	for {
		job, ok := s.Next(now)
		if !ok {
			return strings.Join(ids, " ")
		}
		ids = append(ids, job.ID)
	}
}

func TestNext(t *testing.T) {
	type job struct {
		id      string // the account is its first letter
		seconds int
	}
	tests := []struct {
		name   string
		config Config
		given  []job
		when   func(s *Scheduler)
		at     int
		then   string
	}{
		{name: "nothing waits", config: Config{8, 4}, then: ""},
		{name: "who asked first goes first",
			config: Config{8, 4}, given: []job{{"a1", 3}, {"b1", 1}, {"c1", 2}}, then: "b1 c1 a1"},
		{name: "at the same time, who came first",
			config: Config{8, 4}, given: []job{{"b1", 1}, {"a1", 1}, {"c1", 1}}, then: "b1 a1 c1"},
		{name: "slots are bounded",
			config: Config{2, 2}, given: []job{{"a1", 1}, {"b1", 2}, {"c1", 3}}, then: "a1 b1"},
		{name: "an account has its share and no more",
			config: Config{4, 2}, given: []job{{"a1", 1}, {"a2", 2}, {"a3", 3}, {"b1", 4}}, then: "a1 a2 b1"},
		{name: "a slot that is given back goes to the oldest that may",
			config: Config{2, 1}, given: []job{{"a1", 1}, {"a2", 2}, {"b1", 3}, {"c1", 4}},
			when: func(s *Scheduler) {
				started(s, noon)
				s.Remove("b1")
			},
			then: "c1"},
		{name: "an account that gets a slot back goes on in its order",
			config: Config{2, 1}, given: []job{{"a1", 1}, {"a2", 2}, {"b1", 3}, {"c1", 4}},
			when: func(s *Scheduler) {
				started(s, noon)
				s.Remove("a1")
			},
			then: "a2"},
		{name: "a delay gives the slot back at once",
			config: Config{1, 1}, given: []job{{"a1", 1}, {"b1", 2}},
			when: func(s *Scheduler) {
				s.Next(noon)
				s.Delay("a1", at(10))
			},
			at: 9, then: "b1"},
		{name: "what was delayed has its old place",
			config: Config{1, 1}, given: []job{{"a1", 1}, {"b1", 2}},
			when: func(s *Scheduler) {
				s.Next(noon)
				s.Delay("a1", at(10))
			},
			at: 10, then: "a1"},
		{name: "what is removed while it waits is not started",
			config: Config{8, 4}, given: []job{{"a1", 1}, {"a2", 2}, {"b1", 3}},
			when: func(s *Scheduler) { s.Remove("a1") }, then: "a2 b1"},
		{name: "what is removed while it is delayed is not started",
			config: Config{8, 4}, given: []job{{"a1", 1}},
			when: func(s *Scheduler) {
				s.Delay("a1", at(1))
				s.Remove("a1")
			},
			at: 2, then: ""},
		{name: "a job twice is one job",
			config: Config{8, 4}, given: []job{{"a1", 1}, {"a1", 1}}, then: "a1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.config.Validate())
			s := New(tt.config)
			for _, j := range tt.given {
				s.Add(Job{ID: j.id, Account: j.id[:1], Since: at(j.seconds)})
			}
			if tt.when != nil {
				tt.when(s)
			}
			require.Equal(t, tt.then, started(s, at(tt.at)))
		})
	}
}

func TestWakeIsTheEarliestDelay(t *testing.T) {
	s := New(Config{8, 4})
	_, some := s.Wake()
	require.False(t, some)
	for i, id := range []string{"a", "b", "c"} {
		s.Add(Job{ID: id, Account: id, Since: noon})
		s.Delay(id, at(30-10*i))
	}
	wake, some := s.Wake()
	require.True(t, some)
	require.Equal(t, at(10), wake)
	require.Equal(t, 3, s.Delayed())
	require.Equal(t, 0, s.Waiting())
}

func TestAnAccountWithoutJobsIsForgotten(t *testing.T) {
	s := New(Config{8, 4})
	s.Add(Job{ID: "a1", Account: "a", Since: noon})
	s.Next(noon)
	require.True(t, s.Remove("a1"))
	require.False(t, s.Remove("a1"))
	require.Empty(t, s.accounts)
	require.Empty(t, s.jobs)
	require.Zero(t, s.Running())
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{{0, 0}, {0, 1}, {4, 0}, {4, 5}, {-1, -1}} {
		require.Error(t, c.Validate(), "%+v", c)
	}
	require.True(t, slices.ContainsFunc([]Config{{1, 1}, {8, 4}}, func(c Config) bool { return c.Validate() == nil }))
}

func BenchmarkNextAt100k(b *testing.B) {
	s := New(Config{8, 4})
	for i := range 100_000 {
		id := string(rune('a'+i%26)) + time.Duration(i).String()
		s.Add(Job{ID: id, Account: id[:1] + time.Duration(i%1000).String(), Since: at(i % 977)})
	}
	for b.Loop() {
		job, ok := s.Next(noon)
		if !ok {
			b.Fatal("nothing to run")
		}
		s.Remove(job.ID)
		s.Add(job)
	}
}
