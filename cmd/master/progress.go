package main

import (
	"fmt"
	"io"
	"time"

	"pinwheel/internal/cli"
)

// progress shows how far long work has come: on a terminal one line that is drawn
// over itself, elsewhere nothing. It is for one goroutine.
type progress struct {
	out  io.Writer
	live bool
	last time.Time
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, live: cli.IsTerminal(out)}
}

// show draws the line, but not so often that drawing would be the work.
func (p *progress) show(format string, args ...any) {
	if !p.live || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	wide, _ := size(p.out)
	fmt.Fprintf(p.out, "\r\x1b[K%s", cut(fmt.Sprintf(format, args...), wide))
}

// clear leaves the line to what is said next.
func (p *progress) clear() {
	if p.live && !p.last.IsZero() {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// pace is how fast work goes, and how long what is left will take, once that can be
// known: done pieces of it are the given part of all.
func pace(took time.Duration, done int64, part float64) string {
	if took < time.Second || done == 0 || part <= 0 {
		return ""
	}
	left := time.Duration(float64(took) * max(0, 1-part) / part)
	return fmt.Sprintf("; %s a second, %s left", grouped(int64(float64(done)/took.Seconds())), left.Round(time.Second))
}
