package machine

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
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
	var s Sensors
	total, free := s.Memory("MemTotal"), s.Memory("MemAvailable")
	if total <= 0 || free <= 0 || free > total {
		t.Errorf("memory: %d free of %d", free, total)
	}
	if s.DiskFree(t.TempDir()) <= 0 {
		t.Error("no disk space sensed")
	}
	if s.DiskFree("/no/such/folder") != 0 {
		t.Error("a folder that is not there has space")
	}
}

// put writes a machine's files below a root.
func put(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPi reads the files of a Raspberry Pi 4 that is hot and badly fed.
func TestPi(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, root, map[string]string{
		"proc/device-tree/model":                              "Raspberry Pi 4 Model B Rev 1.4\x00",
		"proc/loadavg":                                        "4.02 3.58 2.59 5/467 12345\n",
		"proc/meminfo":                                        "MemTotal:        3884324 kB\n",
		"sys/class/thermal/thermal_zone0/temp":                "84231\n",
		"sys/class/thermal/thermal_zone1/temp":                "51000\n",
		"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
	})
	s := Sensors{Root: root}
	if s.Model() != "Raspberry Pi 4 Model B Rev 1.4" || s.Load() != 4.02 || s.Memory("MemTotal") != 3884324<<10 || s.Temperature() != 84.231 {
		t.Errorf("%q, %g, %d, %g", s.Model(), s.Load(), s.Memory("MemTotal"), s.Temperature())
	}
	hot := []string{"under-voltage", "throttled"}
	if got, known := s.Throttle(t.Context()); !known || !slices.Equal(got.Now(), hot) || !slices.Equal(got.Since(), hot) {
		t.Errorf("%#x %v: %q, before %q", got, known, got.Now(), got.Since())
	}
}

// TestThrottleWithoutFile asks where the kernel has no file: the program, the driver
// of the supply, or nobody.
func TestThrottleWithoutFile(t *testing.T) {
	t.Parallel()
	pi := map[string]string{"proc/device-tree/model": "Raspberry Pi 3 Model B Plus"}
	tests := map[string]struct {
		files, program string
		want           Throttle
		known          bool
	}{
		"program":        {program: "#!/bin/sh\ntest $1 = get_throttled && echo throttled=0x50000\n", want: 0x50000, known: true},
		"program fails":  {program: "#!/bin/sh\necho 'VCHI initialization failed'; exit 255\n"},
		"program babels": {program: "#!/bin/sh\necho throttled=hot\n"},
		"driver":         {program: "#!/bin/sh\nexit 1\n", files: "1\n", want: 0x10000, known: true},
		"driver is well": {program: "#!/bin/sh\nexit 1\n", files: "0\n", known: true},
	}
	for name, test := range tests {
		// Written before any of them runs: while another one starts a program, a file
		// that is being written may not be run.
		root := t.TempDir()
		put(t, root, pi)
		put(t, root, map[string]string{"vcgencmd": test.program})
		if test.files != "" {
			put(t, root, map[string]string{"sys/class/hwmon/hwmon1/name": "rpi_volt\n", "sys/class/hwmon/hwmon1/in0_lcrit_alarm": test.files,
				"sys/class/hwmon/hwmon0/name": "cpu_thermal\n"})
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, known := Sensors{Root: root, Vcgencmd: filepath.Join(root, "vcgencmd")}.Throttle(t.Context())
			if got != test.want || known != test.known {
				t.Errorf("%#x, %v; want %#x, %v", got, known, test.want, test.known)
			}
		})
	}
	if got, known := (Sensors{Root: t.TempDir()}).Throttle(t.Context()); known {
		t.Errorf("a machine that is no Pi is throttled: %#x", got)
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
