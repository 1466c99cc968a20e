package monitor

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var update = flag.Bool("update", false, "write the captures")

// noon is when everything here happens, unless a test says otherwise.
func noon() time.Time { return time.Date(2026, 11, 29, 12, 0, 17, 0, time.UTC) }

// still is the invented farm at a time that a test moves, with ears for wishes.
type still struct {
	*Demo
	role farm.Role

	mu      sync.Mutex
	at      time.Time
	err     error // of snapshots
	snap    *bus.Snapshot
	parts   map[int64][]bus.LogPart // of a build, one after the other
	steered []bus.Steer
	refuse  error
	follow  func(bus.LogChunk)
}

func newStill() *still {
	s := &still{role: farm.RoleOperator, at: noon(), parts: map[int64][]bus.LogPart{}}
	s.Demo = NewDemo(s.now, 20)
	return s
}

func (s *still) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

func (s *still) later(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

func (s *still) Place() Place {
	p := s.Demo.Place()
	p.Role = s.role
	return p
}

func (s *still) Snapshot(ctx context.Context) (bus.Snapshot, error) {
	if s.err != nil || s.snap == nil {
		snap, err := s.Demo.Snapshot(ctx)
		return snap, errors.Join(err, s.err)
	}
	snap := *s.snap
	snap.At = s.now()
	return snap, nil
}

func (s *still) Log(ctx context.Context, build, offset int64) (bus.LogPart, error) {
	list := s.parts[build]
	if len(list) == 0 {
		return s.Demo.Log(ctx, build, offset)
	}
	if len(list) > 1 {
		s.parts[build] = list[1:]
	}
	return list[0], nil
}

func (s *still) Steer(_ context.Context, m bus.Steer) (bus.Steered, error) {
	s.steered = append(s.steered, m)
	return bus.Steered{Said: "it is done", Audit: 12}, s.refuse
}

func (s *still) Events(func(bus.Event)) (func(), error) { return func() {}, nil }

func (s *still) Follow(_ int64, f func(bus.LogChunk)) (func(), error) {
	s.follow = f
	return func() { s.follow = nil }, nil
}

// board is a dashboard whose loop the test is.
type board struct {
	*dash
	t *testing.T
	s *still
}

func newBoard(t *testing.T, s *still, wide, high int) board {
	t.Helper()
	b := board{newDash(t.Context(), Config{Source: s, Every: 2 * time.Second, Now: s.now, Folder: t.TempDir()}), t, s}
	b.after = func(time.Duration, func(time.Time) tea.Msg) tea.Cmd { return nil } // the test is the clock
	b.tell(tea.WindowSizeMsg{Width: wide, Height: high})
	b.look()
	return b
}

// tell gives the dashboard a message, and runs what it wants done, but for its clocks.
func (b board) tell(msg tea.Msg) {
	b.t.Helper()
	_, cmd := b.Update(msg)
	b.run(cmd)
}

func (b board) run(cmd tea.Cmd) {
	b.t.Helper()
	if cmd == nil {
		return
	}
	switch m := cmd().(type) {
	case tea.BatchMsg:
		for _, c := range m {
			b.run(c)
		}
	case tea.QuitMsg:
	default:
		b.tell(m)
	}
}

func (b board) look() {
	b.t.Helper()
	b.tell(b.dash.look())
}

// press presses keys by their names.
func (b board) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.tell(keyNamed(k))
	}
}

func keyNamed(name string) tea.KeyPressMsg {
	codes := map[string]rune{"enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "end": tea.KeyEnd,
		"home": tea.KeyHome, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "tab": tea.KeyTab, "backspace": tea.KeyBackspace,
		"left": tea.KeyLeft, "right": tea.KeyRight}
	if code, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: code}
	}
	return tea.KeyPressMsg{Code: []rune(name)[0], Text: name}
}

func (b board) typed(text string) {
	b.t.Helper()
	for _, r := range text {
		b.press(string(r))
	}
}

// text is the screen without styles.
func (b board) text() string {
	lines := strings.Split(plainText(b.View().Content), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

func (b board) shows(words ...string) {
	b.t.Helper()
	for _, w := range words {
		if text := b.text(); !strings.Contains(text, w) {
			b.t.Errorf("%q is not shown:\n%s", w, text)
		}
	}
}

func (b board) hides(words ...string) {
	b.t.Helper()
	for _, w := range words {
		if text := b.text(); strings.Contains(text, w) {
			b.t.Errorf("%q is shown:\n%s", w, text)
		}
	}
}

var style = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// sound holds what every screen must be: as high as the terminal, not wider, and free of
// what steers it but styles of our own.
func (b board) sound() {
	b.t.Helper()
	content := b.View().Content
	lines := strings.Split(content, "\n")
	if content != "" && len(lines) > b.high {
		b.t.Errorf("%d lines on a screen of %d", len(lines), b.high)
	}
	for _, line := range lines {
		if w := width(line); w > b.wide {
			b.t.Errorf("%d columns on a screen of %d: %q", w, b.wide, line)
		}
	}
	if bad := strings.IndexFunc(style.ReplaceAllString(content, ""), func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) }); bad >= 0 {
		b.t.Errorf("a control character is drawn: %q", content)
	}
}

// golden holds a screen to a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), `go test ./internal/monitor -update` once it is meant:\n%s", path, diff)
	}
}

func size80() [][2]int { return [][2]int{{80, 24}, {140, 40}} }

func sized(s [2]int) string { return fmt.Sprintf("%dx%d", s[0], s[1]) }
