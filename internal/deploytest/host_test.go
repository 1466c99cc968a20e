package deploytest

import (
	"os"
	"os/exec"
	"testing"

	"pinwheel/internal/hosttest"
)

// twoHosts makes two hosts with a cable between them: a is 10.7.7.1, b is
// 10.7.7.2. Nobody else has these networks, so the addresses collide with none.
func twoHosts(t *testing.T) (a, b *hosttest.Host) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("two hosts are two network namespaces, which need root: run `make test` as root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("two hosts are two network namespaces, which need the program ip: install iproute2")
	}
	a, b = newHost(t), newHost(t)
	a.IP("link add cable type veth peer name cable netns %d", b.Thread())
	a.IP("address add 10.7.7.1/24 dev cable")
	b.IP("address add 10.7.7.2/24 dev cable")
	plug(a)
	plug(b)
	return a, b
}

func newHost(t *testing.T) *hosttest.Host {
	t.Helper()
	h, err := hosttest.New(t)
	if err != nil {
		t.Skipf("two hosts are two network namespaces, which this root may not make (%v): give the container CAP_SYS_ADMIN", err)
	}
	return h
}

// pull takes the cable out of a host, plug puts it back.
func pull(h *hosttest.Host) { h.IP("link set cable down") }
func plug(h *hosttest.Host) { h.IP("link set cable up") }
