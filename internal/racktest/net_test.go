package racktest

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// place is a network namespace: what is opened or started in it has its network. It is a
// thread of this process, and goes with it.
type place struct {
	t    *testing.T
	tid  int
	work chan func()
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		// Never unlocked: a thread with a network of its own is no use for anything else,
		// and ends with this goroutine.
		runtime.LockOSThread()
		p.tid = unix.Gettid()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range p.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		close(p.work)
		t.Fatalf("make a network namespace: %v; give the container CAP_SYS_ADMIN", err)
	}
	t.Cleanup(func() { close(p.work) })
	p.ip("link set lo up")
	return p
}

// run calls f there.
func (p *place) run(f func()) {
	done := make(chan struct{})
	p.work <- func() { defer close(done); f() }
	<-done
}

// ip runs the command of that name there.
func (p *place) ip(format string, args ...any) {
	p.t.Helper()
	words := strings.Fields(fmt.Sprintf(format, args...))
	var out []byte
	var err error
	p.run(func() { out, err = exec.Command("ip", words...).CombinedOutput() })
	if err != nil {
		p.t.Fatalf("ip %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// plug connects it with the switch of the rack, under an address.
func (p *place) plug(sw *place, port int, address string) {
	p.t.Helper()
	sw.ip("link add port%d type veth peer name eth0 netns %d", port, p.tid)
	sw.ip("link set port%d master switch", port)
	sw.ip("link set port%d up", port)
	p.ip("address add %s/64 dev eth0 nodad", address)
	p.ip("address add 10.77.0.%d/24 dev eth0", port) // without any, apt does not believe in 127.0.0.1
	p.ip("link set eth0 up")
}

// newSwitch makes the rack's switch, with the operator's machine in it.
func newSwitch(t *testing.T, address string) *place {
	t.Helper()
	sw := newPlace(t)
	sw.ip("link add switch type bridge")
	sw.ip("address add %s/64 dev switch nodad", address)
	sw.ip("link set switch up")
	return sw
}

// lend makes an address of this process's own loopback reachable on the loopback there: it
// is the rest of the internet, which no cable of the rack carries.
func (p *place) lend(address string) {
	p.t.Helper()
	var l net.Listener
	var err error
	p.run(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
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
