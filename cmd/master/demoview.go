package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
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
func (v *view) line(s string) { fmt.Fprintln(v.out, s) }

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
				v.draw()
				v.mu.Unlock()
			}
		}
	})
}

func (v *view) stop() {
	close(v.done)
	v.ended.Wait()
	if v.live {
		v.draw()
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
	if !v.live {
		for _, l := range append([]string{now.words()}, indent(it.tail)...) {
			fmt.Fprintln(v.out, l)
		}
	}
}

func (it shown) words() string {
	s := fmt.Sprintf("%-24s %s", it.asked, it.phase)
	switch it.phase {
	case phaseInstalling:
		s += fmt.Sprintf("  (built %s in %.1f s)", it.wheel, it.build)
	case phaseDone:
		s += fmt.Sprintf("  %s in %.2f s", it.wheel, it.install)
	case phaseFailed:
		s += ": " + it.why
	}
	return s
}

// draw puts the lines over those drawn before.
func (v *view) draw() {
	var b strings.Builder
	if v.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.drawn)
	}
	v.drawn = 0
	for _, key := range v.items {
		it := v.shown[key]
		line := it.words()
		if it.phase == phaseBuilding || it.phase == phaseInstalling {
			line += fmt.Sprintf("  %.0f s", time.Since(it.since).Seconds())
		}
		for _, l := range append([]string{line}, indent(it.tail)...) {
			fmt.Fprintf(&b, "\x1b[2K%s\n", cut(l, width(v.out)))
			v.drawn++
		}
	}
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
	r := []rune(strings.ReplaceAll(s, "\t", " "))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

// pageNames reads a simple page until it names the file.
func pageNames(resp *http.Response, file string) (bool, error) {
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %s", resp.Status)
	}
	sc := bufio.NewScanner(resp.Body)
	for sc.Scan() {
		if strings.Contains(sc.Text(), file) {
			return true, nil
		}
	}
	return false, sc.Err()
}
