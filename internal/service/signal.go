package service

import (
	"context"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// Signals gives the two contexts of a program (style 12): drain ends with the
// first SIGINT or SIGTERM and says "no new work"; abandon ends with the second
// and says "drop what is under way". stop releases the signals.
func Signals(ctx context.Context) (drain, abandon context.Context, stop func()) {
	abandon, cancelAbandon := context.WithCancel(ctx)
	drain, cancelDrain := context.WithCancel(abandon)
	ch := make(chan os.Signal, 2)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	var first atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range ch {
			if first.Swap(true) {
				cancelAbandon()
			}
			cancelDrain()
		}
	}()
	return drain, abandon, func() {
		signal.Stop(ch)
		close(ch)
		<-done
		cancelDrain()
		cancelAbandon()
	}
}
