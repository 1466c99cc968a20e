package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/service"
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

	proving bool       // pip is at work
	proofs  chan proof // what came of it
}

// startDemo starts a master and one slave that speak to each other as they would
// across a rack: over TCP, with credentials, and uploads by HTTP.
func startDemo(ctx context.Context, f demoFlags, dir string, py pip.Python, user proc.User, view *view, log zerolog.Logger) (_ *demo, err error) {
	d := &demo{
		dir: dir, py: py, user: user, view: view, broken: make(chan error, 1), end: func() {}, proofs: make(chan proof),
	}
	mode, err := d.fence(ctx)
	if err != nil {
		return nil, err
	}
	view.line("starting a farm for " + py.Target().String() + " with " + py.Path)
	d.Master, err = startMaster(ctx, settings{
		StateDir: filepath.Join(dir, "master"), Listen: f.listen, NATSListen: "127.0.0.1:0",
		Upstream: f.upstream, Python: f.python, Throwaway: true,
		// Nobody who looks on waits for three hours more.
		Limits: farm.Limits{Timeout: f.timeout}, LongTimeout: f.timeout,
	}, log)
	if err != nil {
		return nil, err
	}
	slave, conn, err := d.slave(ctx, mode, log)
	if err != nil {
		d.Master.Close()
		return nil, err
	}
	d.run(slave, conn)
	return d, nil
}

// fence chooses how builds are fenced, and tries what every build needs. Without
// a compiler there is no demo: many packages would quietly come out pure.
func (d *demo) fence(ctx context.Context) (builder.Mode, error) {
	mode := builder.Bwrap
	err := builder.Probe(ctx, d.user)
	if errors.Is(err, builder.ErrNoSandbox) && ctx.Err() == nil {
		mode = builder.None
		why := strings.TrimPrefix(err.Error(), builder.ErrNoSandbox.Error()+": ")
		d.view.line("builds are NOT fenced: " + cli.OneLine(why))
	} else if err != nil {
		return "", err
	}
	_, err = builder.Check(ctx, builder.Build{Dir: filepath.Join(d.dir, "check"), Mode: mode, User: d.user, Python: d.py})
	return mode, err
}

func (d *demo) slave(ctx context.Context, mode builder.Mode, log zerolog.Logger) (*agent.Agent, *bus.Conn, error) {
	if err := d.Store.AddTarget(ctx, d.target(), d.py.Facts(), "demo"); err != nil {
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
		Conn: conn, StateDir: filepath.Join(d.dir, "slave"), Mode: mode, User: d.user,
		Targets: []agent.Target{{Python: d.py}}, Version: cli.Version(), Log: log,
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
