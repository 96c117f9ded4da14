package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// loadCutLeast and loadCutMost are after how many events a reader hangs up
	// (counts); an ordinary person's stream sees some three a second.
	loadCutLeast, loadCutMost = 10, 160
	// loadResyncs is how many reconnections have one that asks for a position which
	// is gone (count).
	loadResyncs = 6
	// loadCutSlack is how much later than its deadline a write may end on a busy machine.
	loadCutSlack = 5 * time.Second
)

// open opens all streams without reading any: what they take is then the server's.
func (l *load) open() {
	l.followers = &followers{load: l}
	l.t.Cleanup(l.followers.leave)
	for n := range loadStreams {
		f := &follower{load: l, who: l.people[n%loadPeople], random: rand.New(rand.NewPCG(1, uint64(n)))}
		all := &l.followers.readers
		if n < loadDeaf {
			f.who, f.deaf, all = l.people[n%loadLoud], true, &l.followers.deaf
		}
		f.conn = l.dial(f.who, "", f.deaf)
		*all = append(*all, f)
	}
	require.Eventually(l.t, func() bool { return l.opened() == loadStreams }, patience, 5*time.Millisecond)
}

// dial opens a person's stream on a raw connection; nil and a failed test where it cannot.
func (l *load) dial(p *loadPerson, lastEventID string, deaf bool) net.Conn {
	var dialer net.Dialer
	if deaf {
		dialer.Control = func(_, _ string, c syscall.RawConn) (err error) {
			return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) }), err)
		}
	}
	conn, err := dialer.Dial("tcp", l.stuck.Addr().String())
	if err == nil {
		_, err = io.WriteString(conn, "GET /v1/stream HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer "+p.token+"\r\nLast-Event-ID: "+lastEventID+"\r\n\r\n")
	}
	if err != nil {
		l.t.Errorf("a stream cannot be opened: %v", err)
		return nil
	}
	return conn
}

// followers are the clients of the streams.
type followers struct {
	load    *load
	readers []*follower
	deaf    []*follower // until they are cut: then they read what they still have, and resume
	reading sync.WaitGroup
}

// read lets all but the deaf ones read until leave.
func (f *followers) read() {
	for _, r := range f.readers {
		f.reading.Go(r.run)
	}
}

// leave closes all connections and waits for their readers.
func (f *followers) leave() {
	for _, r := range append(f.readers, f.deaf...) {
		r.leave()
	}
	f.reading.Wait()
}

// hear lets the deaf ones, who were cut, read and come back like the others.
func (f *followers) hear() {
	for _, r := range f.deaf {
		f.reading.Go(r.run)
	}
	f.readers, f.deaf = append(f.readers, f.deaf...), nil
}

// follower reads one stream through all of its reconnections.
type follower struct {
	load   *load
	who    *loadPerson
	random *rand.Rand
	deaf   bool // its first connection takes nothing until the server has cut it

	mu       sync.Mutex
	conn     net.Conn
	hasLeft  bool
	lastID   string
	runs     []eventRun
	resumed  int // counts
	resynced int
	ended    int // by the server
}

// eventRun is what a stream gave without a gap: the events after an offset up to
// last. Their IDs are kept as a sum, so that the client takes no memory.
type eventRun struct {
	after, last int64
	events      int
	sum         uint64
}

func (r *eventRun) add(offset int64, id string) {
	h := fnv.New64a()
	_, _ = fmt.Fprint(h, r.sum, id)
	r.last, r.sum = offset, h.Sum64()
	r.events++
}

// run follows the stream until leave: it hangs up after some events and resumes,
// now and then from a position that is gone.
func (f *follower) run() {
	for conn := f.conn; conn != nil; conn = f.again() {
		f.follow(conn)
		_ = conn.Close()
	}
}

func (f *follower) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hasLeft = true
	if f.conn != nil {
		_ = f.conn.Close()
	}
}

// again reconnects; nil after leave.
func (f *follower) again() net.Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hasLeft {
		return nil
	}
	from := f.lastID
	if f.random.IntN(loadResyncs) == 0 {
		from = "7.0.1" // of another topic generation
		f.resynced++
	} else {
		f.resumed++
	}
	f.conn = f.load.dial(f.who, from, false)
	return f.conn
}

// follow reads a connection until it is time to hang up, or it ends.
func (f *follower) follow(conn net.Conn) {
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
	switch {
	case err != nil && f.isOver():
		return
	case err != nil && f.deaf:
		f.deaf = false // nothing had reached it
		return
	case err != nil || response.StatusCode != http.StatusOK:
		f.load.t.Errorf("a stream was not opened: %v %v", response, err)
		return
	}
	in := newEventReader(f.load.t, response, func() {})
	for until := loadCutLeast + f.random.IntN(loadCutMost-loadCutLeast); until > 0; until-- {
		m, ok := in.read()
		if !ok {
			f.mu.Lock()
			f.ended++
			f.mu.Unlock()
			return
		}
		if m.id != "" {
			f.take(m)
		}
	}
}

func (f *follower) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hasLeft
}

// take notes a fact, or where the stream begins.
func (f *follower) take(m message) {
	at, err := parseEventID(m.id)
	if err != nil {
		f.load.t.Errorf("id %q: %v", m.id, err)
		return
	}
	if m.event == "resync" && at.Offset >= 0 {
		f.load.read(f.who, "/v1/credits", m.id) // afresh, and not older than the stream
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastID = m.id
	if m.event == "hello" || m.event == "resync" {
		f.runs = append(f.runs, eventRun{after: at.Offset, last: at.Offset})
		return
	}
	run := &f.runs[len(f.runs)-1]
	if at.Offset <= run.last {
		f.load.t.Errorf("offset %d comes after %d", at.Offset, run.last)
	}
	_, id, _ := strings.Cut(m.data, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	run.add(at.Offset, id)
}

// has says whether the stream has shown all up to an offset.
func (f *follower) has(offset int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.runs) > 0 && f.runs[len(f.runs)-1].last >= offset
}

// logged is an event as the topic holds it.
type logged struct {
	offset              int64
	id, name, causation string
	key                 string // of its command; on the first event alone
}

// checkRequests compares what clients were told with the log, and returns the log
// by account.
func (l *load) checkRequests() map[string][]logged {
	all := l.readLog()
	rejected := schemas.ShortName(&schemas.CommandRejected{})
	at, keyed := map[projections.Position]logged{}, map[string]string{}
	for account, events := range all {
		for _, e := range events {
			at[projections.Position{Partition: kafka.PartitionOf(account, feedPartitions), Offset: e.offset}] = e
			// One that was sent again before its outcome was known is refused by the log.
			if e.key != "" && e.name != rejected {
				require.Empty(l.t, keyed[account+e.key], "a key has two commands that did something")
				keyed[account+e.key] = e.causation
			}
		}
	}
	for _, a := range l.acked {
		require.Equal(l.t, a.event, at[a.at].name, "%+v", a)
		require.Equal(l.t, keyed[a.account+a.key], at[a.at].causation, "%+v", a)
	}
	require.NotEmpty(l.t, l.acked)
	l.t.Logf("%d commands acknowledged, each with its event; %d keys sent twice", len(l.acked), l.again)
	return all
}

// readLog reads atelier.events from its beginning to its end.
func (l *load) readLog() map[string][]logged {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	admin, err := kafka.NewAdmin(l.kafka)
	require.NoError(l.t, err)
	defer admin.Close()
	ends, err := admin.HighWatermarks(ctx, schemas.TopicEvents)
	require.NoError(l.t, err)
	from := map[int32]int64{}
	for partition := range ends {
		from[partition] = 0
	}
	reader, err := kafka.NewReader(l.kafka, schemas.TopicEvents, from)
	require.NoError(l.t, err)
	defer reader.Close()
	all := map[string][]logged{}
	for behind := true; behind; {
		records, err := reader.Poll(ctx, recordsPerPollMax)
		require.NoError(l.t, err)
		for _, r := range records {
			from[r.Partition] = r.Offset + 1
			if kafka.IsControl(r) {
				continue
			}
			decoded, err := l.codec.Decode(ctx, schemas.TopicEvents, r.Value)
			require.NoError(l.t, err)
			m := decoded.(schemas.Event).Meta()
			all[m.AccountID] = append(all[m.AccountID], logged{
				offset: r.Offset, id: m.ID, name: schemas.ShortName(decoded), causation: m.CausationID, key: m.IdempotencyKey,
			})
		}
		behind = false
		for partition, end := range ends {
			behind = behind || from[partition] < end
		}
	}
	return all
}

// checkStreams waits until every stream has come to the end of the log, and
// compares what each has shown with what the log holds for its account.
func (l *load) checkStreams(all map[string][]logged) {
	spend := schemas.ShortName(&schemas.SpendRecorded{}) // is not streamed
	ends := map[string]int64{}
	for account, events := range all {
		for _, e := range events {
			if e.name != spend {
				ends[account] = e.offset
			}
		}
	}
	var resumed, resynced, ended, events int
	for _, f := range l.followers.readers {
		require.Eventually(l.t, func() bool { return f.has(ends[f.who.account]) }, patience, 5*time.Millisecond, "%s is not shown up to %d", f.who.account, ends[f.who.account])
		f.mu.Lock()
		before := int64(-1)
		for _, got := range f.runs {
			want := eventRun{after: got.after, last: got.after}
			for _, e := range all[f.who.account] {
				if e.offset > got.after && e.offset <= got.last && e.name != spend {
					want.add(e.offset, e.id)
				}
			}
			require.Equal(l.t, want, got)
			require.GreaterOrEqual(l.t, got.after, before, "a resync goes back")
			before, events = got.last, events+got.events
		}
		resumed, resynced, ended = resumed+f.resumed, resynced+f.resynced, ended+f.ended
		f.mu.Unlock()
	}
	l.t.Logf("%d streams showed %d events, resumed %d times, through resync %d times; %d ends were the server's", len(l.followers.readers), events, resumed, resynced, ended)
	require.Positive(l.t, resumed)
	require.Positive(l.t, resynced)
}

// checkDeaf waits until those that read nothing are cut, each once its write has
// waited for its time. Who hangs up in the middle of a write is counted like them.
func (l *load) checkDeaf() {
	s := l.node.server.streams
	require.Eventually(l.t, func() bool { return l.opened() == loadStreams-loadDeaf }, patience, 10*time.Millisecond)
	require.GreaterOrEqual(l.t, counted(s.ended.WithLabelValues("write")), float64(loadDeaf))
	l.stuck.mu.Lock()
	defer l.stuck.mu.Unlock()
	require.GreaterOrEqual(l.t, len(l.stuck.waited), loadDeaf)
	var longest time.Duration
	for _, waited := range l.stuck.waited {
		require.Less(l.t, waited, s.config.WriteTimeout+loadCutSlack)
		longest = max(longest, waited)
	}
	cut := counted(l.node.server.config.Feed.metrics.cut)
	l.t.Logf("%d deaf streams were cut, the last after %s; at most %d events waited for one stream, %.0f were too slow", loadDeaf, longest, l.queued, cut)
	require.LessOrEqual(l.t, l.queued, loadQueueMax)
	if onKafka(l.t) { // alone on the machine, and long enough
		require.Positive(l.t, cut, "more events came than may wait")
	}
}

// stuckWrites is a listener whose connections note how long a write waited that
// ran into its deadline.
type stuckWrites struct {
	net.Listener
	mu     sync.Mutex
	waited []time.Duration
}

func newStuckWrites(t *testing.T) *stuckWrites {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return &stuckWrites{Listener: listener}
}

func (s *stuckWrites) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stuckConn{TCPConn: conn.(*net.TCPConn), all: s}, nil
}

type stuckConn struct {
	*net.TCPConn
	all *stuckWrites
}

func (c *stuckConn) Write(p []byte) (int, error) {
	began := time.Now()
	n, err := c.TCPConn.Write(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.all.mu.Lock()
		defer c.all.mu.Unlock()
		c.all.waited = append(c.all.waited, time.Since(began))
	}
	return n, err
}
