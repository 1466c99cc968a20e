package collect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/store"
	"pinwheel/internal/wheel"
)

// expected is what the wheel of a release must be on a target.
func expected(pkg, version string, target store.TargetRow) (wheel.Expect, error) {
	v, err := pep.ParseVersion(version)
	return wheel.Expect{Name: pkg, Version: v, Target: target.Target, Glibc: target.Facts.Glibc, VouchesARMv6: target.VouchesARMv6}, err
}

// verify opens a file in the depot and checks it.
func (c *Collector) verify(ctx context.Context, file farm.File, want wheel.Expect) (wheel.Report, error) {
	r, closer, err := c.cfg.Depot.Reader(file.SHA256)
	if err != nil {
		return wheel.Report{}, err
	}
	defer closer.Close()
	limits := wheel.DefaultLimits()
	limits.Scratch = c.cfg.Scratch
	return limits.Verify(ctx, r, file.Size, file.Name, want)
}

// verifyJob checks what a job brought, by what was known of its target when the report
// came.
func (c *Collector) verifyJob(ctx context.Context, file farm.File, job store.Issued) (wheel.Report, error) {
	want, err := expected(job.Package, job.Version,
		store.TargetRow{Target: job.Target, Facts: farm.Facts{Glibc: job.Glibc}, VouchesARMv6: job.Vouches})
	if err != nil {
		return wheel.Report{}, fmt.Errorf("verify the wheel of job %d: %w", job.Job, err)
	}
	return c.verify(ctx, file, want)
}

// keepChecked is how long the result of a check waits for the report that wants
// it; a slave asks again within minutes, or never.
const keepChecked = 10 * time.Minute

var errNotChecked = errors.New("the wheel is still being verified; report again")

// checks are the verifications of a collector. A large wheel on a slow master
// takes longer than a report may wait for its answer: the check goes on without
// it, and the slave's next report finds it further on, or done. Without that,
// such a report would begin anew for ever.
type checks struct {
	ctx   context.Context // of all of them
	end   context.CancelFunc
	slots chan struct{} // bounds how many run at once
	wait  sync.WaitGroup

	mu  sync.Mutex
	all map[string]*checked // by lease token: one at a time, whatever a slave reports
}

// check is one verification to be made, checked one that is made or under way.
type check struct {
	token string
	file  farm.File
	run   func(context.Context) (wheel.Report, error)
}

type checked struct {
	file   farm.File
	done   chan struct{} // closed when the rest is there
	report wheel.Report
	err    error
	ended  time.Time
}

func newChecks(parallel int) *checks {
	ctx, end := context.WithCancel(context.Background())
	return &checks{ctx: ctx, end: end, slots: make(chan struct{}, parallel), all: map[string]*checked{}}
}

func (c *checks) close() {
	c.end()
	c.wait.Wait()
}

// result waits for a check as long as ctx allows.
func (c *checks) result(ctx context.Context, want check) (wheel.Report, error) {
	x := c.join(want)
	if x.file != want.file {
		return wheel.Report{}, errNotChecked
	}
	select {
	case <-x.done:
		return x.report, x.err
	case <-ctx.Done():
		return wheel.Report{}, errNotChecked
	}
}

// join finds the check that an earlier report of the lease began, or begins it.
func (c *checks) join(want check) *checked {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropOld(time.Now())
	if x := c.all[want.token]; x != nil && (x.file == want.file || x.ended.IsZero()) {
		return x
	}
	x := &checked{file: want.file, done: make(chan struct{})}
	c.all[want.token] = x
	c.wait.Go(func() { c.run(want, x) })
	return x
}

func (c *checks) run(want check, x *checked) {
	select {
	case c.slots <- struct{}{}:
		x.report, x.err = want.run(c.ctx)
		<-c.slots
	case <-c.ctx.Done():
		x.err = c.ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x.ended = time.Now()
	if x.err != nil && c.all[want.token] == x {
		delete(c.all, want.token) // an error says nothing about the wheel: try again
	}
	close(x.done)
}

// forget drops a result that has been used.
func (c *checks) forget(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, token)
}

// dropOld forgets results that nobody came for.
func (c *checks) dropOld(now time.Time) {
	for token, x := range c.all {
		if !x.ended.IsZero() && now.Sub(x.ended) > keepChecked {
			delete(c.all, token)
		}
	}
}
