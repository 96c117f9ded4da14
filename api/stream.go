package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"atelier/projections"
)

const (
	// streamsPerAccountMax is the default of the contract's limit.
	streamsPerAccountMax = 5
	// streamsMax is the default for a node; an idle stream costs some 40 KB, of
	// which 16 are the buffer that a request's headers may fill.
	streamsMax = 10_000
	// streamHeartbeat is the default pause after which a comment says that the
	// stream lives: proxies cut what is silent, often after 30 s.
	streamHeartbeat = 5 * time.Second
	// streamWriteTimeout is the default for one write. It rolls: every write sets
	// it anew, so that only a peer that takes nothing is cut.
	streamWriteTimeout = 10 * time.Second
	// streamChunkBytes is about how much is encoded before it is written.
	streamChunkBytes = 16 << 10
	// streamSocketBytes is what the kernel keeps of a stream for a peer that does not
	// read. By itself it takes megabytes, and a write of ours would wait only then: for
	// hours, at an account's usual pace.
	streamSocketBytes = 16 << 10
	// streamRetry tells the client how long to wait before it reconnects.
	streamRetry = time.Second
	// strayBytesMax is how much a client may send while it reads a stream: nothing
	// is expected, some send a line break too many.
	strayBytesMax = 1 << 10
	// positionHeader carries a position; the stream's is where it starts.
	positionHeader = "Atelier-Position"
)

// ErrTooManyStreams is an account, or a node, with as many streams as it may
// have (429).
var ErrTooManyStreams = errors.New("too many streams")

// StreamConfig is how events are streamed. Zero values take the defaults.
type StreamConfig struct {
	Feed *Feed
	// PerAccountMax bounds the streams of one account, TotalMax those of the node.
	PerAccountMax, TotalMax int
	// Heartbeat is the longest silence, WriteTimeout the longest write.
	Heartbeat, WriteTimeout time.Duration
	Log                     zerolog.Logger
	// Registerer takes the metrics; nil: none.
	Registerer prometheus.Registerer
}

func (c *StreamConfig) validate() error {
	if c.Feed == nil {
		return errors.New("stream: no feed given")
	}
	if c.PerAccountMax < 0 || c.TotalMax < 0 || c.Heartbeat < 0 || c.WriteTimeout < 0 {
		return errors.New("stream: limits must not be negative")
	}
	if c.PerAccountMax == 0 {
		c.PerAccountMax = streamsPerAccountMax
	}
	if c.TotalMax == 0 {
		c.TotalMax = streamsMax
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = streamHeartbeat
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = streamWriteTimeout
	}
	return nil
}

// StreamHandler answers GET /v1/stream: an account's events as they happen, as
// server-sent events. It is safe for concurrent use.
type StreamHandler struct {
	config StreamConfig
	shapes *streamShapes
	closed chan struct{}
	opened prometheus.Gauge
	sent   prometheus.Counter
	ended  *prometheus.CounterVec

	mu         sync.Mutex
	perAccount map[string]int
	total      int
	isClosed   bool
}

// NewStreamHandler makes the handler.
func NewStreamHandler(c StreamConfig) (*StreamHandler, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	shapes, err := newStreamShapes()
	if err != nil {
		return nil, err
	}
	h := &StreamHandler{
		config: c, shapes: shapes, closed: make(chan struct{}), perAccount: map[string]int{},
		opened: prometheus.NewGauge(prometheus.GaugeOpts{Name: "atelier_stream_connections", Help: "Open event streams."}),
		sent:   prometheus.NewCounter(prometheus.CounterOpts{Name: "atelier_stream_events_total", Help: "Events and notes sent to streams."}),
		ended:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "atelier_stream_ended_total", Help: "Streams that ended, by reason."}, []string{"reason"}),
	}
	if c.Registerer != nil {
		for _, m := range []prometheus.Collector{h.opened, h.sent, h.ended} {
			if err := c.Registerer.Register(m); err != nil {
				return nil, fmt.Errorf("stream: %w", err)
			}
		}
	}
	return h, nil
}

// Close ends all streams and refuses new ones, so that the server can drain.
func (h *StreamHandler) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isClosed {
		h.isClosed = true
		close(h.closed)
	}
}

// Handle streams the events of an account until the token expires, the client
// leaves, takes nothing for WriteTimeout, or the handler is closed.
//
// It begins where Last-Event-ID says and loses nothing. Without one it begins now
// and says where that is (`event: hello` with an id), so that a client that
// reconnects before anything happened loses nothing either. Where the position is
// gone it says `event: resync` with the id of now and goes on from there: the
// client reads afresh, waiting for that position, or resumes from its read's.
//
// Errors: ErrTooManyStreams, ErrFeedNotReady.
func (h *StreamHandler) Handle(c *fiber.Ctx, account string, tokenExpires time.Time) error {
	account = strings.Clone(account) // outlives the request
	if err := h.enter(account); err != nil {
		return err
	}
	subscription, greeting, err := h.subscribe(c.UserContext(), account, c.Get("Last-Event-ID"))
	if err != nil {
		h.leave(account, "refused")
		return err
	}
	c.Set(fiber.HeaderContentType, "text/event-stream")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Accel-Buffering", "no")
	if start := subscription.Start(); start.Offset >= 0 {
		c.Set(positionHeader, start.String())
	}
	// The connection ends with the stream: it is read meanwhile, to see the client leave.
	c.Context().Response.SetConnectionClose()
	c.Context().SetBodyStream(newStreamBody(h, c.Context().Conn(), subscription, greeting, tokenExpires), -1)
	return nil
}

// subscribe follows the account from where the client was, or else from now.
func (h *StreamHandler) subscribe(ctx context.Context, account, lastEventID string) (*Subscription, string, error) {
	retry := fmt.Sprintf("retry: %d\n", streamRetry.Milliseconds())
	name := "hello"
	if lastEventID != "" {
		from, err := parseEventID(lastEventID)
		if err == nil {
			s, err := h.config.Feed.Subscribe(ctx, account, &from)
			if err == nil {
				return s, retry + ": resumed\n\n", nil
			}
			if !errors.Is(err, ErrResync) {
				return nil, "", err
			}
		}
		name = "resync"
	}
	s, err := h.config.Feed.Subscribe(ctx, account, nil)
	if err != nil {
		return nil, "", err
	}
	return s, retry + "event: " + name + "\nid: " + s.Start().String() + "\ndata: {}\n\n", nil
}

// beforeFirst ends the id of a stream that began in an empty partition: it has
// seen what is before offset 0, which is no position of a record.
const beforeFirst = ".-1"

func parseEventID(id string) (projections.Position, error) {
	empty, ok := strings.CutSuffix(id, beforeFirst)
	if !ok {
		return projections.ParsePosition(id)
	}
	at, err := projections.ParsePosition(empty + ".0")
	at.Offset = -1
	return at, err
}

func (h *StreamHandler) enter(account string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isClosed || h.total >= h.config.TotalMax || h.perAccount[account] >= h.config.PerAccountMax {
		return ErrTooManyStreams
	}
	h.total++
	h.perAccount[account]++
	h.opened.Inc()
	return nil
}

func (h *StreamHandler) leave(account, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.total--
	if h.perAccount[account]--; h.perAccount[account] == 0 {
		delete(h.perAccount, account)
	}
	h.ended.WithLabelValues(reason).Inc()
	h.opened.Dec()
}

// streamBody is a response body that never runs dry. The server reads it, writes
// what it gets and flushes, then reads again, all in the connection's goroutine:
// so a Read says that the write before it is done, there is no pipe in which data
// for a dead peer could pile up, and none of fasthttp's goroutines to panic in.
type streamBody struct {
	handler      *StreamHandler
	conn         net.Conn
	subscription *Subscription
	expires      time.Time

	out     bytes.Buffer // encoded, not yet read
	scratch []byte
	batch   []Delivery // taken, not yet encoded
	timer   *time.Timer
	end     string        // why the stream ends after out and batch; empty: it goes on
	left    chan struct{} // closed when the client is gone; nil before the first Read
	closing sync.Once
}

func newStreamBody(h *StreamHandler, conn net.Conn, s *Subscription, greeting string, expires time.Time) *streamBody {
	b := &streamBody{handler: h, conn: conn, subscription: s, expires: expires}
	b.out.WriteString(greeting)
	return b
}

// errStreamFailed ends a connection whose stream panicked or could not be encoded.
var errStreamFailed = errors.New("stream failed")

// Read implements io.Reader. A panic must not get out of it: the recovering
// middleware is gone by then, and the process would end.
func (b *streamBody) Read(p []byte) (n int, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			b.handler.config.Log.Error().Interface("panic", panicked).Msg("stream panicked")
			b.end, n, err = "panic", 0, errStreamFailed
		}
	}()
	if b.left == nil {
		b.begin()
	}
	for b.out.Len() == 0 {
		if len(b.batch) == 0 && b.end != "" {
			return 0, io.EOF
		}
		if err := b.fill(); err != nil {
			b.handler.config.Log.Error().Err(err).Msg("stream cannot encode an event")
			b.end = "failed"
			return 0, errStreamFailed
		}
	}
	n, _ = b.out.Read(p) // has something
	// What is returned is written at once: from now on the peer has this long.
	if err := b.conn.SetWriteDeadline(time.Now().Add(b.handler.config.WriteTimeout)); err != nil {
		b.end = "left"
		return 0, io.EOF
	}
	return n, nil
}

// begin starts to watch the connection.
func (b *streamBody) begin() {
	b.left = make(chan struct{})
	b.timer = time.NewTimer(b.handler.config.Heartbeat)
	if socket, ok := b.conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = socket.SetWriteBuffer(streamSocketBytes) // without it a deaf peer is cut later
	}
	// The server's read timeout was for the request.
	_ = b.conn.SetReadDeadline(time.Time{}) // a dead connection shows at once in Read
	go b.watch()
}

// watch reads the connection to see the client leave: the server itself would
// find out at a failing write only, and the account's streams would be used up by
// clients that reconnect. Close waits for it.
func (b *streamBody) watch() {
	defer close(b.left)
	var stray [64]byte
	for total := 0; total <= strayBytesMax; {
		n, err := b.conn.Read(stray[:])
		if err != nil {
			return
		}
		total += n
	}
}

// fill waits for something to say and puts it into out.
func (b *streamBody) fill() error {
	if b.out.Cap() > 2*streamChunkBytes {
		b.out = bytes.Buffer{} // a burst is not kept for the stream's life
	}
	if len(b.batch) > 0 {
		return b.encode()
	}
	until := time.Until(b.expires)
	b.timer.Reset(max(0, min(until, b.handler.config.Heartbeat)))
	select {
	case <-b.handler.closed:
		b.end = "shutdown"
	case <-b.left:
		b.end = "left"
	case <-b.subscription.Wake():
		batch, err := b.subscription.Take()
		b.batch = batch
		if err != nil {
			b.end = "slow"
		}
	case <-b.timer.C:
		if !time.Now().Before(b.expires) {
			b.end = "expired"
			return nil
		}
		b.out.WriteString(": \n\n")
	}
	return nil
}

// encode moves deliveries from batch to out, about streamChunkBytes of them.
func (b *streamBody) encode() error {
	for len(b.batch) > 0 && b.out.Len() < streamChunkBytes {
		d := b.batch[0]
		b.batch[0] = Delivery{}
		b.batch = b.batch[1:]
		frame, err := b.handler.shapes.frame(b.scratch[:0], d)
		if err != nil {
			return err
		}
		if len(frame) > 0 {
			b.out.Write(frame)
			b.handler.sent.Inc()
		}
		b.scratch = frame
	}
	if len(b.batch) == 0 {
		b.batch, b.scratch = nil, nil
	}
	return nil
}

// Close implements io.Closer; the server calls it when the response is over,
// however it ended.
func (b *streamBody) Close() error {
	b.closing.Do(func() {
		b.subscription.Close()
		if b.left != nil {
			b.timer.Stop()
			_ = b.conn.SetReadDeadline(time.Unix(1, 0)) // ends watch
			<-b.left
		}
		if b.end == "" {
			b.end = "write" // the server gave up: a write failed or took too long
		}
		b.handler.leave(b.subscription.account, b.end)
	})
	return nil
}
