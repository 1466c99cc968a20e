package monitor

import (
	"bytes"
	"context"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/screentest"
)

func start(t *testing.T, size [2]int, env ...string) (*screentest.Screen, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	// From then on none of the invented builds ends for more than a minute.
	began, then := time.Now(), time.Date(2026, 11, 29, 12, 15, 0, 0, time.UTC)
	now := func() time.Time { return then.Add(time.Since(began)) }
	cfg := Config{Source: NewDemo(now, 20), Every: 500 * time.Millisecond, Now: now, Folder: t.TempDir()}
	return screentest.Start(t, size[0], size[1], func(in io.Reader, out io.Writer) error {
		return Run(ctx, cfg, Screen{In: in, Out: out, Env: append([]string{"TERM=xterm-256color", "TTY_FORCE=1"}, env...), Size: size})
	}), cancel
}

// TestKeys: the bytes that a terminal sends reach what they are for.
func TestKeys(t *testing.T) {
	t.Parallel()
	s, _ := start(t, [2]int{80, 24})
	s.Await("DEMO, invented data", "TARGET", "live")
	s.Keys("2")
	s.Await("[2 Slaves 20]", "> pi-01")
	s.Keys("\x1b[B\x1b[B\x1b[A")
	s.Await("> pi-02")
	s.Keys("p")
	s.Await("pause pi-02?", "y: yes")
	s.Keys("y")
	s.Await("nothing real was done", "paused")
	s.Keys("\t")
	s.Await("[3 Builds")
	s.Keys("\r")
	s.Await("under way, live", "gcc -Wall")
	s.Keys("q")
	if err := s.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
}

// TestEndsWhenToldTo: a signal to the program is the end of its context.
func TestEndsWhenToldTo(t *testing.T) {
	t.Parallel()
	s, cancel := start(t, [2]int{20, 5})
	s.Await("pinwheel", "TARGET")
	cancel()
	if err := s.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if !bytes.Contains(s.Raw(), []byte("\x1b[?1049l")) {
		t.Error("the terminal is left on the other screen")
	}
}

var colour = regexp.MustCompile(`\x1b\[(?:[0-9;]*;)?(?:3[0-7]|9[0-7]|38;[0-9;]*)m`)

func TestNoColour(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]bool{"NO_COLOR=1": false, "COLORTERM=": true} {
		s, _ := start(t, [2]int{80, 24}, env)
		s.Keys("2")
		s.Await("> pi-01", "silent", "busy")
		s.Keys("q")
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
		if got := colour.Match(s.Raw()); got != want {
			t.Errorf("with %s there are colours: %v, want %v", env, got, want)
		}
	}
}

// slowLine is what the line of a farm far away takes, in bytes a second.
const slowLine = 5000

// TestSlowLine: with 20 slaves, each page costs less, the first drawing of all included.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	const long = 6 * time.Second
	for _, size := range size80() {
		for _, page := range []string{"1", "2", "3\r", "6"} {
			t.Run(sized(size)+" page "+strings.TrimSpace(page), func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				s, cancel := start(t, size)
				s.Await("live")
				s.Keys(page)
				defer time.AfterFunc(long, cancel).Stop()
				if err := s.Wait(); err != nil {
					t.Error(err)
				}
				rate := float64(len(s.Raw())) / time.Since(began).Seconds()
				t.Logf("%.0f bytes a second", rate)
				if rate > slowLine {
					t.Errorf("%.0f bytes a second, at most %d are wanted", rate, slowLine)
				}
			})
		}
	}
}

// TestPlain: without a screen there are lines, none of which steers a terminal.
func TestPlain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	in, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Plain(ctx, Config{Source: NewDemo(time.Now, 3), Every: time.Second, Now: time.Now}, out, 80)
		out.Close()
	}()
	var got bytes.Buffer
	buf := make([]byte, 4096)
	for !regexp.MustCompile(`(?m)^[0-9:]{8} (leased|built)`).Match(got.Bytes()) {
		n, err := in.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(buf[:n])
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, in) }()
	if err := <-done; err != nil {
		t.Error(err)
	}
	text := got.String()
	if !strings.Contains(text, "DEMO, invented data") || !strings.Contains(text, "pi-03") || strings.Contains(text, "\x1b") {
		t.Errorf("printed:\n%s", text)
	}
}
