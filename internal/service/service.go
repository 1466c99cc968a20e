// Package service is the life cycle of long-running parts. A part is a function
// that runs until its context ends; a group runs several and ends all of them
// when one breaks; a loop is the shape of most of them. It owns the goroutines
// that it starts and waits for the end of every one.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// Part is one long-running part of a program. Run returns when ctx ends, and
// earlier only with an error that nothing but a restart can mend.
type Part struct {
	Name string
	Run  func(ctx context.Context) error
}

// errEnded is why a part that just returns is broken: the others would go on
// without it, and nobody would know.
var errEnded = errors.New("ended by itself")

// RunAll runs the parts until ctx ends or one of them breaks, and returns when
// all have ended. The error names the part that broke first; an ended ctx is no
// error.
func RunAll(ctx context.Context, parts ...Part) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, p := range parts {
		g.Go(func() error {
			err := p.Run(below(gctx, p.Name))
			if gctx.Err() != nil {
				return nil // what a part says on its way out is not the reason
			}
			return fmt.Errorf("%s: %w", p.Name, cmp.Or(err, errEnded))
		})
	}
	return g.Wait()
}

// The pauses after failed rounds: the first, and what they grow to (with the
// jitter of half as much both ways that backoff adds).
const (
	firstPause = 500 * time.Millisecond
	longPause  = 30 * time.Second
)

// Loop is work that is done again and again.
type Loop struct {
	Every time.Duration   // pause between two good rounds, unless woken
	Wake  <-chan struct{} // ends a pause early, also that after a failure; may be nil
	Log   zerolog.Logger
	Do    func(ctx context.Context) error

	// Longest is what a round may take; one that takes longer is stuck (Vitals). Zero:
	// as long as it does.
	Longest time.Duration
}

// Run does rounds until ctx ends, the first one soon, and returns ctx's error. A
// failed round is logged and tried again later, never given up: the world outside
// comes back by itself (design 9).
func (l Loop) Run(ctx context.Context) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = firstPause, longPause
	pause.Reset()
	// Jitter: masters that start together must not ask together for ever.
	wait := time.Duration(rand.Int64N(int64(l.Every/10) + 1))
	name, vitals := pathOf(ctx), vitalsOf(ctx)
	defer vitals.Promise(name, 0)
	for vitals.Promise(name, wait); l.sleep(ctx, wait); vitals.Promise(name, wait) {
		vitals.Promise(name, l.Longest)
		err := l.Do(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			wait = pause.NextBackOff()
			l.Log.Error().Err(err).Dur("again_in", wait).Msg("round failed")
		default:
			pause.Reset()
			wait = l.Every
		}
	}
	return ctx.Err()
}

// sleep waits; false says that ctx ended.
func (l Loop) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-l.Wake:
	case <-t.C:
	}
	return ctx.Err() == nil
}
