package crashtest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pinwheel/internal/crash"
	"pinwheel/internal/depot"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/storetest"
)

// row says who is killed at a point and what the farm must have come to when all
// is quiet again.
type row struct {
	run     func(r *rig, variable string) *process // until the process that is to die has been started
	want    string                                 // builds, → the job's state
	wheels  int64
	stories string
	until   func(r *rig) // waits for what comes after all jobs have ended; may be nil
	also    func(r *rig) // what must be true besides; may be nil
}

// table has a row for every point. In most of them the job is built by the first
// lease: nothing is lost and nothing is built twice.
func table() map[crash.Point]row {
	rows := map[crash.Point]row{
		crash.IngestFetched:   {run: killAdd, want: once},
		crash.IngestCommitted: {run: killAdd, want: once},

		crash.IngestAnnounced: {run: killFollower, want: once, stories: "-- known==1.0 --\n"},
		crash.IngestAgreed:    {run: killFollower, want: once, stories: "-- known==1.0 --\n"},

		crash.IngestListed:  {run: killBackfill, want: once, also: wholeIndex},
		crash.IngestPlanned: {run: killPlanner, want: once},

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
		crash.PublishForgotten: {run: killMasterThatRemoves, want: ""},
		crash.PublishDiscarded: {run: killMasterThatRemoves, want: ""},
		crash.DepotAside:       {run: killMasterThatRemoves, want: ""},

		crash.CopyStored:    {run: killCopier, want: copied, wheels: 3, until: copyMade},
		crash.CopyCommitted: {run: killCopier, want: copied, wheels: 3, until: copyMade},

		crash.RevokeKey: {run: killRevoke, want: anew, wheels: 1},
		crash.RevokeRow: {run: killRevoke, want: anew, wheels: 1},
		crash.EnrollRow: {run: killEnroll, want: once},

		crash.AuditRestored:  {run: killRepair, want: once, also: allAgree},
		crash.AuditRewritten: {run: killRepair, want: once, also: allAgree},
	}
	for _, p := range []crash.Point{
		crash.DispatchGreeted, crash.DispatchLeased,
		crash.CollectNeeded, crash.DepotStaged, crash.CollectStored, crash.CollectVerified, crash.CollectCommitted,
		crash.PublishFolder, crash.PublishWheel, crash.PublishFiles,
		crash.PublishHTML, crash.PublishHTMLCopy, crash.PublishJSON, crash.PublishPages, crash.PublishCleaned, crash.PublishDone,
		crash.PublishRootHTML, crash.PublishRootHTMLCopy, crash.PublishRootJSON, crash.PublishRootPages, crash.PublishRootDone,
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

// killFollower kills the master over a release that the upstream announces, and
// nobody asked for.
func killFollower(r *rig, variable string) *process {
	dies := r.master(variable, "PINWHEEL_INGEST_POLL=100ms")
	r.slave()
	farmtest.Eventually(r.t, "the farm follows", func() bool {
		at, err := r.Following(r.t.Context())
		return err == nil && at.Source != ""
	})
	r.index.MustAdd(r.t, story)
	return dies
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

// copied is a farm with the story and a wheel for ARM.
const copied = "built built → built → built"

// killCopier starts a master on a farm that has a wheel of before, for ARMv7 and proven
// to run on an ARMv6, without its copy. Nobody builds for that target any more.
func killCopier(r *rig, variable string) *process {
	r.added()
	m := r.master()
	s := r.slave()
	r.quiet()
	stop(s, m)
	d, err := depot.Open(r.depotDir())
	r.must(err)
	storetest.BringARM(r.t, r.Store, d, "pi", "six", "v6.so")
	_, err = r.RetireTarget(r.t.Context(), storetest.ARM(), "test")
	r.must(err)
	return r.master(variable)
}

func copyMade(r *rig) {
	r.t.Helper()
	farmtest.Eventually(r.t, "the copy is published", func() bool { return r.wheels() == 3 })
}

// anew is a job whose first slave was revoked while it held the lease.
const anew = "superseded built → built"

// killRevoke takes the rights of a slave away that has just died over a lease.
func killRevoke(r *rig, variable string) *process {
	r.added()
	m := r.master()
	r.slave(fmt.Sprintf("%s=%s", crash.Variable, crash.AgentLeased)).awaitCrash(string(crash.AgentLeased))
	stop(m)
	return r.revoke(variable)
}

func (r *rig) revoke(env ...string) *process {
	r.t.Helper()
	return start(r.t, env, "master", "revoke", "--state-dir", r.masterDir(), "--database-url", r.dsn, "pi")
}

// revokeAgain does what whoever typed the command does, and lets the slave in
// under new credentials. The old ones are dead from the first time on.
func (r *rig) revokeAgain() {
	r.t.Helper()
	r.master()
	old := r.slave()
	if status := old.awaitEnd(); status.ExitStatus() != 1 || !strings.Contains(old.stderr.String(), "credentials not accepted") {
		r.t.Errorf("the revoked slave: status %#x", int(status))
	}
	if status := r.revoke().awaitEnd(); status != 0 {
		r.t.Fatalf("master revoke: status %#x", int(status))
	}
	enroll := start(r.t, nil, "master", "enroll", "--state-dir", r.masterDir(), "--database-url", r.dsn, "pi")
	if status := enroll.awaitEnd(); status != 0 {
		r.t.Fatalf("master enroll: status %#x", int(status))
	}
	r.must(os.WriteFile(r.creds(), []byte(enroll.stdout.String()), 0o600))
	r.slave()
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
			if one.until != nil {
				one.until(r)
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
			if one.also != nil {
				one.also(r)
			}
			t.Logf("all had ended %v after the restart", took.Round(time.Millisecond))
			if took > lease/2 {
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
	case "master revoke":
		r.revokeAgain()
	case "master enroll":
		r.enrollAgain()
	case "master audit":
		r.run("audit", "--repair", "--state-dir", r.masterDir(), "--database-url", r.dsn)
		r.master()
	default:
		r.master()
		r.slave()
	}
}
