package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

// Demo is a farm that does not exist, for a look at the dashboard without one. All that
// it shows follows from the time, so it goes on by itself and two are alike.
type Demo struct {
	now    func() time.Time
	slaves int

	mu     sync.Mutex
	paused map[string]bool
}

// NewDemo invents a farm of so many slaves.
func NewDemo(now func() time.Time, slaves int) *Demo {
	return &Demo{now: now, slaves: slaves, paused: map[string]bool{}}
}

// Place implements Source.
func (d *Demo) Place() Place {
	return Place{Where: "invented.example", Name: "demo", Role: farm.RoleOperator, Demo: true}
}

func demoPackages() []string {
	return []string{"numpy 2.3.1", "lxml 6.0.0", "cryptography 45.0.4", "pillow 11.3.0", "pandas 2.3.0", "grpcio 1.73.1",
		"scipy 1.16.0", "aiohttp 3.12.13", "psutil 7.0.0", "pyyaml 6.0.2", "cffi 1.17.1", "bcrypt 4.3.0", "orjson 3.10.18"}
}

func demoTargets() []string {
	return []string{"cp39-linux_armv7l", "cp311-linux_armv7l", "cp313-linux_armv7l"}
}

// wave is a number from 0 to 1 that wanders with time, each slave in its own way.
func wave(at time.Time, which int, slow float64) float64 {
	x := float64(at.Unix())/slow + float64(which)*1.7
	return (math.Sin(x) + math.Sin(x*0.37+float64(which)) + 2) / 4
}

// work is what a slave builds at a time: one job after another, each for some minutes.
func (d *Demo) work(i int, at time.Time) (b bus.BuildNow) {
	long := int64(90 + 37*(i%7)) // seconds
	turn := at.Unix() / long
	list, targets := demoPackages(), demoTargets()
	var name, version string
	fmt.Sscan(list[(int(turn)+i*5)%len(list)], &name, &version)
	build := turn*int64(d.slaves) + int64(i)
	return bus.BuildNow{
		Build: build % 1_000_000, Job: build % 100_000, Package: name, Version: version, Target: targets[(int(turn)+i)%len(targets)],
		Slave: demoSlave(i), Since: time.Unix(turn*long, 0), Deadline: at.Add(time.Minute),
	}
}

func demoSlave(i int) string { return fmt.Sprintf("pi-%02d", i+1) }

// Snapshot implements Source.
func (d *Demo) Snapshot(context.Context) (bus.Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.now()
	s := bus.Snapshot{
		At: at, Version: "demo", Packages: 412_331, Releases: 5_204_118, Wheels: 1_904_233, WheelBytes: 1_480 << 30, NotYet: 812,
		Ingest:  bus.IngestNow{Source: "changelog", Serial: 29_000_000 + at.Unix()%1e6, Asked: ago(at, 4), Moved: ago(at, 9), Reading: at.Unix() % 5, Oldest: at.Unix() % 3},
		Publish: bus.PublishNow{Pages: at.Unix() / 3 % 4, Oldest: at.Unix() % 2},
	}
	for i, t := range demoTargets() {
		jobs := map[string]int64{"waiting": 80_000 - int64(i)*30_000, "queued": 120_431 + at.Unix()%97, "built": 812_330 + at.Unix()/7%1000,
			"failed": 41_020, "covered": 903_112, "skipped": 220_145}
		now := bus.TargetNow{Target: t, Jobs: jobs}
		for n, p := range demoPackages()[i : i+5] {
			var name, version string
			fmt.Sscan(p, &name, &version)
			now.Next = append(now.Next, bus.QueuedNow{Package: name, Version: version, Priority: farm.Priorities()[n%4], Since: at.Add(-time.Duration(n) * time.Hour)})
		}
		s.Targets = append(s.Targets, now)
	}
	for i := range d.slaves {
		d.slave(&s, i, at)
	}
	slices.SortFunc(s.Builds, func(a, b bus.BuildNow) int { return a.Since.Compare(b.Since) })
	d.rest(&s, at)
	return s, nil
}

func ago(at time.Time, seconds int) *time.Time {
	t := at.Add(-time.Duration(seconds) * time.Second)
	return &t
}

func (d *Demo) slave(s *bus.Snapshot, i int, at time.Time) {
	beat := at.Truncate(30 * time.Second).Add(time.Duration(i%30) * time.Second)
	if beat.After(at) {
		beat = beat.Add(-30 * time.Second)
	}
	one := bus.SlaveNow{Name: demoSlave(i), Machine: "Raspberry Pi 3 Model B Plus Rev 1.3", LastSeen: &beat, Memory: 1 << 30, Paused: d.paused[demoSlave(i)]}
	one.Pulse = farm.Pulse{
		Load: math.Round(wave(beat, i, 200)*40) / 10, Temperature: math.Round(45 + 35*wave(beat, i, 300)),
		MemoryFree: int64(float64(900<<20) * (1 - wave(beat, i, 120))), DiskFree: int64(float64(20<<30) * wave(beat, i, 900)),
	}
	b := d.work(i, at)
	switch {
	case i%11 == 7:
		gone := at.Truncate(time.Hour).Add(-17 * time.Minute)
		one.LastSeen = &gone
	case i%13 == 9:
		one.Pulse.Unfit = "hot: 84.3 °C, over 80"
	case !one.Paused:
		s.Targets[slices.Index(demoTargets(), b.Target)].Jobs["leased"]++
		s.Builds = append(s.Builds, b)
		one.Pulse.Doing = "building " + b.Package + " " + b.Version
	}
	s.Slaves = append(s.Slaves, one)
}

// rest are rates and failures.
func (d *Demo) rest(s *bus.Snapshot, at time.Time) {
	s.Pace.Span = 3600
	for i := range 60 {
		minute := at.Truncate(time.Minute).Add(time.Duration(i-59) * time.Minute)
		s.Pace.Built = append(s.Pace.Built, int64(12*wave(minute, 3, 500)))
		s.Pace.Failed = append(s.Pace.Failed, int64(3*wave(minute, 5, 400)))
		s.Pace.Lost = append(s.Pace.Lost, 0)
	}
	for i, f := range []bus.FailureNow{
		{Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev", Jobs: 12_031, Week: 31, Package: "cffi", Version: "1.11.5"},
		{Cause: farm.PythonSyntax, Detail: "print statement", Jobs: 9_120, Week: 2, Package: "mysql-python", Version: "1.2.5"},
		{Cause: farm.CompilerError, Detail: "error: unknown type name", Jobs: 4_410, Week: 88, Package: "gevent", Version: "1.2.2"},
		{Cause: farm.Timeout, Detail: "after 3h", Jobs: 310, Week: 4, Package: "tensorflow", Version: "2.19.0"},
	} {
		f.Target, f.Build, f.At = demoTargets()[i%3], int64(900_000+i), at.Add(-time.Duration(i+1)*time.Hour)
		s.Failures = append(s.Failures, f)
	}
}

// Steer implements Source: it plays along.
func (d *Demo) Steer(_ context.Context, m bus.Steer) (bus.Steered, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch m.Do {
	case bus.SteerPause, bus.SteerResume:
		d.paused[m.Slave] = m.Do == bus.SteerPause
	}
	return bus.Steered{Said: "demo: nothing real was done (" + m.Do + ")"}, nil
}

// Log implements Source.
func (d *Demo) Log(_ context.Context, build, _ int64) (bus.LogPart, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.now()
	for i := range d.slaves {
		if b := d.work(i, at); b.Build == build {
			return bus.LogPart{Build: b.Build, Job: b.Job, Package: b.Package, Version: b.Version, Target: b.Target, Slave: b.Slave}, nil
		}
	}
	text := "Collecting cffi==1.11.5\n  Building wheel (pyproject.toml): started\n  c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory\n" +
		"   15 | #include <ffi.h>\n  compilation terminated.\n  error: command 'gcc' failed with exit code 1\n"
	return bus.LogPart{Build: build, Package: "cffi", Version: "1.11.5", Target: demoTargets()[0], Slave: "pi-03", Outcome: "failed",
		Cause: farm.MissingHeader, Detail: "ffi.h", Hint: "apt: libffi-dev", Data: []byte("(invented)\n" + text)}, nil
}

// every calls f each so often until stop, which waits for it.
func every(long time.Duration, f func(n int)) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(long)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				f(n)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-done }
}

// Events implements Source.
func (d *Demo) Events(f func(bus.Event)) (func(), error) {
	return every(1500*time.Millisecond, func(n int) {
		at := d.now()
		b := d.work(n%d.slaves, at)
		kind := []string{"leased", "built", "leased", "failed", "built"}[n%5]
		f(bus.Event{Kind: kind, Package: b.Package, Version: b.Version, Target: b.Target, Slave: b.Slave, At: at})
	}), nil
}

// Follow implements Source.
func (d *Demo) Follow(job int64, f func(bus.LogChunk)) (func(), error) {
	var written int64
	return every(400*time.Millisecond, func(n int) {
		line := fmt.Appendf(nil, "  gcc -Wall -O2 -fPIC -c src/part%03d.c -o build/part%03d.o\n", n, n)
		f(bus.LogChunk{Job: job, Offset: written, Data: line})
		written += int64(len(line))
	}), nil
}
