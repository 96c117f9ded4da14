package api

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// stream opens the person's stream over the whole system.
func (p *person) stream(lastEventID string) *eventReader {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.node.base+"/v1/stream", nil)
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+p.token)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := (&http.Transport{}).RoundTrip(request)
	require.NoError(p.t, err)
	require.Equal(p.t, http.StatusOK, response.StatusCode)
	require.Equal(p.t, "text/event-stream", response.Header.Get("Content-Type"))
	r := newEventReader(p.t, response, cancel)
	p.t.Cleanup(r.leave)
	return r
}

// A batch is followed to its end by a client that loses its connection on the way,
// and what it saw is what the read model says.
func testStream(t *testing.T, w *world) {
	ann := w.node.person(t)
	brand := ann.brand(nil)
	stream := ann.stream("")
	require.Equal(t, "hello", stream.next().event)
	batch := ann.command(http.StatusCreated, http.MethodPost, "/v1/generations", request(brand, "meta_story", "google_square"), nil)

	var events []string
	for !slices.Contains(events, "GenerationRequested") {
		events = append(events, stream.next().event)
	}
	stream.leave()
	resumed := ann.at(w.startNode(nil)).stream(stream.lastID) // at another node
	for ended := 0; ended < 2; {
		m := resumed.next()
		if m.event == "progress" {
			require.Empty(t, m.id, "only facts have an id")
			continue
		}
		events = append(events, m.event)
		if m.event == "GenerationSucceeded" {
			ended++
		}
		require.NotContains(t, m.data, "steel bottle")
		require.NotContains(t, m.data, "cost")
	}
	counts := map[string]int{}
	for _, e := range events {
		counts[e]++
	}
	require.Equal(t, 1, counts["BatchRequested"])
	require.Equal(t, 2, counts["GenerationRequested"])
	require.Equal(t, 2, ann.settled(batch.text("batch_id")).number("counts.succeeded"))

	ann.send(http.MethodGet, "/v1/stream", nil, map[string]string{"Authorization": "Bearer x"}).refused(http.StatusUnauthorized, codeUnauthorized)
	require.Equal(t, "resync", ann.stream("7.0.1").next().event, "a position of another topic generation")
}
