package torture

import (
	"context"
	"io"
	"net"
	"net/url"
	"os"
	"sync"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"atelier/internal/embedded"
	"atelier/internal/embedded/child"
	"atelier/internal/kafka/kafkatest"
)

// partKills is how often each part is killed in the short form (count).
const partKills = 2

// Kafka and Postgres are killed under load and come back.
func TestKillsOfKafkaAndPostgres(t *testing.T) {
	t.Parallel()
	if kafkatest.EmbeddedOnly(t) {
		t.Skip("the embedded broker dies with everything, in another test")
	}
	broker := kafkatest.Real(t)
	postgres := newMortalPostgres(t)
	h := newHouse(t, broker.Brokers, "", postgres.url, "", roles...)
	h.ready()
	l := h.load(nil)
	for n := range max(partKills, *kills/10) {
		l.goes(10 + h.random.IntN(40))
		broker.Kill()
		l.goes(5)
		broker.Restart()
		say("kill %d: Kafka, %d commands so far", n+1, l.commands())
		l.goes(10 + h.random.IntN(40))
		postgres.kill()
		l.goes(5)
		postgres.start()
		say("kill %d: Postgres, %d commands so far", n+1, l.commands())
	}
	l.end()
	whole(t, judge(t, h.where(), l.history, "kills of Kafka and Postgres"))
}

// mortalPostgres is a Postgres of the test's own under an address that stays the
// same when it is killed and started again.
type mortalPostgres struct {
	t   *testing.T
	dir string
	url string // of the relay

	mu     sync.Mutex
	server *embedded.Postgres
}

func newMortalPostgres(t *testing.T) *mortalPostgres {
	t.Helper()
	dir, err := os.MkdirTemp("", "atelier-mortal-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755)) // the server may run as another user
	p := &mortalPostgres{t: t, dir: dir}
	t.Cleanup(func() {
		p.kill()
		_ = os.RemoveAll(dir)
	})
	p.start()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var relays sync.WaitGroup
	relays.Go(func() { p.relay(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		relays.Wait()
	})
	u, err := url.Parse(p.server.URL())
	require.NoError(t, err)
	u.Host = listener.Addr().String()
	p.url = u.String()
	return p
}

func (p *mortalPostgres) start() {
	p.t.Helper()
	server, err := embedded.StartPostgres(context.Background(), embedded.PostgresConfig{DataDir: p.dir}, zerolog.Nop())
	require.NoError(p.t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
}

// kill ends the server as a crash would.
func (p *mortalPostgres) kill() {
	p.mu.Lock()
	server := p.server
	p.mu.Unlock()
	if err := child.Kill(server.PID(), syscall.SIGKILL); err == nil {
		<-server.Done()
	}
}

func (p *mortalPostgres) address() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, _ := url.Parse(p.server.URL()) // was parsed before
	return u.Host
}

// relay hands connections on to the server that runs now. A connection ends with
// its server.
func (p *mortalPostgres) relay(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			server, err := net.Dial("tcp", p.address())
			if err != nil {
				return // the client sees its connection end
			}
			defer server.Close()
			go func() {
				_, _ = io.Copy(server, conn)
				_ = server.Close()
			}()
			_, _ = io.Copy(conn, server)
		}()
	}
}
