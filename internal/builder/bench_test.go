package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// BenchmarkFence starts a program that does nothing in the fence of a build, with limits
// and a watch, until all of it is gone; in turn with the same program as the same user
// without any of that.
func BenchmarkFence(b *testing.B) {
	user := proc.BuildUser()
	dir, err := proc.SharedTempDir("builder-bench-", user)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	x, err := openBox(Build{Dir: filepath.Join(dir, "b"), Mode: Bwrap, User: user, Python: pip.Python{Path: "/usr/bin/python3"}})
	if err != nil {
		b.Fatal(err)
	}
	limits := farm.Limits{}.Fill()
	var fenced, plain []time.Duration
	for b.Loop() {
		log, err := newLog(dir, limits.LogLimit)
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		end, err := x.execute(b.Context(), limits, log, []string{"/bin/true"})
		fenced = append(fenced, time.Since(began))
		log.close()
		if err != nil || end.code != 0 {
			b.Fatal(end, err)
		}
		cmd := exec.CommandContext(b.Context(), "/bin/true")
		user.Apply(cmd)
		began = time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		plain = append(plain, time.Since(began))
	}
	middle := func(list []time.Duration) float64 {
		slices.Sort(list)
		return list[len(list)/2].Seconds() * 1000
	}
	b.ReportMetric(middle(fenced), "fenced-ms")
	b.ReportMetric(middle(plain), "plain-ms")
	b.ReportMetric(fenced[len(fenced)*9/10].Seconds()*1000, "fenced-p90-ms")
}
