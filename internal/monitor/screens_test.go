package monitor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestCaptures: every page as it looks on a small and on a large screen.
func TestCaptures(t *testing.T) {
	t.Parallel()
	for _, size := range size80() {
		s := newStill()
		b := newBoard(t, s, size[0], size[1])
		for range 12 { // beats for the lines
			s.later(30 * time.Second)
			b.look()
		}
		for i := range 9 {
			w := s.work(i, s.now())
			b.hear([]bus.Event{{Kind: []string{"leased", "built", "failed"}[i%3], Package: w.Package, Version: w.Version, Target: w.Target, Slave: w.Slave, At: s.now()}})
		}
		for i, name := range pageNames() {
			b.press(fmt.Sprint(i + 1))
			if name == "Log" {
				b.press("5", "enter") // of a failure
			}
			b.sound()
			golden(t, sized(size)+"/"+strings.ToLower(name), b.text())
		}
		b.press("2", "down", "p")
		golden(t, sized(size)+"/asked", b.text())
		b.press("esc", "?")
		golden(t, sized(size)+"/help", b.text())
		b.press("x", "1")
		s.err = bus.ErrNobody
		s.later(20 * time.Second)
		b.look()
		golden(t, sized(size)+"/stale", b.text())
	}
}

// TestNoSizeIsTooSmall: whatever the terminal, each page is drawn and fits.
func TestNoSizeIsTooSmall(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{0, 0}, {1, 1}, {2, 3}, {20, 5}, {20, 9}, {39, 7}, {300, 2}, {10, 100}} {
		b := newBoard(t, newStill(), size[0], size[1])
		for _, page := range []string{"1", "2", "3", "4", "5", "6", "7"} {
			b.press(page, "end", "pgdown", "up")
			b.sound()
			b.press("?")
			b.sound()
			b.press("x")
		}
		b.press("3", "enter")
		b.sound()
		b.press("4", "x")
		b.typed("because")
		b.sound()
		b.press("esc")
	}
}

// hostile is what a slave, a package or a log may be called.
const hostile = "\x1b[2J\x1b]0;owned\x07evil\r\n\u202egnp\u0000\u009b31m\tx"

// TestHostileNamesAreHarmless: nothing that others wrote steers the terminal.
func TestHostileNamesAreHarmless(t *testing.T) {
	t.Parallel()
	s := newStill()
	snap, err := s.Demo.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sl := &snap.Slaves[0]
	sl.Name, sl.Machine, sl.PausedWhy, sl.Paused = hostile, hostile, hostile, true
	sl.Pulse.Doing, sl.Pulse.Unfit, sl.Pulse.Throttled = hostile, hostile, []string{hostile}
	bd := &snap.Builds[0]
	bd.Package, bd.Version, bd.Target, bd.Slave = hostile, hostile, hostile, hostile
	snap.Targets[0].Target, snap.Targets[0].Unserved = hostile, 3
	snap.Targets[0].Next[0].Package = hostile
	f := &snap.Failures[0]
	f.Cause, f.Detail, f.Hint, f.Package = farm.Cause(hostile), hostile, hostile, hostile
	snap.Ingest.Source, snap.Ingest.Trouble = hostile, hostile
	s.snap = &snap
	s.parts[snap.Builds[0].Build] = []bus.LogPart{{Build: 1, Package: hostile, Version: hostile, Outcome: hostile, Detail: hostile, Data: []byte(hostile + "\n" + hostile)}}
	b := newBoard(t, s, 120, 30)
	b.hear([]bus.Event{{Kind: hostile, Package: hostile, Slave: hostile, Detail: hostile}})
	for _, page := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		b.press(page)
		b.sound()
		b.hides("\u202e", "[2J", "owned")
		for _, key := range []string{"p", "a", "x", "+", "R"} {
			b.press(key)
			b.sound()
			b.press("esc")
		}
	}
	b.press("3", "enter")
	b.sound()
	b.shows("evil")
	b.tell(steeredMsg{err: fmt.Errorf("%w: %s", bus.ErrRefused, hostile)})
	b.sound()
	var out bytes.Buffer
	if err := Once(t.Context(), b.cfg, &out, 140, false); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(out.String(), func(r rune) bool { return r != '\n' && r < ' ' || r == 0x9b || r == '\u202e' }) {
		t.Errorf("control characters are printed: %q", out.String())
	}
}

// TestTwoHundredSlaves: the last one is reached, and its orders are those of a table.
func TestTwoHundredSlaves(t *testing.T) {
	t.Parallel()
	s := newStill()
	s.slaves = 200
	b := newBoard(t, s, 80, 24)
	b.press("2")
	b.shows("> pi-01")
	b.hides("pi-200")
	b.press("end")
	b.shows("> pi-99")
	b.sound()
	b.press("home", "s") // by state: who is gone comes first
	b.shows("STATE▼", "> pi-08    silent")
	b.press("S")
	b.shows("STATE▲", "busy")
	b.hides("silent")
	b.press("S", "s", "s", "s") // by heat
	hot := b.sorted()
	for i := range hot[1:] {
		if hot[i].Pulse.Temperature < hot[i+1].Pulse.Temperature {
			t.Fatalf("%s with %.0f° stands before %s with %.0f°", hot[i].Name, hot[i].Pulse.Temperature, hot[i+1].Name, hot[i+1].Pulse.Temperature)
		}
	}
	s.snap = &bus.Snapshot{} // all of them are gone
	b.look()
	b.sound()
	b.shows("no slave is enrolled")
	b.press("p")
	if b.prompt != nil {
		t.Error("nobody is asked about")
	}
}

// TestStale: what is old is said to be, its times stand still, and it comes back.
func TestStale(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 80, 24)
	b.press("3")
	b.shows("live")
	b.hides("STALE")
	s.err = fmt.Errorf("snapshot: %w", bus.ErrNobody)
	s.later(10 * time.Second)
	b.look()
	b.shows("STALE: of 10s ago", "reconnecting: ")
	before := b.buildLine(b.snap.Builds[0])
	s.later(time.Hour)
	b.look()
	b.shows("STALE: of 1h00 ago")
	if after := b.buildLine(b.snap.Builds[0]); after != before {
		t.Errorf("time goes on for what is stale: %q, was %q", after, before)
	}
	s.err = nil
	b.look()
	b.shows("live")
	b.hides("STALE", "reconnecting")
}

func TestNothingYet(t *testing.T) {
	t.Parallel()
	s := newStill()
	s.err = bus.ErrNobody
	b := newBoard(t, s, 80, 24)
	for _, page := range []string{"1", "2", "3", "4", "5"} {
		b.press(page)
		b.shows("Waiting for the farm at invented.example", "no data yet")
		b.sound()
	}
}

func TestASCII(t *testing.T) {
	t.Parallel()
	s := newStill()
	b := newBoard(t, s, 80, 24)
	b.cfg.ASCII = true
	for _, page := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		b.press(page)
		if strings.ContainsFunc(b.text(), func(r rune) bool { return r > '~' }) {
			t.Errorf("signs that the terminal may not have:\n%s", b.text())
		}
	}
}

var _ tea.Model = (*dash)(nil)

// TestSlaveState: what a slave says of itself is taken as it is said.
func TestSlaveState(t *testing.T) {
	t.Parallel()
	beat, gone := noon(), noon().Add(-time.Hour)
	for want, s := range map[string]bus.SlaveNow{
		"never":  {},
		"silent": {LastSeen: &gone, Paused: true},
		"paused": {LastSeen: &beat, Paused: true, Pulse: farm.Pulse{Doing: "building x 1"}},
		"unfit":  {LastSeen: &beat, Pulse: farm.Pulse{Unfit: "hot"}},
		"busy":   {LastSeen: &beat, Pulse: farm.Pulse{Doing: "building x 1"}},
		"idle":   {LastSeen: &beat, Pulse: farm.Pulse{Doing: "waiting for work"}},
	} {
		if got := slaveState(s, noon()); got != want {
			t.Errorf("%+v is %s, want %s", s, got, want)
		}
	}
}
