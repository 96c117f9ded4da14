package api

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/projections"
	"atelier/schemas"
)

const waitPoll = 10 * time.Millisecond

func testPositions(t *testing.T, w *world) {
	ann := w.node.person(t)
	ann.brand(nil)
	require.NotEmpty(t, ann.get("/v1/brands").headers.Get(positionHeader))
	last, err := projections.ParsePosition(ann.position)
	require.NoError(t, err)
	require.Equal(t, kafka.PartitionOf(ann.account, feedPartitions), last.Partition)

	far := last
	far.Offset += 1_000_000
	late := ann.send(http.MethodGet, "/v1/brands", nil, map[string]string{positionHeader: far.String()}).refused(http.StatusServiceUnavailable, codePositionNotThere)
	require.NotEmpty(t, late.headers.Get("Retry-After"))
	// A crash of Postgres may take back what a node has seen there already: then it waits too.
	waits := w.node.server.waits
	waits.mu.Lock()
	waits.known[brands] = map[int32]projections.Position{far.Partition: {Generation: far.Generation, Partition: far.Partition, Offset: far.Offset + 1}}
	waits.mu.Unlock()
	ann.send(http.MethodGet, "/v1/brands", nil, map[string]string{positionHeader: far.String()}).refused(http.StatusServiceUnavailable, codePositionNotThere)
	require.Equal(t, 1, ann.get("/v1/brands").len("items"))
	elsewhere := last
	elsewhere.Partition = (last.Partition + 1) % feedPartitions
	for _, wrong := range []string{elsewhere.String(), "1", "a.b.c", "0.0.-1", "0.0.99999999999999999999"} {
		ann.send(http.MethodGet, "/v1/brands", nil, map[string]string{positionHeader: wrong}).refused(http.StatusBadRequest, codeInvalidPosition)
	}
}

// No read after a command shows the past, however the projector lags.
func testReadYourWrites(t *testing.T, w *world) {
	ann := w.node.person(t)
	for i := range 30 {
		brand := ann.brand(map[string]any{"name": fmt.Sprint(i)})
		require.Equal(t, fmt.Sprint(i), ann.get("/v1/brands/"+brand).text("kit.name"))
		require.Equal(t, i+1, ann.get("/v1/brands").len("items"))
	}
}

// Nobody sees, changes or learns of what is another's.
func testTenants(t *testing.T, w *world) {
	ann, ben := w.node.person(t), w.node.person(t)
	brand := ann.brand(nil)
	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", request(brand, "meta_story"), withKey("k"))
	generation := batch.text("generations.0.id")
	ann.settled(batch.text("batch_id"))
	kit := map[string]any{"kit": map[string]any{"name": "mine"}}
	for _, call := range []struct {
		method, path string
		body         any
		headers      map[string]string
	}{
		{http.MethodGet, "/v1/brands/" + brand, nil, nil},
		{http.MethodPut, "/v1/brands/" + brand, kit, map[string]string{"If-Match": `"1"`}},
		{http.MethodDelete, "/v1/brands/" + brand, nil, nil},
		{http.MethodPost, "/v1/brands/" + brand + "/restore", nil, nil},
		{http.MethodPost, "/v1/quotes", request(brand, "meta_story"), nil},
		{http.MethodPost, "/v1/generations", request(brand, "meta_story"), nil},
		{http.MethodGet, "/v1/generations/" + generation, nil, nil},
		{http.MethodGet, "/v1/generations/" + generation + "/file", nil, nil},
		{http.MethodPost, "/v1/generations/" + generation + "/cancel", nil, nil},
		{http.MethodPatch, "/v1/generations/" + generation, map[string]any{"favourite": true}, nil},
		{http.MethodDelete, "/v1/generations/" + generation, nil, nil},
		{http.MethodPost, "/v1/generations/" + generation + "/restore", nil, nil},
		{http.MethodGet, "/v1/batches/" + batch.text("batch_id"), nil, nil},
		{http.MethodPost, "/v1/batches/" + batch.text("batch_id") + "/cancel", nil, nil},
	} {
		a := ben.send(call.method, call.path, call.body, call.headers)
		require.Equal(t, http.StatusNotFound, a.status, "%s %s: %s", call.method, call.path, a)
	}
	for _, list := range []string{"/v1/brands", "/v1/assets", "/v1/generations", "/v1/batches", "/v1/tags"} {
		require.Equal(t, 0, ben.get(list).len("items"), list)
	}
	require.Equal(t, 1, ben.get("/v1/credits/entries").len("items"), "the welcome credits")
	// The key of one is not the key of the other.
	ben.brand(nil)
	require.Equal(t, http.StatusCreated, ben.send(http.MethodPost, "/v1/brands", kit, withKey("k")).status)
	// A command of another's: nobody knows it.
	var commands struct{ id string }
	for _, e := range w.events(t, ann.account) {
		if _, ok := e.(*schemas.BatchRequested); ok {
			commands.id = e.Meta().CausationID
		}
	}
	require.Equal(t, "done", ann.get("/v1/commands/"+commands.id).text("status"))
	require.NotEqual(t, "done", ben.send(http.MethodGet, "/v1/commands/"+commands.id, nil, nil).json["status"])
}

// events are the account's, from the node's ring.
func (w *world) events(t *testing.T, account string) (events []schemas.Event) {
	t.Helper()
	p := w.node.server.config.Feed.partition(account)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ring.after(-1, func(e *entry) {
		if e.event.Meta().AccountID == account {
			events = append(events, e.event)
		}
	})
	return events
}
