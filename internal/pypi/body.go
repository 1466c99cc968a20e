package pypi

import (
	"context"
	"fmt"
	"io"
	"time"
)

// maxSilences bounds what a list may take in all: so many times the timeout. A body that drips is as bad as none.
const maxSilences = 60

// watch ends a try that takes too long: headers and body together, or, for a list, any one read of it. What the
// taker of a list needs for itself is not the index's fault and does not count.
type watch struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
	list    bool
	spent   time.Duration // on reading a list
}

func newWatch(ctx context.Context, timeout time.Duration, list bool) *watch {
	w := &watch{timeout: timeout, list: list}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	why := fmt.Errorf("no whole answer within %s", timeout)
	if list {
		why = fmt.Errorf("no more of the answer within %s", timeout)
	}
	w.timer = time.AfterFunc(timeout, func() { w.cancel(why) })
	return w
}

func (w *watch) end() {
	w.timer.Stop()
	w.cancel(nil)
}

// read watches over one read of a body.
func (w *watch) read(r io.Reader, p []byte) (int, error) {
	if !w.list {
		return r.Read(p)
	}
	start := time.Now()
	w.timer.Reset(w.timeout)
	n, err := r.Read(p)
	w.timer.Stop()
	if w.spent += time.Since(start); w.spent > maxSilences*w.timeout {
		w.cancel(fmt.Errorf("no whole list within %s", maxSilences*w.timeout))
	}
	return n, err
}

// body is an answer's content, uncompressed and bounded. It keeps its first error, because a parser may turn it
// into one of its own.
type body struct {
	r     io.Reader
	read  int64
	max   int64
	watch *watch
	err   error
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if left := b.max + 1 - b.read; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.watch.read(b.r, p)
	b.read += int64(n)
	switch {
	case b.read > b.max: // not retried: the next answer would be as big
		b.err = troubled(TooBig, "the answer is too big: more than %d bytes", b.max)
		return 0, b.err
	case err != nil && err != io.EOF:
		b.err = fmt.Errorf("read the answer: %w", err)
		return n, b.err
	}
	return n, err
}

// maxEntry bounds one entry of a long answer, for parsers hold one whole.
const maxEntry = 8 << 20

// meter ends a reading in which one entry does not end.
type meter struct {
	r    io.Reader
	left int
}

func newMeter(r io.Reader) *meter { return &meter{r: r, left: maxEntry} }

func (m *meter) Read(p []byte) (int, error) {
	if m.left <= 0 {
		return 0, troubled(TooBig, "one entry of the answer has more than %d bytes", maxEntry)
	}
	n, err := m.r.Read(p[:min(len(p), m.left)])
	m.left -= n
	return n, err
}

// next says that an entry ended.
func (m *meter) next() { m.left = maxEntry }
