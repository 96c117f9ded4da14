package api

import (
	"context"
	"fmt"
	"image/color"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"atelier/schemas"
)

// The same key and request: the first outcome again. Another request: 422.
func testIdempotency(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(nil)
	body := request(brand, "meta_story")
	first := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, withKey("one"))
	again := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, withKey("one"))
	require.JSONEq(t, string(first.body), string(again.body))
	require.Equal(t, first.headers.Get(positionHeader), again.headers.Get(positionHeader))
	body["variants"] = 2
	ann.send(http.MethodPost, "/v1/generations", body, withKey("one")).refused(http.StatusUnprocessableEntity, schemas.CodeIdempotencyConflict)
	ann.send(http.MethodPost, "/v1/brands", map[string]any{"kit": map[string]any{"name": "x"}}, withKey("one")).
		refused(http.StatusUnprocessableEntity, schemas.CodeIdempotencyConflict)
	ann.send(http.MethodPost, "/v1/generations", body, withKey(strings.Repeat("k", 256))).refused(http.StatusBadRequest, codeMalformed)
	require.Equal(t, 1, ann.get("/v1/generations").len("items"))

	// A refusal is an outcome too, whatever changed since.
	body["tier"], body["variants"] = "pro", 9
	ann.send(http.MethodPost, "/v1/generations", body, withKey("two")).refused(http.StatusPaymentRequired, schemas.CodeInsufficientCredits)
	ann.send(http.MethodPost, "/v1/generations", body, withKey("two")).refused(http.StatusPaymentRequired, schemas.CodeInsufficientCredits)

	// A form is known by its fields and its file, not by its boundary.
	file := pngOf(9, 9, color.Black)
	one := ann.upload(newForm(map[string]string{"kind": "logo", "name": "a"}, file), withKey("form"))
	require.Equal(t, http.StatusCreated, one.status, one)
	two := ann.upload(newForm(map[string]string{"name": "a", "kind": "logo"}, file), withKey("form"))
	require.JSONEq(t, string(one.body), string(two.body))
	ann.upload(newForm(map[string]string{"kind": "logo", "name": "b"}, file), withKey("form")).
		refused(http.StatusUnprocessableEntity, schemas.CodeIdempotencyConflict)
}

// The account remembers 64 keys; the outcomes read model remembers for 30 days.
func testAForgottenKey(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(nil)
	body := request(brand, "meta_story")
	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, withKey("first"))
	asset := ann.upload(newForm(map[string]string{"kind": "logo", "name": "n"}, pngOf(9, 9, color.Black)), withKey("second"))
	require.Equal(t, http.StatusCreated, asset.status, asset)
	for i := range 70 {
		ann.command(http.StatusNoContent, http.MethodDelete, "/v1/brands/"+brand, nil, withKey(fmt.Sprint("a", i)))
		ann.command(http.StatusNoContent, http.MethodPost, "/v1/brands/"+brand+"/restore", nil, withKey(fmt.Sprint("b", i)))
	}
	// A node whose ring does not have it: only the record is left.
	fresh := ann.at(w.startNode(func(c *Config) {
		feed, err := NewFeed(FeedConfig{Kafka: w.kafka, Codec: w.codec, Partitions: feedPartitions, RingAge: 1, Log: w.log()})
		require.NoError(t, err)
		c.Feed = feed
	}))
	again := fresh.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, withKey("first"))
	require.JSONEq(t, string(batch.body), string(again.body))
	once := fresh.upload(newForm(map[string]string{"kind": "logo", "name": "n"}, pngOf(9, 9, color.Black)), withKey("second"))
	require.JSONEq(t, string(asset.body), string(once.body))
	require.Equal(t, 1, ann.get("/v1/generations").len("items"))

	// An outcome of which only a part is applied is none yet.
	owner := w.pool("")
	var command string
	require.NoError(t, owner.QueryRow(t.Context(), `UPDATE outcomes_v1.outcomes SET total = total + 1
		WHERE account_id = $1 AND idempotency_key = 'first' RETURNING command_id::text`, ann.account).Scan(&command))
	require.Equal(t, "pending", fresh.get("/v1/commands/"+command).text("status"))
}

// One key at two nodes at once: one batch, and both get it.
func testOneKeyAtTwoNodes(t *testing.T, w *world) {
	second := w.startNode(nil)
	ann := w.node.person(t)
	body := request(ann.brand(nil), "meta_story")
	for round := range 3 {
		var both sync.WaitGroup
		answers := make([]answer, 8)
		begin := make(chan struct{})
		for i := range answers {
			p := ann
			if i%2 == 1 {
				p = ann.at(second)
			}
			both.Go(func() {
				<-begin
				answers[i] = p.send(http.MethodPost, "/v1/generations", body, withKey(fmt.Sprint("round ", round)))
			})
		}
		close(begin)
		both.Wait()
		for _, a := range answers {
			require.Equal(t, http.StatusCreated, a.status, a)
			require.JSONEq(t, string(answers[0].body), string(a.body))
			ann.position = a.headers.Get(positionHeader)
		}
		require.Equal(t, round+1, ann.get("/v1/generations").len("items"))
	}
	require.Equal(t, 4, ann.get("/v1/credits").number("available"))
}

// What is not decided in time is acknowledged, and decided later.
func TestPending(t *testing.T) {
	onWorlds(t, func(t *testing.T, w *world) {
		ann := w.node.person(t)
		brand := ann.brand(nil)
		w.stop["decider"]()
		body := request(brand, "meta_story")
		pending := ann.send(http.MethodPost, "/v1/generations", body, withKey("slow"))
		require.Equal(t, http.StatusAccepted, pending.status, pending)
		require.NotEmpty(t, pending.headers.Get("Retry-After"))
		location := pending.headers.Get("Location")
		require.Equal(t, "pending", ann.get(location).text("status"))
		// The client asks again before anything was decided.
		again := ann.send(http.MethodPost, "/v1/generations", body, withKey("slow"))
		require.Equal(t, http.StatusAccepted, again.status)
		require.NotEqual(t, location, again.headers.Get("Location"))
		w.startDecider()
		require.Eventually(t, func() bool { return ann.get(location).text("status") == "done" }, patience, waitPoll)
		done := ann.get(location)
		// The retry's own address tells of the same batch, and not of a refusal.
		require.Eventually(t, func() bool { return ann.get(again.headers.Get("Location")).text("status") == "done" }, patience, waitPoll)
		require.Equal(t, done.text("batch_id"), ann.get(again.headers.Get("Location")).text("batch_id"))
		ann.position = done.text("position")
		first := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", body, withKey("slow"))
		require.Equal(t, done.text("batch_id"), first.text("batch_id"))
		require.Equal(t, 1, ann.get("/v1/generations").len("items"), "once, however often it was asked for")
		ann.statementHolds(2)
		require.NoError(t, context.Cause(t.Context()))
	})
}

// statementHolds says that what was reserved is held or paid, and nothing else.
func (p *person) statementHolds(reserved int) {
	p.t.Helper()
	credits := p.get("/v1/credits")
	require.Equal(p.t, 10-reserved, credits.number("available"))
}
