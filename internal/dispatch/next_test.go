package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// TestLease is all that a slave must know of its job.
func TestLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits = farm.Limits{Timeout: time.Minute} })
	l := w.lease("a", "demo")
	if l.Token == "" || l.Job != w.Job("demo").ID || l.Build == 0 {
		t.Errorf("the lease is %+v", l)
	}
	if since := time.Since(l.Release); since < 0 || since > time.Hour { // as the release's row says
		t.Errorf("the release is said to be of %v", l.Release)
	}
	want := farm.Lease{
		Token: l.Token, Job: l.Job, Build: l.Build, Release: l.Release, Package: "demo", Version: "1.0", Target: young(), Length: time.Hour,
		Sdist:  farm.Sdist{Filename: "demo-1.0.tar.gz", URL: "http://index.example/demo", SHA256: "abc", Size: 7},
		Limits: farm.Limits{Timeout: time.Minute}.Fill(),
	}
	if diff := cmp.Diff(want, *l); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	w.wantJob("demo", "leased a")
}

// TestLearntTimeIsNeverLess: what a job was given for its second try is not less than what
// builds have by now.
func TestLearntTimeIsNeverLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits = farm.Limits{Timeout: 4 * time.Hour} })
	for learnt, want := range map[string]time.Duration{"3h": 4 * time.Hour, "5h": 5 * time.Hour} {
		w.Queue("learnt-"+learnt, young())
		w.Exec(`update jobs set time_limit = $1::interval where state = 'queued'`, learnt)
		if l := w.ask("a", learnt); l == nil || l.Limits.Timeout != want {
			t.Errorf("after %s: %+v, want %s", learnt, l, want)
		}
	}
}

// TestLowestPythonFirst: whatever the order in which a slave names its targets.
func TestLowestPythonFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Queue("first", young())
	w.Queue("second", old())
	for i, want := range []farm.Target{old(), young()} {
		if l := w.ask("a", want.String(), young(), old()); l == nil || l.Target != want {
			t.Errorf("job %d is %+v, want one for %s", i+1, l, want)
		}
	}
}

// TestOnlyFittingWork: a slave is given what it can build.
func TestOnlyFittingWork(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll = time.Millisecond
	w.Queue("demo", old())
	if l := w.ask("a", "1", young()); l != nil {
		t.Errorf("was given %+v", l)
	}
	stranger := farm.Target{ABI: "cp313", Platform: "linux_armv7l"}
	if l := w.ask("a", "2", stranger, old()); l == nil {
		t.Error("a target that nobody knows keeps it from the one that is known")
	}
}

// TestRepeats: a question whose answer was lost is answered with the same lease,
// and a new one with another.
func TestRepeats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Queue("one", young())
	w.Queue("two", young())
	first := w.ask("a", "r")
	if diff := cmp.Diff(first, w.ask("a", "r")); diff != "" {
		t.Errorf("(-first +repeated)\n%s", diff)
	}
	if other := w.ask("b", "r"); other == nil || other.Token == first.Token || other.Job == first.Job {
		t.Errorf("another slave's question of the same id is given %+v", other)
	}
	w.poll = time.Millisecond
	if l := w.ask("a", "r2"); l != nil {
		t.Errorf("there is no third job, and %+v was given", l)
	}
}

// TestRepeatsAtOnce: the question and its repeat meet.
func TestRepeatsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const times = 8
	for i := range times { // one for each, so that none finds all jobs taken, and nothing in the ledger yet
		w.Queue(fmt.Sprintf("p%d", i), young())
	}
	got := make(chan *farm.Lease, times)
	for range times {
		go func() { got <- w.ask("a", "r") }()
	}
	tokens := map[string]bool{}
	for range times {
		if l := <-got; l != nil {
			tokens[l.Token] = true
		}
	}
	if len(tokens) != 1 {
		t.Errorf("one question got %d leases", len(tokens))
	}
}

// TestRepeatAfterTheEnd: a lease that has ended is not given twice.
func TestRepeatAfterTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll = time.Millisecond
	w.lease("a", "demo")
	w.hello("a") // holds nothing
	w.wantJob("demo", "queued")
	if l := w.ask("a", "a wants demo"); l != nil {
		t.Errorf("the question of a lease that was lost is given %+v", l)
	}
	if l := w.ask("a", "new"); l == nil {
		t.Error("a new question is given nothing")
	}
}

// TestNewWorkWakes: those who wait have it with the commit that queued it.
func TestNewWorkWakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	one, two := w.asking("a", "1"), w.asking("b", "1")
	w.Queue("demo", young())
	select {
	case r := <-one:
		if r.Lease == nil || r.Lease.Package != "demo" {
			t.Errorf("a was given %+v", r)
		}
	case r := <-two:
		if r.Lease == nil || r.Lease.Package != "demo" {
			t.Errorf("b was given %+v", r)
		}
		two = one
	}
	w.Queue("more", young())
	if r := <-two; r.Lease == nil || r.Lease.Package != "more" {
		t.Errorf("the other was given %+v", r)
	}
}

// TestServedFairly has four slaves wait for single jobs, each of which asks anew at once when
// it has one: all get about as many.
func TestServedFairly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	names := []string{"a", "b", "c", "d"}
	for _, name := range names[2:] {
		w.Must(w.Store.EnrollSlave(t.Context(), name, farm.RoleSlave, "key-"+name, "test"))
	}
	type answer struct {
		slave string
		reply bus.NextReply
	}
	answers := make(chan answer, len(names))
	ask := func(name string, round int) {
		got := w.asking(name, fmt.Sprint(name, round))
		go func() { answers <- answer{name, <-got} }()
	}
	for _, name := range names {
		ask(name, 0)
	}
	const each = 8
	given := map[string]int{}
	for round := range each * len(names) {
		w.Queue(fmt.Sprintf("demo-%d", round), young())
		got := <-answers
		if got.reply.Lease == nil {
			t.Fatalf("%s was given %+v", got.slave, got.reply)
		}
		given[got.slave]++
		for range len(names) - 1 {
			<-w.waiting // the others wait again
		}
		ask(got.slave, round+1)
	}
	for _, name := range names {
		// Who is late for the moment in which they come together on a busy machine loses a round.
		if given[name] < each/4 {
			t.Errorf("%s was given %d jobs of %d: %v", name, given[name], each*len(names), given)
		}
	}
}

// TestWaitEnds: with nothing, and no error, when it is time or the slave has gone.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll = time.Millisecond
	if l := w.ask("a", "1"); l != nil {
		t.Errorf("was given %+v", l)
	}
	w.poll = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	w.waits = cancel
	if r := w.Next(ctx, "a", bus.Next{Request: "2", Targets: []farm.Target{young()}}); r.Lease != nil || r.Error != "" {
		t.Errorf("was given %+v", r)
	}
}

// TestPausedSlaveWaits: it is given nothing, and no reason to ask again at once.
func TestPausedSlaveWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Queue("demo", young())
	w.Exec(`update slaves set paused = true where name = 'a'`)
	reply := w.asking("a", "1")
	if !w.beat("a").Paused || w.beat("b").Paused {
		t.Error("beats tell the wrong slave to pause")
	}
	w.hello("a") // ends the question, which had not been answered yet
	if r := <-reply; r.Lease != nil || r.Error != errDismissed.Error() {
		t.Errorf("was given %+v", r)
	}
	w.poll = time.Millisecond
	if l := w.ask("a", "2"); l != nil {
		t.Errorf("a paused slave was given %+v", l)
	}
	w.wantJob("demo", "queued")
}

// TestDismissed: whoever says hello, or asks anew, does not wait for an answer of
// before; nobody else's question ends.
func TestDismissed(t *testing.T) {
	t.Parallel()
	for name, word := range map[string]func(*world){
		"a hello":                   func(w *world) { w.hello("a") },
		"the last beat":             func(w *world) { w.Beat(w.t.Context(), "a", bus.Beat{Leaving: true}) },
		"another question":          func(w *world) { w.asking("a", "new") },
		"a hello to another master": func(w *world) { w.Overheard("a", bus.Hello{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.run()
			stale, other := w.asking("a", "old"), w.asking("b", "other")
			word(w)
			if r := <-stale; r.Lease != nil || r.Error != errDismissed.Error() {
				t.Errorf("the old question is answered with %+v", r)
			}
			// What asks anew may have the first, the other slave has the second.
			w.Queue("one", young())
			w.Queue("two", young())
			if r := <-other; r.Lease == nil {
				t.Errorf("another slave's question is answered with %+v", r)
			}
		})
	}
}

// TestKeptQuestion: one that is put again is not dismissed by a hello or a beat
// that speaks of it.
func TestKeptQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	kept := w.asking("a", "r")
	w.Hello(t.Context(), "a", bus.Hello{Asking: "r"})
	w.Overheard("a", bus.Hello{Asking: "r"})
	w.beat("a")
	w.Queue("demo", young())
	if r := <-kept; r.Lease == nil {
		t.Errorf("answered with %+v", r)
	}
}

// TestNoAnswer: a claim that hangs is answered all the same, and not tried a second time in
// what is left of the time; the same question gets its job later.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.lease("a", "known")
	w.Queue("demo", young())
	tx, err := w.Connect().Begin(t.Context())
	w.Must(err)
	_, err = tx.Exec(t.Context(), `select from slaves where name = 'a' for update`)
	w.Must(err)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	question := bus.Next{Request: "r", Targets: []farm.Target{young()}}
	if r := w.Next(ctx, "a", question); r.Lease != nil || !strings.HasSuffix(r.Error, farm.ErrNoAnswer.Error()) {
		t.Errorf("answered with %+v", r)
	}
	w.Must(tx.Commit(t.Context()))
	if r := w.Next(t.Context(), "a", question); r.Lease == nil || r.Lease.Package != "demo" {
		t.Errorf("asked again: %+v", r)
	}
}

func TestNextRefuses(t *testing.T) {
	t.Parallel()
	good := bus.Next{Request: "r", Targets: []farm.Target{young()}}
	cases := []struct {
		name, slave string
		next        bus.Next
		setup       string
		want        string
	}{
		{"a stranger", "x", good, ``, "slave x is not enrolled here; run `master enroll x`"},
		{"a revoked slave", "a", good, `update slaves set revoked_at = now() where name = 'a'`, "slave a was revoked"},
		{"no id", "a", bus.Next{Targets: good.Targets}, ``, "without an id"},
		{"unknown targets", "a", bus.Next{Request: "r", Targets: []farm.Target{{ABI: "cp313", Platform: "linux_x86_64"}}}, ``, "[cp313-linux_x86_64]"},
		{"retired targets", "a", good, `update targets set active = false`, "master target add"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Queue("demo", young())
			if c.setup != "" {
				w.Exec(c.setup)
			}
			if r := w.Next(t.Context(), c.slave, c.next); r.Lease != nil || !strings.Contains(r.Error, c.want) {
				t.Errorf("answered with %+v, want %q", r, c.want)
			}
			w.wantJob("demo", "queued")
		})
	}
}

// TestQuestions is the book of who waits, without a database.
func TestQuestions(t *testing.T) {
	t.Parallel()
	var q questions
	one, over1 := q.begin(t.Context(), "a", "x")
	two, over2 := q.begin(t.Context(), "a", "y")
	three, over3 := q.begin(t.Context(), "b", "x")
	go func() { <-one.Done(); over1() }()
	q.dismiss("a", "y") // returns when over1 was called
	if !errors.Is(context.Cause(one), errDismissed) || two.Err() != nil || three.Err() != nil {
		t.Errorf("ended: %v, %v, %v", context.Cause(one), two.Err(), three.Err())
	}
	over2()
	over3()
	q.dismiss("a", "")
	if len(q.open) != 0 {
		t.Errorf("%d slaves are still in the book", len(q.open))
	}
}
