package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"atelier/api"
	"atelier/internal/kafka/kafkatest"
	"atelier/internal/postgres/postgrestest"
	"atelier/processors/gemini/standin"
)

// apart runs a role as a process of its own, but for the process, on free ports. It
// returns the address of its operator's listener, and the API's where it has one.
func apart(t *testing.T, role string) (operator, public string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		var errs bytes.Buffer
		err := run(ctx, []string{role, "--operator-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--log-level", "warn"}, write, &errs)
		_ = write.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended, role)
	})
	lines := bufio.NewScanner(read)
	for operator == "" && lines.Scan() {
		if m := addressLine.FindStringSubmatch(lines.Text()); m != nil {
			public = m[1]
		}
		if m := runningLine.FindStringSubmatch(lines.Text()); m != nil {
			operator = m[1]
		}
	}
	require.NotEmpty(t, operator, "%s did not start", role)
	go func() { _, _ = io.Copy(io.Discard, read) }()
	return operator, public
}

var (
	addressLine = regexp.MustCompile(`^address +http://(\S+)`)
	runningLine = regexp.MustCompile(`running, operator http://(\S+)/metrics`)
)

// awaitReady waits until a role's operator's listener says that it is ready.
func awaitReady(t *testing.T, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 20*time.Millisecond, address)
}

// environment is that of roles apart on the brokers: tokens come from an issuer that
// only publishes its keys, images from the stand-in.
func environment(t *testing.T, brokers []string, prefix string) *api.Issuer {
	t.Helper()
	data := t.TempDir()
	issuer, err := api.NewIssuer(api.IssuerConfig{KeyFile: filepath.Join(data, "issuer.pem"), Issuer: "https://issuer.test/auth/v1", Audience: "authenticated"})
	require.NoError(t, err)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(issuer.JWKS()) }))
	t.Cleanup(keys.Close)
	model := httptest.NewServer(standin.New(standin.Options{Key: "k"}))
	t.Cleanup(model.Close)
	key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), keyBytes))
	for name, value := range map[string]string{
		"ATELIER_BROKERS": strings.Join(brokers, ","), "ATELIER_TOPIC_PREFIX": prefix, "ATELIER_REPLICATION": "1", "ATELIER_PARTITIONS": "3",
		"DATABASE_URL": postgrestest.New(t), "ATELIER_DATA": data, "ATELIER_MASTER_KEY": key, "ATELIER_MEDIA_KEY": key,
		"ATELIER_JWT_ISSUER": "https://issuer.test/auth/v1", "ATELIER_JWKS_URL": keys.URL, "ATELIER_JWT_EMAIL_CLAIM": "email_verified",
		"ATELIER_MEDIA_URL": "file://" + filepath.Join(data, "media"), "GEMINI_API_KEY": "k", "ATELIER_GEMINI_URL": model.URL,
	} {
		t.Setenv(name, value)
	}
	return issuer
}

// startRoles starts all of them, waits until they are ready, and signs somebody in.
// It returns the operators' addresses by role, and the API's.
func startRoles(t *testing.T, issuer *api.Issuer) (operators map[string]string, public string) {
	t.Helper()
	operators = map[string]string{}
	for _, name := range []string{"decide", "project", "generate", "api"} {
		operators[name], public = apart(t, name) // the API is the last
	}
	for _, operator := range operators {
		awaitReady(t, operator)
	}
	token, _, err := issuer.SignIn("apart@example.com")
	require.NoError(t, err)
	t.Setenv("ATELIER_TOKEN", token)
	return operators, public
}

// The roles apart, set up as an operator would.
func TestACampaignOnRolesApart(t *testing.T) {
	kafkatest.Each(t, func(t *testing.T, brokers []string, prefix string) {
		issuer := environment(t, brokers, prefix)
		_, err := atelier(t, "decide")
		require.ErrorContains(t, err, "atelier topics apply", "a role says what is missing")
		_, err = atelier(t, "topics", "status")
		require.Error(t, err)
		for _, args := range [][]string{{"topics", "apply"}, {"topics", "apply"}, {"topics", "status"}, {"migrate", "up"}, {"migrate", "up"}, {"migrate", "status"}, {"schemas", "check"}} {
			out, err := atelier(t, args...)
			require.NoError(t, err, "%v: %s", args, out)
		}
		operators, public := startRoles(t, issuer)
		campaign(t, "http://"+public)

		out, err := atelier(t, "events", "--type", "GenerationSucceeded")
		require.NoError(t, err)
		require.Equal(t, 4, strings.Count(out, "\n"), out)
		for name, metrics := range map[string][]string{
			"decide":   {"atelier_decider_transaction_seconds_count", "atelier_decider_batch_commands_count", `atelier_decider_outcomes_total{code="ok"}`, `atelier_consumer_lag_records{group="` + "atelier.decider"},
			"project":  {"atelier_projector_events_total", "atelier_projector_lag_records"},
			"generate": {"atelier_generator_generations", "atelier_janitor_binned", `atelier_consumer_lag_records{group="atelier.generator"`},
			"api":      {"atelier_stream_connections", "atelier_api_request_seconds_count", "atelier_api_commands_total"},
		} {
			for _, metric := range metrics { // lag is measured every few seconds
				require.Eventually(t, func() bool { return strings.Contains(get(t, "http://"+operators[name]+"/metrics", ""), metric) },
					time.Minute, 50*time.Millisecond, "%s: %s", name, metric)
			}
		}
	})
}
