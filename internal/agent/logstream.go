package agent

import (
	"bytes"
	"sync"
	"time"
	"unicode/utf8"

	"pinwheel/internal/bus"
)

// The live log is for people who watch: 64 kB a second, in four pieces, and no
// more than one second's worth waiting. The whole log comes with the report.
const (
	logEvery   = 250 * time.Millisecond
	logPiece   = 16 << 10
	logWaiting = 64 << 10
)

// logStream is the writer that a build's output goes through on its way to the
// bus. Writing never waits and never fails: what comes faster than it may be
// sent is dropped, oldest first and by whole lines, and the next piece says how
// much that was.
type logStream struct {
	job  int64
	send func(bus.LogChunk) error

	mu      sync.Mutex
	waiting []byte
	offset  int64 // of waiting in what was written
	missed  int64 // bytes dropped before waiting, and not told yet

	quit chan struct{}
	done chan struct{}
}

func newLogStream(job int64, send func(bus.LogChunk) error) *logStream {
	s := &logStream{job: job, send: send, quit: make(chan struct{}), done: make(chan struct{})}
	go s.loop()
	return s
}

// Write implements io.Writer; it always takes all.
func (s *logStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, p...)
	if over := len(s.waiting) - logWaiting; over > 0 {
		if line := bytes.IndexByte(s.waiting[over:], '\n'); line >= 0 {
			over += line + 1
		}
		s.offset += int64(over)
		s.missed += int64(over)
		// Into a new array: the old one would grow with the log.
		s.waiting = append(make([]byte, 0, logWaiting), s.waiting[over:]...)
	}
	return len(p), nil
}

func (s *logStream) loop() {
	defer close(s.done)
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.flush(logPiece)
		case <-s.quit:
			s.flush(logWaiting)
			return
		}
	}
}

// flush sends up to limit bytes. An error is nobody's concern: the wire is away,
// and the loops that need it say so.
func (s *logStream) flush(limit int) {
	s.mu.Lock()
	n := whole(s.waiting, limit)
	chunk := bus.LogChunk{Job: s.job, Offset: s.offset, Missed: s.missed, Data: s.waiting[:n:n]}
	s.waiting = s.waiting[n:]
	s.offset += int64(n)
	if n > 0 {
		s.missed = 0
	}
	s.mu.Unlock()
	if n > 0 {
		_ = s.send(chunk)
	}
}

// whole is how much of b is sent when at most limit bytes may be: up to the end of
// a line if one ends there, else of a character.
func whole(b []byte, limit int) int {
	if len(b) <= limit {
		return len(b)
	}
	if line := bytes.LastIndexByte(b[:limit], '\n'); line >= 0 {
		return line + 1
	}
	for n := limit; n > limit-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			return n
		}
	}
	return limit
}

// close sends what still waits and ends the stream. Writing after it is allowed
// and reaches nobody.
func (s *logStream) close() {
	close(s.quit)
	<-s.done
}
