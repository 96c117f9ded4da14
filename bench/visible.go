package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"atelier/schemas"
)

const (
	// VisiblePerS is how many people a second save a brand and read it.
	VisiblePerS = 200
	// underWayMax bounds the requests that are under way at a time (count). Where
	// that many are, the next one waits, and its wait is measured.
	underWayMax = 400
	// requestTimeout bounds one request.
	requestTimeout = 10 * time.Second
	// brandsPerAccount is how many brands one account makes: below the limit.
	brandsPerAccount = 40
)

// VisibleConfig is an API that runs, with the embedded sign-in.
type VisibleConfig struct {
	URL string
	// People makes other accounts than the last run's.
	People string
	// For is how long commands are sent.
	For      time.Duration
	Progress func(done, total int64)
}

// Visible measures from the POST of a brand to the answer of a read that shows it,
// at VisiblePerS a second: each POST has its time on the clock, so that one that
// has to wait for others is late and not left out. It returns milliseconds.
func Visible(ctx context.Context, c VisibleConfig) (p50, p99 float64, err error) {
	total := int(c.For.Seconds() * VisiblePerS)
	v := visible{VisibleConfig: c, http: &http.Client{Timeout: requestTimeout, Transport: &http.Transport{
		MaxIdleConnsPerHost: underWayMax, MaxConnsPerHost: underWayMax}}}
	defer v.http.CloseIdleConnections()
	if err := v.signIn(ctx, (total+brandsPerAccount-1)/brandsPerAccount); err != nil {
		return 0, 0, err
	}
	group, sending := errgroup.WithContext(ctx)
	group.SetLimit(underWayMax)
	began := time.Now()
	for n := range total {
		at := began.Add(time.Duration(n) * time.Second / VisiblePerS)
		if err := sleepUntil(sending, at); err != nil {
			break
		}
		group.Go(func() error { return v.one(sending, n, at) })
		c.Progress(int64(n+1), int64(total))
	}
	if err := group.Wait(); err != nil {
		return 0, 0, err
	}
	return quantile(v.tookMs, 0.5), quantile(v.tookMs, 0.99), ctx.Err()
}

type visible struct {
	VisibleConfig
	http   *http.Client
	tokens []string

	mu     sync.Mutex
	tookMs []float64
}

// signIn opens the accounts, and makes sure that each can be used.
func (v *visible) signIn(ctx context.Context, people int) error {
	for n := range people {
		var token struct {
			AccessToken string `json:"access_token"`
		}
		email := fmt.Sprintf("%s-%d@bench.example", v.People, n)
		if _, err := v.call(ctx, http.MethodPost, "/dev/sign-in", "", "", map[string]string{"email": email}, &token); err != nil {
			return err
		}
		if _, err := v.call(ctx, http.MethodGet, "/v1/brands", token.AccessToken, "", nil, nil); err != nil {
			return err
		}
		v.tokens = append(v.tokens, token.AccessToken)
	}
	return nil
}

// one saves a brand and reads it.
func (v *visible) one(ctx context.Context, n int, at time.Time) error {
	token := v.tokens[n%len(v.tokens)]
	kit := map[string]any{"kit": map[string]any{"name": fmt.Sprint("Brand ", n), "voice": "calm, exact, a little dry",
		"colours": []map[string]string{{"name": "Pine", "hex": "#1f4d3a", "role": "primary"}, {"name": "Amber", "hex": "#e89c5a", "role": "accent"}}}}
	var saved struct {
		ID string `json:"id"`
	}
	position, err := v.call(ctx, http.MethodPost, "/v1/brands", token, "", kit, &saved)
	if err != nil {
		return err
	}
	if _, err := v.call(ctx, http.MethodGet, "/v1/brands/"+saved.ID, token, position, nil, nil); err != nil {
		return err
	}
	took := time.Since(at)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tookMs = append(v.tookMs, float64(took.Microseconds())/1000)
	return nil
}

// call returns the position of the answer. Any other status than 200 and 201 is an
// error: a command that is not decided in time is not visible.
func (v *visible) call(ctx context.Context, method, path, token, position string, body, into any) (string, error) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return "", err
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, v.URL+path, sent)
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPost {
		request.Header.Set("Idempotency-Key", schemas.NewID())
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if position != "" {
		request.Header.Set("Atelier-Position", position)
	}
	response, err := v.http.Do(request)
	if err != nil {
		return "", err
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			return "", fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	return response.Header.Get("Atelier-Position"), nil
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
