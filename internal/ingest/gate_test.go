package ingest

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A gate stands between a follower and a neighbour of its, on a port of its own.
// What the follower says goes through in pieces, and each is a step at which it
// can be cut off for good, as if its process had been killed: what it said before
// is heard, and nothing that it says afterwards.
type gate struct {
	listener net.Listener
	wg       sync.WaitGroup
	mu       sync.Mutex
	life     *life
	to       [2]string // network and address
	drains   bool      // what was asked is waited for, though nobody hears the answer
}

// life is a follower's, from its start until it is cut off.
type life struct {
	// step is asked before a piece goes through, and never from two sides at once.
	step  func(g *gate) cut
	steps sync.Mutex

	mu     sync.Mutex
	over   bool
	killed chan struct{} // closed when it is over
	pairs  map[*pair]bool
	ended  sync.WaitGroup // what the other side still does for it
}

// cut says what becomes of a follower at a step.
type cut int

const (
	goOn      cut = iota
	cutBefore     // the piece is not heard
	cutAfter      // it is, and the answer is not
)

// pair is a connection with both its ends.
type pair struct {
	client, server net.Conn
	drains         bool
}

func newLife(step func(*gate) cut) *life {
	return &life{step: step, killed: make(chan struct{}), pairs: map[*pair]bool{}}
}

func newGate(t testing.TB, drains bool) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, drains: drains}
	g.wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				g.wg.Go(func() { g.serve(c) })
			}
		}
	})
	t.Cleanup(func() {
		l.Close()
		g.wg.Wait()
	})
	return g
}

func (g *gate) addr() string { return g.listener.Addr().String() }

// open lets a life through, to an address; nil: nobody.
func (g *gate) open(l *life, network, address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.life, g.to = l, [2]string{network, address}
}

func (g *gate) serve(client net.Conn) {
	defer client.Close()
	g.mu.Lock()
	l, to := g.life, g.to
	g.mu.Unlock()
	if l == nil {
		return
	}
	server, err := net.Dial(to[0], to[1])
	if err != nil {
		return
	}
	p := &pair{client, server, g.drains}
	if !l.add(p) {
		server.Close()
		return
	}
	g.wg.Go(func() {
		defer l.ended.Done()
		p.back(l)
	})
	p.forth(l, g)
}

// forth ends with the client's side of the connection, and tells the server so.
func (p *pair) forth(l *life, g *gate) {
	defer l.remove(p)
	buf := make([]byte, 64<<10)
	for {
		n, err := p.client.Read(buf)
		if n > 0 && !l.pass(p, g, buf[:n]) || err != nil {
			_ = p.leave()
			return
		}
	}
}

// back reads until the server has nothing more to say, where the gate drains also
// for a client that is gone: then what it was asked for has come to its end.
func (p *pair) back(l *life) {
	defer p.server.Close()
	defer p.client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.server.Read(buf)
		if n > 0 && !l.isOver() {
			if _, e := p.client.Write(buf[:n]); e != nil {
				err = cmp.Or(err, p.leave())
			}
		}
		if err != nil {
			return
		}
	}
}

// leave tells the server that the client is gone; an error says that no more is
// waited for.
func (p *pair) leave() error {
	if half, ok := p.server.(interface{ CloseWrite() error }); ok && p.drains {
		_ = half.CloseWrite() // it may be gone as well
		return nil
	}
	p.server.Close()
	return net.ErrClosed
}

func (l *life) add(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return false
	}
	l.pairs[p] = true
	l.ended.Add(1)
	return true
}

func (l *life) remove(p *pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pairs, p)
}

func (l *life) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// pass sends a piece on, unless the life ends here.
func (l *life) pass(p *pair, g *gate, piece []byte) bool {
	l.steps.Lock()
	defer l.steps.Unlock()
	if l.isOver() {
		return false
	}
	what := l.step(g)
	if what == cutBefore {
		l.end()
		return false
	}
	_, err := p.server.Write(piece)
	if what == cutAfter {
		l.end()
		return false
	}
	return err == nil
}

// end cuts it off: all connections end, and nothing more goes through.
func (l *life) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	l.over = true
	close(l.killed)
	for p := range l.pairs {
		_ = p.leave()
		p.client.Close()
	}
}

// databaseAt is where a database's server listens, and its URL through a gate.
func databaseAt(dsn string, g *gate) (network, address, through string, err error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", "", "", err
	}
	network, address = "tcp", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
	if cfg.Host[0] == '/' {
		network, address = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", cfg.Host, cfg.Port)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, cfg.Password), Host: g.addr(), Path: "/" + cfg.Database,
		RawQuery: "sslmode=disable"}
	return network, address, u.String(), nil
}
