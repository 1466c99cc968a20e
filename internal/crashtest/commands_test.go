package crashtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"pinwheel/internal/depot"
	"pinwheel/internal/farm"
)

// killBackfill kills the command that reads the whole index without a master; the
// next master goes on with it.
func killBackfill(r *rig, variable string) *process {
	return start(r.t, []string{variable}, "master", "backfill", "--state-dir", r.masterDir(), "--database-url", r.dsn, "--upstream", r.upstream)
}

// wholeIndex: whoever took the list of names has begun to follow, and leaves out
// nothing of what was released before.
func wholeIndex(r *rig) {
	since, err := r.Settled(r.t.Context(), "follow-since")
	r.must(err)
	if since != "0" {
		r.t.Errorf("walks leave out what has not changed since %q, want nothing left out", since)
	}
}

// killPlanner kills a master that plans all jobs by another policy.
func killPlanner(r *rig, variable string) *process {
	r.added()
	stop(r.master())
	dies := r.launch(variable, "PINWHEEL_POLICY_NEW_DAYS=3")
	r.slave()
	return dies
}

// killEnroll kills the command that lets another slave in.
func killEnroll(r *rig, variable string) *process {
	r.added()
	r.master()
	return r.enrollTwo(variable)
}

func (r *rig) enrollTwo(env ...string) *process {
	r.t.Helper()
	return start(r.t, env, "master", "enroll", "--state-dir", r.masterDir(), "--database-url", r.dsn, "two")
}

// enrollAgain does what the command says to whoever enrolled: the name is taken,
// hence revoked and enrolled again. It is the one that builds.
func (r *rig) enrollAgain() {
	r.t.Helper()
	if status := r.enrollTwo().awaitEnd(); status.ExitStatus() != 1 {
		r.t.Errorf("a name that is taken: status %#x", int(status))
	}
	r.run("revoke", "--state-dir", r.masterDir(), "--database-url", r.dsn, "two")
	enroll := r.enrollTwo()
	if status := enroll.awaitEnd(); status != 0 {
		r.t.Fatalf("master enroll: status %#x", int(status))
	}
	r.must(os.WriteFile(r.creds(), []byte(enroll.stdout.String()), 0o600))
	r.slave()
}

// killRepair kills an audit that mends a farm with a wheel lost from the depot, a
// page lost from the site, and a file that no row names.
func killRepair(r *rig, variable string) *process {
	r.added()
	m := r.master()
	s := r.slave()
	r.quiet()
	r.check()
	stop(s, m)
	page, err := r.Page(r.t.Context(), "story")
	r.must(err)
	d, err := depot.Open(r.depotDir())
	r.must(err)
	r.must(d.Remove(page.Wheels[0].SHA256))
	r.must(os.Remove(filepath.Join(r.siteDir(), "simple", "story", "index.html")))
	r.leftover(d)
	return start(r.t, []string{variable}, "master", "audit", "--repair", "--state-dir", r.masterDir(), "--database-url", r.dsn)
}

// leftover puts a file into the depot that was there for two days.
func (r *rig) leftover(d *depot.Local) {
	r.t.Helper()
	body := []byte("nobody's")
	sum := sha256.Sum256(body)
	f := farm.File{Name: "nobody", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body))}
	r.must(d.Put(r.t.Context(), bytes.NewReader(body), f))
	path, err := d.Path(f.SHA256)
	r.must(err)
	old := time.Now().Add(-48 * time.Hour)
	r.must(os.Chtimes(path, old, old))
}

// allAgree: the audit finds nothing.
func allAgree(r *rig) {
	r.run("audit", "--full", "--state-dir", r.masterDir(), "--database-url", r.dsn)
}
