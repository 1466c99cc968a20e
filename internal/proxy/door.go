package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pinwheel/internal/farm"
)

// Index is an index that pip in a build uses.
type Index struct {
	Name string // one word, in the addresses that pip sees
	URL  string // of simple/ (PEP 503), credentials included
}

// Settings are what one build may do.
type Settings struct {
	Network string // of farm.Networks; "" is the first of them
	Indexes []Index
}

// maxConns is how many connections a build has at a time; the next ones wait.
const maxConns = 128

// Door is the way out of one build.
type Door struct {
	p       *Proxy
	network string
	indexes map[string]*origin
	server  *http.Server
	pages   pageTurns
	ctx     context.Context // of all that is under way
	end     context.CancelFunc
	active  sync.WaitGroup // requests, tunnels included
	shut    atomic.Bool

	mu     sync.Mutex
	links  []link
	known  map[link]int // index of links
	taken  Taken
	faults []fault // as they came, each thing once
	broken int     // how many there were in all
}

// IndexPath is where pip finds the index of that name, below the door's own address.
func IndexPath(name string) string { return "/" + name + "/simple/" }

// Door makes the way out of a build, closed as yet. The error names an index whose
// URL is none, without the URL.
func (p *Proxy) Door(s Settings) (*Door, error) {
	d := &Door{p: p, network: s.Network, indexes: map[string]*origin{}, known: map[link]int{}, pages: newPageTurns()}
	if d.network == "" {
		d.network = farm.NetworkPublic
	}
	for _, i := range s.Indexes {
		o, err := p.origin(i.URL)
		if err != nil {
			return nil, fmt.Errorf("index %s: %w", i.Name, err)
		}
		d.indexes[i.Name] = o
	}
	d.ctx, d.end = context.WithCancel(context.Background())
	return d, nil
}

// Serve answers who connects to l, until Close; both close l. It may be called once.
func (d *Door) Serve(l net.Listener) {
	d.server = &http.Server{
		Handler:           http.HandlerFunc(d.serve),
		BaseContext:       func(net.Listener) context.Context { return d.ctx },
		ReadHeaderTimeout: 30 * time.Second, MaxHeaderBytes: 64 << 10,
		ErrorLog: log.New(io.Discard, "", 0), // what a build sends is the build's affair
	}
	d.active.Go(func() { _ = d.server.Serve(limitConns(l, maxConns)) }) // it ends by Close
}

// Shut refuses everything from now on, the indexes too, and goes on noting who asks.
// What is under way is not ended.
func (d *Door) Shut() { d.shut.Store(true) }

// Close ends all that is under way and says what the build took. Nothing of the door
// runs any more then.
func (d *Door) Close() Taken {
	d.mu.Lock()
	d.end()
	d.mu.Unlock()
	if d.server != nil {
		_ = d.server.Close() // the listener's error is of no use to anybody
	}
	d.active.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.faults); n > 0 {
		d.taken.Fault = d.faults[n-1].why
	}
	return d.taken
}

func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	if !d.begin() {
		return
	}
	defer d.active.Done()
	switch {
	case r.Method == http.MethodConnect:
		d.connect(w, r)
	case r.URL.IsAbs() && !d.isOwn(r):
		d.forward(w, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		d.index(w, r)
	default:
		refuse(w, http.StatusMethodNotAllowed, "an index is only read")
	}
}

// begin counts a request in, unless the door is closed.
func (d *Door) begin() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx.Err() != nil {
		return false
	}
	d.active.Add(1)
	return true
}

// isOwn says whether a whole URL is one of ours, from a client that takes the way
// through a proxy to the proxy itself.
func (d *Door) isOwn(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && a.String() == r.URL.Host
}

// index serves /NAME/simple/PROJECT/ and /NAME/files/NUMBER/FILENAME.
func (d *Door) index(w http.ResponseWriter, r *http.Request) {
	part := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	if len(part) < 3 || d.indexes[part[0]] == nil {
		refuse(w, http.StatusNotFound, "there is no such index")
		return
	}
	o, rest := d.indexes[part[0]], part[2]
	if d.shut.Load() {
		d.note(o.base.Host, true, errBegun)
		refuse(w, http.StatusForbidden, errBegun.Error())
		return
	}
	switch part[1] {
	case "simple":
		d.page(w, r, part[0], o, rest)
	case "files":
		number, name, _ := strings.Cut(rest, "/")
		n, err := strconv.Atoi(number)
		l, ok := d.link(n)
		if err != nil || !ok {
			refuse(w, http.StatusNotFound, "no page listed that file")
			return
		}
		d.file(w, r, o, l, strings.HasSuffix(name, metadataSuffix) && !strings.HasSuffix(l.name(), metadataSuffix))
	default:
		refuse(w, http.StatusNotFound, "an index has simple/ and files/")
	}
}

var errBegun = errors.New("the build has begun, and has no network any more")

// refuse answers in words that a build's log can do with.
func refuse(w http.ResponseWriter, status int, why string) {
	http.Error(w, "pinwheel: "+why, status)
}

// trouble is the end of a request to an index that did not answer: the connection ends,
// as it would have without us, and pip tries again and says so.
func (d *Door) trouble(w http.ResponseWriter, u *url.URL, err error) {
	if isForbidden(err) {
		d.note(u.Host, true, err)
		refuse(w, http.StatusForbidden, told(err))
		return
	}
	if !errors.Is(err, context.Canceled) { // else it is the asker who went away
		d.broke(u, "", err)
	}
	panic(http.ErrAbortHandler)
}

// plain is an error without the URL that net/http puts in front of it.
func plain(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// limitConns makes l accept the next connection only when fewer than n are open.
func limitConns(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, slots: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	once   sync.Once
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type counted struct {
	net.Conn
	free func()
}

func (c *counted) Close() error {
	defer c.free()
	return c.Conn.Close()
}

// ReadFrom keeps sendfile for files of the cache.
func (c *counted) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }
