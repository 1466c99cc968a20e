package ingest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// hello lets a slave say that it serves a target.
func (r *rig) hello(slave, target string) {
	r.t.Helper()
	parsed, err := farm.ParseTarget(target)
	r.must(err)
	row, err := r.store.Slave(r.t.Context(), slave)
	r.must(err)
	_, err = r.store.Heard(r.t.Context(), store.Word{
		Slave: row.ID, Machine: &farm.Machine{Targets: []farm.Served{{Target: parsed}}},
	})
	r.must(err)
}

// planned waits until everything is planned by what holds now.
func (r *rig) planned() {
	r.t.Helper()
	r.until("all is planned", func() bool {
		s, err := newScene(r.t.Context(), r.store)
		return err == nil && r.following().Fingerprint == s.fingerprint(r.cfg.Policy)
	})
}

// TestNewTarget: a target that is added gets a job of every release, in the
// background, and who builds first is decided anew when slaves come.
func TestNewTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, v13)
	r.begun()
	var first, both, turned []string
	for i := range 60 {
		name := fmt.Sprintf("p%d 1.0 ", i)
		r.upstream.MustAdd(t, fmt.Sprintf("-- p%d==1.0 --\n", i))
		first = append(first, name+v13+" queued")
		both = append(both, name+v13+" waiting", name+v7+" queued")
		turned = append(turned, name+v13+" queued", name+v7+" waiting")
	}
	r.start()
	r.untilJobs(first...)
	r.addTarget(v7)
	r.untilJobs(both...)
	r.hello("a", v13)
	r.untilJobs(turned...)
	r.hello("b", v7)
	r.untilJobs(both...)
	r.planned()
	if w := r.walk(store.KindPlan); w.Ended == nil || w.Chosen != 60 || w.Total != 60 {
		t.Errorf("the plan is %+v", w)
	}
	for i := range 60 {
		if n := r.upstream.Requests(fmt.Sprintf("/simple/p%d/", i)); n != 1 {
			t.Errorf("p%d was asked for %d times", i, n)
		}
	}
}

// TestRetiredTarget: what was built there serves the targets that come after it, and
// the lowest of the others builds what nobody has.
func TestRetiredTarget(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n")
	r.start()
	r.untilJobs("a 1.0 " + v7 + " queued")
	row, err := r.store.Slave(t.Context(), "a")
	r.must(err)
	targets, err := r.store.Targets(t.Context())
	r.must(err)
	_, ok, err := r.store.Claim(t.Context(), store.ClaimRequest{
		Slave: row.ID, Request: "r", Token: "t", Targets: []int64{targets[0].ID}, Length: time.Hour,
	})
	if r.must(err); !ok {
		t.Fatal("nothing to build")
	}
	sum := strings.Repeat("a", 64)
	_, err = r.store.FinishBuilt(t.Context(), store.Ending{Slave: row.ID, Token: "t"}, store.NewWheel{
		File: farm.File{Name: "a-1.0-py3-none-any.whl", SHA256: sum, Size: 1}, MetadataSHA256: sum, Metadata: []byte("x"), Tags: []string{"py3-none-any"},
	})
	r.must(err)
	_, err = r.store.RetireTarget(t.Context(), targets[0].Target, "m")
	r.must(err)
	r.addTarget(v13)
	r.untilJobs("a 1.0 "+v7+" built", "a 1.0 "+v13+" covered")
	r.addTarget("cp314-linux_x86_64")
	r.untilJobs("a 1.0 "+v7+" built", "a 1.0 "+v13+" covered", "a 1.0 cp314-linux_x86_64 covered")
	r.upstream.MustAdd(t, "-- a==1.1 --\n")
	r.untilJobs("a 1.0 "+v7+" built", "a 1.0 "+v13+" covered", "a 1.0 cp314-linux_x86_64 covered",
		"a 1.1 "+v13+" queued", "a 1.1 cp314-linux_x86_64 waiting")
}

// TestPlanGoesOn: a plan that was ended by a crash goes on where it was, and one
// that has become old begins anew.
func TestPlanGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7)
	r.begun()
	for i := range 10 {
		r.upstream.MustAdd(t, fmt.Sprintf("-- p%d==1.0 --\n", i))
	}
	stop := r.start()
	r.until("all are queued", func() bool { return len(r.jobs()) == 10 })
	r.planned()
	stop()
	r.addTarget(v13)
	scene, err := newScene(t.Context(), r.store)
	r.must(err)
	w, err := r.store.BeginPlan(t.Context(), scene.fingerprint(r.cfg.Policy))
	r.must(err)
	known, err := r.store.KnownAfter(t.Context(), 0, 4)
	r.must(err)
	r.must(r.store.PlanProgress(t.Context(), w.ID, known[3].ID, 4))
	stop = r.start()
	r.planned()
	if n := len(r.jobs()); n != 16 {
		t.Errorf("%d jobs: a plan that goes on does only the rest", n)
	}
	stop()
	r.cfg.Policy.NewDays++ // the policy is another one, so all is planned
	r.start()
	r.planned()
	if n := len(r.jobs()); n != 20 {
		t.Errorf("%d jobs", n)
	}
}

// TestPlanChangesNothing: of what is planned already nothing moves.
func TestPlanChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, v7, v13)
	r.begun()
	r.upstream.MustAdd(t, "-- a==1.0 --\n-- b==1.0 --\nsdist: none\nwheel: py3-none-any\n")
	stop := r.start()
	r.until("all are there", func() bool { return len(r.jobs()) == 4 })
	r.planned()
	stop()
	known, err := r.store.KnownAfter(t.Context(), 0, 10)
	r.must(err)
	before := r.jobs()
	r.cfg.Policy.NewDays++
	r.start()
	r.planned()
	r.untilJobs(before...)
	again, err := r.store.KnownAfter(t.Context(), 0, 10)
	r.must(err)
	for i := range known {
		if !again[i].Read.Equal(known[i].Read) {
			t.Errorf("%s was not read, and is said to be", known[i].Name)
		}
	}
}

func TestBatchSizes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size int
		took time.Duration
		want int
	}{
		{20, time.Millisecond, 40}, {400, time.Millisecond, planMost}, {20, 50 * time.Millisecond, 20},
		{20, time.Second, 10}, {1, time.Hour, 1},
	} {
		if got := nextSize(c.size, c.took); got != c.want {
			t.Errorf("%d took %v: next %d, want %d", c.size, c.took, got, c.want)
		}
	}
}
