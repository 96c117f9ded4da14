package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/internal/kafka/kafkatest"
	"atelier/projections"
	"atelier/schemas"
)

const (
	// loadStreams are open at once, loadDeaf of them never read (counts).
	loadStreams = 1000
	loadDeaf    = 100
	// loadPeople share the streams and the requests (count); the streams of the
	// first loadLoud are the deaf ones, and their batches are large.
	loadPeople = 60
	loadLoud   = 4
	// loadRate is the requests a second beside the streams, over loadTime on the real
	// Kafka and over loadTimeQuick on the embedded broker.
	loadRate      = 200
	loadTime      = time.Minute
	loadTimeQuick = 20 * time.Second
	// loadImages is of an ordinary batch, loadImagesLoud of a large one (counts).
	loadImages, loadImagesLoud = 2, 24
	// loadAskAgainMax is how often a command that is not decided within its 2 s is
	// asked for again, with its key (count).
	loadAskAgainMax = 10
	// loadFiles is how many descriptors it takes: both ends of every stream and of
	// every request, those of streams that reconnect, and what the parts have open.
	loadFiles = 4096
	// loadQueueMax is more than may wait for one stream (count). The deaf ones'
	// accounts see some thousand events until they are cut.
	loadQueueMax = 400
	// loadHeapBytesMax bounds what streams and requests take at their peak, both
	// ends and the log together.
	loadHeapBytesMax = 384 << 20
	// loadResidentBytesMax bounds what the process grows by, its test's clients and, where
	// it runs, the race detector's shadow included, which is most of it.
	loadResidentBytesMax = 2 << 30
	// loadEventBytesMax is what an event may take that is kept: decoded in the ring,
	// and by the embedded broker in its topics, its snapshot and command included.
	// loadBytesMore is what else may be left.
	loadEventBytesMax = 5 << 10
	loadBytesMore     = 16 << 20
	// loadGoroutinesMore is what may be left of them at the end (count): the
	// database's and the brokers' clients keep some.
	loadGoroutinesMore = 40
)

// A thousand streams, of which a hundred never read, and 200 requests a second
// beside them: every request is answered and what was acknowledged is in the log;
// streams that break off go on without a loss; the deaf ones are cut; and what all
// that took is given back.
func TestLoad(t *testing.T) {
	allowFiles(t)
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		w := newWorld(t, brokers, prefix, nil)
		first := "node " + strings.TrimPrefix(w.node.base, "http://")
		for _, part := range []string{"generator", first, first + " feed"} {
			w.stop[part]() // what is measured is one node; and who cancels what has begun pays in the end
		}
		l := newLoad(t, w)
		before := l.measure()
		l.open()
		idle := l.measure()
		l.followers.read()
		l.send()
		all := l.checkRequests()
		l.checkDeaf()
		l.followers.hear()
		l.checkStreams(all)
		l.followers.leave()
		require.Eventually(t, func() bool { return l.opened() == 0 }, patience, 10*time.Millisecond)
		for _, p := range l.node.server.config.Feed.partitions {
			require.Empty(t, p.followers)
		}
		l.client.CloseIdleConnections()
		require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before.goroutines+loadGoroutinesMore }, patience, 50*time.Millisecond,
			"%d goroutines before", before.goroutines)
		after := l.measure()
		feed := l.node.server.config.Feed
		events := feed.sum((*feedPartition).events)
		t.Logf("the rings hold %.0f events, %.0f KB encoded", events, feed.sum((*feedPartition).bytes)/1024)
		t.Logf("before %s; %d streams idle %s; peak %s; after %s", before, loadStreams, idle, l.peak, after)
		t.Logf("stream.kb_per_connection: heap and stacks %d, RSS %d (the server's end of an idle stream)",
			(idle.heap-before.heap)>>10/loadStreams, (idle.rss-before.rss)>>10/loadStreams)
		require.Less(t, l.peak.heap-before.heap, int64(loadHeapBytesMax))
		require.Less(t, l.peak.rss-before.rss, int64(loadResidentBytesMax))
		require.Less(t, after.heap-before.heap, int64(events)*loadEventBytesMax+loadBytesMore)
	})
}

func onKafka(t *testing.T) bool { return strings.HasSuffix(t.Name(), "/kafka") }

// allowFiles raises the soft limit of open files where it is too low.
func allowFiles(t *testing.T) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur >= loadFiles {
		return
	}
	limit.Cur = loadFiles
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatalf("the test opens %d files, more than this process may: raise the hard limit (ulimit -Hn)", loadFiles)
	}
}

// taken is what the process takes: bytes, and a count.
type taken struct {
	heap       int64 // with stacks
	rss        int64
	goroutines int
}

func (m taken) String() string {
	return fmt.Sprintf("%d MB of heap and stacks, %d MB RSS, %d goroutines", m.heap>>20, m.rss>>20, m.goroutines)
}

// load is a world under load, and what came of it.
type load struct {
	*world
	node      *node
	client    *http.Client
	people    []*loadPerson
	followers *followers
	stuck     *stuckWrites
	time      time.Duration
	peak      taken
	queued    int // the most that waited for one stream (count)

	mu    sync.Mutex
	took  []time.Duration
	acked []acknowledged
	again int // answers to a key that was sent twice (count)
}

// acknowledged is a command that a client was told the outcome of.
type acknowledged struct {
	account, key, event string
	at                  projections.Position
}

// loadPerson does one thing after the other.
type loadPerson struct {
	*person
	images  int
	steps   int
	brand   string
	batch   string
	lastKey string
	lastAt  string
}

func newLoad(t *testing.T, w *world) *load {
	t.Helper()
	l := &load{world: w, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: loadPeople}, Timeout: patience}, time: loadTimeQuick}
	if onKafka(t) {
		l.time = loadTime
	}
	l.stuck = newStuckWrites(t)
	l.node = w.startNodeOn(l.stuck, func(c *Config) { c.Limits.Streams, c.Limits.Brands = loadStreams, 100 })
	for n := range loadPeople {
		p := &loadPerson{person: l.node.person(t), images: loadImages}
		if n < loadLoud {
			p.images = loadImagesLoud
			l.node.grant(p.account, 10_000)
		}
		l.people = append(l.people, p)
	}
	return l
}

// measure says what is in use and not only kept.
func (l *load) measure() taken {
	runtime.GC()
	debug.FreeOSMemory() // a second collection: pools keep things over one
	return l.look()
}

// look says what the newest collection has found in use.
func (l *load) look() taken {
	in := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(in)
	return taken{heap: int64(in[0].Value.Uint64() + in[1].Value.Uint64()), rss: residentBytes(l.t), goroutines: runtime.NumGoroutine()}
}

// residentBytes is 0 where the system does not say it.
func residentBytes(t *testing.T) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, " kB")
	kilobytes, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	require.NoError(t, err)
	return kilobytes << 10
}

func (l *load) opened() int { return int(counted(l.node.server.streams.opened)) }

// send sends the requests of the test's time at loadRate. Each person does one thing
// at a time; who is not yet answered is passed over, and when nobody is left the
// next request waits: a machine that does other things takes longer for as many.
func (l *load) send() {
	idle := make(chan *loadPerson, loadPeople)
	for _, p := range l.people {
		idle <- p
	}
	tick := time.NewTicker(time.Second / loadRate)
	defer tick.Stop()
	total, began := int(l.time.Seconds())*loadRate, time.Now()
	for sent := 0; sent < total; {
		for ; sent < min(total, int(time.Since(began).Seconds()*loadRate)); sent++ {
			p := <-idle
			go func() {
				l.step(p)
				idle <- p
			}()
			if sent%loadRate == 0 {
				l.sample()
			}
		}
		<-tick.C
	}
	for range l.people { // everybody has an answer
		<-idle
	}
	l.mu.Lock() // streams may still ask for a read afresh
	defer l.mu.Unlock()
	slices.Sort(l.took)
	took := time.Since(began)
	l.t.Logf("%d requests in %s, %.0f a second: p50 %s, p99 %s, most %s", len(l.took), took.Round(time.Millisecond),
		float64(total)/took.Seconds(), l.took[len(l.took)/2], l.took[len(l.took)*99/100], l.took[len(l.took)-1])
}

// sample keeps the peaks.
func (l *load) sample() {
	now := l.look()
	l.peak = taken{heap: max(l.peak.heap, now.heap), rss: max(l.peak.rss, now.rss), goroutines: max(l.peak.goroutines, now.goroutines)}
	for _, p := range l.node.server.config.Feed.partitions {
		p.mu.Lock()
		for _, all := range p.followers {
			for s := range all {
				s.mu.Lock()
				l.queued = max(l.queued, s.live)
				s.mu.Unlock()
			}
		}
		p.mu.Unlock()
	}
}

// step does the next thing of a person's round: half of it commands.
func (l *load) step(p *loadPerson) {
	p.steps++
	round := p.steps % 10
	if p.images == loadImagesLoud && p.steps > 1 {
		round = 4 + 3*(p.steps%2) // requested and canceled, one batch after the other
	}
	switch round {
	case 1:
		a := l.command(p, http.MethodPost, "/v1/brands", map[string]any{"kit": map[string]any{"name": "Fjord"}}, nil, "BrandSaved")
		p.brand, _ = a["id"].(string)
	case 2:
		l.read(p, "/v1/brands/"+p.brand, p.position)
	case 3:
		l.command(p, http.MethodPut, "/v1/brands/"+p.brand, map[string]any{"kit": map[string]any{"name": "Fell"}}, map[string]string{"If-Match": `"1"`}, "BrandSaved")
	case 4:
		body := request(p.brand, "meta_story")
		body["variants"] = p.images
		a := l.command(p, http.MethodPost, "/v1/generations", body, nil, "GenerationRequested")
		p.batch, _ = a["batch_id"].(string)
	case 5:
		l.read(p, "/v1/batches/"+p.batch, p.position)
	case 6:
		l.read(p, "/v1/credits", p.position)
	case 7:
		l.command(p, http.MethodPost, "/v1/batches/"+p.batch+"/cancel", nil, nil, "CreditsReleased")
	case 8: // as a client whose connection broke before the answer
		l.retry(p)
	case 9:
		l.read(p, "/v1/generations?batch_id="+p.batch, p.position)
	default:
		l.read(p, "/v1/me", "")
	}
}

// read asks for something as of a position.
func (l *load) read(p *loadPerson, path, position string) {
	status, _, body := l.call(p, http.MethodGet, path, nil, map[string]string{positionHeader: position})
	if status != http.StatusOK {
		l.t.Errorf("GET %s: %d %s", path, status, body)
	}
}

// command sends one with a key of its own and notes what it was told.
func (l *load) command(p *loadPerson, method, path string, body any, headers map[string]string, event string) map[string]any {
	p.lastKey = schemas.NewID()
	all := withKey(p.lastKey)
	all[positionHeader] = p.position
	for name, value := range headers {
		all[name] = value
	}
	status, answered, raw := l.call(p, method, path, body, all)
	for again := 0; status == http.StatusAccepted && again < loadAskAgainMax; again++ { // not decided in time
		status, answered, raw = l.call(p, method, path, body, all)
	}
	at, err := projections.ParsePosition(answered.Get(positionHeader))
	if status/100 != 2 || err != nil {
		l.t.Errorf("%s %s: %d %s, position %v", method, path, status, raw, err)
	}
	p.position, p.lastAt = answered.Get(positionHeader), answered.Get(positionHeader)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked = append(l.acked, acknowledged{account: p.account, key: p.lastKey, event: event, at: at})
	var decoded map[string]any
	_ = json.Unmarshal(raw, &decoded) // what is missing is seen by who needs it
	return decoded
}

// retry cancels the batch once more under the same key, which changes nothing.
func (l *load) retry(p *loadPerson) {
	path := "/v1/batches/" + p.batch + "/cancel"
	status, answered, raw := l.call(p, http.MethodPost, path, nil, withKey(p.lastKey))
	if status/100 != 2 || answered.Get(positionHeader) != p.lastAt {
		l.t.Errorf("again: POST %s: %d %s at %s, not %s", path, status, raw, answered.Get(positionHeader), p.lastAt)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again++
}

// call sends one request and notes how long it took.
func (l *load) call(p *loadPerson, method, path string, body any, headers map[string]string) (int, http.Header, []byte) {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		reader = bytes.NewReader(raw)
	}
	request, err := http.NewRequest(method, l.node.base+path, reader)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+p.token)
	for name, value := range headers {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	began := time.Now()
	response, err := l.client.Do(request)
	if err != nil {
		l.t.Errorf("%s %s has no answer: %v", method, path, err)
		return 0, http.Header{}, nil
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Errorf("%s %s: the answer breaks off: %v", method, path, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, time.Since(began))
	return response.StatusCode, response.Header, raw
}
