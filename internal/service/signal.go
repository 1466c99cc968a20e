package service

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Signals gives the two contexts of a program (style 12): drain ends with the
// first SIGINT, SIGTERM or SIGHUP (a closed terminal, unless nohup) and says "no new work"; abandon ends with the second
// and says "drop what is under way". Both end with ctx. stop gives the signals
// back to what they did before and ends both contexts; it may be called twice.
func Signals(ctx context.Context) (drain, abandon context.Context, stop func()) {
	abandon, cancelAbandon := context.WithCancel(ctx)
	drain, cancelDrain := context.WithCancel(abandon)
	ch := make(chan os.Signal, 2) // two: a second one while the first is handled counts
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(ch, syscall.SIGHUP)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		end := cancelDrain
		for range ch {
			end()
			end = cancelAbandon
		}
	}()
	return drain, abandon, sync.OnceFunc(func() {
		signal.Stop(ch) // after it nothing is sent, so closing is safe
		close(ch)
		<-done
		cancelDrain()
		cancelAbandon()
	})
}
