package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/ingest"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
	"pinwheel/internal/store"
)

// demo is a whole farm on embedded parts, in this process.
type demo struct {
	*Master
	dir    string
	py     pip.Python
	user   proc.User
	view   *view
	broken chan error // what ended the farm's parts
	end    func()     // ends them, and waits
}

// startDemo starts a master and one slave that speak to each other as they would
// across a rack: over TCP, with credentials, and uploads by HTTP.
func startDemo(ctx context.Context, f demoFlags, dir string, py pip.Python, user proc.User, view *view, log zerolog.Logger) (_ *demo, err error) {
	mode := builder.Bwrap
	if err := builder.Probe(ctx, user); err != nil {
		mode = builder.None
		view.line("builds are NOT fenced: " + cli.OneLine(err.Error()))
	}
	view.line("starting a farm for " + py.Target().String() + " with " + py.Path)
	m, err := startMaster(ctx, settings{
		StateDir: filepath.Join(dir, "master"), Listen: f.listen, NATSListen: "127.0.0.1:0",
		Upstream: f.upstream, Python: f.python,
	}, log)
	if err != nil {
		return nil, err
	}
	d := &demo{Master: m, dir: dir, py: py, user: user, view: view, broken: make(chan error, 1), end: func() {}}
	slave, conn, err := d.slave(ctx, mode, log)
	if err != nil {
		m.Close()
		return nil, err
	}
	d.run(slave, conn)
	return d, nil
}

func (d *demo) slave(ctx context.Context, mode builder.Mode, log zerolog.Logger) (*agent.Agent, *bus.Conn, error) {
	if err := d.Store.AddTarget(ctx, d.target(), d.py.Facts()); err != nil {
		return nil, nil, err
	}
	creds, err := enroll(ctx, d.home, "demo", farm.RoleSlave)
	if err != nil {
		return nil, nil, err
	}
	conn, err := bus.Connect(ctx, bus.Options{URL: d.NATSURL, Creds: creds, Label: "demo", Log: log})
	if err != nil {
		return nil, nil, err
	}
	a, err := agent.New(ctx, agent.Config{
		Conn: conn, StateDir: filepath.Join(d.dir, "slave"), Python: d.py, Mode: mode, User: d.user,
		Version: cli.Version(), Log: log,
	})
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return a, conn, nil
}

// run keeps master and slave going until end.
func (d *demo) run(slave *agent.Agent, conn *bus.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.broken <- service.RunAll(ctx,
			service.Part{Name: "master", Run: d.Master.Run},
			service.Part{Name: "slave", Run: slave.Run},
		)
	}()
	d.end = func() { cancel(); <-done; conn.Close() }
}

// close ends the slave first, then the master, then the database.
func (d *demo) close() {
	d.end()
	d.Master.Close()
}

// follow takes every package through the farm and proves it with pip. Its error
// is the farm's own; what goes wrong with a package stands in its item.
func (d *demo) follow(ctx context.Context, items []*item) error {
	d.view.start(items)
	defer d.view.stop()
	for _, it := range items {
		d.add(ctx, it)
		d.view.changed(it)
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := d.look(ctx, items)
		if err != nil || !open {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-d.broken:
			return fmt.Errorf("the farm ended: %w", errors.Join(err, errors.New("see the log with --log-level debug")))
		case <-tick.C:
		}
	}
}

// add asks the upstream and queues the package.
func (d *demo) add(ctx context.Context, it *item) {
	ask := ingest.Ask{Package: it.name, Newest: it.version == "", Actor: "demo", Priority: farm.PriorityOperator}
	if it.version != "" {
		ask.Versions = []string{it.version}
	}
	it.phase = phaseAsking
	d.view.changed(it)
	jobs, err := d.Ingest.Add(ctx, ask)
	switch {
	case err != nil:
		it.fail(err.Error())
	case jobs[0].State == farm.Skipped:
		it.version = jobs[0].Version
		it.fail(jobs[0].Reason)
	default:
		it.version, it.phase = jobs[0].Version, phaseQueued
	}
}

// look reads the jobs' states and moves the items on; open says that some have
// not ended.
func (d *demo) look(ctx context.Context, items []*item) (open bool, err error) {
	for _, it := range items {
		if it.phase == phaseFailed || it.phase == phaseDone {
			continue
		}
		if err := d.lookAt(ctx, it); err != nil {
			return false, err
		}
		d.view.changed(it)
		open = open || it.phase != phaseFailed && it.phase != phaseDone
	}
	return open, ctx.Err()
}

func (d *demo) lookAt(ctx context.Context, it *item) error {
	jobs, err := d.Store.Jobs(ctx, store.Selector{Package: normal(it.name), Version: it.version, Target: d.target().String()})
	if err != nil {
		return err
	}
	if len(jobs) == 0 {
		return fmt.Errorf("%s %s: its job is gone", it.name, it.version)
	}
	it.job = jobs[0].ID
	switch jobs[0].State {
	case farm.Leased:
		it.phase = phaseBuilding
	case farm.Failed:
		return d.explain(ctx, it, jobs[0])
	case farm.Built:
		return d.built(ctx, it)
	case farm.Skipped, farm.Covered:
		it.fail(jobs[0].Reason)
	}
	return nil
}

// explain says why a build failed, with the end of its log.
func (d *demo) explain(ctx context.Context, it *item, j store.JobRow) error {
	builds, err := d.Store.BuildsOf(ctx, it.job)
	if err != nil {
		return err
	}
	why := strings.TrimSpace("does not build: " + j.Cause + " " + j.Detail)
	if j.Hint != "" {
		why += " (" + j.Hint + ")"
	}
	var tail []string
	if len(builds) > 0 {
		tail = lastLines(builds[0].Excerpt, 8)
	}
	it.fail(why, tail...)
	return nil
}

func lastLines(s string, n int) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[max(0, len(lines)-n):]
}

// built waits for the page, then lets pip prove the wheel.
func (d *demo) built(ctx context.Context, it *item) error {
	page, err := d.Store.Page(ctx, normal(it.name))
	if err != nil {
		return err
	}
	for _, w := range page.Wheels {
		if w.Version == it.version {
			it.wheel, it.sha256 = w.Filename, w.SHA256
		}
	}
	builds, err := d.Store.BuildsOf(ctx, it.job)
	if err != nil {
		return err
	}
	it.build = builds[0].Seconds
	if unexpectedlyPure(it) {
		it.fail(it.wheel + " is a pure wheel, but " + it.name + " has a C extension: is there no compiler?")
		return nil
	}
	it.phase = phaseInstalling
	d.view.changed(it)
	d.prove(ctx, it)
	return ctx.Err()
}

// unexpectedlyPure knows the default package whose build quietly leaves its C
// extension out when the compiler does not work. It must not pass as proven.
func unexpectedlyPure(it *item) bool {
	w, err := pep.ParseWheelName(it.wheel)
	return err == nil && normal(it.name) == "markupsafe" && w.PlatformTag == "any"
}

// prove lets pip install from the farm and compares what it took with what the
// farm says.
func (d *demo) prove(ctx context.Context, it *item) {
	if err := d.awaitPage(ctx, it); err != nil {
		it.fail(err.Error())
		return
	}
	res, err := pip.Prove(ctx, pip.Proof{
		Python: d.py, User: d.user, Package: it.name, Version: it.version,
		Index: d.URL + "/simple/", Upstream: d.Upstream, Dir: d.dir,
	})
	switch {
	case err != nil:
		it.fail("built, but pip did not install it: " + err.Error())
	case !strings.HasPrefix(res.URL, d.URL+"/"):
		it.fail("pip took it from elsewhere: " + res.URL)
	case res.SHA256 != it.sha256:
		it.fail(fmt.Sprintf("pip took a file with SHA-256 %s, the farm published %s", res.SHA256, it.sha256))
	default:
		it.install, it.phase = res.Seconds, phaseDone
	}
}
