package collect

import (
	"context"
	"sync"
	"time"
)

// The shared clock is asked for the time this often, and for so long at most.
const (
	clockEvery  = time.Minute
	clockWithin = 2 * time.Second
)

// sharedClock is the database's: one master's token is good for an hour by the
// clock of another, whatever the two hosts' own say. Between two questions it goes
// on by itself, so that no upload waits for an answer, and none for a database that
// is away; before the first answer it is this host's.
type sharedClock struct {
	ask func(context.Context) (time.Time, error)

	mu    sync.Mutex
	at    time.Time // by the shared clock,
	asked time.Time // when ours said this
	known bool
}

func newSharedClock(ask func(context.Context) (time.Time, error)) *sharedClock {
	return &sharedClock{ask: ask}
}

func (c *sharedClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.asked) >= clockEvery {
		c.learn()
	}
	if !c.known {
		return time.Now()
	}
	return c.at.Add(time.Since(c.asked))
}

// learn is tried again after a while, not at each upload, when nobody answers.
func (c *sharedClock) learn() {
	ctx, cancel := context.WithTimeout(context.Background(), clockWithin)
	defer cancel()
	at, err := c.ask(ctx)
	switch {
	case err == nil:
		c.at, c.known = at, true
	case c.known:
		c.at = c.at.Add(time.Since(c.asked))
	}
	c.asked = time.Now()
}
