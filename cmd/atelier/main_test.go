package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

func atelier(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	err := run(t.Context(), args, &out, &errs)
	return out.String() + errs.String(), err
}

// Wrong words are one line that names them and says what they may be.
func TestWrongUsageSaysWhatItMayBe(t *testing.T) {
	tests := map[string]struct {
		args []string
		env  map[string]string
		says []string
	}{
		"a flag":                      {args: []string{"up", "--lisen=x"}, says: []string{"--lisen"}},
		"a subcommand":                {args: []string{"upp"}, says: []string{"upp"}},
		"a number's range":            {args: []string{"config"}, env: map[string]string{"ATELIER_SLOTS": "999"}, says: []string{"ATELIER_SLOTS", "1 to 256"}},
		"no number":                   {args: []string{"config"}, env: map[string]string{"ATELIER_PARTITIONS": "many"}, says: []string{"partitions", "many"}},
		"an enumeration":              {args: []string{"config"}, env: map[string]string{"ATELIER_LOG_LEVEL": "loud"}, says: []string{"loud", "debug"}},
		"an address":                  {args: []string{"config"}, env: map[string]string{"ATELIER_LISTEN": "nowhere"}, says: []string{"ATELIER_LISTEN", "host:port"}},
		"a key":                       {args: []string{"config"}, env: map[string]string{"ATELIER_MASTER_KEY": "short"}, says: []string{"ATELIER_MASTER_KEY", "32 bytes"}},
		"a database":                  {args: []string{"config"}, env: map[string]string{"DATABASE_URL": "mysql://x"}, says: []string{"DATABASE_URL", "postgres://"}},
		"brokers that it needs":       {args: []string{"topics", "status"}, says: []string{"ATELIER_BROKERS"}},
		"a database it needs":         {args: []string{"migrate", "status"}, says: []string{"DATABASE_URL"}},
		"a registry it needs":         {args: []string{"schemas", "register"}, says: []string{"ATELIER_REGISTRY_URL"}},
		"a broker":                    {args: []string{"config"}, env: map[string]string{"ATELIER_BROKERS": "here:there"}, says: []string{"ATELIER_BROKERS", "host:port"}},
		"a registry":                  {args: []string{"config"}, env: map[string]string{"ATELIER_REGISTRY_URL": "garbage"}, says: []string{"ATELIER_REGISTRY_URL", "http://"}},
		"a public address":            {args: []string{"config"}, env: map[string]string{"ATELIER_PUBLIC_URL": "garbage"}, says: []string{"ATELIER_PUBLIC_URL"}},
		"a model's address":           {args: []string{"config"}, env: map[string]string{"ATELIER_GEMINI_URL": "garbage"}, says: []string{"ATELIER_GEMINI_URL"}},
		"a model":                     {args: []string{"config"}, env: map[string]string{"ATELIER_MODEL_PRO": "gemini-9"}, says: []string{"ATELIER_MODEL_PRO", "gemini-3-pro-image"}},
		"a retired model":             {args: []string{"config"}, env: map[string]string{"ATELIER_MODEL_STANDARD": "gemini-2.5-flash-image"}, says: []string{"ATELIER_MODEL_STANDARD", "gemini-nano-banana-2.1"}},
		"a judge that draws":          {args: []string{"config"}, env: map[string]string{"ATELIER_MODEL_JUDGE": "gemini-3-pro-image"}, says: []string{"ATELIER_MODEL_JUDGE", "gemini-3.8-flash"}},
		"two ways to the model":       {args: []string{"config"}, env: map[string]string{"GEMINI_API_KEY": "k", "ATELIER_VERTEX_PROJECT": "p"}, says: []string{"ATELIER_VERTEX_PROJECT", "GEMINI_API_KEY"}},
		"a storm of nothing known":    {args: []string{"gemini", "--storm=rain=5"}, says: []string{"--storm", "rain", "quota_minute"}},
		"a storm of too much":         {args: []string{"gemini", "--storm=cut=60,drop=60"}, says: []string{"--storm", "at most"}},
		"a fault that is none":        {args: []string{"gemini", "--fault=cut,call=x"}, says: []string{"--fault", "call"}},
		"a latency backwards":         {args: []string{"gemini", "--latency=5s,1s"}, says: []string{"--latency", "median"}},
		"a media store":               {args: []string{"config"}, env: map[string]string{"ATELIER_MEDIA_URL": "foo://x"}, says: []string{"ATELIER_MEDIA_URL", "file:///"}},
		"a password in a media store": {args: []string{"config"}, env: map[string]string{"ATELIER_MEDIA_URL": "s3://key:word@bucket"}, says: []string{"ATELIER_MEDIA_URL", "AWS_ACCESS_KEY_ID"}},
		"half a bucket":               {args: []string{"config"}, env: map[string]string{"ATELIER_MEDIA_URL": "s3://bucket?regoin=x"}, says: []string{"ATELIER_MEDIA_URL", "regoin", "region"}},
		"a CDN without its key":       {args: []string{"config"}, env: map[string]string{"ATELIER_CDN_URL": "https://zone.b-cdn.net"}, says: []string{"ATELIER_CDN_KEY"}},
		"a key without its CDN":       {args: []string{"config"}, env: map[string]string{"ATELIER_CDN_KEY": "0f14a7ba-1d2e-4c1f"}, says: []string{"ATELIER_CDN_URL", "https://"}},
		"an issuer in clear":          {args: []string{"config"}, env: map[string]string{"ATELIER_JWT_ISSUER": "http://issuer.test"}, says: []string{"ATELIER_JWT_ISSUER", "https"}},
		"a claim of the person":       {args: []string{"config"}, env: map[string]string{"ATELIER_JWT_ISSUER": "https://issuer.test", "ATELIER_JWT_EMAIL_CLAIM": "user_metadata.ok"}, says: []string{"ATELIER_JWT_EMAIL_CLAIM"}},
		"a limit":                     {args: []string{"config"}, env: map[string]string{"ATELIER_LIMIT_STREAMS": "0"}, says: []string{"ATELIER_LIMIT_STREAMS", "1 to"}},
		"an account":                  {args: []string{"events", "--account", "nonsense"}, says: []string{"--account", "UUID"}},
		"a bench of no runs":          {args: []string{"bench", "decide", "--runs=0"}, says: []string{"--runs", "1 to"}},
		"a bench of too much":         {args: []string{"bench", "decide", "--accounts=1000000"}, says: []string{"--accounts", "--rounds", "at most"}},
		"more one at a time":          {args: []string{"bench", "decide", "--accounts=4", "--singles=3"}, says: []string{"--singles", "--accounts"}},
		"a load on brokers elsewhere": {args: []string{"load"}, env: map[string]string{"ATELIER_BROKERS": "kafka.example.com:9092"}, says: []string{"ATELIER_BROKERS", "of this machine"}},
		"a load elsewhere":            {args: []string{"load", "http://example.com"}, says: []string{"not of this machine"}},
		"a load of nobody":            {args: []string{"load", "--users=0"}, says: []string{"0 users", "1 to 2000"}},
		"a load at no rate":           {args: []string{"load", "--rate=0"}, says: []string{"at most 2000"}},
		"a load for ever":             {args: []string{"load", "--for=7h"}, says: []string{"at most 6h"}},
		"a load of no address":        {args: []string{"load", "127.0.0.1:8080"}, says: []string{"http://127.0.0.1:8080"}},
		"a weight below 0":            {args: []string{"load", "--save=-1"}, says: []string{"weight"}},
		"a history in no place":       {args: []string{"load", "--history=/nowhere/x"}, says: []string{"/nowhere/x"}},
		"no such history":             {args: []string{"check", "--history=/nowhere/x"}, says: []string{"/nowhere/x"}},
		"a wait of days":              {args: []string{"check", "--settle=100h"}, says: []string{"--settle", "25h"}},
		"no broker to check":          {args: []string{"check"}, says: []string{"ATELIER_BROKERS"}},
		"a listener for all":          {args: []string{"up"}, env: map[string]string{"ATELIER_LISTEN": "0.0.0.0:0"}, says: []string{"ATELIER_LISTEN", "loopback"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ATELIER_DATA", t.TempDir())
			t.Setenv("DATABASE_URL", "")
			if name == "a listener for all" { // the last part before sign-in that can be given
				t.Setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
				t.Setenv("ATELIER_BROKERS", "127.0.0.1:1")
				t.Setenv("ATELIER_REGISTRY_URL", "http://127.0.0.1:1")
			}
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			_, err := atelier(t, tt.args...)
			require.ErrorIs(t, err, errUsage)
			for _, words := range tt.says {
				require.ErrorContains(t, err, words)
			}
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// A history whose last line was cut, as by a kill, is named with the line.
func TestAHistoryThatWasCutIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	require.NoError(t, os.WriteFile(file, []byte("{\"call\":{\"account\":\"a\"}}\n{\"call\":{\"acc"), 0o600))
	_, err := atelier(t, "check", "--history", file)
	require.ErrorIs(t, err, errUsage)
	require.ErrorContains(t, err, file+": history line 2 ")
}

func TestConfigHidesSecrets(t *testing.T) {
	t.Setenv("ATELIER_MASTER_KEY", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), keyBytes)))
	t.Setenv("DATABASE_URL", "postgres://user:hunter2@db:5432/atelier")
	t.Setenv("GEMINI_API_KEY", "AIza-secret")
	t.Setenv("ATELIER_CDN_URL", "https://zone.b-cdn.net")
	t.Setenv("ATELIER_CDN_KEY", "0f14a7ba-1d2e-4c1f")
	for _, args := range [][]string{{"config"}, {"config", "--json"}} {
		out, err := atelier(t, args...)
		require.NoError(t, err)
		require.Contains(t, out, "postgres://user:xxxxx@db:5432/atelier")
		for _, secret := range []string{"hunter2", "AIza-secret", "a2tra2", "0f14a7ba"} {
			require.NotContains(t, out, secret)
		}
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = atelier(t, "up", "--listen", taken.Addr().String(), "--data", t.TempDir())
	require.ErrorContains(t, err, "ATELIER_LISTEN "+taken.Addr().String())
	require.ErrorContains(t, err, "in use")
}

// A key per setting: each can be found by its variable in the help.
func TestHelpNamesTheVariables(t *testing.T) {
	out, err := atelier(t, "up", "--help")
	require.NoError(t, err)
	for _, name := range []string{"ATELIER_LISTEN", "ATELIER_DATA", "DATABASE_URL", "GEMINI_API_KEY"} {
		require.True(t, strings.Contains(out, name), name)
	}
}

func TestNobodyThereIsSaidWithWhereAndHowLong(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var said bytes.Buffer
	tries := 0
	err := await(ctx, zerolog.New(&said), "Kafka broker", "127.0.0.1:1", func(context.Context) error {
		if tries++; tries == 2 {
			cancel()
		}
		return errors.New("connection refused")
	})
	require.ErrorIs(t, err, context.Canceled)
	for _, words := range []string{"Kafka broker", "127.0.0.1:1", `"tries_for":"1m0s"`, "connection refused"} {
		require.Contains(t, said.String(), words)
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"), "said once")
}

func TestErrorsAreOneLine(t *testing.T) {
	require.Equal(t, "a; b; c", oneLine(errors.Join(errors.New("a"), errors.New("b\n\tc"))))
}
