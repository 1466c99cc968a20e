package racktest

import (
	"testing"

	"pinwheel/internal/hosttest"
)

// newHost is a host without any cable.
func newHost(t *testing.T) *hosttest.Host {
	t.Helper()
	h, err := hosttest.New(t)
	if err != nil {
		t.Fatalf("make a network namespace: %v; give the container CAP_SYS_ADMIN", err)
	}
	return h
}

// newSwitch makes the rack's switch, with the operator's machine in it.
func newSwitch(t *testing.T, address string) *hosttest.Host {
	t.Helper()
	sw := newHost(t)
	// Of its own, not that of some port, which comes and goes, and which others remember.
	sw.IP("link add switch address 02:00:00:00:77:01 type bridge")
	sw.IP("address add %s/64 dev switch nodad", address)
	sw.IP("link set switch up")
	return sw
}

// plug connects a host with a port of the switch, under an address.
func plug(h, sw *hosttest.Host, port int, address string) {
	sw.IP("link add port%d type veth peer name eth0 netns %d", port, h.Thread())
	sw.IP("link set port%d master switch", port)
	sw.IP("link set port%d up", port)
	h.IP("address add %s/64 dev eth0 nodad", address)
	h.IP("address add 10.77.0.%d/24 dev eth0", port) // without any, apt does not believe in 127.0.0.1
	h.IP("link set eth0 up")
}
