package agent

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
	"pinwheel/internal/machine"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	f := Fitness{MaxTemperature: 80, MinDisk: 1 << 30, MaxSkew: 5 * time.Minute}
	well := vitals{temperature: 50, disk: 2 << 30}
	tests := map[string]struct {
		fit    Fitness
		now    vitals
		before string
		want   string
	}{
		"well":                  {f, well, "", ""},
		"no sensor":             {f, vitals{disk: 2 << 30}, "", ""},
		"hot":                   {f, vitals{temperature: 80.1, disk: 2 << 30}, "", "hot: 80.1 °C, over 80"},
		"at the limit":          {f, vitals{temperature: 80, disk: 2 << 30}, "", ""},
		"not cool yet":          {f, vitals{temperature: 76, disk: 2 << 30}, "hot", "hot: 76.0 °C, over 75"},
		"cool again":            {f, vitals{temperature: 75, disk: 2 << 30}, "hot", ""},
		"full":                  {f, vitals{disk: 1<<30 - 1}, "", "full: 1023 MB free in the state folder, want 1024"},
		"nearly full, was full": {f, vitals{disk: 1 << 30}, "full", "full: 1024 MB free in the state folder, want 1126"},
		"nearly full, was hot":  {f, vitals{disk: 1 << 30}, "hot", ""},
		"space again":           {f, vitals{disk: 1200 << 20}, "full", ""},
		"few files":             {f, vitals{disk: 2 << 30, files: 19_999}, "", "full: room for 19999 more files in the state folder, want 20000"},
		"few files, was so":     {f, vitals{disk: 2 << 30, files: 21_999}, "files", "full: room for 21999 more files in the state folder, want 22000"},
		"files enough":          {f, vitals{disk: 2 << 30, files: 22_000}, "files", ""},
		"no limit is a little":  {Fitness{}, vitals{temperature: 120, disk: DefaultMinDisk - 1, skew: 9 * time.Hour}, "", "full: 63 MB free in the state folder, want 64"},
		"no limits":             {Fitness{}, vitals{temperature: 120, disk: DefaultMinDisk, skew: 9 * time.Hour}, "", ""},
		"ahead":                 {f, vitals{disk: 2 << 30, skew: 26 * time.Hour}, "", "clock: 26h0m0s ahead of the farm's, more than 5m0s"},
		"behind, and hot":       {f, vitals{disk: 2 << 30, temperature: 99, skew: -6 * time.Minute}, "", "clock: 6m0s behind the farm's, more than 5m0s"},
		"almost right":          {f, vitals{disk: 2 << 30, skew: -5 * time.Minute}, "", ""},
	}
	for name, test := range tests {
		if got := test.fit.judge(test.now.whole(), ailment{kind: test.before}); got.text != test.want || (got.kind == "") != (test.want == "") {
			t.Errorf("%s: %q, want %q", name, got.text, test.want)
		}
	}
}

// whole is a machine that has no count of files, unless the test says one.
func (v vitals) whole() vitals {
	if v.files == 0 {
		v.files = -1
	}
	return v
}

func TestSkew(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 3, 14, 15, 9, 0, 0, time.UTC)
	answered := asked.Add(2 * time.Second)
	for now, want := range map[time.Time]time.Duration{
		{}: 0, asked: 0, asked.Add(time.Second): 0, answered: 0,
		asked.Add(-time.Hour): time.Hour, answered.Add(time.Minute): -time.Minute,
	} {
		if got := skewOf(asked, now, answered); got != want {
			t.Errorf("skewOf(%v) = %v, want %v", now, got, want)
		}
	}
}

// patient is a machine that a test makes ill: its files, its disk, its clock.
type patient struct {
	t    *testing.T
	root string
	disk atomic.Int64
	less func() int64 // what else has the disk; nil: nothing
	off  atomic.Int64 // of its clock
}

func newPatient(t *testing.T) *patient {
	p := &patient{t: t, root: t.TempDir()}
	p.disk.Store(10 << 30)
	p.heat("51000")
	p.file("proc/device-tree/model", "Raspberry Pi 4 Model B\x00")
	p.file("sys/devices/platform/soc/soc:firmware/get_throttled", "1\n")
	return p
}

func (p *patient) file(name, text string) {
	path := filepath.Join(p.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *patient) heat(milli string) { p.file("sys/class/thermal/thermal_zone0/temp", milli+"\n") }

func (p *patient) config() Config {
	return Config{
		Fitness: Fitness{MaxTemperature: 80, MinDisk: 1 << 30, MaxSkew: 5 * time.Minute},
		Now:     func() time.Time { return time.Now().Add(time.Duration(p.off.Load())) },
		Sensors: machine.Sensors{Root: p.root, DiskUsage: func(_ string, st *syscall.Statfs_t) error {
			free := p.disk.Load()
			if p.less != nil {
				free -= p.less()
			}
			st.Bsize, st.Bavail = 1, uint64(max(free, 0))
			return nil
		}},
	}
}

// TestUnfitTakesNoJobs: whatever is wrong, no job is taken, the beats say why, and
// it goes on by itself when it is over.
func TestUnfitTakesNoJobs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ill, well func(*patient)
		why       string
	}{
		"hot":   {func(p *patient) { p.heat("84231") }, func(p *patient) { p.heat("74000") }, "hot: 84.2 °C, over 80"},
		"full":  {func(p *patient) { p.disk.Store(300 << 20) }, func(p *patient) { p.disk.Store(2 << 30) }, "full: 300 MB free in the state folder, want 1024"},
		"clock": {func(p *patient) { p.off.Store(int64(26 * time.Hour)) }, func(p *patient) { p.off.Store(0) }, "clock: 26h0m0s ahead of the farm's, more than 5m0s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, m := newPatient(t), newMaster(t)
			test.ill(p)
			beats := make(chan bus.Beat, 1024)
			m.hello = func(bus.Hello) bus.Welcome {
				w := m.welcome()
				w.Now = time.Now()
				return w
			}
			m.beat = func(b bus.Beat) bus.BeatReply {
				beats <- b
				return bus.BeatReply{Now: time.Now()}
			}
			m.serve(m.farm.Master)
			m.leases <- lease(1) // it waits from before the first question
			s := m.prepareSlave(p.config(), goodBuild).start()
			var b bus.Beat
			for range 6 {
				b = receive(t, beats)
			}
			if !strings.HasPrefix(b.Unfit, strings.SplitAfter(test.why, ",")[0]) || b.Doing != "takes no job, "+b.Unfit {
				t.Errorf("the beat says %q, %q; want %q", b.Unfit, b.Doing, test.why)
			}
			if b.Machine != "Raspberry Pi 4 Model B" || len(b.Throttled) != 1 || b.Throttled[0] != "under-voltage" {
				t.Errorf("the beat of a Pi: %+v", b)
			}
			if len(m.leases) != 1 {
				t.Error("an unfit slave took a job")
			}
			test.well(p)
			s.wait(Accepted, "TOKEN1")
			for b := range beats {
				if b.Unfit == "" {
					break
				}
			}
		})
	}
}

// TestIllWhileItBuilds: what is under way is finished and reported, but nothing more
// is taken.
func TestIllWhileItBuilds(t *testing.T) {
	t.Parallel()
	p, m := newPatient(t), newMaster(t)
	begun, goOn := make(chan string, 8), make(chan struct{})
	beats := make(chan bus.Beat, 1024)
	m.beat = func(b bus.Beat) bus.BeatReply {
		beats <- b
		return bus.BeatReply{Now: time.Now()}
	}
	m.serve(m.farm.Master)
	s := m.prepareSlave(p.config(), heldBuild(begun, goOn)).start()
	m.leases <- lease(1)
	receive(t, begun)
	p.heat("90000")
	for b := receive(t, beats); b.Unfit == ""; b = receive(t, beats) {
	}
	m.leases <- lease(2)
	close(goOn)
	if r := receive(t, m.reports); r.Token != "TOKEN1" || r.Outcome != farm.OutcomeBuilt {
		t.Errorf("report = %+v", r)
	}
	for range 6 {
		receive(t, beats)
	}
	if len(m.leases) != 1 {
		t.Error("a hot slave took another job")
	}
	p.heat("60000")
	s.wait(Accepted, "TOKEN2")
}

// TestCacheMakesRoom: the cache of downloads never keeps a slave below min-disk: neither
// one of an earlier run, at the start, nor one that was there when others filled the
// disk. What was used last stays longest.
func TestCacheMakesRoom(t *testing.T) {
	t.Parallel()
	p, m := newPatient(t), newMaster(t)
	state := t.TempDir()
	cache := filepath.Join(state, "cache")
	p.less = func() (size int64) {
		entries, err := os.ReadDir(cache)
		if err != nil {
			return 0
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil {
				size += info.Size()
			}
		}
		return size
	}
	if err := os.Mkdir(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	older, newer, newest := strings.Repeat("a", 64), strings.Repeat("b", 64), strings.Repeat("c", 64)
	for i, name := range []string{older, newer, newest} {
		path := filepath.Join(cache, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, 400<<20); err != nil { // holes: it counts as that much here
			t.Fatal(err)
		}
		if at := time.Now().Add(time.Duration(i-10) * time.Hour); os.Chtimes(path, at, at) != nil {
			t.Fatal("cannot set times")
		}
	}
	p.disk.Store(2100 << 20) // 900 MB are left: below min-disk
	beats := make(chan bus.Beat, 1024)
	m.beat = func(b bus.Beat) bus.BeatReply { beats <- b; return bus.BeatReply{} }
	m.serve(m.farm.Master)
	m.leases <- lease(1)
	cfg := p.config()
	cfg.StateDir = state
	s := m.prepareSlave(cfg, goodBuild).start()
	s.wait(Accepted, "TOKEN1")
	onlyNames(t, cache, newer, newest)

	p.disk.Store(1600 << 20) // somebody else wrote
	for len(beats) > 0 {
		<-beats
	}
	receive(t, beats)
	receive(t, beats) // this one comes after a look at the disk
	m.leases <- lease(2)
	s.wait(Accepted, "TOKEN2")
	onlyNames(t, cache, newest)
	p.disk.Store(1000 << 20) // not the cache's doing, and still it goes
	for b := receive(t, beats); b.Unfit == ""; b = receive(t, beats) {
	}
	onlyNames(t, cache)
}
