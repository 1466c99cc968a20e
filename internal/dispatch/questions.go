package dispatch

import (
	"context"
	"errors"
	"sync"
)

// errDismissed is why a question ends before its time.
var errDismissed = errors.New("the slave does not wait for this answer any more")

// questions are the requests for work that wait for an answer, by slave. A slave
// has one at a time, but the wire does not tell when it stops waiting, because it
// was killed, or left: a lease would then go to nobody. So the next word of the
// slave that does not speak of a question ends it.
type questions struct {
	mu   sync.Mutex
	open map[string]map[*question]bool
}

type question struct {
	request string
	cancel  context.CancelCauseFunc
	over    chan struct{} // closed when nothing can be leased for it any more
}

// begin makes ctx end when the question does. over must be called at the end.
func (q *questions) begin(ctx context.Context, slave string, request string) (_ context.Context, over func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	one := &question{request: request, cancel: cancel, over: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.open == nil {
		q.open = map[string]map[*question]bool{}
	}
	if q.open[slave] == nil {
		q.open[slave] = map[*question]bool{}
	}
	q.open[slave][one] = true
	return ctx, func() {
		cancel(nil)
		q.mu.Lock()
		defer q.mu.Unlock()
		if delete(q.open[slave], one); len(q.open[slave]) == 0 {
			delete(q.open, slave)
		}
		close(one.over) // last: whoever waits for it finds the question in no list
	}
}

// dismiss ends a slave's questions but those under the request kept ("": none is
// kept), and returns when their claims are committed or never will be: what is
// freed then includes them.
func (q *questions) dismiss(slave string, kept string) {
	for _, one := range q.list(slave) {
		if one.request != kept {
			one.cancel(errDismissed)
			<-one.over
		}
	}
}

// drop is dismiss for who cannot wait.
func (q *questions) drop(slave, kept string) {
	for _, one := range q.list(slave) {
		if one.request != kept {
			one.cancel(errDismissed)
		}
	}
}

func (q *questions) list(slave string) []*question {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []*question
	for one := range q.open[slave] {
		list = append(list, one)
	}
	return list
}
