package main

import (
	"strings"
	"testing"

	"pinwheel/internal/bus"
)

// TestSkipEndsABuild: the slave that builds what is skipped is told to stop, at
// once; what it brings is not waited for, and an undo queues the job again.
func TestSkipEndsABuild(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.queue("demo", "1.0")
	s := f.wireSlave("pi-01")
	lease := s.lease("r1")
	f.awaitAttended()
	type told struct {
		Audit, Aborted int64
		Moved          map[string]int
	}
	got := answer[told](f, "skip", "Demo", "--reason", "hangs")
	if got.Aborted != 1 || got.Moved["skipped"] != 1 {
		t.Errorf("%+v", got)
	}
	if o := s.order(); o.Do != bus.DoAbort || o.Token != lease.Token {
		t.Errorf("order %+v", o)
	}
	type undone struct{ Jobs int64 }
	if u := answer[undone](f, "undo", num(got.Audit)); u.Jobs != 1 {
		t.Errorf("%+v", u)
	}
	if again := s.lease("r2"); again.Job != lease.Job {
		t.Errorf("leased job %d, want %d", again.Job, lease.Job)
	}
}

// TestWhyWhileServed: the page says who builds it, and where its wheel is.
func TestWhyWhileServed(t *testing.T) {
	t.Parallel()
	f := newOpsFarm(t)
	f.built("demo", "2.0", "a log")
	f.queue("demo", "1.0")
	s := f.wireSlave("pi-01")
	s.lease("r1")
	page := f.done("why", "demo", "2.0")
	for _, want := range []string{
		": " + f.URL + "/simple/demo/demo-2.0-py3-none-any.whl\n", f.py.Target().String() + ": built ", "; master log 1\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
	if page := f.done("why", "demo==1.0"); !strings.Contains(page, ": built now, by pi-01, since ") {
		t.Error(page)
	}
	list := f.done("queue")
	for _, want := range []string{"0 jobs queued, 1 build under way\n", "  now   demo 1.0            on pi-01, for "} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
}
