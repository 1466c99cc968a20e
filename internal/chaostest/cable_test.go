package chaostest

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// cable is all connections from one part to another. It goes through this
// process, which can cut it: as a network does that says nothing any more, or as
// one that refuses.
type cable struct {
	listener net.Listener
	to       func() string // where a new connection goes, "" : nowhere
	running  sync.WaitGroup

	mu      sync.Mutex
	state   kind // "", silence, pause or refuse
	changed chan struct{}
	pairs   map[*pair]bool
}

// pair is one connection, its near and its far half.
type pair struct {
	near net.Conn
	dead chan struct{} // closed with both halves
	once sync.Once

	mu  sync.Mutex
	far net.Conn // nil until it is there
	to  string   // where that is
}

func (p *pair) end() {
	p.once.Do(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.dead)
		p.near.Close()
		if p.far != nil {
			p.far.Close()
		}
	})
}

// dial makes the far half; false: there is none, or the connection has ended.
func (p *pair) dial(to string) bool {
	far, err := net.DialTimeout("tcp", to, 5*time.Second)
	if err != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.dead:
		far.Close()
		return false
	default:
	}
	p.far, p.to = far, to
	return true
}

func (p *pair) goesTo(to string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to == to
}

func newCable(listen string, to func() string) (*cable, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	c := &cable{listener: l, to: to, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	c.running.Go(c.accept)
	return c, nil
}

func (c *cable) close() {
	c.listener.Close()
	c.set("")
	c.endAll(func(*pair) bool { return true })
	c.running.Wait()
}

// set cuts the cable, or mends it.
func (c *cable) set(state kind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == refuse || c.state == silence { // before anybody can see that it carries again
		for p := range c.pairs {
			p.end()
		}
	}
	c.state = state
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *cable) look() (kind, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

func (c *cable) endAll(which func(*pair) bool) {
	c.mu.Lock()
	var all []*pair
	for p := range c.pairs {
		if which(p) {
			all = append(all, p)
		}
	}
	c.mu.Unlock()
	for _, p := range all {
		p.end()
	}
}

func (c *cable) accept() {
	for {
		near, err := c.listener.Accept()
		if err != nil {
			return
		}
		c.running.Go(func() { c.carry(near) })
	}
}

// carry is one connection from its beginning to its end.
func (c *cable) carry(near net.Conn) {
	p := &pair{near: near, dead: make(chan struct{})}
	defer p.end()
	c.mu.Lock()
	refused := c.state == refuse
	if !refused {
		c.pairs[p] = true
	}
	c.mu.Unlock()
	if refused {
		return
	}
	defer func() {
		c.mu.Lock()
		delete(c.pairs, p)
		c.mu.Unlock()
	}()
	if !c.open(p) {
		return
	}
	if !p.dial(c.to()) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { defer p.end(); c.pass(p, p.far, near) })
	both.Go(func() { defer p.end(); c.pass(p, near, p.far) })
	both.Wait()
}

// pass carries bytes one way. Also the end of a connection is not heard through a
// cable that is cut.
func (c *cable) pass(p *pair, to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !c.open(p) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// open waits until the cable carries; false: the connection is at its end.
func (c *cable) open(p *pair) bool {
	for {
		state, changed := c.look()
		if state != silence && state != pause {
			select {
			case <-p.dead:
				return false
			default:
				return true
			}
		}
		select {
		case <-changed:
		case <-p.dead:
			return false
		}
	}
}

// front is what stands before several masters under one address: new connections
// go to those that say that they are well, and none stays with one that is not.
type front struct {
	*cable
	masters []string
	mu      sync.Mutex
	well    map[string]bool
	turn    int
}

func newFront(ctx context.Context, listen string, masters []string) (*front, error) {
	f := &front{masters: masters, well: map[string]bool{}}
	var err error
	if f.cable, err = newCable(listen, f.pick); err != nil {
		return nil, err
	}
	for _, m := range masters {
		f.running.Go(func() { f.watch(ctx, m) })
	}
	return f, nil
}

// pick takes turns among those that are well.
func (f *front) pick() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for range f.masters {
		f.turn++
		if m := f.masters[f.turn%len(f.masters)]; f.well[m] {
			return m
		}
	}
	return ""
}

func (f *front) watch(ctx context.Context, master string) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := http.Client{Transport: transport, Timeout: time.Second}
	tick := time.NewTicker(400 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := client.Get("http://" + master + "/healthz")
		well := err == nil && resp.StatusCode == http.StatusOK
		if err == nil {
			resp.Body.Close()
		}
		f.mu.Lock()
		f.well[master] = well
		f.mu.Unlock()
		if !well {
			f.endAll(func(p *pair) bool { return p.goesTo(master) })
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
