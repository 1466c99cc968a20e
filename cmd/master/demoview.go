package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"pinwheel/internal/cli"
)

// phase is how far a package has come.
type phase string

const (
	phaseWaiting    phase = "waiting"
	phaseAsking     phase = "asking the upstream"
	phaseQueued     phase = "queued"
	phaseBuilding   phase = "building"
	phaseAgain      phase = "could not be built here, will be tried again"
	phaseBuilt      phase = "waits for pip"
	phaseInstalling phase = "pip installs it from the farm"
	phaseDone       phase = "installed"
	phaseFailed     phase = "failed"
)

// view shows the packages' progress: on a terminal one line each, redrawn in
// place; elsewhere a plain line at each change.
type view struct {
	out   io.Writer
	live  bool
	done  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex
	items []*item
	shown map[*item]shown // copies: the demo writes its items while we draw
	drawn int             // lines on the screen
}

// shown is an item as it was when its phase changed.
type shown struct {
	item
	since time.Time
}

func newView(out io.Writer) *view {
	return &view{out: out, live: cli.IsTerminal(out), shown: map[*item]shown{}}
}

// line says something once, above the progress.
func (v *view) line(s string) { cli.Say(v.out, "%s", s) }

func (v *view) start(items []*item) {
	v.items, v.done = items, make(chan struct{})
	for _, it := range items {
		it.phase = phaseWaiting
		v.changed(it)
	}
	if !v.live {
		return
	}
	v.ended.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-v.done:
				return
			case <-tick.C:
				v.mu.Lock()
				v.draw(false)
				v.mu.Unlock()
			}
		}
	})
}

func (v *view) stop() {
	close(v.done)
	v.ended.Wait()
	if v.live {
		v.draw(true)
	}
}

// changed tells the view to look at an item again.
func (v *view) changed(it *item) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shown[it].phase == it.phase {
		return
	}
	now := shown{*it, time.Now()}
	v.shown[it] = now
	if !v.live && it.phase != phaseWaiting {
		for _, l := range append([]string{now.words("")}, indent(it.tail)...) {
			v.line(l)
		}
	}
}

// words is the item's line. The clock comes before the details, which a narrow
// terminal cuts off.
func (it shown) words(clock string) string {
	s := fmt.Sprintf("%-24s %s%s", it.asked, it.phase, clock)
	switch it.phase {
	case phaseBuilt, phaseInstalling:
		s += fmt.Sprintf("  (built %s in %.1f s)", it.wheel, it.build)
	case phaseDone:
		s += fmt.Sprintf("  %s in %.2f s", it.wheel, it.install)
	case phaseFailed:
		s += ": " + it.why
	}
	return s
}

// draw puts the lines over those drawn before. Only the last drawing shows all,
// with the logs' ends: lines that wrap or scroll away cannot be drawn over.
func (v *view) draw(last bool) {
	wide, high := size(v.out)
	var lines []string
	for _, key := range v.items {
		it, clock := v.shown[key], ""
		if it.phase == phaseBuilding || it.phase == phaseInstalling {
			clock = fmt.Sprintf("  %.0f s", time.Since(it.since).Seconds())
		}
		lines = append(lines, it.words(clock))
		if last {
			lines = append(lines, indent(it.tail)...)
		}
	}
	if hidden := len(lines) - (high - 2); !last && hidden > 0 {
		lines = append(lines[:high-2], fmt.Sprintf("… and %d more", hidden))
	}
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", v.drawn)
	}
	for _, l := range lines {
		if l = cli.Shown(l); !last {
			l = cut(l, wide)
		}
		b.WriteString(l + "\n")
	}
	v.drawn = len(lines)
	io.WriteString(v.out, b.String())
}

func indent(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = "    " + l
	}
	return out
}

// cut keeps a line from wrapping, which would confuse the redrawing.
func cut(s string, n int) string {
	r := []rune(cli.Shown(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}
