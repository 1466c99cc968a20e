package crashtest

import (
	"fmt"
	"testing"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/dispatch"
)

// row says who is killed at a point and what the farm must have come to when all
// is quiet again.
type row struct {
	run     func(r *rig, variable string) *process // until the process that is to die has been started
	want    string                                 // builds, → the job's state
	wheels  int64
	stories string
}

// table has a row for every point. In most of them the job is built by the first
// lease: nothing is lost and nothing is built twice.
func table() map[crash.Point]row {
	rows := map[crash.Point]row{
		crash.IngestFetched:   {run: killAdd, want: once},
		crash.IngestCommitted: {run: killAdd, want: once},

		// Only these three lose work: the slave dies before its result is safe.
		crash.AgentLeased:   {run: killSlave, want: again},
		crash.AgentBuilt:    {run: killSlave, want: again},
		crash.AgentSpooling: {run: killSlave, want: again},

		crash.AgentSpooled:    {run: killSlave, want: once},
		crash.AgentUploaded:   {run: killSlave, want: once},
		crash.AgentAccepted:   {run: killSlave, want: once},
		crash.AgentForgetting: {run: killSlave, want: once},

		crash.CollectFailed: {run: killMaster, want: "failed → failed", stories: "-- story==1.0 --\nkind: fails\n"},

		crash.PublishWithdrawn: {run: killMasterThatRemoves, want: ""},
	}
	for _, p := range []crash.Point{
		crash.DispatchGreeted, crash.DispatchLeased,
		crash.CollectNeeded, crash.DepotStaged, crash.CollectStored, crash.CollectVerified, crash.CollectCommitted,
		crash.PublishFolder, crash.PublishWheel, crash.PublishFiles, crash.PublishHTML, crash.PublishPages,
		crash.PublishCleaned, crash.PublishDone, crash.PublishRootHTML, crash.PublishRootPages, crash.PublishRootDone,
	} {
		rows[p] = row{run: killMaster, want: once}
	}
	for p, one := range rows {
		if one.stories == "" {
			one.stories = story
		}
		if one.want == once || one.want == again {
			one.wheels = 1
		}
		rows[p] = one
	}
	return rows
}

// killAdd kills the command; whoever typed it types it again.
func killAdd(r *rig, variable string) *process {
	p := r.add(variable)
	<-p.child.Done()
	r.added()
	return p
}

func killMaster(r *rig, variable string) *process {
	r.added()
	p := r.master(variable)
	if r.nats == r.ip+":0" {
		r.t.Fatal("the master died before it had an address")
	}
	r.slave()
	return p
}

func killSlave(r *rig, variable string) *process {
	r.added()
	r.master()
	return r.slave(variable)
}

// killMasterThatRemoves takes a package away that was built and published.
func killMasterThatRemoves(r *rig, variable string) *process {
	r.added()
	m := r.master()
	s := r.slave()
	r.quiet()
	r.check()
	stop(s, m)
	dies := r.master(variable)
	r.run("remove", "--state-dir", r.masterDir(), "--database-url", r.dsn, "story")
	return dies
}

func TestEveryPointHasARow(t *testing.T) {
	t.Parallel()
	rows := table()
	for _, p := range crash.All() {
		if rows[p].run == nil {
			t.Errorf("the point %s has no row", p)
		}
		delete(rows, p)
	}
	for p := range rows {
		t.Errorf("there is no point %s", p)
	}
}

// TestKilledAt kills a process at each point and starts another one on the same
// state. The farm must come to the same end as if nothing had happened, and long
// before the lease would expire: nobody waits for that.
func TestKilledAt(t *testing.T) {
	t.Parallel()
	for point, one := range table() {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, one.stories)
			dies := one.run(r, fmt.Sprintf("%s=%s", crash.Variable, point))
			dies.awaitCrash(string(point))
			back := time.Now()
			r.revive(dies)
			if one.wheels > 0 {
				r.quiet()
			}
			took := time.Since(back)
			r.spoolEmpty()
			r.check()
			if got := r.outcomes(); got != one.want {
				t.Errorf("builds: %s, want %s", got, one.want)
			}
			if n := r.wheels(); n != one.wheels {
				t.Errorf("%d wheels are published, want %d", n, one.wheels)
			}
			t.Logf("all had ended %v after the restart", took.Round(time.Millisecond))
			if took > dispatch.DefaultLease/2 {
				t.Errorf("it took %v: did a lease have to expire?", took)
			}
		})
	}
}

// revive starts again what died, or what had not been started at all.
func (r *rig) revive(died *process) {
	r.t.Helper()
	switch died.name {
	case "master serve":
		r.master()
	case "slave run":
		r.slave()
	default:
		r.master()
		r.slave()
	}
}
