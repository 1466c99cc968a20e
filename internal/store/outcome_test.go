package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/farm"
	"pinwheel/internal/store"
)

// chain is a world with three targets and demo 1.0, queued on the lowest; the
// others wait for its outcome.
type chain struct {
	*world
	ids   []int64 // lowest first
	names []string
	woken chan string // payloads of notifications
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{world: newWorld(t), woken: make(chan string, 100)}
	for _, abi := range []string{"cp39", "cp313"} {
		c.must(c.AddTarget(t.Context(), farm.Target{ABI: abi, Platform: "linux_x86_64"}, farm.Facts{}, "test"))
	}
	rows, err := c.Targets(t.Context())
	c.must(err)
	a := c.fresh("demo", "1.0")
	a.Add[0].Jobs = nil
	for i, r := range rows {
		c.ids, c.names = append(c.ids, r.ID), append(c.names, r.Target.String())
		p := queued(farm.PriorityBacklog)
		if i > 0 {
			p.State, p.Why, p.Reason, p.Waits = farm.Waiting, farm.WhyLowerTarget, "cp39 builds first", c.ids[0]
		}
		a.Add[0].Jobs = append(a.Add[0].Jobs, store.NewJob{Target: r.ID, Planned: p})
	}
	c.targetID = c.ids[0]
	c.agree(a)
	return c
}

// listen collects what is said of the queue from now on.
func (c *chain) listen() {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Listen(ctx, store.QueueChannel, func(p string) { c.woken <- p }) }()
	c.t.Cleanup(func() { cancel(); <-ended })
	<-c.woken // connected
}

// states are the three jobs, lowest target first: STATE, and WHY where there is one.
func (c *chain) states() string {
	c.t.Helper()
	of := map[int64]string{}
	for _, j := range c.known("demo").Releases[0].Jobs {
		of[j.Target] = strings.TrimSpace(string(j.State) + " " + string(j.Why))
	}
	var all []string
	for _, id := range c.ids {
		all = append(all, of[id])
	}
	return strings.Join(all, ", ")
}

func (c *chain) built(l farm.Lease, name string, covers ...int64) store.Result {
	c.t.Helper()
	w := c.wheel(name)
	w.Covers = covers
	res, err := c.FinishBuilt(c.t.Context(), c.ending("a", l), w)
	c.must(err)
	return res
}

func (c *chain) failed(l farm.Lease, cause farm.Cause) {
	c.t.Helper()
	e := c.ending("a", l)
	e.Failure = farm.Failure{Cause: cause, Detail: "d"}
	_, err := c.FinishFailed(c.t.Context(), e)
	c.must(err)
}

const (
	pure   = "demo-1.0-py3-none-any.whl"
	native = "demo-1.0-cp39-cp39-linux_x86_64.whl"
)

// TestOutcomes is what becomes of the jobs that wait when the lowest one ends.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const (
		waiting = ", waiting lower-target, waiting lower-target"
		freed   = ", queued, queued"
		covered = ", covered lower-wheel, covered lower-wheel"
	)
	cases := []struct {
		name string
		do   func(c *chain, l farm.Lease)
		want string
	}{
		{"built, for every platform", func(c *chain, l farm.Lease) { c.built(l, pure, c.ids[1:]...) }, "built" + covered},
		{"built, for this platform", func(c *chain, l farm.Lease) { c.built(l, native) }, "built" + freed},
		{"built, and pip of the higher ones takes it not", func(c *chain, l farm.Lease) { c.built(l, "demo-1.0-cp39-none-any.whl") }, "built" + freed},
		{"built, for one of the two", func(c *chain, l farm.Lease) { c.built(l, pure, c.ids[2]) }, "built, queued, covered lower-wheel"},
		{"rejected", func(c *chain, l farm.Lease) { c.failed(l, farm.Rejected) }, "failed" + freed},
		{"the package's fault", func(c *chain, l farm.Lease) { c.failed(l, farm.CompilerError) }, "failed" + freed},
		{"a fault that is tried again", func(c *chain, l farm.Lease) { c.failed(l, farm.SlaveFault) }, "queued" + waiting},
		{"lost once", func(c *chain, l farm.Lease) { expire(c.world, l) }, "queued" + waiting},
		{"lost for good", loseChain, "failed" + freed},
		{"lost for good, by a slave's word", func(c *chain, _ farm.Lease) {
			c.must(c.exec(`update jobs set losses = $1 where state = 'leased'`, store.MaxLosses-1))
			c.beat("b", "", time.Hour)
			c.must(c.exec(`update builds set started_at = now() - interval '1 hour'; update slaves set last_seen = now() where name = 'b'`))
			c.beat("a", "", 0)
		}, "failed" + freed},
		{"good work after it was given up", func(c *chain, l farm.Lease) {
			loseChain(c, l)
			c.built(l, pure, c.ids[1:]...)
		}, "built" + covered},
		{"good work after it was given up, when one is being built", func(c *chain, l farm.Lease) {
			loseChain(c, l)
			c.lease(c.ids[1])
			c.built(l, pure, c.ids[1:]...)
		}, "built, leased, covered lower-wheel"},
		{"good work after it was given up, when an operator wants one", func(c *chain, l farm.Lease) {
			loseChain(c, l)
			c.must(c.exec(`update jobs set priority = 10 where target_id = $1`, c.ids[2]))
			c.built(l, pure, c.ids[1:]...)
		}, "built, covered lower-wheel, queued"},
		{"good work for one that waits again", func(c *chain, l farm.Lease) {
			expire(c.world, l)
			c.must(c.exec(`update jobs set state = 'waiting', why = 'lower-target', reason = 'r', waits_target_id = $2 where target_id = $1`, c.ids[0], c.ids[1]))
			c.must(c.exec(`update jobs set state = 'queued', why = '', waits_target_id = null where target_id = $1`, c.ids[1]))
			c.built(l, native)
		}, "built, queued, queued"},
		{"requeued by a maintainer", func(c *chain, l farm.Lease) {
			c.failed(l, farm.CompilerError)
			_, err := c.Requeue(c.t.Context(), store.Requeue{Selector: store.Selector{Target: c.names[0]}, Actor: "m"})
			c.must(err)
		}, "queued" + freed},
		{"its target was retired meanwhile", func(c *chain, l farm.Lease) {
			_, err := c.RetireTarget(c.t.Context(), farm.Target{ABI: "cp39", Platform: "linux_x86_64"}, "m")
			c.must(err)
			c.built(l, pure, c.ids[1:]...)
		}, "built" + covered},
		{"one that waits for another", func(c *chain, l farm.Lease) {
			c.must(c.exec(`update jobs set waits_target_id = $1 where target_id = $2`, c.ids[1], c.ids[2]))
			c.failed(l, farm.CompilerError)
		}, "failed, queued, waiting lower-target"},
		{"one that waits for one that is covered", func(c *chain, l farm.Lease) {
			c.must(c.exec(`update jobs set waits_target_id = $1 where target_id = $2`, c.ids[1], c.ids[2]))
			c.built(l, pure, c.ids[1])
		}, "built, covered lower-wheel, queued"},
		{"reported twice", func(c *chain, l farm.Lease) {
			c.failed(l, farm.CompilerError)
			c.must(c.exec(`update jobs set state = 'waiting', why = 'lower-target', reason = 'r' where target_id = $1`, c.ids[2]))
			c.failed(l, farm.CompilerError) // decides nothing any more
			c.must(c.exec(`update jobs set state = 'queued', why = '' where target_id = $1`, c.ids[2]))
		}, "failed" + freed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newChain(t)
			tc.do(c, c.lease(c.ids[0]))
			if diff := cmp.Diff(tc.want, c.states()); diff != "" {
				t.Error(diff)
			}
			c.agrees()
		})
	}
}

// lease claims on one target for slave a.
func (c *chain) lease(target int64) farm.Lease {
	c.t.Helper()
	l, ok, err := c.Claim(c.t.Context(), store.ClaimRequest{
		Slave: c.slaves["a"], Request: fmt.Sprint("r", target), Token: fmt.Sprint("a/r", target), Targets: []int64{target}, Length: time.Minute, Most: 4,
	})
	c.must(err)
	if !ok {
		c.t.Fatal("there is no job")
	}
	return l
}

// loseChain loses the job for good.
func loseChain(c *chain, l farm.Lease) {
	c.t.Helper()
	expire(c.world, l)
	for i := 1; i < store.MaxLosses; i++ {
		c.claim("a", fmt.Sprint("again", i))
		expire(c.world, l)
	}
}

// TestOutcomeWakesOnce: those who wait for work hear of what is queued, in one
// notification that says where it is.
func TestOutcomeWakesOnce(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	l := c.lease(c.ids[0])
	c.listen()
	c.failed(l, farm.CompilerError)
	said := <-c.woken
	for _, id := range c.ids[1:] {
		if !strings.Contains(" "+said, fmt.Sprintf(" %d/40/", id)) {
			t.Errorf("said %q, want a place on target %d", said, id)
		}
	}
	c.must(c.exec(`select pg_notify($1, 'after')`, store.QueueChannel))
	if next := <-c.woken; next != "after" {
		t.Errorf("said again: %q", next)
	}
}

// TestCoveredReason is what people read, and is the wheel that serves them.
func TestCoveredReason(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.built(c.lease(c.ids[0]), pure, c.ids[1:]...)
	jobs, err := c.Jobs(t.Context(), store.Selector{Target: c.names[1]})
	c.must(err)
	if want := "the wheel " + pure + " of cp39-linux_x86_64 serves this target too"; jobs[0].Reason != want {
		t.Errorf("the reason is %q, want %q", jobs[0].Reason, want)
	}
}

// TestCoveredByAnother: when the lowest job itself turns out to be covered, by a
// wheel of the same name, those that wait for it are told of that wheel.
func TestCoveredByAnother(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	c.must(c.exec(`update jobs set state = 'queued', why = '', reason = '', waits_target_id = null where target_id = $1`, c.ids[1]))
	low, mid := c.lease(c.ids[0]), c.lease(c.ids[1])
	c.built(mid, pure) // an operator's word; it says nothing of cp313 here
	c.built(low, pure, c.ids[1:]...)
	if got, want := c.states(), "covered lower-wheel, built, covered lower-wheel"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	c.agrees()
}
