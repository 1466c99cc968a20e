// Package hosttest gives a test hosts of its own: network namespaces of this machine.
//
// Input: functions to be called on a host, which open sockets or start programs there.
// It owns the namespaces and the connections between them and this process. They end with
// the test's process, so that nothing of them is left however it ends. It never touches
// this machine's own network, and never decides whether a test may do without hosts.
package hosttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is a network namespace: what is opened or started in it has its network. It is a
// thread of this process, and goes with it. No host, nil, is this machine itself.
type Host struct {
	t    testing.TB
	tid  int
	work chan func()
}

// New makes a host without any cable, until the test ends. The error says what this
// process lacks for that.
func New(t testing.TB) (*Host, error) {
	t.Helper()
	h := &Host{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		// Never unlocked: a thread with a network of its own is no use for anything else,
		// and ends with this goroutine.
		runtime.LockOSThread()
		h.tid = unix.Gettid()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range h.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		close(h.work)
		return nil, err
	}
	t.Cleanup(func() { close(h.work) })
	h.IP("link set lo up")
	return h, nil
}

// Thread names the namespace for the program ip: "netns %d".
func (h *Host) Thread() int { return h.tid }

// Run calls f on the host. A program that f starts with Pdeathsig dies with the host.
func (h *Host) Run(f func()) {
	if h == nil {
		f()
		return
	}
	done := make(chan struct{})
	h.work <- func() { defer close(done); f() }
	<-done
}

// IP runs the command ip on the host.
func (h *Host) IP(format string, args ...any) {
	h.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	var out []byte
	var err error
	h.Run(func() { out, err = exec.Command("ip", words...).CombinedOutput() })
	if err != nil {
		h.t.Fatalf("ip %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// Dial is for a client of this process that must be on the host.
func (h *Host) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	h.Run(func() { c, err = new(net.Dialer).DialContext(ctx, network, address) })
	return c, err
}

// Lend makes an address of this process's own loopback reachable on the host's loopback:
// it is the rest of the internet, which no cable carries.
func (h *Host) Lend(address string) {
	if h == nil { // it is there
		return
	}
	h.t.Helper()
	var l net.Listener
	var err error
	h.Run(func() { l, err = net.Listen("tcp", address) })
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
