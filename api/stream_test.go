package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/projections"
	"atelier/schemas"
)

// streamServer is a Fiber app on a real listener that streams a hand-filled feed.
type streamServer struct {
	*handFeed
	t       *testing.T
	handler *StreamHandler
	url     string
	expires time.Time
}

func newStreamServer(t *testing.T, change func(*StreamConfig), expiresIn time.Duration) *streamServer {
	t.Helper()
	f := newHandFeed(t, nil)
	c := StreamConfig{Feed: f.Feed, Log: zerolog.Nop(), Registerer: prometheus.NewRegistry()}
	if change != nil {
		change(&c)
	}
	h, err := NewStreamHandler(c)
	require.NoError(t, err)
	s := &streamServer{handFeed: f, t: t, handler: h, expires: time.Now().Add(expiresIn)}
	app := fiber.New(fiber.Config{
		DisableStartupMessage: true,
		// Far below the streams' lives: they must not be cut by the request's times.
		ReadTimeout: time.Second, WriteTimeout: time.Second,
		ErrorHandler: func(c *fiber.Ctx, err error) error {
			status := http.StatusInternalServerError
			t.Log(err)
			if errors.Is(err, ErrTooManyStreams) {
				status = http.StatusTooManyRequests
			}
			return c.SendStatus(status)
		},
	})
	app.Get("/v1/stream", func(c *fiber.Ctx) error { return h.Handle(c, c.Get("Test-Account"), s.expires) })
	app.Get("/alive", func(c *fiber.Ctx) error { return c.SendString("yes") })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.url = "http://" + listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- app.Listener(listener) }()
	t.Cleanup(func() {
		h.Close()
		require.NoError(t, app.ShutdownWithTimeout(feedPatience))
		require.NoError(t, <-served)
		require.Zero(t, s.open(), "every stream was given back")
		require.Empty(t, h.perAccount)
		for _, p := range f.partitions {
			require.Empty(t, p.followers)
		}
	})
	return s
}

func (s *streamServer) open() int { return int(counted(s.handler.opened)) }

// message is one server-sent event, or a comment.
type message struct{ event, id, data, comment string }

// eventReader is a client's end of a stream.
type eventReader struct {
	t        *testing.T
	response *http.Response
	lines    *bufio.Scanner
	lastID   string
	leave    context.CancelFunc
}

func (s *streamServer) request(account, lastEventID string) (*http.Response, context.CancelFunc) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedPatience)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/stream", nil)
	require.NoError(s.t, err)
	request.Header.Set("Test-Account", account)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	response, err := (&http.Transport{}).RoundTrip(request)
	require.NoError(s.t, err)
	return response, cancel
}

func (s *streamServer) connect(account, lastEventID string) *eventReader {
	s.t.Helper()
	response, cancel := s.request(account, lastEventID)
	require.Equal(s.t, http.StatusOK, response.StatusCode)
	r := newEventReader(s.t, response, cancel)
	r.lastID = lastEventID
	s.t.Cleanup(r.leave)
	return r
}

func newEventReader(t *testing.T, response *http.Response, cancel context.CancelFunc) *eventReader {
	return &eventReader{t: t, response: response, lines: bufio.NewScanner(response.Body), leave: func() {
		cancel()
		_ = response.Body.Close()
	}}
}

// read returns the next message; false when the stream has ended.
func (r *eventReader) read() (message, bool) {
	var m message
	for r.lines.Scan() {
		line := r.lines.Text()
		if line == "" {
			if m.id != "" {
				r.lastID = m.id
			}
			if m != (message{}) {
				return m, true
			}
			continue
		}
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "event":
			m.event = value
		case "id":
			m.id = value
		case "data":
			m.data = value
		case "":
			m.comment = line
		case "retry":
		default:
			r.t.Errorf("line %q", line)
		}
	}
	return m, false
}

// next returns the next event, comments left out.
func (r *eventReader) next() message {
	r.t.Helper()
	for {
		m, ok := r.read()
		require.True(r.t, ok, "the stream ended: %v", r.lines.Err())
		if m.comment == "" {
			return m
		}
	}
}

// ended reads until the stream has.
func (r *eventReader) ended() error {
	for {
		if _, ok := r.read(); !ok {
			return r.lines.Err()
		}
	}
}

func (m message) eventID(t *testing.T) string {
	t.Helper()
	var data struct{ ID string }
	require.NoError(t, json.Unmarshal([]byte(m.data), &data))
	return data.ID
}

func TestStreamShowsWhatHappens(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	account := schemas.NewID()
	before := s.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	r := s.connect(account, "")
	require.Equal(t, "text/event-stream", r.response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", r.response.Header.Get("Cache-Control"))
	require.Equal(t, "no", r.response.Header.Get("X-Accel-Buffering"))
	require.Equal(t, before.String(), r.response.Header.Get("Atelier-Position"))
	require.Equal(t, message{event: "hello", id: before.String(), data: "{}"}, r.next())

	events := batchEvents(account, schemas.NewID(), 2, 2)
	s.put(batchEvents(schemas.NewID(), schemas.NewID(), 3, 1)...) // somebody else's
	last := s.put(events...)
	for i, name := range []string{"CreditsReserved", "BatchRequested", "GenerationRequested", "GenerationRequested"} {
		m := r.next()
		require.Equal(t, name, m.event)
		require.Equal(t, events[i].Meta().ID, m.eventID(t))
		position, err := projections.ParsePosition(m.id)
		require.NoError(t, err)
		require.Equal(t, last.Offset-int64(3-i), position.Offset)
		require.NotContains(t, m.data, "c2VhbGVk", "base64 of sealed")
	}

	note, err := kafka.NewRecord(s.config.Codec, schemas.TopicProgress, &schemas.GenerationProgress{
		Metadata: schemas.Metadata{AccountID: account}, GenerationID: "g", Stage: "checking", Attempt: 2, AttemptsMax: 3})
	require.NoError(t, err)
	s.pass(context.Background(), note)
	m := r.next()
	require.Equal(t, "progress", m.event)
	require.Empty(t, m.id)
	require.Contains(t, m.data, `"stage":"checking"`)
}

func TestStreamThatSawNothingResumesToo(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	account := schemas.NewID()
	r := s.connect(account, "")
	require.Equal(t, "hello", r.next().event)
	r.leave()
	events := batchEvents(account, schemas.NewID(), 1, 1)
	s.put(events...)
	r = s.connect(account, r.lastID)
	for _, e := range events {
		require.Equal(t, e.Meta().ID, r.next().eventID(t))
	}

	// The same in a partition that has no record yet.
	for _, p := range s.partitions {
		p.begin(0)
	}
	account = schemas.NewID()
	r = s.connect(account, "")
	require.Equal(t, "2."+strconv.Itoa(int(kafka.PartitionOf(account, feedPartitions)))+".-1", r.next().id)
	require.Empty(t, r.response.Header.Get("Atelier-Position"))
	r.leave()
	r = s.connect(account, r.lastID)
	m, _ := r.read()
	require.Equal(t, ": resumed", m.comment)
}

// manyStreams is for clients that reconnect faster than the server sees them leave.
func manyStreams(c *StreamConfig) { c.PerAccountMax = 1000 }

func TestStreamResumesWithoutLoss(t *testing.T) {
	s := newStreamServer(t, manyStreams, time.Hour)
	account := schemas.NewID()
	r := s.connect(account, "")
	require.Equal(t, "hello", r.next().event)
	const commands, perCommand = 200, 6
	var want []string
	all := make([][]schemas.Event, commands)
	for n := range all {
		all[n] = batchEvents(account, schemas.NewID(), int64(n), perCommand-2)
		want = append(want, idsOf(all[n])...)
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		for _, events := range all {
			s.put(events...)
			s.put(batchEvents(schemas.NewID(), schemas.NewID(), 1, 1)...)
		}
	})
	var got []string
	for len(got) < len(want) {
		// Every connection breaks after a few events, in the middle of what is under way.
		for until := min(len(want), len(got)+1+len(got)%37); len(got) < until; {
			m, ok := r.read()
			if !ok {
				break // it was cut as too slow: it resumes as well
			}
			if m.comment != "" {
				continue
			}
			require.NotEqual(t, "resync", m.event)
			got = append(got, m.eventID(t))
		}
		r.leave()
		r = s.connect(account, r.lastID)
	}
	writing.Wait()
	require.Equal(t, want, got)
}

func TestStreamSaysResync(t *testing.T) {
	s := newStreamServer(t, manyStreams, time.Hour)
	account := schemas.NewID()
	at := s.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	for name, id := range map[string]string{
		"older than the ring": fmt.Sprintf("2.%d.3", at.Partition),
		"newer than the log":  fmt.Sprintf("2.%d.99999", at.Partition),
		"another generation":  fmt.Sprintf("1.%d.%d", at.Partition, at.Offset),
		"another partition":   fmt.Sprintf("2.%d.%d", (at.Partition+1)%feedPartitions, at.Offset),
		"no position":         "<script>",
		"too large":           "2.0.99999999999999999999",
	} {
		t.Run(name, func(t *testing.T) {
			r := s.connect(account, id)
			require.Equal(t, message{event: "resync", id: at.String(), data: "{}"}, r.next())
			events := batchEvents(account, schemas.NewID(), 2, 1)
			at = s.put(events...)
			for _, e := range events {
				require.Equal(t, e.Meta().ID, r.next().eventID(t), "it goes on from there")
			}
		})
	}
}

func TestStreamBeats(t *testing.T) {
	s := newStreamServer(t, func(c *StreamConfig) { c.Heartbeat = 20 * time.Millisecond }, time.Hour)
	r := s.connect(schemas.NewID(), "")
	require.Equal(t, "hello", r.next().event)
	began := time.Now()
	for range 10 {
		m, ok := r.read()
		require.True(t, ok)
		require.Equal(t, message{comment: ": "}, m)
	}
	require.Greater(t, time.Since(began), 150*time.Millisecond, "longer than the server's own timeouts")
}

func TestStreamEndsWithItsToken(t *testing.T) {
	s := newStreamServer(t, nil, 300*time.Millisecond)
	r := s.connect(schemas.NewID(), "")
	require.NoError(t, r.ended(), "an orderly end")
	require.WithinDuration(t, s.expires, time.Now(), 2*time.Second)
	require.False(t, time.Now().Before(s.expires))
	require.Equal(t, 1, int(counted(s.handler.ended.WithLabelValues("expired"))))
	require.NoError(t, s.connect(schemas.NewID(), "").ended(), "one that has expired")
}

func TestStreamNoticesThatTheClientLeft(t *testing.T) {
	s := newStreamServer(t, func(c *StreamConfig) { c.Heartbeat = time.Hour }, time.Hour)
	account := schemas.NewID()
	for range 3 * streamsPerAccountMax {
		r := s.connect(account, "")
		require.Equal(t, "hello", r.next().event)
		r.leave()
		require.Eventually(t, func() bool { return s.open() == 0 }, feedPatience, time.Millisecond)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	s := newStreamServer(t, func(c *StreamConfig) { c.TotalMax = streamsPerAccountMax + 2 }, time.Hour)
	account := schemas.NewID()
	refused := func(account string) {
		t.Helper()
		response, leave := s.request(account, "")
		defer leave()
		require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
		require.NoError(t, response.Body.Close())
	}
	var first *eventReader
	for range streamsPerAccountMax {
		first = s.connect(account, "")
		require.Equal(t, "hello", first.next().event)
	}
	refused(account)
	for range 2 {
		require.Equal(t, "hello", s.connect(schemas.NewID(), "").next().event)
	}
	refused(schemas.NewID()) // the node is full
	first.leave()
	require.Eventually(t, func() bool { return s.open() == streamsPerAccountMax+1 }, feedPatience, time.Millisecond)
	require.Equal(t, "hello", s.connect(account, "").next().event)
	refused(account)
}

// deaf opens a stream on a raw connection with a small window and reads nothing.
func (s *streamServer) deaf(account string) {
	s.t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = connection.Close() })
	require.NoError(s.t, connection.(*net.TCPConn).SetReadBuffer(1))
	_, err = io.WriteString(connection, "GET /v1/stream HTTP/1.1\r\nHost: test\r\nTest-Account: "+account+"\r\n\r\n\r\n")
	require.NoError(s.t, err)
}

func TestStreamCutsWhoTakesNothing(t *testing.T) {
	s := newStreamServer(t, func(c *StreamConfig) { c.WriteTimeout = 200 * time.Millisecond }, time.Hour)
	account := schemas.NewID()
	s.deaf(account)
	require.Eventually(t, func() bool { return s.open() == 1 }, feedPatience, time.Millisecond)
	r := s.connect(account, "")
	require.Equal(t, "hello", r.next().event)

	// A reader beside it gets all, while the socket of the deaf one fills up.
	long := strings.Repeat("x", 30_000)
	deadline := time.Now().Add(feedPatience)
	for n := int64(0); s.open() > 1; n++ {
		require.True(t, time.Now().Before(deadline), "still there after %d events", n)
		events := commandEvents(account, schemas.NewID(), n, &schemas.CommandRejected{Detail: long})
		s.put(events...)
		require.Equal(t, events[0].Meta().ID, r.next().eventID(t))
	}
	cut := counted(s.handler.ended.WithLabelValues("write")) + counted(s.handler.ended.WithLabelValues("slow"))
	require.EqualValues(t, 1, cut)
}

func TestStreamPanicEndsItsConnectionAlone(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	account := schemas.NewID()
	r, other := s.connect(account, ""), s.connect(schemas.NewID(), "")
	require.Equal(t, "hello", r.next().event)
	require.Equal(t, "hello", other.next().event)
	s.partition(account).passOn(account, Delivery{}) // neither fact nor note: a nil pointer
	require.Error(t, r.ended(), "no orderly end")
	require.Eventually(t, func() bool { return s.open() == 1 }, feedPatience, time.Millisecond)
	require.EqualValues(t, 1, counted(s.handler.ended.WithLabelValues("panic")))

	response, err := http.Get(s.url + "/alive")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "hello", s.connect(account, "").next().event)
}

func TestStreamIgnoresALineBreakTooManyAndNoMore(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	_, err = io.WriteString(connection, "GET /v1/stream HTTP/1.1\r\nHost: test\r\nTest-Account: a\r\n\r\n")
	require.NoError(t, err)
	in := bufio.NewReader(connection)
	for line := ""; !strings.HasPrefix(line, "event: hello"); {
		line, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	_, err = io.WriteString(connection, "\r\n")
	require.NoError(t, err)
	s.put(commandEvents("a", schemas.NewID(), 1, &schemas.BrandArchived{})...)
	for line := ""; !strings.HasPrefix(line, "event: BrandArchived"); {
		line, err = in.ReadString('\n')
		require.NoError(t, err)
	}
	_, err = connection.Write(make([]byte, 2*strayBytesMax))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.open() == 0 }, feedPatience, time.Millisecond)
}

func TestStreamsEndAtShutdown(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	account := schemas.NewID()
	var readers []*eventReader
	for range 3 {
		r := s.connect(account, "")
		require.Equal(t, "hello", r.next().event)
		readers = append(readers, r)
	}
	s.handler.Close()
	s.handler.Close()
	for _, r := range readers {
		require.NoError(t, r.ended())
	}
	response, leave := s.request(account, "")
	defer leave()
	require.Equal(t, http.StatusTooManyRequests, response.StatusCode)
	require.NoError(t, response.Body.Close())
}

func TestStreamGivesABurstAsAWhole(t *testing.T) {
	s := newStreamServer(t, nil, time.Hour)
	account := schemas.NewID()
	from := s.put(batchEvents(account, schemas.NewID(), 1, 1)...)
	var want []string
	for n := range 3 * subscriptionEventsMax {
		events := commandEvents(account, schemas.NewID(), int64(n), &schemas.CommandRejected{Detail: strings.Repeat("y", 400)})
		s.put(events...)
		want = append(want, events[0].Meta().ID)
	}
	r := s.connect(account, from.String()) // a replay is longer than what may wait
	for _, id := range want {
		require.Equal(t, id, r.next().eventID(t))
	}
}

func TestStreamConfigIsRefused(t *testing.T) {
	f := newHandFeed(t, nil)
	for name, c := range map[string]StreamConfig{
		"no feed":   {},
		"heartbeat": {Feed: f.Feed, Heartbeat: -1},
		"streams":   {Feed: f.Feed, PerAccountMax: -1},
	} {
		_, err := NewStreamHandler(c)
		require.Error(t, err, name)
	}
}
