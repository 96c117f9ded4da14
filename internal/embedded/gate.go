package embedded

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
)

// gate is the broker's listener. It holds the public address from the start,
// so that a port in use shows before any data is touched, but hands on only
// connections of its private address until open is called: a repair must be
// over before the first client is answered. Early clients wait in the kernel's
// queue.
type gate struct {
	public, private net.Listener
	conns           chan net.Conn
	opened, closed  chan struct{}
	open, shut      sync.Once
	pumps           sync.WaitGroup
}

// newGate listens on a loopback address. Other hosts are refused: the broker
// asks nobody for a password.
func newGate(ctx context.Context, address string) (*gate, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("broker address %q: %w", address, err)
	}
	if host != "127.0.0.1" && host != "localhost" {
		return nil, fmt.Errorf("broker address %q: the embedded broker listens on 127.0.0.1 only", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("broker address %q: %w", address, err)
	}
	public, err := listen(ctx, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	private, err := listen(ctx, "127.0.0.1:0")
	if err != nil {
		_ = public.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	g := &gate{public: public, private: private,
		conns: make(chan net.Conn), opened: make(chan struct{}), closed: make(chan struct{})}
	g.pumps.Add(2)
	go g.pump(private)
	go func() {
		select {
		case <-g.opened:
			g.pump(public)
		case <-g.closed:
			g.pumps.Done()
		}
	}()
	return g, nil
}

// pump hands l's connections on until l is closed.
func (g *gate) pump(l net.Listener) {
	defer g.pumps.Done()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		select {
		case g.conns <- conn:
		case <-g.closed:
			_ = conn.Close()
			return
		}
	}
}

// letIn ends the private time: from here on everybody is answered, and the
// private address no longer takes connections.
func (g *gate) letIn() {
	g.open.Do(func() {
		close(g.opened)
		_ = g.private.Close()
	})
}

// dial connects to the private address, as long as there is one, whatever
// address a client was told.
func (g *gate) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	address := g.private.Addr()
	select {
	case <-g.opened:
		address = g.public.Addr()
	default:
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address.String())
}

func (g *gate) Accept() (net.Conn, error) {
	select {
	case conn := <-g.conns:
		return conn, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

func (g *gate) Close() error {
	g.shut.Do(func() {
		close(g.closed)
		_ = g.public.Close()
		_ = g.private.Close()
	})
	g.pumps.Wait()
	return nil
}

func (g *gate) Addr() net.Addr { return g.public.Addr() }
