package torture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/check"
	"atelier/check/load"
	"atelier/internal/kafka"
	"atelier/internal/media"
	"atelier/internal/postgres"
	"atelier/internal/vault"
	"atelier/schemas"
)

const (
	// wholeKills is how often `up` is killed in the short form (count).
	wholeKills = 20
	// startBytes is about what `up` says in its log until it is ready.
	startBytes = 4_000
)

// Everything in one process on embedded parts: the broker, Postgres, the model and
// all roles end at once, at moments that nobody chose, and are started again.
func TestKillsOfEverything(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := &process{
		t: t, path: program(t, ""), args: []string{"up", "--data", data, "--listen", "127.0.0.1:0"},
		env: append(limits(), "ATELIER_PARTITIONS=3"), logFile: filepath.Join(data, "up.log"),
	}
	t.Cleanup(func() {
		if running := p.running(); running != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("up: ...%s", p.lastWords())
		}
	})
	p.start()
	random := newRandom(t)
	file, err := os.Create(filepath.Join(data, "history.jsonl"))
	require.NoError(t, err)
	defer file.Close()
	history := check.NewHistory(file)
	kills := max(wholeKills, *kills)
	for killed := 0; killed < kills; {
		l := begin(t, load.Config{
			Address: p.base, Grant: func(ctx context.Context, account string) error { return grantAt(ctx, data, account) },
			History: history, Rest: func(ctx context.Context) error { return settle(ctx, upAt(t, data)) },
		}, random, nil)
		for range min(roundKills, kills-killed) {
			l.goes(5 + random.IntN(25))
			p.kill()
			killed++
			if random.IntN(4) == 0 { // and again while it repairs what the first has cut
				p.startHalf(random.Int64N(startBytes))
			}
			p.start()
			say("kill %d of %d: everything, %d commands so far", killed, kills, l.commands())
		}
		l.end()
		whole(t, judge(t, upAt(t, data), history, fmt.Sprintf("%d kills of everything", killed)))
	}
	seesWhatIsForged(t, data, operatorFile(t, data), file.Name())
}

// upAt is where the parts of the `up` that runs now are.
func upAt(t *testing.T, data string) where {
	t.Helper()
	parts := operatorFile(t, data)
	key, err := vault.LoadMasterKey(filepath.Join(data, "master.key"))
	require.NoError(t, err)
	return where{kafkaAt(parts), parts["DATABASE_URL"], parts["ATELIER_MEDIA_URL"], key}
}

// seesWhatIsForged: to an operator, `atelier check` says that all is well; when a
// picture is gone, a row of a read model is another one and a client's stream ended
// otherwise, it says that of these three promises, and of no other.
func seesWhatIsForged(t *testing.T, data string, parts map[string]string, history string) {
	t.Helper()
	checks := func() (map[string]check.Invariant, int) {
		cmd := exec.Command(program(t, ""), "check", "--json", "--history", history)
		cmd.Env = append(os.Environ(), limits()...)
		for name, value := range parts {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		cmd.Env = append(cmd.Env, "ATELIER_DATA="+data)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, _ := cmd.Output() // the code says it
		found := map[string]json.RawMessage{}
		require.NoError(t, json.Unmarshal(out, &found), "%s", errs.String())
		invariants := map[string]check.Invariant{}
		for name, raw := range found {
			if strings.HasPrefix(name, "C") {
				var i check.Invariant
				require.NoError(t, json.Unmarshal(raw, &i))
				invariants[name] = i
			}
		}
		require.Len(t, invariants, 9)
		return invariants, cmd.ProcessState.ExitCode()
	}
	invariants, code := checks()
	require.Zero(t, code, "%v", invariants)

	owner, err := postgres.Open(t.Context(), postgres.Config{URL: parts["DATABASE_URL"]})
	require.NoError(t, err)
	defer owner.Close()
	var account, key string
	require.NoError(t, pgx.BeginFunc(t.Context(), owner, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE atelier_owner`); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), `UPDATE brands_v1.brands SET version = version + 1 WHERE brand_id = (SELECT min(brand_id::text)::uuid FROM brands_v1.brands)`); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), `SELECT account_id::text, media_key FROM galleries_api.generations WHERE status = 'succeeded' LIMIT 1`).Scan(&account, &key)
	}))
	store, err := media.Open(t.Context(), parts["ATELIER_MEDIA_URL"])
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, store.Delete(t.Context(), key))
	forged, err := os.OpenFile(history, os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	defer forged.Close()
	check.NewHistory(forged).Stream(check.Stream{Account: account, Disorder: 1})

	invariants, code = checks()
	require.Equal(t, 1, code)
	for id, broken := range map[string]int64{"C6": 1, "C7": 1, "C9": 3} {
		require.Equal(t, broken, invariants[id].Broken, "%v", invariants[id])
		delete(invariants, id)
	}
	for id, i := range invariants {
		require.Zero(t, i.Broken, id)
	}
}

// operatorFile reads where the parts are now.
func operatorFile(t *testing.T, data string) map[string]string {
	t.Helper()
	parts, err := readOperatorFile(data)
	require.NoError(t, err)
	return parts
}

func readOperatorFile(data string) (map[string]string, error) {
	file, err := os.Open(filepath.Join(data, "operator.env"))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parts := map[string]string{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "=")
		parts[name] = strings.Trim(value, "'")
	}
	return parts, lines.Err()
}

func kafkaAt(parts map[string]string) kafka.Config {
	return kafka.Config{Brokers: strings.Split(parts["ATELIER_BROKERS"], ","), ClientID: "torture", Log: zerolog.Nop()}
}

// grantAt grants an account credits through the broker that runs now.
func grantAt(ctx context.Context, data, account string) error {
	parts, err := readOperatorFile(data)
	if err != nil {
		return err
	}
	producer, err := kafka.NewProducer(kafkaAt(parts))
	if err != nil {
		return err
	}
	defer producer.Close()
	record, err := kafka.NewRecord(schemas.NewLockedCodec(), schemas.TopicCommands, grant(account))
	if err != nil {
		return err
	}
	return producer.Produce(ctx, record)
}
