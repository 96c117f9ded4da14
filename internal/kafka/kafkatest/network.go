package kafkatest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fault is what befalls a request of a client, or its answer.
type Fault int

// The faults. A client that hears of a cut connection connects anew and asks again.
const (
	// Pass lets both through.
	Pass Fault = iota
	// CutRequest ends the connection before the broker sees the request.
	CutRequest
	// CutAnswer ends the connection after the broker has answered, and before the
	// client hears of it.
	CutAnswer
	// LoseAnswer is CutAnswer for a client that does not ask again, as it is after
	// its last try (kgo's are 30 s).
	LoseAnswer
	// DenyAnswer tells the client UNKNOWN_SERVER_ERROR in the place of the answer
	// to an EndTxn.
	DenyAnswer
)

const (
	// heldMax bounds what one connection holds back while the network stands still
	// (count of requests): a client has few under way.
	heldMax = 1000
	// lateTime is how long brokers have to take what came late, before they see that
	// its client has gone.
	lateTime = time.Second
	// frameBytesMax bounds one request or answer; brokers take 100 MB.
	frameBytesMax = 100 << 20
)

// The requests that tests look for.
var (
	EndTxn = kmsg.EndTxn.Int16()
	Fetch  = kmsg.Fetch.Int16()
)

// Exchange is a request with, where it was withheld, its answer.
type Exchange struct {
	Key     int16 // which request; see kmsg.Key
	Version int16
	request []byte // without its length
	answer  []byte
}

// Request decodes the request.
func (e Exchange) Request() (kmsg.Request, error) {
	request := kmsg.RequestForKey(e.Key)
	request.SetVersion(e.Version)
	client := int16(binary.BigEndian.Uint16(e.request[8:]))
	body := e.request[10+max(client, 0):]
	if request.IsFlexible() {
		body = body[1:] // kgo writes no tags
	}
	return request, request.ReadFrom(body)
}

// Answer decodes the answer.
func (e Exchange) Answer() (kmsg.Response, error) {
	answer := kmsg.ResponseForKey(e.Key)
	answer.SetVersion(e.Version)
	return answer, answer.ReadFrom(e.answer[e.answerHeader(answer):])
}

// Committed says whether it is the end of a transaction that the broker has
// committed.
func (e Exchange) Committed() bool {
	if e.Key != EndTxn {
		return false
	}
	request, err := e.Request()
	if err != nil || !request.(*kmsg.EndTxnRequest).Commit {
		return false
	}
	answer, err := e.Answer()
	return err == nil && answer.(*kmsg.EndTxnResponse).ErrorCode == 0
}

func (e Exchange) answerHeader(answer kmsg.Response) int {
	if answer.IsFlexible() && e.Key != kmsg.ApiVersions.Int16() {
		return 5
	}
	return 4
}

// denied returns the answer to an EndTxn with another code.
func (e Exchange) denied() ([]byte, error) {
	decoded, err := e.Answer()
	if err != nil {
		return nil, err
	}
	answer, ok := decoded.(*kmsg.EndTxnResponse)
	if !ok {
		return nil, fmt.Errorf("deny the answer to %s: only EndTxn can be", kmsg.NameForKey(e.Key))
	}
	answer.ErrorCode = kerr.UnknownServerError.Code
	return answer.AppendTo(e.answer[:e.answerHeader(answer)]), nil
}

// Network is the way of clients to the brokers, for tests that cut it or make it
// stand still. Its Dial goes into kafka.Config, so that the addresses that brokers
// advertise do not matter. It is safe for concurrent use.
type Network struct {
	// Choose is asked about every request, before it leaves; nil: all pass.
	Choose func(Exchange) Fault
	// Withheld hears of the answers that clients do not hear; may be nil.
	Withheld func(Exchange, Fault)

	mu    sync.Mutex
	still chan struct{} // closed when the network moves again; nil while it does
	conns map[*conn]bool
}

// Freeze makes the network stand still: nothing arrives on either side, and what
// clients write waits. To the brokers that is what a stopped process looks like.
func (n *Network) Freeze() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.still == nil {
		n.still = make(chan struct{})
	}
}

// Thaw lets go what was held, in its order, also of connections that their client
// has closed meanwhile.
func (n *Network) Thaw() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.still == nil {
		return
	}
	for c := range n.conns {
		_ = c.SetWriteDeadline(time.Now().Add(lateTime)) // the client's may be past
		for _, frame := range c.held {
			if _, err := c.Conn.Write(frame); err != nil {
				break // the broker has closed it: the client will hear
			}
		}
		c.held = nil
		if c.isClosed() {
			time.AfterFunc(lateTime, func() { _ = c.Conn.Close() })
			delete(n.conns, c)
		}
	}
	close(n.still)
	n.still = nil
}

// standstill returns what is closed when the network moves again, nil while it does.
func (n *Network) standstill() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.still
}

// Dial connects, once the network moves.
func (n *Network) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if still := n.standstill(); still != nil {
		select {
		case <-still:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	plain, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: plain, network: n, closed: make(chan struct{}), faulty: map[uint32]faulty{}}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		n.conns = map[*conn]bool{}
	}
	n.conns[c] = true
	return c, nil
}

// conn is one connection. One goroutine reads it and one writes, as kgo does.
type conn struct {
	net.Conn
	network   *Network
	closeOnce sync.Once
	closed    chan struct{}
	held      [][]byte // what waits for a thaw; guarded by the network's mu

	written []byte // the beginning of a request; the writer's
	unread  []byte // the rest of an answer; the reader's

	mu     sync.Mutex
	faulty map[uint32]faulty // by correlation id
}

type faulty struct {
	Exchange
	fault Fault
}

// finalError is one after which kgo does not try again.
type finalError struct{ error }

// Temporary is what kgo asks of an error.
func (finalError) Temporary() bool { return false }

var (
	errCut  = fmt.Errorf("the test cut the connection: %w", net.ErrClosed)
	errLost = finalError{errors.New("the test lost the answer")}
)

// Write takes whole requests apart and lets each meet its fault.
func (c *conn) Write(p []byte) (int, error) {
	c.written = append(c.written, p...)
	for len(c.written) >= 4 {
		size := binary.BigEndian.Uint32(c.written)
		if size < 10 || size > frameBytesMax {
			return 0, fmt.Errorf("a request of %d bytes", size)
		}
		if uint32(len(c.written)-4) < size {
			break
		}
		frame := c.written[: 4+size : 4+size]
		c.written = c.written[4+size:]
		if err := c.send(frame); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (c *conn) send(frame []byte) error {
	e := Exchange{Key: int16(binary.BigEndian.Uint16(frame[4:])), Version: int16(binary.BigEndian.Uint16(frame[6:])), request: frame[4:]}
	fault := Pass
	if c.network.Choose != nil {
		fault = c.network.Choose(e)
	}
	switch fault {
	case Pass:
	case CutRequest:
		_ = c.Close()
		return errCut
	default:
		c.mu.Lock()
		c.faulty[binary.BigEndian.Uint32(frame[8:])] = faulty{e, fault}
		c.mu.Unlock()
	}
	if held, err := c.hold(frame); held {
		return err
	}
	_, err := c.Conn.Write(frame)
	return err
}

// hold keeps a request back while the network stands still.
func (c *conn) hold(frame []byte) (bool, error) {
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.still == nil {
		return false, nil
	}
	if len(c.held) == heldMax {
		return true, fmt.Errorf("%d requests are held already", heldMax)
	}
	c.held = append(c.held, frame)
	return true, nil
}

// Read hands whole answers on, those that meet no fault.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		frame, err := c.receive()
		if err != nil {
			return 0, err
		}
		c.unread = frame
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

func (c *conn) receive() ([]byte, error) {
	frame, err := readFrame(c.Conn)
	if still := c.network.standstill(); still != nil {
		select {
		case <-still:
		case <-c.closed:
			return nil, net.ErrClosed
		}
	}
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	id := binary.BigEndian.Uint32(frame[4:])
	f, ok := c.faulty[id]
	delete(c.faulty, id)
	c.mu.Unlock()
	if !ok {
		return frame, nil
	}
	f.answer = frame[4:]
	return c.withhold(f)
}

// withhold returns what the client hears in the place of an answer.
func (c *conn) withhold(f faulty) ([]byte, error) {
	if c.network.Withheld != nil {
		c.network.Withheld(f.Exchange, f.fault)
	}
	if f.fault == DenyAnswer {
		body, err := f.denied()
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...), err
	}
	_ = c.Close()
	if f.fault == LoseAnswer {
		return nil, errLost
	}
	return nil, errCut
}

func readFrame(r io.Reader) ([]byte, error) {
	frame := make([]byte, 4)
	if _, err := io.ReadFull(r, frame); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(frame)
	if size < 4 || size > frameBytesMax {
		return nil, fmt.Errorf("an answer of %d bytes", size)
	}
	frame = append(frame, make([]byte, size)...)
	_, err := io.ReadFull(r, frame[4:])
	return frame, err
}

// Close ends the connection; while the network stands still the broker hears of
// it later.
func (c *conn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	if c.network.still != nil {
		return nil
	}
	delete(c.network.conns, c)
	return c.Conn.Close()
}

func (c *conn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}
