// Package porttest finds ports of the loopback for tests whose server comes late, or goes
// and comes back.
//
// Input: a test. Output: an address that nobody listens on. It owns the port until the
// test ends: the kernel gives it to nobody who asks for any port, be it to listen or to
// connect from, while a server that is told its number may listen there, again and again.
package porttest

import (
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Reserve returns such an address, HOST:PORT.
func Reserve(t testing.TB) string {
	t.Helper()
	// Bound, and never listened on: with SO_REUSEADDR, which Go's listeners have too,
	// that keeps the port, and keeps nobody from it who names it.
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socket", err))
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(os.NewSyscallError("setsockopt", err))
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(os.NewSyscallError("bind", err))
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(os.NewSyscallError("getsockname", err))
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
}
