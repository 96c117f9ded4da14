package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"atelier/check"
	"atelier/projections"
)

const (
	// streamSilence is how long a stream may say nothing, heartbeats included.
	streamSilence = 20 * time.Second
	// streamLife is about how long a client stays before it leaves and comes back.
	streamLife = 4 * time.Second
	// reconnectWait is about the wait before a client comes back.
	reconnectWait = 200 * time.Millisecond
	// streamLineBytesMax bounds one line of a stream.
	streamLineBytesMax = 1 << 20
	// catchUpPoll is the wait between two looks at whether the stream has told all.
	catchUpPoll = 200 * time.Millisecond
)

// stream is what a client knows from its stream alone.
type stream struct {
	mu          sync.Mutex
	last        string // ID of the last fact, to resume from
	position    projections.Position
	seen        bool // position is of a fact
	generations map[string]string
	available   int64
	held        int64
	events      int
	reconnects  int
	resyncs     int
	disorder    int
}

// follow follows the user's stream until ctx ends, leaves now and then, and comes
// back to where it was.
func (u *user) follow(ctx context.Context) {
	random := rand.New(rand.NewPCG(u.load.config.Seed, uint64(u.number)+1<<32))
	// A client that begins knows what there is.
	for !u.resync(ctx) {
		if !wait(ctx, tryAgain) {
			return
		}
	}
	for {
		life, cancel := context.WithTimeout(ctx, streamLife/2+time.Duration(random.Int64N(int64(streamLife))))
		u.connect(life)
		cancel()
		if !wait(ctx, reconnectWait/2+time.Duration(random.Int64N(int64(reconnectWait)))) {
			return
		}
		u.stream.mu.Lock()
		u.stream.reconnects++
		u.stream.mu.Unlock()
	}
}

// connect reads one connection to its end.
func (u *user) connect(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.load.config.Address()+"/v1/stream", nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+u.bearer())
	request.Header.Set("Last-Event-ID", u.stream.resumeFrom())
	response, err := u.load.http.Do(request)
	if err != nil {
		return
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		_ = u.signIn(ctx) // the next connection has the new token, or tries again
	}
	if response.StatusCode != http.StatusOK {
		return
	}
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, streamLineBytesMax)
	var event, id, data string
	for lines.Scan() {
		silence.Reset(streamSilence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			data = value
		case "": // an empty line, or a comment
			if lines.Text() != "" || event == "" {
				continue
			}
			if event == "resync" {
				if !u.resync(ctx) {
					return // comes back, is told again
				}
			} else if event != "progress" && event != "hello" {
				u.stream.take(event, id, data)
			}
			event, id, data = "", "", ""
		}
	}
}

func (s *stream) resumeFrom() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// statuses is what the events make of a generation.
var statuses = map[string]string{
	"GenerationRequested": "requested", "GenerationSucceeded": "succeeded", "GenerationFailed": "failed", "GenerationCanceled": "canceled",
}

// take folds one event. One that is not after the last is noted as disorder.
func (s *stream) take(event, id, data string) {
	at, err := projections.ParsePosition(id)
	if err != nil {
		return
	}
	var fields struct {
		Generation string `json:"generation_id"`
		Available  *int64 `json:"available_after"`
		Held       *int64 `json:"held_after"`
	}
	if json.Unmarshal([]byte(data), &fields) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen && at.Generation == s.position.Generation && at.Offset <= s.position.Offset {
		s.disorder++
		return
	}
	s.position, s.seen, s.last = at, true, id
	s.events++
	if status := statuses[event]; status != "" {
		s.generations[fields.Generation] = status
	}
	if fields.Available != nil && fields.Held != nil {
		s.available, s.held = *fields.Available, *fields.Held
	}
}

// resync reads everything afresh, and resumes from where the first read was: the
// others are of then or later. What comes twice then changes nothing.
func (u *user) resync(ctx context.Context) bool {
	generations := map[string]string{}
	credits := u.read(ctx, "/v1/credits")
	from := credits.position
	if credits.status != http.StatusOK || from == "" {
		return false
	}
	u.reached(from) // the gallery is another read model, and may be behind
	for path := "/v1/generations?limit=100"; path != ""; {
		page := u.read(ctx, path)
		if page.status != http.StatusOK {
			return false
		}
		var list struct {
			Items []struct {
				ID     string `json:"id"`
				Status string `json:"status"`
			} `json:"items"`
			Next *string `json:"next_cursor"`
		}
		page.json(&list)
		for _, g := range list.Items {
			generations[g.ID] = g.Status
		}
		path = ""
		if list.Next != nil {
			path = "/v1/generations?limit=100&cursor=" + *list.Next
		}
	}
	var balance struct {
		Available int64 `json:"available"`
		Held      int64 `json:"held"`
	}
	credits.json(&balance)
	s := &u.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generations, s.available, s.held, s.last, s.seen = generations, balance.Available, balance.Held, from, false
	s.resyncs++
	return true
}

// state is how the account looks to the stream now.
func (s *stream) state(account string) check.Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	generations := make(map[string]string, len(s.generations))
	for id, status := range s.generations {
		generations[id] = status
	}
	return check.Stream{
		Account: account, Reconnects: s.reconnects, Resyncs: s.resyncs, Events: s.events, Generations: generations,
		Available: s.available, Held: s.held, Disorder: s.disorder,
	}
}

// catchUp waits until nothing of the account is open and its stream says what the
// API shows, and notes how it ended; past ctx's deadline, as it is then. Where ctx is
// canceled it notes nothing: what was not waited for proves nothing.
func (u *user) catchUp(ctx context.Context) {
	for {
		state := u.stream.state(u.account)
		agrees := u.agrees(ctx, state)
		if !agrees && wait(ctx, catchUpPoll) {
			continue
		}
		if agrees || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			u.load.config.History.Stream(u.stream.state(u.account))
		}
		return
	}
}

// agrees says whether a state is what the API shows, with nothing open.
func (u *user) agrees(ctx context.Context, s check.Stream) bool {
	for _, status := range s.Generations {
		if status == "requested" {
			return false
		}
	}
	open := u.read(ctx, "/v1/generations?status=requested&limit=1")
	credits := u.read(ctx, "/v1/credits")
	var list struct {
		Items []json.RawMessage `json:"items"`
	}
	var balance struct {
		Available int64 `json:"available"`
		Held      int64 `json:"held"`
	}
	if open.status != http.StatusOK || credits.status != http.StatusOK {
		return false
	}
	open.json(&list)
	credits.json(&balance)
	return len(list.Items) == 0 && balance.Available == s.Available && balance.Held == s.Held && balance.Held == 0
}
