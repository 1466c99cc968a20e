package natsserver

import (
	"net"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/leaktest"
	"pinwheel/internal/porttest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func authority(t *testing.T) *bus.Authority {
	t.Helper()
	a, err := bus.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAddressTaken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	listen := l.Addr().String()
	_, err = Start(Config{Listen: listen, Authority: authority(t), Log: zerolog.Nop()})
	if err == nil || !strings.Contains(err.Error(), listen+": the address is taken") {
		t.Errorf("error %v, want one that names %s", err, listen)
	}
}

func TestBadAddress(t *testing.T) {
	t.Parallel()
	a := authority(t)
	for _, listen := range []string{"4222", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:70000", "192.0.2.1:0"} {
		s, err := Start(Config{Listen: listen, Authority: a, Log: zerolog.Nop()})
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), listen) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want one line that names it", listen, err)
		}
	}
}

func TestCloseFreesTheAddress(t *testing.T) {
	t.Parallel()
	a := authority(t)
	listen := porttest.Reserve(t)
	for range 3 {
		s, err := Start(Config{Listen: listen, Authority: a, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		listen = strings.TrimPrefix(s.URL(), "nats://")
		s.Close()
	}
}
