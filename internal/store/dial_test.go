package store

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDialerAsksTheSilent reads back what the kernel was told. That it works is
// seen on hosts with a cable between them, in internal/deploytest.
func TestDialerAsksTheSilent(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialer().DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[[2]int]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}:      1,
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}:     4,
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL}:    2,
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}:      3,
		{unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 10_000,
	} {
		err := raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), option[0], option[1]); err != nil || got != want {
				t.Errorf("option %v is %d, %v; want %d", option, got, err, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestDialerTakesSockets: those of this machine have no such options.
func TestDialerTakesSockets(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialer().DialContext(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}
