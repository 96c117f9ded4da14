package load

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"atelier/check"
)

const (
	positionHeader = "Atelier-Position"
	// bodyBytesMax bounds what is read of an answer: a page of 100 images.
	bodyBytesMax = 4 << 20
)

// request is a call before it is made.
type request struct {
	method, path string
	body         any
	key          string // Idempotency-Key, for what changes something
	ifMatch      string
	position     string
	does         string
}

// answer is what came back.
type answer struct {
	status   int // 0: none came
	position string
	location string
	retry    bool // 503 or 429: the same may be asked again
	body     []byte
}

// json reads the body into value; a body that is something else leaves it as it is.
func (a answer) json(value any) { _ = json.Unmarshal(a.body, value) }

func (a answer) code() string {
	var problem struct {
		Code string `json:"code"`
	}
	a.json(&problem)
	return problem.Code
}

// told says in the history's words what an answer means for a command.
func (a answer) told() string {
	switch {
	case a.status >= 200 && a.status < 300:
		return check.Acknowledged
	case a.status == 0 || a.status >= 500:
		return check.Unknown // also 503: it may have been written before
	}
	return check.Refused
}

// isDone says whether a command was done, and not only accepted: then the answer names
// the command itself, and nothing of what it is about.
func (a answer) isDone() bool {
	return a.told() == check.Acknowledged && a.status != http.StatusAccepted
}

// send makes one call. A session that has ended is begun again, once.
func (u *user) send(ctx context.Context, r request) answer {
	a := u.sendOnce(ctx, r)
	if a.status == http.StatusUnauthorized && u.signIn(ctx) == nil {
		return u.sendOnce(ctx, r)
	}
	return a
}

// sendOnce makes one call. What changes nothing is noted here, everything else by
// command.
func (u *user) sendOnce(ctx context.Context, r request) answer {
	began := time.Now()
	a := u.exchange(ctx, r)
	if r.key == "" {
		path, _, _ := strings.Cut(r.path, "?")
		u.load.config.History.Call(check.Call{
			At: began.UTC(), TookMs: time.Since(began).Milliseconds(), Account: u.account,
			Does: r.method + " " + path, Answer: check.Read, Status: a.status, Code: a.code(),
		})
	}
	return a
}

// exchange begins nothing after ctx's end, but waits for the answer to what was begun: the
// API goes on with a call that nobody waits for, and what it writes then would come after
// the system was found at rest.
func (u *user) exchange(ctx context.Context, r request) answer {
	if ctx.Err() != nil {
		return answer{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	var body io.Reader
	if r.body != nil {
		encoded, err := json.Marshal(r.body)
		if err != nil {
			return answer{}
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, r.method, u.load.config.Address()+r.path, body)
	if err != nil {
		return answer{}
	}
	request.Header.Set("Authorization", "Bearer "+u.bearer())
	for name, value := range map[string]string{"Idempotency-Key": r.key, "If-Match": r.ifMatch, positionHeader: r.position} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	u.load.calls.Add(1)
	response, err := u.load.http.Do(request)
	if err != nil {
		return answer{}
	}
	defer response.Body.Close()
	read, err := io.ReadAll(io.LimitReader(response.Body, bodyBytesMax))
	if err != nil {
		return answer{} // cut in the middle: nobody knows
	}
	return answer{
		status: response.StatusCode, position: response.Header.Get(positionHeader), location: response.Header.Get("Location"),
		retry: response.StatusCode == http.StatusServiceUnavailable || response.StatusCode == http.StatusTooManyRequests, body: read,
	}
}

const (
	// triesMax bounds how often a command is sent under one key (count).
	triesMax = 4
	// tryAgain is the wait before the same is asked again.
	tryAgain = 300 * time.Millisecond
)

// command sends a command until somebody says what became of it, a few times at
// most, and notes every answer. A command that is still to be decided is asked for.
func (u *user) command(ctx context.Context, r request) answer {
	var a answer
	for try := 1; ; try++ {
		began := time.Now()
		a = u.send(ctx, r)
		u.note(r, a, began)
		if told := a.told(); told != check.Unknown && !a.retry || try == triesMax || !wait(ctx, tryAgain) {
			break
		}
	}
	if a.status == http.StatusAccepted {
		return u.outcome(ctx, r, a)
	}
	if a.position != "" && a.told() == check.Acknowledged {
		u.reached(a.position)
	}
	return a
}

func (u *user) note(r request, a answer, began time.Time) {
	call := check.Call{
		At: began.UTC(), TookMs: time.Since(began).Milliseconds(), Account: u.account, Does: r.does, Key: r.key,
		Answer: a.told(), Status: a.status,
	}
	switch {
	case a.status == http.StatusAccepted:
		call.Command = strings.TrimPrefix(a.location, "/v1/commands/")
	case a.told() == check.Refused:
		call.Code, call.Command = a.code(), strings.TrimPrefix(a.location, "/v1/commands/")
	case a.told() == check.Acknowledged:
		var named struct {
			Batch string `json:"batch_id"`
		}
		a.json(&named)
		call.Batch = named.Batch
	default:
		call.Code = a.code()
	}
	u.load.config.History.Call(call)
}

// outcomeTries bounds how often the outcome of a command is asked for (count).
const outcomeTries = 100

// outcome asks what became of a command that was not decided in time, notes it, and
// returns it as the answer that would have come.
func (u *user) outcome(ctx context.Context, r request, accepted answer) answer {
	for range outcomeTries {
		if !wait(ctx, tryAgain) {
			break
		}
		began := time.Now()
		a := u.send(ctx, request{method: http.MethodGet, path: accepted.location})
		var outcome struct {
			Status   string `json:"status"`
			Position string `json:"position"`
			Batch    string `json:"batch_id,omitempty"`
			Resource string `json:"resource_id,omitempty"`
		}
		a.json(&outcome)
		switch {
		case a.status != http.StatusOK || outcome.Status == "pending":
			continue
		case outcome.Status == "rejected":
			settled := answer{status: http.StatusConflict, location: accepted.location, body: a.body}
			u.note(r, settled, began)
			return settled
		}
		u.reached(outcome.Position)
		named, _ := json.Marshal(map[string]string{"id": outcome.Resource, "batch_id": outcome.Batch}) // strings always encode
		settled := answer{status: http.StatusOK, position: outcome.Position, body: named}
		u.note(r, settled, began)
		return settled
	}
	return accepted
}

// read reads at the position of the user's last command, and again where the read
// model is not there yet.
func (u *user) read(ctx context.Context, path string) answer {
	var a answer
	for range triesMax {
		a = u.send(ctx, request{method: http.MethodGet, path: path, position: u.position()})
		if !a.retry && a.status != 0 || !wait(ctx, tryAgain) {
			break
		}
	}
	return a
}

// missing notes what an answer lacks that it should have.
func (u *user) missing(does, what string) {
	u.load.config.History.Call(check.Call{At: time.Now().UTC(), Account: u.account, Does: does, Answer: check.Read, Missing: what})
}
