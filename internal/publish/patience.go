package publish

import (
	"sync"
	"time"
)

// The pauses after which a page that could not be written is tried again.
const (
	firstPause = 5 * time.Second
	longPause  = 10 * time.Minute
)

// patience remembers the pages that could not be written, so that they are left
// alone for a while, longer each time, and never stand in the way of others.
type patience struct {
	now func() time.Time
	mu  sync.Mutex
	bad map[string]retry
}

type retry struct {
	at    time.Time
	pause time.Duration
}

func newPatience(now func() time.Time) *patience {
	return &patience{now: now, bad: map[string]retry{}}
}

// failed returns the pause until the next try.
func (p *patience) failed(scope string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := min(max(2*p.bad[scope].pause, firstPause), longPause)
	p.bad[scope] = retry{at: p.now().Add(pause), pause: pause}
	return pause
}

func (p *patience) succeeded(scope string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.bad, scope)
}

// due says whether the page may be tried now.
func (p *patience) due(scope string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.now().Before(p.bad[scope].at)
}

// size is how many pages may have to be passed over to find a good one.
func (p *patience) size() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bad)
}

// pace keeps a minimal time between two rounds: the first may start at once,
// which is the leading edge, and all that comes soon after shares the second.
type pace struct {
	every time.Duration
	mu    sync.Mutex
	last  time.Time
}

// left is how long the next round has to wait at the time now.
func (p *pace) left(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.IsZero() {
		return 0
	}
	return max(0, p.last.Add(p.every).Sub(now))
}

func (p *pace) start(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = now
}
