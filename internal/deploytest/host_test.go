package deploytest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// host is a network namespace: what is opened or started in it has its network.
// It is a thread of this process, and goes with it.
type host struct {
	t    *testing.T
	tid  int
	work chan func()
}

// twoHosts makes two hosts with a cable between them: a is 10.7.7.1, b is
// 10.7.7.2. Nobody else has these networks, so the addresses collide with none.
func twoHosts(t *testing.T) (a, b *host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("two hosts are two network namespaces, which need root: run `make test` as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("two hosts are two network namespaces, which need the program ip: install iproute2")
	}
	a, b = newHost(t), newHost(t)
	a.ip("link add cable type veth peer name cable netns %d", b.tid)
	a.ip("address add 10.7.7.1/24 dev cable")
	b.ip("address add 10.7.7.2/24 dev cable")
	for _, h := range []*host{a, b} {
		h.ip("link set lo up")
		h.ip("link set cable up")
	}
	return a, b
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		// Never unlocked: a thread with a network of its own is no use for
		// anything else, and ends with this goroutine.
		runtime.LockOSThread()
		h.tid = unix.Gettid()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range h.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		close(h.work)
		t.Skipf("two hosts are two network namespaces, which this root may not make (%v): give the container CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() { close(h.work) })
	return h
}

// run calls f on the host; on none, here.
func (h *host) run(f func()) {
	if h == nil {
		f()
		return
	}
	done := make(chan struct{})
	h.work <- func() { defer close(done); f() }
	<-done
}

// ip runs the command of that name on the host.
func (h *host) ip(format string, args ...any) {
	h.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	var out []byte
	var err error
	h.run(func() { out, err = exec.Command("ip", words...).CombinedOutput() })
	if err != nil {
		h.t.Fatalf("ip %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// pull takes the cable out of the host, plug puts it back.
func (h *host) pull() { h.ip("link set cable down") }
func (h *host) plug() { h.ip("link set cable up") }

// dial is for a client of this process that must be on the host.
func (h *host) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	h.run(func() { c, err = new(net.Dialer).DialContext(ctx, network, address) })
	return c, err
}

// lend makes an address of this process's own loopback reachable on the host's
// loopback: it is the rest of the internet, which no cable of ours carries.
func (h *host) lend(address string) {
	if h == nil { // it is there
		return
	}
	h.t.Helper()
	var l net.Listener
	var err error
	h.run(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go pipe(near, address)
		}
	}()
}

func pipe(near net.Conn, address string) {
	defer near.Close()
	far, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer far.Close()
	ends := make(chan struct{}, 2)
	copyTo := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // whoever ends, both end
		ends <- struct{}{}
	}
	go copyTo(far, near)
	go copyTo(near, far)
	<-ends
}
