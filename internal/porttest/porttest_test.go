package porttest

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// TestReserve: nobody is there, and who is told of it can be, more than once.
func TestReserve(t *testing.T) {
	t.Parallel()
	address := Reserve(t)
	for range 3 {
		if c, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("who connects gets %v, %v", c, err)
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if l2, err := net.Listen("tcp", address); err == nil {
			l2.Close()
			t.Error("two listen at once")
		}
		c.Close()
		l.Close()
	}
}

// TestReservedIsTaken: the port stands in the kernel's books as one that has an owner, so
// that it is given to nobody who wants any.
func TestReservedIsTaken(t *testing.T) {
	t.Parallel()
	address, err := net.ResolveTCPAddr("tcp", Reserve(t))
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("who does not say that he shares it gets %v", err)
	}
}
