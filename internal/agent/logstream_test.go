package agent

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinwheel/internal/bus"
)

func TestLogStreamSendsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got bytes.Buffer
		s := newLogStream(7, func(c bus.LogChunk) error {
			if c.Job != 7 || c.Offset != int64(got.Len()) {
				t.Errorf("job %d, offset %d; want 7 and %d", c.Job, c.Offset, got.Len())
			}
			got.Write(c.Data)
			return errors.New("nobody's concern")
		})
		text := strings.Repeat("a line of the log\n", 1000)
		for piece := range strings.SplitAfterSeq(text, "\n") {
			_, _ = s.Write([]byte(piece))
		}
		time.Sleep(logEvery)
		synctest.Wait()
		if n := got.Len(); n > logPiece || n <= logPiece-len("a line of the log\n") || !bytes.HasSuffix(got.Bytes(), []byte("\n")) {
			t.Errorf("%d bytes after %v, want whole lines of at most %d", n, logEvery, logPiece)
		}
		s.close()
		if got.String() != text {
			t.Errorf("%d bytes arrived of %d", got.Len(), len(text))
		}
	})
}

// TestLogStreamIsBounded floods the stream while the wire takes nothing: the
// build must not wait, and what is dropped must show.
func TestLogStreamIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck, sent := make(chan struct{}), []bus.LogChunk{}
		s := newLogStream(1, func(c bus.LogChunk) error {
			<-stuck
			sent = append(sent, c)
			return nil
		})
		total := int64(0)
		for n := range 1000 {
			_, _ = s.Write(bytes.Repeat([]byte{byte(n)}, 10_000))
			total += 10_000
			time.Sleep(logEvery / 100)
		}
		close(stuck)
		s.close()
		last := sent[len(sent)-1]
		if end := last.Offset + int64(len(last.Data)); end != total || last.Data[len(last.Data)-1] != byte(999%256) {
			t.Errorf("the last piece ends at %d of %d", end, total)
		}
		bytesSent, end := 0, int64(0)
		for i, c := range sent {
			bytesSent += len(c.Data)
			if c.Offset != end+c.Missed {
				t.Errorf("piece %d begins at %d, after %d and %d that are said to be missed", i, c.Offset, end, c.Missed)
			}
			end = c.Offset + int64(len(c.Data))
		}
		if bytesSent > 2*logWaiting {
			t.Errorf("%d bytes were kept for a wire that took nothing", bytesSent)
		}
	})
}

// TestLogStreamCutsWhereTextEnds: what is sent and what is dropped ends with a line,
// or where there is none with a character.
func TestLogStreamCutsWhereTextEnds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"a\nbc\ndef": 5, "abcdefgh": 6, "abcd\u20ac": 4, "abcde\u20ac": 5, "abc": 3} {
		if got := whole([]byte(text), 6); got != want {
			t.Errorf("whole(%q, 6) = %d, want %d", text, got, want)
		}
	}
	s := &logStream{}
	line := strings.Repeat("x", 99) + "\n"
	for range 2 * logWaiting / len(line) {
		_, _ = s.Write([]byte(line))
	}
	if len(s.waiting)%len(line) != 0 || s.missed == 0 || s.missed%int64(len(line)) != 0 {
		t.Errorf("%d bytes wait and %d are missed of lines of %d", len(s.waiting), s.missed, len(line))
	}
}

func TestLogStreamKeepsItsRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		s := newLogStream(1, func(c bus.LogChunk) error { sent += len(c.Data); return nil })
		for range 100 {
			_, _ = s.Write(make([]byte, 100_000))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if limit := 10 * 64 << 10; sent > limit || sent < limit*9/10 {
			t.Errorf("%d bytes in 10 s, want at most %d and not much less", sent, limit)
		}
		s.close()
	})
}
