package chaostest

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/farmtest"
)

// echo answers each connection with what it sends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c) // until the other end has enough
			}()
		}
	}()
	return l.Addr().String()
}

// TestCable pulls a cable in each way. What is said meanwhile comes later, or never.
func TestCable(t *testing.T) {
	t.Parallel()
	to := echo(t)
	c, err := newCable("127.0.0.1:0", func() string { return to })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", c.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// hears reads what came back within a time; "" is silence.
	hears := func(conn net.Conn, within time.Duration) (string, error) {
		if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		return string(buf[:n]), err
	}
	say := func(conn net.Conn, text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Errorf("say %s: %v", text, err)
		}
	}
	conn := dial()
	say(conn, "open")
	if got, err := hears(conn, time.Minute); got != "open" {
		t.Errorf("an open cable: %q, %v", got, err)
	}
	for i, k := range []kind{pause, silence} {
		c.set(k)
		say(conn, "held")
		late := dial()
		say(late, "late")
		farmtest.Eventually(t, "all are carried", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.pairs) == i+2
		})
		for _, who := range []net.Conn{conn, late} {
			if got, err := hears(who, 50*time.Millisecond); got != "" || err == io.EOF {
				t.Errorf("%s: %q, %v", k, got, err)
			}
		}
		c.set("")
		for who, want := range map[net.Conn]string{conn: "held", late: "late"} {
			if k == silence {
				want = ""
			}
			if got, err := hears(who, time.Minute); got != want || (err == nil) != (want != "") {
				t.Errorf("%s is over: %q, %v", k, got, err)
			}
		}
	}
	conn = dial()
	say(conn, "x")
	if got, err := hears(conn, time.Minute); got != "x" {
		t.Errorf("an open cable: %q, %v", got, err)
	}
	c.set(refuse)
	for name, who := range map[string]net.Conn{"one that stood": conn, "a new one": dial()} {
		if got, err := hears(who, time.Minute); got != "" || err == nil {
			t.Errorf("refused, %s: %q, %v", name, got, err)
		}
	}
}

// TestUnit: a program that ends is started again, and what nobody asked for is told.
func TestUnit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string
		sig    syscall.Signal // sent to it; 0: none
		odd    string
	}{
		"a fault of its own":        {"exit 1", 0, ""},
		"a wrong use":               {"exit 2", 0, "ended by itself: exit status 2"},
		"an end without a reason":   {"exit 0", 0, "ended by itself"},
		"a kill that nobody sent":   {"kill -9 $$", 0, "ended by itself: signal: killed"},
		"a kill":                    {"sleep 100", syscall.SIGKILL, ""},
		"an end that was asked for": {"trap 'exit 0' TERM; sleep 100 & wait", syscall.SIGTERM, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := newUnit(t.TempDir(), "x", func(time.Duration) *exec.Cmd { return exec.Command("/bin/sh", "-c", c.script) })
			if err != nil {
				t.Fatal(err)
			}
			defer u.close()
			u.start()
			if c.sig != 0 {
				farmtest.Eventually(t, "it runs", func() bool { return u.pid() != 0 })
				u.end(c.sig)
				if !u.gone(time.Minute) {
					t.Fatal("it does not end")
				}
				u.start()
			}
			farmtest.Eventually(t, "it is started again", func() bool { n, _ := u.record(); return n > 1 })
			u.end(syscall.SIGKILL)
			_, odd := u.record()
			if got := strings.Join(odd, "\n"); c.odd == "" && got != "" || !strings.Contains(got, c.odd) {
				t.Errorf("odd is %q, want %q", got, c.odd)
			}
		})
	}
}
