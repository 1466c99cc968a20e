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
// the others are not asked for and put off one by one, but all wait. So they do for
// as long as a rate limit wants, since it is of us and not of a project.
type health struct {
	now    func() time.Time
	mu     sync.Mutex
	bad    int       // in a row
	until  time.Time // when the next one may be tried
	pause  growing
	closed time.Time // nobody is asked for before
	backs  int       // how often it was back
}

// times is how often the upstream was back.
func (h *health) times() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.backs
}

// heard takes down how an answer was; away says that the upstream has just begun
// to be, back that it has just ended. Named is how long it wants to be left alone
// while it is away.
func (h *health) heard(ok bool, named time.Duration) (away, back bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		if back = h.bad >= awayAfter; back {
			h.backs++
		}
		h.bad = 0
		h.pause.reset()
		return false, back
	}
	h.bad++
	if h.bad < awayAfter {
		return false, false
	}
	// Those that were under way already say nothing new.
	if !h.now().Before(h.until) {
		h.until = h.now().Add(h.pause.next())
	}
	h.until = later(h.until, h.now().Add(named))
	return h.bad == awayAfter, false
}

// close has nobody asked for in a time. It says whether it was open before.
func (h *health) close(named time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	open := !h.now().Before(h.closed)
	h.closed = later(h.closed, h.now().Add(named))
	return open
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// allow says how many of the free slots may be used, or how long it is until one
// may; 0 and 0: when a busy one is free.
func (h *health) allow(free, busy int) (int, time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait := h.closed.Sub(h.now())
	if h.bad >= awayAfter {
		free, wait = min(free, 1), max(wait, h.until.Sub(h.now()))
		if busy > 0 {
			return 0, 0
		}
	}
	if wait > 0 {
		return 0, wait
	}
	return free, 0
}

// hear learns from an answer how the upstream is. What is no answer of an index, such
// as a notice that it is being mended, says as little of the project as none does.
func (r *reader) hear(ctx context.Context, it *task, err error) {
	named := min(pypi.Busy(err), r.times.unreadMost)
	// One project that always answers so stops the others once: it has been tried then.
	// If it is the upstream, those that were not say so too.
	if pypi.FaultOf(err) == pypi.RateLimited && named > 0 && it.reading.Tries == 0 && r.health.close(named) {
		r.log.Warn().Err(err).Str("package", it.name()).Dur("pause", named).
			Msg("the upstream limits how often it is asked: no project is asked for meanwhile")
	}
	told := err == nil
	for _, word := range []error{pypi.ErrUnchanged, pypi.ErrNotFound, pypi.ErrStale} {
		told = told || errors.Is(err, word)
	}
	away, back := r.health.heard(told || pypi.FaultOf(err) == pypi.TooBig, named)
	if away {
		r.log.Warn().Err(err).Msg("the upstream is away: it is asked for one project at a time")
	}
	if !back {
		return
	}
	r.log.Info().Msg("the upstream is back")
	r.hasten(ctx)
}

// hasten ends the pauses that have grown while the upstream was away, and it was none of the
// projects' fault.
func (r *reader) hasten(ctx context.Context) {
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
