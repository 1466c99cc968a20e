// Package screentest is a terminal for tests: what a program draws is held by an
// emulator, and looked at as a person would; keys are the bytes that a terminal sends.
//
// It owns the program's run, and ends it with the test. Nothing of it sleeps: whoever
// waits is woken by the next thing that is drawn.
package screentest

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
)

// patience is after how long something is not going to be drawn any more.
const patience = 90 * time.Second

// Screen is a terminal on which a program runs.
type Screen struct {
	t    testing.TB
	keys *io.PipeWriter
	done chan error

	mu    sync.Mutex
	drawn *sync.Cond
	emu   *vt.Emulator
	raw   []byte
	over  bool
}

// Start runs a program on a screen of so many columns and lines.
func Start(t testing.TB, wide, high int, run func(in io.Reader, out io.Writer) error) *Screen {
	t.Helper()
	in, keys := io.Pipe()
	s := &Screen{t: t, keys: keys, done: make(chan error, 1), emu: vt.NewEmulator(wide, high)}
	s.drawn = sync.NewCond(&s.mu)
	answers := make(chan struct{})
	go func() { // what a terminal answers to questions about itself
		defer close(answers)
		_, _ = io.Copy(io.Discard, s.emu)
	}()
	go func() {
		err := run(in, s)
		in.Close()
		s.mu.Lock()
		s.over = true
		s.drawn.Broadcast()
		s.mu.Unlock()
		s.done <- err
	}()
	t.Cleanup(func() {
		keys.Close()
		s.emu.Close()
		<-answers
	})
	return s
}

// Write is what the program draws.
func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.raw = append(s.raw, p...)
	// A program that has no terminal to set up counts on what the kernel does of its own.
	_, err := s.emu.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	s.drawn.Broadcast()
	return len(p), err
}

// Keys presses keys: "\r" is enter, "\x1b[A" is up.
func (s *Screen) Keys(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatalf("press %q: %v\n%s", keys, err, s.Text())
	}
}

// Text is what stands on the screen, without blanks at the ends of lines.
func (s *Screen) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text()
}

func (s *Screen) text() string {
	lines := strings.Split(s.emu.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \r")
	}
	return strings.Join(lines, "\n")
}

// Raw is all that was ever written, byte for byte.
func (s *Screen) Raw() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]byte(nil), s.raw...)
}

// Await waits until all these words stand on the screen, and returns it.
func (s *Screen) Await(words ...string) string {
	s.t.Helper()
	return s.until("shows "+strings.Join(words, ", "), func(text string) bool {
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	})
}

// Gone waits until a word does not stand on the screen any more.
func (s *Screen) Gone(word string) {
	s.t.Helper()
	s.until("does not show "+word, func(text string) bool { return !strings.Contains(text, word) })
}

func (s *Screen) until(what string, ok func(text string) bool) string {
	s.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.drawn.Broadcast()
	})
	defer timer.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		text := s.text()
		if ok(text) {
			return text
		}
		if late || s.over {
			s.t.Fatalf("the screen never %s (the program has ended: %v):\n%s", what, s.over, text)
		}
		s.drawn.Wait()
	}
}

// Wait waits for the program's end.
func (s *Screen) Wait() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(patience):
		s.t.Fatalf("the program does not end:\n%s", s.Text())
		return nil
	}
}
