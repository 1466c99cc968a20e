package builder

import (
	"fmt"
	"io"
	"strings"
)

func newNote(missing int64) io.Reader {
	return strings.NewReader(fmt.Sprintf("\n[... %d bytes left out ...]\n", missing))
}

// lastBytes is a writer that keeps the last n bytes, in at most 2n of memory.
type lastBytes struct {
	n int
	b []byte
}

func (w *lastBytes) Write(p []byte) (int, error) {
	w.b = append(w.b, p[max(0, len(p)-w.n):]...)
	if over := len(w.b) - w.n; over > 0 {
		w.b = append(w.b[:0], w.b[over:]...)
	}
	return len(p), nil
}
