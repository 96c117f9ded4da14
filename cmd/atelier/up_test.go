package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/kafka"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
	"atelier/schemas"
)

// upTimeout bounds a start, the first of which also installs Postgres.
const upTimeout = 3 * time.Minute

// instance is an `atelier up` in this process.
type instance struct {
	t       *testing.T
	address string
	broker  string
	stop    func() error
	ended   func() error // waits until it ends by itself
}

var (
	readyLine  = regexp.MustCompile(`^ready +(http://\S+)`)
	brokerLine = regexp.MustCompile(`^broker +kafka://(\S+)`)
)

// up starts it and waits until it says that it is ready.
func up(t *testing.T, data string, args ...string) *instance {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		var errs bytes.Buffer
		err := run(ctx, append([]string{"up", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "warn"}, args...), write, &errs)
		_ = write.CloseWithError(io.EOF)
		ended <- err
	}()
	i := &instance{t: t}
	i.ended = sync.OnceValue(func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(upTimeout):
			return errors.New("up has not ended in time")
		}
	})
	i.stop = func() error {
		cancel()
		return i.ended()
	}
	t.Cleanup(func() { _ = i.stop() })
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			t.Log(lines.Text())
			if m := brokerLine.FindStringSubmatch(lines.Text()); m != nil {
				i.broker = m[1]
			}
			if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
				i.address = m[1]
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("up ended before it was ready: %v", err)
	case <-time.After(upTimeout):
		t.Fatal("up is not ready in time")
	}
	return i
}

// campaign runs the example against an address, as a user would.
func campaign(t *testing.T, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "../../examples/campaign.sh", address, t.TempDir()).CombinedOutput()
	t.Logf("%s", out)
	require.NoError(t, err)
	require.Contains(t, string(out), "add up")
}

// The words of the example's brief and kit: none may reach a topic.
var personal = []string{"Fjord", "insulated steel bottle", "early risers", "Hot at the summit", "ridge at dawn", "@example.com", "hike before breakfast"}

// readAllTopics returns every byte of every topic.
func readAllTopics(t *testing.T, c kafka.Config) (all []byte, bytesByTopic map[string]int, generations int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin, err := kafka.NewAdmin(c)
	require.NoError(t, err)
	defer admin.Close()
	bytesByTopic = map[string]int{}
	for _, topic := range schemas.Topics {
		require.NoError(t, kafka.Scan(ctx, c, admin, topic.Name, func(r *kafka.Record) error {
			all = append(append(all, r.Key...), r.Value...)
			bytesByTopic[topic.Name] += len(r.Key) + len(r.Value)
			for _, h := range r.Headers {
				all = append(all, h.Value...)
				bytesByTopic[topic.Name] += len(h.Key) + len(h.Value)
			}
			if kafka.HeaderValue(r, schemas.HeaderType) == "atelier.events.v1.GenerationSucceeded" {
				generations++
			}
			return nil
		}, nil))
	}
	return all, bytesByTopic, generations
}

// Everything embedded, twice on the same data directory, with the whole way of
// the data in between.
func TestACampaignOnEmbeddedParts(t *testing.T) {
	data := t.TempDir()
	first := up(t, data)
	campaign(t, first.address)

	_, err := atelier(t, "up", "--data", data, "--listen", "127.0.0.1:0")
	require.ErrorContains(t, err, "in use", "a second one on the same data directory")

	topics := kafka.Config{Brokers: []string{first.broker}, ClientID: "test", Log: zerolog.Nop()}
	all, sizes, generations := readAllTopics(t, topics)
	require.NotEmpty(t, all)
	for _, words := range personal {
		require.NotContains(t, string(all), words, "plain personal text in a topic")
	}
	require.Equal(t, 4, generations)
	for topic, n := range sizes {
		t.Logf("%-22s %6d bytes a generation", topic, n/generations)
	}
	token := signIn(t, first.address, "again@example.com")
	before := get(t, first.address+"/v1/credits", token)
	require.NoError(t, first.stop())

	second := up(t, data)
	require.JSONEq(t, before, get(t, second.address+"/v1/credits", signIn(t, second.address, "again@example.com")))
	campaign(t, second.address)
}

// The same binary on brokers and a Postgres that are given.
func TestACampaignOnGivenParts(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		t.Setenv("ATELIER_BROKERS", strings.Join(brokers, ","))
		t.Setenv("ATELIER_TOPIC_PREFIX", prefix)
		t.Setenv("ATELIER_REPLICATION", "1")
		t.Setenv("ATELIER_PARTITIONS", "4")
		t.Setenv("DATABASE_URL", postgrestest.New(t))
		data := t.TempDir()
		i := up(t, data)
		campaign(t, i.address)
		out, err := atelier(t, "verify", "--data", data)
		require.NoError(t, err, out)
		require.Equal(t, 9, strings.Count(out, " equal\n"), "every table of every read model, and the snapshots: %s", out)

		t.Setenv("ATELIER_MEDIA_URL", "file://"+filepath.Join(data, "media")) // where up keeps it by itself
		history := filepath.Join(data, "history.jsonl")
		out, err = atelier(t, "load", i.address, "--data", data, "--users", "3", "--rate", "20", "--for", "3s", "--credits", "100", "--history", history)
		require.NoError(t, err, out)
		require.Regexp(t, `[1-9]\d+ calls: of the commands [1-9]\d* acknowledged`, out)
		out, err = atelier(t, "check", "--data", data, "--history", history)
		require.NoError(t, err, out)
		require.Equal(t, 9, strings.Count(out, " checked      0 broken\n"), out)
		require.NoError(t, i.stop())
	})
}

func signIn(t *testing.T, address, email string) string {
	t.Helper()
	token, err := arrive(t.Context(), address, email)
	require.NoError(t, err)
	return token
}

// arrive signs somebody in. The first call opens the account.
func arrive(ctx context.Context, address, email string) (token string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/dev/sign-in", strings.NewReader(fmt.Sprintf(`{"email":%q}`, email)))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return "", err
	}
	_, err = ask(ctx, address+"/v1/me", body.AccessToken)
	return body.AccessToken, err
}

func get(t *testing.T, url, token string) string {
	t.Helper()
	body, err := ask(t.Context(), url, token)
	require.NoError(t, err)
	return body
}

func ask(ctx context.Context, url, token string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return string(body), err
}
