package ingest

import (
	"context"
	"errors"
	"sync"
	"time"

	"pinwheel/internal/pypi"
)

// awayAfter is how many projects in a row must be unreadable before it is the
// upstream that is away, and not they.
const awayAfter = 20

// health tells an upstream that is away from a project that cannot be read: then
// the others are not asked for and put off one by one, but all wait.
type health struct {
	now   func() time.Time
	mu    sync.Mutex
	bad   int       // in a row
	until time.Time // when the next one may be tried
	pause growing
}

// heard takes down how an answer was; away says that the upstream has just begun
// to be, back that it has just ended.
func (h *health) heard(ok bool) (away, back bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		back = h.bad >= awayAfter
		h.bad = 0
		h.pause.reset()
		return false, back
	}
	h.bad++
	// Those that were under way already say nothing new.
	if h.bad >= awayAfter && !h.now().Before(h.until) {
		h.until = h.now().Add(h.pause.next())
	}
	return h.bad == awayAfter, false
}

// allow says how many of the free slots may be used, or how long it is until one
// may; 0 and 0: when a busy one is free.
func (h *health) allow(free, busy int) (int, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.until.Sub(h.now())
	switch {
	case h.bad < awayAfter:
		return free, 0
	case busy > 0:
		return 0, 0
	case wait > 0:
		return 0, wait
	}
	return 1, 0
}

// hear learns from an answer how the upstream is. What is no answer of an index, such
// as a notice that it is being mended, says as little of the project as none does.
func (r *reader) hear(ctx context.Context, err error) {
	told := err == nil
	for _, word := range []error{pypi.ErrUnchanged, pypi.ErrNotFound, pypi.ErrStale} {
		told = told || errors.Is(err, word)
	}
	away, back := r.health.heard(told || pypi.FaultOf(err) == pypi.TooBig)
	if away {
		r.log.Warn().Err(err).Msg("the upstream is away: it is asked for one project at a time")
	}
	if !back {
		return
	}
	r.log.Info().Msg("the upstream is back")
	// Their pauses have grown for hours, and it was none of their fault.
	if err := r.cfg.Store.Hasten(ctx, notThere, emptyPage); err != nil && ctx.Err() == nil {
		r.log.Error().Err(err).Msg("projects that could not be read not hastened")
	}
}

// So many removals that nobody announced are believed in this time: an upstream
// that loses its database answers 404 to all.
const (
	massLimit  = 100
	massWindow = time.Hour
)

// allowance is so many of something in any window of time. Who is refused counts
// too: it opens again only when less is asked of it, or an upstream that is broken for
// days would take away so many every hour.
type allowance struct {
	most   int
	window time.Duration
	mu     sync.Mutex
	asked  []time.Time // the last ones
}

func newAllowance(most int, window time.Duration) *allowance {
	return &allowance{most: most, window: window}
}

// take says whether there is one left.
func (a *allowance) take(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.asked) > 0 && now.Sub(a.asked[0]) >= a.window {
		a.asked = a.asked[1:]
	}
	open := len(a.asked) < a.most
	if !open {
		a.asked = a.asked[1:]
	}
	a.asked = append(a.asked, now)
	return open
}
