package service

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// boss is a socket that hears what a program says.
type boss struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newBoss(t *testing.T) *boss {
	t.Helper()
	b := &boss{t: t, path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if b.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: b.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.conn.Close() })
	return b
}

func (b *boss) hears() string {
	b.t.Helper()
	if err := b.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := b.conn.Read(buf)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(buf[:n])
}

func (b *boss) env(more map[string]string) func(string) string {
	return func(name string) string {
		if name == "NOTIFY_SOCKET" {
			return b.path
		}
		return more[name]
	}
}

func TestSupervisorHears(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	s := supervised(b.env(nil), zerolog.Nop())
	for want, say := range map[string]func(){
		"READY=1\nSTATUS=begun":   func() { s.Ready("begun") },
		"STATUS=busy":             func() { s.Status("busy") },
		"STOPPING=1\nSTATUS=ends": func() { s.Stopping("ends") },
	} {
		if say(); b.hears() != want {
			t.Errorf("not %q", want)
		}
	}
	s.Feed(t.Context(), func(context.Context) error { t.Error("signs of life that nobody wants"); return nil })()
}

// TestReadyInTime: a program has begun when it says so, and when it has waited long enough.
func TestReadyInTime(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	s := supervised(b.env(nil), zerolog.Nop())
	hears := func(want string) {
		t.Helper()
		if got := b.hears(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	ready := s.ReadyWithin(t.Context(), time.Hour, "waits")
	hears("STATUS=waits")
	ready("found it")
	hears("READY=1\nSTATUS=found it")

	ready = s.ReadyWithin(t.Context(), time.Nanosecond, "waits")
	hears("STATUS=waits")
	hears("READY=1\nSTATUS=waits")
	ready("found it")
	hears("STATUS=found it")

	ended, end := context.WithCancel(t.Context())
	ready = s.ReadyWithin(ended, time.Hour, "waits")
	hears("STATUS=waits")
	end()
	ready("too late")
	s.Status("the next")
	hears("STATUS=the next")
}

// TestWatchdogHangsOnHealth: signs of life come while all is well, and only then.
func TestWatchdogHangsOnHealth(t *testing.T) {
	t.Parallel()
	b := newBoss(t)
	var log bytes.Buffer
	s := supervised(b.env(map[string]string{"WATCHDOG_USEC": "20000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}), zerolog.New(&log))
	sick := make(chan error, 8)
	for range 2 {
		sick <- nil
	}
	for range 3 {
		sick <- errors.New("web: deaf")
	}
	sick <- nil
	over, once := make(chan struct{}), sync.Once{}
	stop := s.Feed(t.Context(), func(ctx context.Context) error {
		select {
		case err := <-sick:
			return err
		default:
			once.Do(func() { close(over) })
			<-ctx.Done() // as a check that hangs does; it is limited
			return ctx.Err()
		}
	})
	for _, want := range []string{"WATCHDOG=1", "WATCHDOG=1", "STATUS=stuck: web: deaf", "WATCHDOG=1"} {
		if got := b.hears(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	<-over
	stop()
	if n := strings.Count(log.String(), "web: deaf"); n != 1 {
		t.Errorf("logged %d times: %s", n, &log)
	}
}

func TestNobodySupervises(t *testing.T) {
	t.Parallel()
	s := supervised(func(string) string { return "" }, zerolog.Nop())
	if s != nil {
		t.Fatal("somebody does")
	}
	s.Ready("")
	s.Status("")
	s.Stopping("")
	s.Feed(t.Context(), nil)()
	b := newBoss(t)
	other := supervised(b.env(map[string]string{"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}), zerolog.Nop())
	if other.every != 0 {
		t.Error("signs of life are wanted of another process")
	}
	var log bytes.Buffer
	gone := &Supervisor{socket: filepath.Join(t.TempDir(), "none"), log: zerolog.New(&log)}
	gone.Ready("begun")
	if !strings.Contains(log.String(), "does not hear us") {
		t.Errorf("a socket that is gone: %s", &log)
	}
}

// TestVitals: a loop that sleeps or works too long is named; one that may take its time
// is not.
func TestVitals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &Vitals{}
		ctx, cancel := context.WithCancel(WithVitals(t.Context(), v))
		hang := make(chan struct{})
		quick := Loop{Every: 10 * time.Second, Log: zerolog.Nop(), Longest: time.Minute, Do: func(context.Context) error {
			select {
			case <-hang:
				<-ctx.Done()
			default:
			}
			return nil
		}}
		slow := Loop{Every: time.Second, Log: zerolog.Nop(), Do: func(ctx context.Context) error { <-ctx.Done(); return nil }}
		ended := make(chan error, 1)
		go func() {
			ended <- RunAll(ctx, Part{Name: "a", Run: func(ctx context.Context) error {
				return RunAll(ctx, Part{Name: "quick", Run: quick.Run}, Part{Name: "slow", Run: slow.Run})
			}})
		}()
		time.Sleep(time.Hour)
		if err := v.Check(); err != nil {
			t.Errorf("all is well, and %v", err)
		}
		close(hang)
		time.Sleep(time.Minute)
		if err := v.Check(); err != nil {
			t.Errorf("a minute is what it may take, and %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := v.Check(); err == nil || !strings.HasPrefix(err.Error(), "a/quick has not been heard") {
			t.Errorf("it hangs, and %v", err)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := v.Check(); err != nil {
			t.Errorf("all have ended, and %v", err)
		}
		var nobody *Vitals
		nobody.Promise("x", time.Second)
		if nobody.Check() != nil {
			t.Error("nobody is stuck")
		}
	})
}
