package generator

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/media"
	"atelier/schemas"
)

const generationID = "0191d5a0-0000-7000-8000-00000000000a"

func openMedia(t *testing.T) *media.Store {
	t.Helper()
	store, err := media.Open(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	return store
}

func TestAnAttemptIsClaimedOnce(t *testing.T) {
	j := journal{openMedia(t)}
	var claimed atomic.Int32
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			mine, err := j.begin(t.Context(), generationID, 1, claim{Owner: schemas.NewID()})
			if err == nil && mine {
				claimed.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, claimed.Load())
	mine, err := j.begin(t.Context(), generationID, 2, claim{})
	require.NoError(t, err)
	require.True(t, mine, "the next attempt is another")
}

func TestAReleasedAttemptIsFree(t *testing.T) {
	j := journal{openMedia(t)}
	mine, err := j.begin(t.Context(), generationID, 1, claim{})
	require.NoError(t, err)
	require.True(t, mine)
	require.NoError(t, j.release(t.Context(), generationID, 1))
	mine, err = j.begin(t.Context(), generationID, 1, claim{})
	require.NoError(t, err)
	require.True(t, mine)
}

func TestTheFirstResultHolds(t *testing.T) {
	j := journal{openMedia(t)}
	_, err := j.read(t.Context(), generationID, 1)
	require.True(t, isNotFound(err))
	first, err := j.finish(t.Context(), generationID, 1, result{Attempt: schemas.Attempt{Number: 1, Outcome: outcomeLost}, Failure: lost()})
	require.NoError(t, err)
	require.Equal(t, outcomeLost, first.Attempt.Outcome)
	late, err := j.finish(t.Context(), generationID, 1, result{Attempt: schemas.Attempt{Number: 1, Outcome: outcomeOK}, image: []byte("picture")})
	require.NoError(t, err)
	require.Equal(t, outcomeLost, late.Attempt.Outcome, "what was given up for lost stays so for everybody")
	require.NotNil(t, late.Failure)
}

func TestAResultComesBackWhole(t *testing.T) {
	store := openMedia(t)
	j := journal{store}
	want := result{
		Attempt:   schemas.Attempt{Number: 2, Model: "m", Seed: 7, Outcome: outcomeOK, Tokens: 1120, CostMicros: 33600, DurationMs: 12},
		StartedAt: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), ModelVersion: "m-001", Template: "create", TemplateVersion: 1,
		image: []byte("picture"),
	}
	kept, err := j.finish(t.Context(), generationID, 2, want)
	require.NoError(t, err)
	got, err := j.read(t.Context(), generationID, 2)
	require.NoError(t, err)
	require.Equal(t, kept, got)
	require.Equal(t, want.image, got.image)
	require.Equal(t, want.Attempt, got.Attempt)

	require.NoError(t, store.Put(t.Context(), attemptKey(generationID, 2)+".image", []byte("another"), "application/octet-stream"))
	_, err = j.read(t.Context(), generationID, 2)
	require.ErrorIs(t, err, errGone, "another picture is not taken for it")
	require.NoError(t, j.forget(t.Context(), generationID, 3))
	r, err := orLost(j.read(t.Context(), generationID, 2))
	require.NoError(t, err)
	require.Equal(t, outcomeLost, r.Attempt.Outcome)
	require.EqualValues(t, 33600, r.Attempt.CostMicros, "at what it cost")
	summary, found, err := j.summary(t.Context(), generationID, 2)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, want.Attempt, summary.Attempt)
}

func TestADamagedEntryIsAnError(t *testing.T) {
	store := openMedia(t)
	j := journal{store}
	_, err := store.PutIfAbsent(t.Context(), attemptKey(generationID, 1)+".result", []byte("{"))
	require.NoError(t, err)
	_, err = j.read(t.Context(), generationID, 1)
	require.ErrorIs(t, err, errDamaged)
}

func settler(store Media) *worker {
	return &worker{journal: journal{store}, tuning: defaults()}
}

func request() *schemas.GenerationRequested {
	r := &schemas.GenerationRequested{GenerationID: generationID, BatchID: schemas.NewID()}
	r.AccountID, r.ID, r.CorrelationID = schemas.NewID(), schemas.NewID(), schemas.NewID()
	return r
}

func TestSettle(t *testing.T) {
	ctx := context.Background()
	past := time.Now().Add(-time.Second)
	begin := func(t *testing.T, j journal, n int, until time.Time) {
		mine, err := j.begin(ctx, generationID, n, claim{Model: "m", EstimateMicros: 50, Until: until})
		require.NoError(t, err)
		require.True(t, mine)
	}
	finish := func(t *testing.T, j journal, n int, cost int64) {
		_, err := j.finish(ctx, generationID, n, result{Attempt: schemas.Attempt{Number: n, Outcome: outcomeOK, CostMicros: cost, Tokens: 1}, image: []byte("x")})
		require.NoError(t, err)
	}
	tests := []struct {
		name     string
		given    func(t *testing.T, j journal)
		end      ending
		outcomes []string
		cost     int64
		waits    bool
	}{
		{name: "nothing was called", end: ending{reason: reasonCanceled, settle: true}},
		{name: "a call that brought a picture", end: ending{reason: reasonCanceled, settle: true},
			given:    func(t *testing.T, j journal) { begin(t, j, 1, past); finish(t, j, 1, 33) },
			outcomes: []string{outcomeOK}, cost: 33},
		{name: "one of which nobody knows", end: ending{reason: reasonDeadline, settle: true},
			given:    func(t *testing.T, j journal) { begin(t, j, 1, past); finish(t, j, 1, 33); begin(t, j, 2, past) },
			outcomes: []string{outcomeOK, outcomeLost}, cost: 83},
		{name: "one that may be under way", end: ending{reason: reasonCanceled, settle: true},
			given: func(t *testing.T, j journal) { begin(t, j, 1, time.Now().Add(time.Hour)) }, waits: true},
		{name: "what the event tells of is not told again", end: ending{reason: reasonLost, carried: 1, settle: true},
			given:    func(t *testing.T, j journal) { finish(t, j, 1, 33); finish(t, j, 2, 44) },
			outcomes: []string{outcomeOK}, cost: 44},
		{name: "an end that tells of all", end: ending{reason: reasonLost, carried: 1},
			given: func(t *testing.T, j journal) { finish(t, j, 1, 33) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := openMedia(t)
			w, r := settler(store), request()
			if tt.given != nil {
				tt.given(t, w.journal)
			}
			s, err := w.settle(ctx, r, tt.end)
			require.NoError(t, err)
			require.Equal(t, tt.waits, !s.again.IsZero())
			if tt.outcomes == nil {
				require.Nil(t, s.command)
				return
			}
			require.NotNil(t, s.command)
			var outcomes []string
			for _, a := range s.command.Attempts {
				outcomes = append(outcomes, a.Outcome)
			}
			require.Equal(t, tt.outcomes, outcomes)
			require.Equal(t, tt.cost, s.command.CostMicros)
			require.Equal(t, tt.end.reason, s.command.Reason)
			require.Equal(t, schemas.DeriveID(generationID, "spend"), s.command.ID)
			again, err := w.settle(ctx, r, tt.end)
			require.NoError(t, err)
			require.Equal(t, s.command.ID, again.command.ID, "the decider takes the first")
			require.Equal(t, s.command.Attempts, again.command.Attempts)
			_, _, err = store.Get(ctx, attemptKey(generationID, 1)+".image")
			require.True(t, isNotFound(err), "no picture stays in the journal")
		})
	}
}
