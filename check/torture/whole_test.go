package torture

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/check/load"
	"atelier/internal/kafka"
	"atelier/internal/vault"
	"atelier/schemas"
)

// wholeKills is how often `up` is killed in the short form (count).
const wholeKills = 20

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
	l := begin(t, load.Config{Address: p.base, Grant: func(ctx context.Context, account string) error { return grantAt(ctx, data, account) }}, random, nil)
	kills := max(wholeKills, *kills)
	for n := range kills {
		l.goes(5 + random.Int64N(40))
		p.kill()
		p.start()
		say("kill %d of %d: everything, %d calls so far", n+1, kills, l.Calls())
	}
	l.end()
	parts := operatorFile(t, data)
	key, err := vault.LoadMasterKey(filepath.Join(data, "master.key"))
	require.NoError(t, err)
	whole(t, judge(t, where{kafkaAt(parts), parts["DATABASE_URL"], parts["ATELIER_MEDIA_URL"], key}, l.history, fmt.Sprintf("%d kills of everything", kills)))
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
