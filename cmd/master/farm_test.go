package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/buildlog"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/pgtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/porttest"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
	"pinwheel/internal/store"
)

// testFarm is a running master on a state folder of its own.
type testFarm struct {
	*Master
	t   *testing.T
	dir string
	py  pip.Python
	end func()
}

// newTestFarm starts a master on a template database, NATS in the process, and
// a fake upstream; one target, this machine's.
func newTestFarm(t *testing.T, upstream string, limits farm.Limits) *testFarm {
	t.Helper()
	dir, err := proc.SharedTempDir("pinwheel-test-", proc.BuildUser())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &testFarm{t: t, dir: dir, py: farmtest.Python(t)}
	f.start(settings{
		StateDir: filepath.Join(dir, "master"), Listen: "127.0.0.1:0", NATSListen: porttest.Reserve(t),
		DatabaseURL: pgtest.New(t), Upstream: upstream, Limits: limits, Lease: 30 * time.Second,
		RootEvery: 50 * time.Millisecond, LongTimeout: 5 * time.Second,
	})
	if err := f.Store.AddTarget(t.Context(), f.py.Target(), farm.Facts{}, "test"); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *testFarm) start(set settings) {
	f.t.Helper()
	log := zerolog.New(zerolog.NewTestWriter(f.t)).Level(zerolog.WarnLevel)
	m, err := startMaster(f.t.Context(), set, log)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	f.Master = m
	f.end = func() {
		cancel()
		if err := <-done; err != nil && ctx.Err() == nil {
			f.t.Errorf("master: %v", err)
		}
		m.Close()
		f.end = func() {}
	}
	f.t.Cleanup(func() { f.end() })
}

func (f *testFarm) slave(name string) *farmtest.Slave {
	f.t.Helper()
	creds, err := enroll(f.t.Context(), f.home, name, farm.RoleSlave)
	if err != nil {
		f.t.Fatal(err)
	}
	return farmtest.StartSlave(f.t, f.NATSURL, creds, filepath.Join(f.dir, name), f.py)
}

func (f *testFarm) add(requirement string) {
	f.t.Helper()
	name, version, err := pep.ParsePin(requirement)
	if err != nil {
		f.t.Fatal(err)
	}
	if _, err := f.Ingest.Add(f.t.Context(), ingest.Ask{Package: name, Versions: []string{version}, Actor: "test"}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *testFarm) check() {
	f.t.Helper()
	farmtest.Farm{Store: f.Store, DepotDir: f.Settings.DepotDir, SiteDir: f.Settings.SiteDir, URL: f.URL}.Check(f.t)
}

// quiet waits until no job is queued or leased.
func (f *testFarm) quiet() {
	f.t.Helper()
	farmtest.Eventually(f.t, "every job has ended", func() bool {
		st, err := f.Store.Status(f.t.Context())
		jobs := st.Jobs[f.py.Target().String()]
		return err == nil && jobs["queued"]+jobs["leased"]+jobs["waiting"] == 0
	})
}

// outcomes says how each job ended: "built", "failed timeout", "skipped".
func (f *testFarm) outcomes() map[string]string {
	f.t.Helper()
	jobs, err := f.Store.Jobs(f.t.Context(), store.Selector{})
	if err != nil {
		f.t.Fatal(err)
	}
	out := map[string]string{}
	for _, j := range jobs {
		out[j.Package] = strings.TrimSpace(string(j.State) + " " + j.Cause)
	}
	return out
}

const story = `
-- pure-one==1.0 --
requires-dist: helper
-- helper==2.0 --
-- c-ext==1.0 --
kind: extension
-- fails==1.0 --
kind: fails
-- hangs==1.0 --
kind: hangs
-- prompts==1.0 --
kind: prompts
-- floods==1.0 --
kind: floods
megabytes: 50
-- daemon==1.0 --
kind: daemon
-- wrong-name==1.0 --
kind: wrong-name
-- wrong-tag==1.0 --
kind: wrong-tag
-- unsound==1.0 --
kind: unsound-record
-- wheels-only==1.0 --
sdist: none
wheel: py3-none-any
-- too-new==1.0 --
requires-python: >=3.99
`

// TestWholeFarm takes every kind of sdist through a whole farm: a fake upstream,
// two slaves with real pip in the real sandbox, and real pip at the end.
func TestWholeFarm(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, story)
	f := newTestFarm(t, upstream.URL(), farm.Limits{Timeout: 3 * time.Minute, LogLimit: 8 << 20})
	want := map[string]string{
		"pure-one": "built", "helper": "built", "c-ext": "built", "floods": "built", "daemon": "built",
		"fails": "failed missing-header", "hangs": "failed timeout", "prompts": "failed prompt",
		"wrong-name": "failed wrong-wheel", "wrong-tag": "failed wrong-wheel", "unsound": "failed rejected",
		"wheels-only": "skipped", "too-new": "skipped",
	}
	f.done("recipe", "set", "hangs", "--timeout", "10s", "--reason", "it hangs") // the others may be slow
	f.add("hangs==1.0")                                                          // first, so that its time runs while they build
	for name := range want {
		version := "1.0"
		if name == "helper" {
			version = "2.0"
		}
		f.add(name + "==" + version)
	}
	f.check()

	f.slave("one")
	f.slave("two")
	f.quiet()
	if diff := cmp.Diff(want, f.outcomes()); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	f.check()
	f.checkLog("floods", 8<<20)
	if left := pypitest.Daemons("daemon", "1.0"); len(left) > 0 {
		t.Errorf("processes of a build live on: %v", left)
	}
	for _, name := range []string{"pure-one", "c-ext"} {
		f.install(name, upstream.URL())
	}
	f.check()
}

// checkLog holds a build's log to its limit, with both ends kept.
func (f *testFarm) checkLog(name string, limit int64) {
	f.t.Helper()
	jobs, err := f.Store.Jobs(f.t.Context(), store.Selector{Package: name})
	if err != nil {
		f.t.Fatal(err)
	}
	builds, err := f.Store.BuildsOf(f.t.Context(), jobs[0].ID)
	if err != nil {
		f.t.Fatal(err)
	}
	file, err := f.Depot.Open(builds[0].LogSHA256)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	if packed := builds[0].LogSize; packed != file.Size() || packed > limit/2 {
		f.t.Errorf("the log of %s is kept in %d bytes, its row says %d", name, file.Size(), packed)
	}
	text, err := io.ReadAll(buildlog.Text(f.t.Context(), file))
	if err != nil {
		f.t.Fatal(err)
	}
	if size := int64(len(text)); size > limit+200 || size < limit/2 {
		f.t.Errorf("the log of %s has %d bytes, its limit is %d", name, size, limit)
	}
	if tail := text[max(0, len(text)-2048):]; !strings.Contains(string(tail), "Successfully built") {
		f.t.Errorf("the log's end is lost: %q", tail)
	}
}

// install lets real pip take the wheel from the farm, and compares.
func (f *testFarm) install(name, upstream string) {
	f.t.Helper()
	page, err := f.Store.Page(f.t.Context(), name)
	if err != nil || len(page.Wheels) != 1 {
		f.t.Fatalf("%s: %d wheels, %v", name, len(page.Wheels), err)
	}
	dir, err := proc.SharedTempDir("pinwheel-proof-", proc.BuildUser())
	if err != nil {
		f.t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	res, err := pip.Prove(f.t.Context(), pip.Proof{
		Python: f.py, User: proc.BuildUser(), Package: name, Version: page.Wheels[0].Version,
		Index: f.URL + "/simple/", Upstream: upstream, Dir: dir,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if res.SHA256 != page.Wheels[0].SHA256 || !strings.HasPrefix(res.URL, f.URL) {
		f.t.Errorf("%s: pip took %s with SHA-256 %s, the row says %s", name, res.URL, res.SHA256, page.Wheels[0].SHA256)
	}
	if len(res.Imported) == 0 {
		f.t.Errorf("%s: nothing was imported", name)
	}
}

// TestSlaveLostMidBuild loses a slave in the middle of a build: the job is free
// for the next one.
func TestSlaveLostMidBuild(t *testing.T) {
	t.Parallel()
	upstream := pypitest.New(t, "-- hangs==1.0 --\nkind: hangs\n-- pure==1.0 --\n")
	f := newTestFarm(t, upstream.URL(), farm.Limits{Timeout: 10 * time.Minute})
	f.add("hangs==1.0")
	one := f.slave("one")
	farmtest.Eventually(t, "the build has begun", func() bool { return f.outcomes()["hangs"] == "leased" })
	one.Stop()
	farmtest.Eventually(t, "the job is free again", func() bool { return f.outcomes()["hangs"] == "queued" })
	f.check()
}
