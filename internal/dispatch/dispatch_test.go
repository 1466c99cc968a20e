package dispatch

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/bus"
	"pinwheel/internal/bustest"
	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

func TestHello(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := bus.Welcome{
		HTTP: "http://farm.example", Index: "http://farm.example/simple/", Upstream: "http://index.example/simple/",
		Beat: 20 * time.Minute, Lease: time.Hour,
	}
	before := time.Now()
	got := w.hello("a")
	// The database is on this machine, and so is its clock.
	if got.Now.Before(before.Add(-time.Second)) || got.Now.After(time.Now().Add(time.Second)) {
		t.Errorf("the farm's time is %v, it is %v here", got.Now, before)
	}
	want.Now = got.Now
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	row, err := w.Store.Slave(t.Context(), "a")
	w.Must(err)
	if row.LastSeen == nil {
		t.Error("nobody has seen the slave")
	}
}

// TestBeatIsKept: what a beat tells is what people see, and the answer tells the
// farm's time.
func TestBeatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hello("a")
	before := time.Now()
	reply := w.Beat(t.Context(), "a", bus.Beat{Doing: "takes no job, hot: 84.2 °C, over 80", Load: 1.5, Temperature: 84.2, MemoryFree: 3, DiskFree: 4,
		Throttled: []string{"under-voltage"}, Unfit: "hot: 84.2 °C, over 80"})
	if reply.Error != "" || reply.Now.Before(before.Add(-time.Second)) || reply.Now.After(time.Now().Add(time.Second)) {
		t.Errorf("%+v", reply)
	}
	row, err := w.Store.Slave(t.Context(), "a")
	w.Must(err)
	want := farm.Pulse{Doing: "takes no job, hot: 84.2 °C, over 80", Load: 1.5, Temperature: 84.2, MemoryFree: 3, DiskFree: 4,
		Throttled: []string{"under-voltage"}, Unfit: "hot: 84.2 °C, over 80"}
	if diff := cmp.Diff(want, row.Pulse); diff != "" || row.Doing != want.Doing {
		t.Errorf("(-want +got)\n%s", diff)
	}
	w.hello("a") // it may be another machine now
	if row, err = w.Store.Slave(t.Context(), "a"); err != nil || row.Pulse.Unfit != "" {
		t.Errorf("%+v, %v", row.Pulse, err)
	}
}

// TestHelloFrees: what the slave does not hold is free at once, and what it does
// hold is renewed.
func TestHelloFrees(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept, lost, other := w.lease("a", "kept"), w.lease("a", "lost"), w.lease("b", "other")
	w.age(30 * time.Minute)
	if got := w.hello("a", kept.Token); len(got.Drop) != 0 {
		t.Errorf("told to drop %v", got.Drop)
	}
	w.wantJob("kept", "leased a")
	w.wantJob("lost", "queued")
	w.wantJob("other", "leased b")
	if s := w.left("kept"); s < 3500 {
		t.Errorf("the lease that is held lives for %v s more", s)
	}
	if s := w.left("other"); s > 1900 {
		t.Errorf("another slave's lease lives for %v s more", s)
	}
	// A finished build of a lease that is lost is still worth its report.
	if got := w.hello("a", kept.Token, lost.Token); len(got.Drop) != 0 {
		t.Errorf("told to drop %v", got.Drop)
	}
	if got := w.hello("a", kept.Token, other.Token, "guess"); cmp.Diff([]string{other.Token, "guess"}, slices.Sorted(slices.Values(got.Drop))) != "" {
		t.Errorf("told to drop %v, want what is not its own", got.Drop)
	}
	w.wantJob("other", "leased b")
}

func TestHelloRefuses(t *testing.T) {
	t.Parallel()
	stranger := farm.Target{ABI: "cp313", Platform: "linux_x86_64"}
	served := func(t farm.Target, python string) bus.ServedTarget {
		return bus.ServedTarget{Target: t, Facts: farm.Facts{Python: python, Glibc: "2.36", Codename: "bookworm"}}
	}
	cases := []struct {
		name, slave string
		targets     []bus.ServedTarget
		setup, want string
	}{
		{"a stranger", "x", []bus.ServedTarget{served(young(), "3.11.2")}, ``, "master enroll x"},
		{"a revoked slave", "a", []bus.ServedTarget{served(young(), "3.11.2")}, `update slaves set revoked_at = now()`, "was revoked"},
		{"an unknown target", "a", []bus.ServedTarget{served(young(), "3.11.2"), served(stranger, "3.13.5")}, ``, "master target add cp313-linux_x86_64"},
		{"another Python", "a", []bus.ServedTarget{served(old(), "3.9.2"), served(young(), "3.12.1")}, ``, "has Python 3.11, this slave builds with \"3.12.1\""},
		{"a longer number", "a", []bus.ServedTarget{served(young(), "3.110.0")}, ``, "has Python 3.11"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			l := w.lease("a", "demo")
			if c.setup != "" {
				w.Exec(c.setup)
			}
			got := w.Hello(t.Context(), c.slave, bus.Hello{Targets: c.targets})
			if !strings.Contains(got.Error, c.want) || strings.Contains(got.Error, "\n") {
				t.Errorf("told %q, want %q", got.Error, c.want)
			}
			if diff := cmp.Diff(bus.Welcome{Error: got.Error}, got); diff != "" {
				t.Errorf("a refusal tells more:\n%s", diff)
			}
			if w.Job("demo").State != farm.Leased || l == nil {
				t.Error("a hello that was refused has freed a lease")
			}
			w.Exec(`update targets set active = true`)
			for _, row := range w.targets() {
				if row.Facts != (farm.Facts{}) {
					t.Errorf("%s has learned %+v", row.Target, row.Facts)
				}
			}
		})
	}
}

// TestRetiredTarget: a slave that serves it is welcome, brings what it has built,
// and goes on with its other targets.
func TestRetiredTarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.poll = time.Millisecond
	l := w.lease("a", "demo")
	w.Queue("next", young())
	w.Queue("other", old())
	if _, err := w.Store.RetireTarget(t.Context(), young(), "test"); err != nil {
		t.Fatal(err)
	}
	served := []bus.ServedTarget{{Target: young()}, {Target: old()}}
	got := w.Hello(t.Context(), "a", bus.Hello{Targets: served, Held: []string{l.Token}})
	if got.Error != "" || len(got.Drop) > 0 {
		t.Errorf("welcomed with %+v", got)
	}
	if l := w.ask("a", "r2", young(), old()); l == nil || l.Package != "other" {
		t.Errorf("next is %+v, want other", l)
	}
	if l := w.ask("a", "r3", young(), old()); l != nil {
		t.Errorf("a job of a retired target is leased: %+v", l)
	}
}

// TestRefusedOnce: what a slave asks for again and again is refused each time, and
// said once, until something else is to be said.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	w := newWorld(t, func(c *Config) { c.Log = zerolog.New(&log).Level(zerolog.InfoLevel) })
	w.poll = time.Millisecond
	said := func() int { return strings.Count(log.String(), "next refused") }
	ask := func(want string, lines int) {
		t.Helper()
		r := w.Next(t.Context(), "a", bus.Next{Request: "r", Targets: []farm.Target{young()}})
		if (want == "") != (r.Error == "") || !strings.Contains(r.Error, want) || said() != lines {
			t.Errorf("answered with %+v, said %d times; want %q, %d", r, said(), want, lines)
		}
	}
	retire := func() {
		t.Helper()
		_, err := w.Store.RetireTarget(t.Context(), young(), "test")
		w.Must(err)
	}
	retire()
	ask("master target add", 1)
	ask("master target add", 1)
	w.Next(t.Context(), "b", bus.Next{Request: "r", Targets: []farm.Target{young()}})
	ask("master target add", 2) // the second was another slave's
	w.Must(w.Store.AddTarget(t.Context(), young(), farm.Facts{}, "test"))
	ask("", 2)
	retire()
	ask("master target add", 3)
	w.Exec(`update slaves set revoked_at = now() where name = 'a'`)
	ask("was revoked", 4)
}

func (w *world) targets() []store.TargetRow {
	w.t.Helper()
	rows, err := w.Store.Targets(w.t.Context())
	w.Must(err)
	return rows
}

// TestFactsAreLearnedOnce: the first slave tells them; what has not the form of
// a fact is left for the next.
func TestFactsAreLearnedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tell := func(f farm.Facts) farm.Facts {
		t.Helper()
		if got := w.Hello(t.Context(), "a", bus.Hello{Targets: []bus.ServedTarget{{Target: young(), Facts: f}}}); got.Error != "" {
			t.Error(got.Error)
		}
		return w.targets()[1].Facts
	}
	for _, c := range []struct{ told, known farm.Facts }{
		{farm.Facts{}, farm.Facts{}},
		{farm.Facts{Python: "3.11.2 <b>", Glibc: "musl", Codename: "A; drop table"}, farm.Facts{}},
		{farm.Facts{Python: "3.11.2", Glibc: "2.36\n"}, farm.Facts{Python: "3.11.2"}},
		{farm.Facts{Python: "3.11.9", Glibc: "2.36", Codename: "bookworm"}, farm.Facts{Python: "3.11.2", Glibc: "2.36", Codename: "bookworm"}},
		{farm.Facts{Python: "3.11.0rc1", Glibc: "2.99", Codename: "sid"}, farm.Facts{Python: "3.11.2", Glibc: "2.36", Codename: "bookworm"}},
	} {
		if diff := cmp.Diff(c.known, tell(c.told)); diff != "" {
			t.Errorf("after %+v (-want +got)\n%s", c.told, diff)
		}
	}
}

func TestBeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	held, young, old := w.lease("a", "held"), w.lease("a", "crossing"), w.lease("a", "lost")
	w.Exec(`update builds set started_at = started_at - interval '1 minute' where token <> $1`, young.Token)
	w.Exec(`update jobs set lease_deadline = lease_deadline - interval '30 minutes' where state = 'leased'`)
	if got := w.beat("a", held.Token); len(got.Abort) != 0 || got.Paused {
		t.Errorf("told %+v", got)
	}
	if s := w.left("held"); s < 3500 {
		t.Errorf("the lease that is held lives for %v s more", s)
	}
	// The answer that brings a lease may have crossed the beat.
	w.wantJob("crossing", "leased a")
	w.wantJob("lost", "queued")
	if got := w.beat("a", held.Token, young.Token, old.Token); len(got.Abort) != 0 {
		t.Errorf("told to abort %v: a lease that was lost is worth finishing", got.Abort)
	}
	row, err := w.Store.Slave(t.Context(), "a")
	w.Must(err)
	if row.Doing != "building" || row.LastSeen == nil {
		t.Errorf("the slave's row is %+v", row)
	}
}

// TestBeatAborts: a build ends when it can count no more, and not before.
func TestBeatAborts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost := w.lease("a", "demo")
	w.hello("a")
	taken := w.ask("b", "retake")
	if got := w.beat("a", lost.Token); len(got.Abort) != 0 {
		t.Errorf("another has the job, and a is told to abort: %v", got.Abort)
	}
	slave, err := w.Store.Slave(t.Context(), "b")
	w.Must(err)
	_, err = w.Store.FinishFailed(t.Context(), store.Ending{Slave: slave.ID, Token: taken.Token, Failure: farm.Failure{Cause: farm.Prompt}})
	w.Must(err)
	if got := w.beat("a", lost.Token, "guess"); cmp.Diff([]string{lost.Token, "guess"}, got.Abort) != "" {
		t.Errorf("told to abort %v, want both", got.Abort)
	}
	if got := w.beat("b", taken.Token); cmp.Diff([]string{taken.Token}, got.Abort) != "" {
		t.Errorf("b reported, and is told to abort %v", got.Abort)
	}
	w.Exec(`delete from packages`)
	if got := w.beat("a", lost.Token); len(got.Abort) != 1 {
		t.Errorf("the package is gone, and a is told to abort %v", got.Abort)
	}
}

func TestBeatRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.lease("a", "demo")
	w.Exec(`update slaves set revoked_at = now() where name = 'a'`)
	for _, slave := range []string{"a", "stranger"} {
		if got := w.Beat(t.Context(), slave, bus.Beat{Held: []string{l.Token}}); got.Error == "" || len(got.Abort) != 0 {
			t.Errorf("%s is told %+v", slave, got)
		}
	}
}

// TestExpiredLeaseIsTakenBack: by the dispatcher's own clock, and the next slave
// is woken by it.
func TestExpiredLeaseIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Lease = 200 * time.Millisecond })
	l := w.lease("a", "demo")
	w.run()
	reply := w.asking("b", "next")
	if r := <-reply; r.Lease == nil || r.Lease.Job != l.Job || r.Lease.Token == l.Token {
		t.Errorf("b was given %+v", r)
	}
}

// TestRestart: a dispatcher that dies leaves leases that the next one renews.
func TestRestart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.run()
	l := w.lease("a", "demo")
	stop()
	next := New(w.cfg)
	if got := next.Beat(t.Context(), "a", bus.Beat{Held: []string{l.Token}}); got.Error != "" || len(got.Abort) != 0 {
		t.Errorf("told %+v", got)
	}
	w.wantJob("demo", "leased a")
}

// TestDatabaseAway: each question is refused in words, and answered when the
// database is back; a wait that it broke off too.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	l := w.lease("a", "demo")
	waits := w.asking("b", "waits")
	back := w.Absent()
	for what, word := range map[string]string{
		"hello": w.hello("a", l.Token).Error,
		"next":  w.Next(t.Context(), "a", bus.Next{Request: "r", Targets: []farm.Target{young()}}).Error,
		"beat":  w.Beat(t.Context(), "a", bus.Beat{Held: []string{l.Token}}).Error,
	} {
		if word == "" {
			t.Errorf("%s: no refusal", what)
		}
	}
	back()
	if got := w.hello("a", l.Token); got.Error != "" || len(got.Drop) != 0 {
		t.Errorf("after it came back: %+v", got)
	}
	w.wantJob("demo", "leased a")
	w.Queue("more", young())
	// The listener comes back by itself, and says so to those who wait.
	if r := <-waits; r.Lease == nil || r.Lease.Package != "more" {
		t.Errorf("b was given %+v", r)
	}
}

// TestOverTheWire is the talk of a slave with its farm, on a real server.
func TestOverTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.run()
	wire := bustest.Start(t)
	for _, register := range []func() (func(), error){
		func() (func(), error) { return wire.Master.HandleHello(w.Hello) },
		func() (func(), error) { return wire.Master.HandleNext(w.Next) },
		func() (func(), error) { return wire.Master.HandleBeat(w.Beat) },
	} {
		_, err := register()
		w.Must(err)
	}
	slave := wire.Slave(t, "a").Slave("a")
	welcome, err := slave.Hello(t.Context(), bus.Hello{Targets: []bus.ServedTarget{{Target: young()}}})
	if err != nil || welcome.Lease != time.Hour {
		t.Fatalf("%+v, %v", welcome, err)
	}
	w.Queue("demo", young())
	next, err := slave.Next(t.Context(), bus.Next{Request: "r", Targets: []farm.Target{young()}})
	if err != nil || next.Lease == nil {
		t.Fatalf("%+v, %v", next, err)
	}
	beat, err := slave.Beat(t.Context(), bus.Beat{Held: []string{next.Lease.Token, "guess"}})
	if err != nil || cmp.Diff([]string{"guess"}, beat.Abort) != "" {
		t.Errorf("%+v, %v", beat, err)
	}
	w.Exec(`update slaves set revoked_at = now()`)
	if _, err := slave.Beat(t.Context(), bus.Beat{}); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("error %v", err)
	}
}
