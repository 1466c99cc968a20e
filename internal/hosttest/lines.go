package hosttest

import (
	"bufio"
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lines is what a program says: its stdout or stderr, which a test can wait for. It keeps
// all of it.
type Lines struct {
	patience time.Duration

	mu    sync.Mutex
	buf   bytes.Buffer
	more  chan struct{} // closed at the next write
	ended bool
}

// NewLines is empty. No wait for it takes longer than patience.
func NewLines(patience time.Duration) *Lines {
	return &Lines{patience: patience, more: make(chan struct{})}
}

// Write adds to it.
func (l *Lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	l.tell()
	return len(p), nil
}

// End says that nothing more will come.
func (l *Lines) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.tell()
}

// tell wakes all that wait; the lock is the caller's.
func (l *Lines) tell() {
	close(l.more)
	l.more = make(chan struct{})
}

// Text is all that was said.
func (l *Lines) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// Mark is where the text ends now, for AwaitAfter.
func (l *Lines) Mark() int { return len(l.Text()) }

// Await returns the first line with text.
func (l *Lines) Await(t testing.TB, text string) string {
	t.Helper()
	return l.AwaitAfter(t, 0, text)
}

// AwaitAfter returns the first line with text behind a mark.
func (l *Lines) AwaitAfter(t testing.TB, mark int, text string) string {
	t.Helper()
	late := time.After(l.patience)
	for {
		l.mu.Lock()
		all, more, ended := l.buf.String()[mark:], l.more, l.ended
		l.mu.Unlock()
		for s := bufio.NewScanner(strings.NewReader(all)); s.Scan(); {
			if strings.Contains(s.Text(), text) {
				return s.Text()
			}
		}
		if ended {
			t.Fatalf("it ended without a line with %q:\n%s", text, all)
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("no line with %q within %v:\n%s", text, l.patience, all)
		}
	}
}
