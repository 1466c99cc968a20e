package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// board is what the loops of one agent know in common. They do not talk to each
// other: each writes here what has changed, and waits here for what it needs.
type board struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each change
	now     facts
}

// facts are a copy of the board at one moment.
type facts struct {
	greeted  bool          // the master of now knows us
	hellos   int           // how often that came true
	welcome  bus.Welcome   // of the last hello
	paused   bool          // ask for no further job
	ailing   ailment       // of this machine: ask for no further job
	skew     time.Duration // of our clock before the farm's, as an answer showed last
	foreign  error         // the master speaks another protocol: end
	asking   bool          // a lease may be on its way to us
	request  string        // put, and not answered yet: its lease, if any, is ours
	building *building     // nil: nothing
	finished []string      // tokens of the results in the spool, oldest first
	late     bool          // who ended us has waited for long
	hopeless []string      // tokens of results that were not taken since
}

// building is the build under way; it does not change once it is on the board.
type building struct {
	lease farm.Lease
	end   context.CancelCauseFunc
}

func newBoard() *board { return &board{changed: make(chan struct{})} }

// change applies f and wakes everyone who waits.
func (b *board) change(f func(*facts)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.now)
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *board) look() (facts, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := b.now
	f.finished = slices.Clone(f.finished)
	return f, b.changed
}

// facts is the board now.
func (b *board) facts() facts {
	f, _ := b.look()
	return f
}

// await returns when ok does, with the facts that it was true for, or with the
// context's error.
func (b *board) await(ctx context.Context, ok func(facts) bool) (facts, error) {
	for {
		f, changed := b.look()
		if err := ctx.Err(); err != nil {
			return f, err
		}
		if ok(f) {
			return f, nil
		}
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// startAsking says whether a job may still be asked for; from then on a lease
// may be on its way.
func (b *board) startAsking(request string) (ok bool) {
	b.change(func(f *facts) {
		if ok = mayAsk(*f); ok {
			f.asking, f.request = true, request
		}
	})
	return ok
}

// stopAsking is said when no answer came: the same request will be put again.
func (b *board) stopAsking() {
	b.change(func(f *facts) { f.asking = false })
}

// answered forgets the request, for whose lease nobody will ask any more.
func (b *board) answered() {
	b.change((*facts).endRequest)
}

func (f *facts) endRequest() { f.asking, f.request = false, "" }

// drop forgets a finished result: it is home, or never will be.
func (f *facts) drop(token string) {
	f.finished = slices.DeleteFunc(slices.Clone(f.finished), func(t string) bool { return t == token })
}

// hope says that a result which was not taken before is on its way.
func (f *facts) hope(token string) {
	f.hopeless = slices.DeleteFunc(slices.Clone(f.hopeless), func(t string) bool { return t == token })
}

// held are the tokens that beats keep alive: of the build under way and of what
// is finished but not yet accepted.
func (f facts) held() []string {
	held := slices.Clone(f.finished)
	if f.building != nil {
		held = append(held, f.building.lease.Token)
	}
	return held
}

func (f facts) doing() string {
	switch {
	case f.building != nil:
		return "building " + f.building.lease.Package + " " + f.building.lease.Version
	case f.paused:
		return "paused"
	case f.ailing.kind != "":
		return "takes no job, " + f.ailing.text
	case len(f.finished) > 0:
		return "reporting"
	}
	return "waiting for work"
}

// greetedNow and its like are what loops wait for.
func greetedNow(f facts) bool { return f.greeted }

func notGreeted(f facts) bool { return !f.greeted }

// mayGreet keeps a hello from being said while a lease may be on its way: it
// would list what we hold without it, and the master would take it back.
func mayGreet(f facts) bool { return !f.greeted && !f.asking }

// nothingUnreported is also true when nobody would understand a report.
func nothingUnreported(f facts) bool { return len(f.finished) == 0 || f.foreign != nil }

// reportingIsOver is also true when each result was tried in vain after patience had ended;
// while one of them still moves it is not.
func reportingIsOver(f facts) bool {
	return nothingUnreported(f) ||
		!slices.ContainsFunc(f.finished, func(token string) bool { return !slices.Contains(f.hopeless, token) })
}

// mayAsk bounds what waits in the spool: while no master takes results there is
// no point in making more of them.
func mayAsk(f facts) bool {
	return f.greeted && !f.paused && f.ailing.kind == "" && len(f.finished) < maxUnreported
}
