package agent

import (
	"math"
	"testing"
	"time"

	"pinwheel/internal/bus"
)

func TestMemInfo(t *testing.T) {
	t.Parallel()
	text := "MemTotal:        3884324 kB\nMemFree:          201 kB\nMemAvailable:    2923408 kB\nHugePages_Total:   0\nBad: x kB\n"
	for field, want := range map[string]int64{
		"MemTotal": 3884324 << 10, "MemAvailable": 2923408 << 10, "HugePages_Total": 0, "Bad": 0, "Mem": 0,
	} {
		if got := memInfo(text, field); got != want {
			t.Errorf("%s = %d, want %d", field, got, want)
		}
	}
}

func TestLoadAverage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"0.52 0.58 0.59 1/467 12345\n": 0.52, "": 0, "x y": 0, "12.00": 12} {
		if got := loadAverage(text); got != want {
			t.Errorf("loadAverage(%q) = %g, want %g", text, got, want)
		}
	}
}

func TestMilliDegrees(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"48312\n": 48.312, "-5000": -5, "": 0, "hot": 0, "99999999999": 0} {
		if got := milliDegrees(text); got != want {
			t.Errorf("milliDegrees(%q) = %g, want %g", text, got, want)
		}
	}
}

func TestThisMachineIsSensed(t *testing.T) {
	t.Parallel()
	total, free := senseMemory("MemTotal"), senseMemory("MemAvailable")
	if total <= 0 || free <= 0 || free > total {
		t.Errorf("memory: %d free of %d", free, total)
	}
	if diskFree(t.TempDir()) <= 0 {
		t.Error("no disk space sensed")
	}
	if diskFree("/no/such/folder") != 0 {
		t.Error("a folder that is not there has space")
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	tests := []struct {
		welcome bus.Welcome
		want    time.Duration
	}{
		{bus.Welcome{Beat: time.Second, Lease: time.Minute}, time.Second},
		{bus.Welcome{Lease: time.Minute}, 20 * time.Second},
		{bus.Welcome{}, 20 * time.Second},
		{bus.Welcome{Beat: -1, Lease: -1}, 20 * time.Second},
	}
	for _, test := range tests {
		if got := interval(test.welcome); got != test.want {
			t.Errorf("interval(%+v) = %v, want %v", test.welcome, got, test.want)
		}
	}
}

func FuzzSense(f *testing.F) {
	f.Add("MemTotal: 1 kB\n")
	f.Add("0.5 0.6")
	f.Add("NaN")
	f.Fuzz(func(t *testing.T, text string) {
		if n := memInfo(text, "MemTotal"); n < 0 {
			t.Errorf("memory %d", n)
		}
		if load := loadAverage(text); load < 0 || math.IsNaN(load) || math.IsInf(load, 0) {
			t.Errorf("load %g", load)
		}
		if d := milliDegrees(text); math.Abs(d) > 3e6 {
			t.Errorf("temperature %g", d)
		}
	})
}
