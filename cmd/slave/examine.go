package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"pinwheel/internal/agent"
	"pinwheel/internal/builder"
	"pinwheel/internal/bus"
	"pinwheel/internal/certs"
	"pinwheel/internal/cli"
	"pinwheel/internal/farm"
	"pinwheel/internal/machine"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// doctor looks at one machine.
type doctor struct {
	set                 settings
	mode                builder.Mode
	masterURL, upstream string
	now                 func() time.Time // of day, by this machine
	sensors             machine.Sensors
	targets             []wanted
	python              pip.Python // of the first of them, as it was found
	conn                *bus.Conn  // to NATS, of the slave itself; nil: there is none
	trust               *certs.Certs
	trustTrouble        error               // why there is none, though files are named
	shown               []certs.Certificate // by servers
}

// examine tries each thing; what depends on a thing that is missing is not tried.
func (d *doctor) examine(ctx context.Context) []finding {
	list := d.examineBuilds(ctx)
	list = append(list, d.examineMachine(ctx)...)
	return append(list, d.examineNetwork(ctx)...)
}

// examineBuilds tries what runs builds.
func (d *doctor) examineBuilds(ctx context.Context) []finding {
	user, mode := proc.BuildUser(), d.mode
	var list []finding
	var fence error
	if mode == builder.Bwrap {
		fence = builder.Probe(ctx, user)
	}
	list = append(list, fenced(mode, fence))
	if fence != nil {
		mode = builder.None
	}
	for _, w := range d.targets {
		found, target := d.examineTarget(ctx, w, user, mode)
		for _, f := range found {
			f.Target = target
			list = append(list, at(w.root, f))
		}
	}
	return list
}

// examineTarget asks a target's Python what it is, and has its compiler make an
// extension module. It also says which target that is; "" if that is not known.
func (d *doctor) examineTarget(ctx context.Context, w wanted, user proc.User, mode builder.Mode) (list []finding, target string) {
	t, passed, err := w.find(ctx, user)
	list = []finding{w.found(t, err)}
	for _, p := range passed {
		list = append(list, finding{Name: "passed over", Level: fine, Detail: p})
	}
	if err != nil {
		if w.target == (farm.Target{}) {
			return list, ""
		}
		return list, w.target.String()
	}
	if d.python.Path == "" {
		d.python = t.Python
	}
	cc, err := toolchain(ctx, t, user, mode)
	return append(list, compiles(t, cc, err)), t.Python.Target().String()
}

// fenced is what is said of the fence, when it was tried.
func fenced(mode builder.Mode, err error) finding {
	if mode == builder.None {
		return finding{Name: "bwrap", Level: warning, Detail: "builds run without a fence (--sandbox=none)",
			Remedy: "let builds be fenced by bubblewrap: --sandbox=bwrap"}
	}
	return verdict("bwrap", err, "", "passes a probe run")
}

// found is what is said of a target's Python, when it was asked.
func (w wanted) found(t agent.Target, err error) finding {
	return verdict("python", err, w.remedy(),
		"%s %s%s, pip %s, target %s", t.Python.Path, t.Python.Version, in(t), t.Python.Pip, t.Python.Target())
}

// compiles is what is said of a target's compiler, when it has made an extension module.
func compiles(t agent.Target, cc string, err error) finding {
	return verdict("compiler", err, "", "%s%s", cc, in(t))
}

// in names the root of a target, where it is not the machine's own.
func in(t agent.Target) string {
	if filepath.Clean(t.Root) == builder.HostRoot {
		return ""
	}
	return " in " + t.Root
}

// remedy is what to do about a Python that cannot be used. What is wrong with a root
// says that itself, since apt on this machine does not reach into it.
func (w wanted) remedy() string {
	if !w.isHost() {
		return ""
	}
	return "apt install python3 python3-pip python3-venv, or name one with --python"
}

// verdict is a problem if there is an error, whose words often hold the remedy.
func verdict(name string, err error, remedy, good string, args ...any) finding {
	if err != nil {
		return finding{Name: name, Level: problem, Detail: cli.OneLine(err.Error()), Remedy: remedy}
	}
	return finding{Name: name, Level: fine, Detail: fmt.Sprintf(good, args...)}
}

// examineMachine reads what the machine says of itself.
func (d *doctor) examineMachine(ctx context.Context) []finding {
	return []finding{d.space(), d.heat(), d.supply(ctx)}
}

// wantSpace is what a build of some size and its log need, in bytes.
const wantSpace = 2 << 30

// space looks where the state folder is, or would be made.
func (d *doctor) space() finding {
	dir := d.set.StateDir
	for dir != "/" && dir != "." {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			break
		}
		dir = filepath.Dir(dir)
	}
	const remedy = "free space there, or choose another --state-dir"
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return verdict("space", fmt.Errorf("%s: %w", dir, err), remedy, "")
	}
	free, least := d.sensors.DiskFree(dir), int64(d.set.MinDisk)
	f := finding{Name: "space", Level: fine, Detail: fmt.Sprintf("%s free in %s", gigabytes(free), dir)}
	files := d.sensors.FilesFree(dir)
	switch {
	case files >= 0 && files < agent.LeastFiles:
		f.Level, f.Detail, f.Remedy = problem, f.Detail+fmt.Sprintf(", and room for %d more files: no job is asked for", files), remedy
	case free < least:
		f.Level, f.Detail, f.Remedy = problem, f.Detail+", less than --min-disk, "+gigabytes(least)+": no job is asked for", remedy
	case free < wantSpace:
		f.Level, f.Detail, f.Remedy = warning, f.Detail+", large builds want "+gigabytes(wantSpace), remedy
	}
	return f
}

func gigabytes(n int64) string { return fmt.Sprintf("%.1f GB", float64(n)/1e9) }

// almost is how near to the limit a temperature is worth a word, in °C.
const almost = 5

func (d *doctor) heat() finding {
	t, limit := d.sensors.Temperature(), float64(d.set.MaxTemperature)
	f := finding{Name: "temperature", Level: fine, Detail: fmt.Sprintf("%.1f °C", t)}
	const remedy = "a heat sink, a fan, air around it"
	switch {
	case t == 0:
		f.Detail = "there is no sensor"
	case limit > 0 && t > limit:
		f.Level, f.Detail, f.Remedy = problem, f.Detail+fmt.Sprintf(", more than --max-temperature, %.0f: no job is asked for", limit), remedy
	case limit > 0 && t > limit-almost:
		f.Level, f.Detail, f.Remedy = warning, f.Detail+fmt.Sprintf(", almost --max-temperature, %.0f", limit), remedy
	}
	return f
}

// supply tells what a Raspberry Pi's firmware does against heat and a weak supply.
func (d *doctor) supply(ctx context.Context) finding {
	t, known := d.sensors.Throttle(ctx)
	f := finding{Name: "throttling", Level: fine, Detail: "none since the start"}
	const supply = "a power supply of 5.1 V and enough current for this board, with a short cable"
	switch now := strings.Join(t.Now(), ", "); {
	case !known && strings.HasPrefix(d.sensors.Model(), "Raspberry Pi"):
		f.Level, f.Detail, f.Remedy = warning, "the firmware does not tell", "apt install libraspberrypi-bin, and put the slave's user into the group video"
	case !known:
		f.Detail = "not asked: this is no Raspberry Pi"
	case t&machine.UnderVoltage != 0: // files are damaged by that, and compilers crash
		f.Level, f.Detail, f.Remedy = problem, "now: "+now, supply
	case now != "":
		f.Level, f.Detail, f.Remedy = warning, "now: "+now, "a heat sink, a fan, air around it"
	case len(t.Since()) > 0:
		f.Level, f.Detail = warning, "not now, but since the start: "+strings.Join(t.Since(), ", ")
		if t&(machine.UnderVoltage<<16) != 0 {
			f.Remedy = supply
		}
	}
	return f
}
