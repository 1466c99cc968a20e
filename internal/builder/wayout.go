package builder

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"pinwheel/internal/proxy"
)

// A fenced build has a network namespace of its own, with nothing in it but a
// loopback. Its way out is a listening socket on that loopback which the proxy, out
// here, accepts connections from (decision 31). The socket must be made inside: this
// very program does so, bound into the build's view, as the first there; it hands the
// socket out and becomes the build's program. A run that has no way out is begun like
// that too, for what else is handed out; nobody listens at its socket.
const (
	helperPath  = "/pinwheel"
	wayOutArg   = "--way-out"
	wayOutPort  = 3128                     // of HTTP proxies, by custom
	wayOutFD    = 4                        // where the socket is handed out; 3 is bwrap's info
	noWayOut    = "pinwheel: no way out: " // how the helper begins what it has to complain of
	helperFails = 125
)

// Inside makes a program fit to build: it must be the first thing that main does, for
// in a build's sandbox this call does the helper's part and does not return. Anywhere
// else it returns at once.
func Inside() {
	if len(os.Args) < 3 || os.Args[0] != helperPath || os.Args[1] != wayOutArg {
		return
	}
	err := handOut(os.Args[2:])
	fmt.Fprintf(os.Stderr, "%s%v\n", noWayOut, err)
	os.Exit(helperFails)
}

// handOut makes the socket, sends it out, with the lists of what else the build has, and
// becomes argv. It returns an error only.
func handOut(argv []string) error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket: %w", err)
	}
	at := &syscall.SockaddrInet4{Port: wayOutPort, Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(s, at), syscall.Listen(s, syscall.SOMAXCONN)); err != nil {
		return fmt.Errorf("listen on port %d: %w", wayOutPort, err)
	}
	lists, err := openLists()
	if err != nil {
		return fmt.Errorf("open the lists of what is shared here: %w", err)
	}
	out := []int{s}
	for _, f := range lists {
		out = append(out, int(f.Fd()))
	}
	if err := syscall.Sendmsg(wayOutFD, []byte{0}, syscall.UnixRights(out...), nil, 0); err != nil {
		return fmt.Errorf("hand the socket out: %w", err)
	}
	runtime.KeepAlive(lists) // else they might be closed before they are sent
	syscall.CloseOnExec(wayOutFD)
	seem32()
	return fmt.Errorf("start %s: %w", argv[0], syscall.Exec(argv[0], argv, os.Environ()))
}

// wayOut is the way to the network of one run in a box, and what that tells of itself.
type wayOut struct {
	door    *proxy.Door  // nil: it leads nowhere
	own     *proxy.Proxy // ours to close; nil: it is the caller's
	address string       // host:port, as the build sees it
	helper  string       // the program that opens it, bwrap only

	ours, theirs *os.File   // a socket pair, bwrap only
	served       chan error // that the door is served, or why not
	sysv         sysv
}

// names of the indexes, in the order of indexURLs.
const (
	upstreamIndex = "upstream"
	farmIndex     = "farm"
)

func (b Build) indexes() []proxy.Index {
	list := []proxy.Index{{Name: upstreamIndex, URL: b.IndexURL}}
	for i, u := range b.ExtraIndexURLs {
		name := farmIndex
		if i > 0 {
			name += strconv.Itoa(i + 1)
		}
		list = append(list, proxy.Index{Name: name, URL: u})
	}
	return list
}

// openWay opens the way out of the build in x. The caller closes it.
func (b Build) openWay(x *box) (_ *wayOut, err error) {
	w := &wayOut{served: make(chan error, 1)}
	p := b.Proxy
	if p == nil {
		if p, err = proxy.New(proxy.Config{Bundle: b.Python.Bundle}); err != nil {
			return nil, err
		}
		w.own = p
	}
	if w.door, err = p.Door(proxy.Settings{Network: b.Recipe.Network, Indexes: b.indexes()}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.served <- nil // it never will be, which close waits for
			w.close()
		}
	}()
	if x.mode != Bwrap {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("open the build's way out: %w", err)
		}
		w.address = l.Addr().String()
		w.serve(l)
		return w, nil
	}
	w.address = net.JoinHostPort("127.0.0.1", strconv.Itoa(wayOutPort))
	if err := w.open(x, b.Helper); err != nil {
		return nil, err
	}
	return w, nil
}

// noWay is the way out of a run in x that may not go anywhere; nil without a fence. The
// caller closes it.
func (b Build) noWay(x *box) (*wayOut, error) {
	if x.mode != Bwrap {
		return nil, nil
	}
	w := &wayOut{served: make(chan error, 1)}
	if err := w.open(x, b.Helper); err != nil {
		return nil, err
	}
	return w, nil
}

// open readies what is handed out of the fence.
func (w *wayOut) open(x *box, helper string) (err error) {
	if w.helper, err = x.helper(helper); err != nil {
		return err
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the build's way out: %w", err)
	}
	w.ours, w.theirs = os.NewFile(uintptr(pair[0]), "way out"), os.NewFile(uintptr(pair[1]), "way out")
	return nil
}

func (w *wayOut) serve(l net.Listener) {
	if w.door == nil {
		l.Close()
	} else {
		w.door.Serve(l)
	}
	w.served <- nil
}

// fence is what bwrap is told of the helper, and command what goes before argv. A run
// without a way out has neither.
func (w *wayOut) fence() []string {
	if w == nil || w.helper == "" {
		return nil
	}
	return []string{"--ro-bind", w.helper, helperPath}
}

func (w *wayOut) command(argv []string) []string {
	if w == nil || w.helper == "" {
		return argv
	}
	return append([]string{helperPath, wayOutArg}, argv...)
}

// inherited is the file that a child must have as wayOutFD, if any.
func (w *wayOut) inherited() []*os.File {
	if w == nil || w.theirs == nil {
		return nil
	}
	return []*os.File{w.theirs}
}

// begun is to be called when the child was started, or could not be: then nobody has
// the other end, and the wait for the socket ends.
func (w *wayOut) begun() {
	if w == nil || w.theirs == nil {
		return
	}
	w.theirs.Close()
	w.theirs = nil
	c, err := net.FileConn(w.ours)
	w.ours.Close()
	if err != nil {
		w.served <- err
		return
	}
	go func() {
		defer c.Close()
		l, lists, err := receive(c)
		if err != nil {
			w.served <- err
			return
		}
		w.sysv.hold(lists)
		w.serve(l)
	}()
}

// receive takes the socket that the helper hands out, and the lists of what else the
// build has. That the other end is closed everywhere means that none will come.
func receive(c net.Conn) (l net.Listener, lists []*os.File, err error) {
	rights := make([]byte, syscall.CmsgSpace(4*(1+len(sysvLists()))))
	_, n, _, _, err := c.(*net.UnixConn).ReadMsgUnix(make([]byte, 1), rights)
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("no socket came out of the sandbox")
	}
	if err != nil {
		return nil, nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, nil, err
	}
	if len(messages) != 1 {
		return nil, nil, fmt.Errorf("%d messages with sockets came out of the sandbox, not one", len(messages))
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) == 0 {
		return nil, nil, cmp.Or(err, errors.New("no socket came with the word out of the sandbox"))
	}
	for _, fd := range fds {
		lists = append(lists, os.NewFile(uintptr(fd), "from inside"))
	}
	if l, err = net.FileListener(lists[0]); err != nil { // it has one of its own
		closeAll(lists)
		return nil, nil, err
	}
	lists[0].Close()
	return l, lists[1:], nil
}

// close ends the way out, and says what was taken by it. The error says that it never
// was open; the run has ended by then.
func (w *wayOut) close() (proxy.Taken, error) {
	if w.theirs != nil { // there was no run
		w.ours.Close()
		w.theirs.Close()
		w.served <- nil
	}
	err := <-w.served
	w.sysv.close()
	if w.door == nil {
		return proxy.Taken{}, err
	}
	taken := w.door.Close()
	if w.own != nil {
		w.own.Close()
	}
	return taken, err
}

// env leads clients to the door. What asks for another index than the command line
// says (setuptools, for setup_requires) is led to the upstream as well.
func (w *wayOut) env() []string {
	if w == nil || w.door == nil {
		return nil
	}
	env := []string{"PIP_INDEX_URL=" + w.index(upstreamIndex)}
	for _, name := range proxyVariables() {
		env = append(env, name+"=http://"+w.address, strings.ToUpper(name)+"=http://"+w.address)
	}
	const direct = "localhost,127.0.0.1,::1"
	return append(env, "no_proxy="+direct, "NO_PROXY="+direct)
}

// withoutProxies takes out the machine's own proxies, whose URLs may hold passwords.
func withoutProxies(env []string) []string {
	return slices.DeleteFunc(env, func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return strings.HasSuffix(strings.ToLower(name), "_proxy")
	})
}

func proxyVariables() []string {
	return []string{"http_proxy", "https_proxy", "ftp_proxy", "all_proxy"}
}

// index is where pip finds the index of that name.
func (w *wayOut) index(name string) string { return "http://" + w.address + proxy.IndexPath(name) }
