package agent

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"
)

// pauses grow from first to last, random by half so that a farm of slaves does
// not come back all at once.
func pauses(first, last time.Duration) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{
		InitialInterval:     first,
		MaxInterval:         last,
		Multiplier:          2,
		RandomizationFactor: 0.5,
	}
}

// nag logs a trouble that is met again and again: as a warning when it is new,
// else for those who look closely.
type nag struct {
	log  zerolog.Logger
	last string
}

func (n *nag) say(err error, what string) {
	event := n.log.Warn()
	if err.Error() == n.last {
		event = n.log.Debug()
	}
	n.last = err.Error()
	event.Err(err).Msg(what)
}

// over tells the end of a trouble, if there was one.
func (n *nag) over(what string) {
	if n.last != "" {
		n.log.Info().Msg(what)
	}
	n.last = ""
}

// pauseUntilGreeted waits like sleep, but no longer than until the master has greeted us
// anew after so many hellos.
func (a *Agent) pauseUntilGreeted(ctx context.Context, hellos int, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	_, _ = a.board.await(ctx, func(now facts) bool { return now.hellos > hellos })
}
