package bench_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/builder"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
	"pinwheel/internal/proxy"
)

// backend compiles one generated C file of the sdist again and again, as often
// as UNITS says, and makes a pure wheel: all the time goes to the compiler, as in
// a real build. It says what each time took, on the clock and of a processor.
const backend = `
import base64, hashlib, os, resource, subprocess, time, zipfile
UNITS = %d

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open("unit.c", "w") as f:
        for i in range(400):
            f.write("int f%%d(int *a, int n) { int s = %%d; for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) s += a[i] * a[j] + j; return s; }\n" %% (i, i))
    for i in range(UNITS):
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.check_call(["cc", "-O2", "-c", "unit.c", "-o", "unit.o"])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        print("unit took %%f of %%f" %% (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began), flush=True)
    info = "slow-1.0.dist-info/"
    files = {"slow.py": b"x = 1\n",
             info + "METADATA": b"Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n",
             info + "WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join("%%s,sha256=%%s,%%d\n" %% (n, base64.urlsafe_b64encode(hashlib.sha256(b).digest()).rstrip(b"=").decode(), len(b)) for n, b in files.items())
    files[info + "RECORD"] = (record + info + "RECORD,,\n").encode()
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as z:
        for n, b in files.items():
            z.writestr(n, b)
    return name
`

// index serves one sdist whose build compiles units times.
func index(b *testing.B, units int) string {
	b.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for name, body := range map[string]string{
		"slow-1.0/PKG-INFO":       "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n",
		"slow-1.0/pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = \"_backend\"\nbackend-path = [\".\"]\n",
		"slow-1.0/_backend.py":    fmt.Sprintf(backend, units),
	} {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
			b.Fatal(err)
		}
		if _, err := tw.Write([]byte(body)); err != nil {
			b.Fatal(err)
		}
	}
	tw.Close()
	zw.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/slow/", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!DOCTYPE html><html><body><a href="/slow-1.0.tar.gz">slow-1.0.tar.gz</a></body></html>`)
	})
	mux.HandleFunc("/slow-1.0.tar.gz", func(w http.ResponseWriter, _ *http.Request) { w.Write(out.Bytes()) })
	srv := httptest.NewServer(mux)
	b.Cleanup(srv.Close)
	return srv.URL + "/simple/"
}

// way is one of the two to build the sdist.
type way struct {
	build func(dir string) (took time.Duration, log string)

	took  []time.Duration // whole builds, on the clock
	self  []time.Duration // of a processor: this process's, which watches
	busy  []time.Duration // that, and all that it had started
	clock []time.Duration // of each unit
	cpu   []time.Duration
}

var unitTook = regexp.MustCompile(`unit took ([0-9.]+) of ([0-9.]+)`)

// once builds, and notes what it took.
func (w *way) once(b *testing.B, dir string) {
	b.Helper()
	self, children := processorTime(b, syscall.RUSAGE_SELF), processorTime(b, syscall.RUSAGE_CHILDREN)
	took, log := w.build(dir)
	self = processorTime(b, syscall.RUSAGE_SELF) - self
	children = processorTime(b, syscall.RUSAGE_CHILDREN) - children
	w.took, w.self, w.busy = append(w.took, took), append(w.self, self), append(w.busy, self+children)
	for _, m := range unitTook.FindAllStringSubmatch(log, -1) {
		cpu, err1 := time.ParseDuration(m[1] + "s")
		clock, err2 := time.ParseDuration(m[2] + "s")
		if err := errors.Join(err1, err2); err != nil {
			b.Fatal(err)
		}
		w.cpu, w.clock = append(w.cpu, cpu), append(w.clock, clock)
	}
}

// BenchmarkBuild builds in the sandbox in turn with plain `pip wheel` of the same
// Python, user and options. Units 0 shows the fixed cost, the other the factor on
// a build of some 20 s. Who begins changes from pair to pair, since the speed of a shared
// machine drifts. What drifts within a pair cannot be told from the sandbox, so the units
// are compared too, by those that were least disturbed of each way.
func BenchmarkBuild(b *testing.B) {
	for _, units := range []int{0, 10} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			url, py, user := index(b, units), farmtest.Python(b), proc.BuildUser()
			dir, err := proc.SharedTempDir("pinwheel-bench-", user)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { os.RemoveAll(dir) })
			// As a slave does, which keeps both from build to build.
			net, err := proxy.New(proxy.Config{Bundle: py.Bundle})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(net.Close)
			build := builder.Build{Package: "slow", Version: "1.0", IndexURL: url, Python: py, Mode: builder.Bwrap, User: user,
				SkipImports: true, Proxy: net, Known: &builder.Known{}}
			ours := &way{build: func(dir string) (time.Duration, string) { return sandboxed(b, dir, build) }}
			plain := &way{build: func(dir string) (time.Duration, string) { return plainWheel(b, dir, url, py, user) }}
			var more []time.Duration
			for pair := 0; b.Loop(); pair++ {
				if pair%2 == 0 {
					ours.once(b, dir)
				}
				plain.once(b, dir)
				if pair%2 == 1 {
					ours.once(b, dir)
				}
				more = append(more, ours.took[pair]-plain.took[pair])
			}
			b.ReportMetric(quantile(ours.took, 0.5)/1000, "build-s")
			b.ReportMetric(quantile(plain.took, 0.5)/1000, "plain-s")
			b.ReportMetric(quantile(more, 0.5), "more-ms")
			b.ReportMetric(quantile(ours.took, 0.5)/quantile(plain.took, 0.5), "x-plain")
			b.ReportMetric(quantile(ours.busy, 0.5)/quantile(plain.busy, 0.5), "x-plain-cpu")
			b.ReportMetric(quantile(ours.self, 0.5), "own-cpu-ms")
			if units > 0 {
				b.ReportMetric(quantile(ours.clock, 0.1)/quantile(plain.clock, 0.1), "x-plain-unit")
				b.ReportMetric(quantile(ours.cpu, 0.1)/quantile(plain.cpu, 0.1), "x-plain-unit-cpu")
			}
		})
	}
}

// processorTime is what this process, or all that it has waited for, has taken so far.
func processorTime(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func sandboxed(b *testing.B, dir string, build builder.Build) (time.Duration, string) {
	b.Helper()
	path := filepath.Join(dir, "log")
	build.Dir, build.LogPath = filepath.Join(dir, "b"), path
	began := time.Now()
	res, err := builder.Run(b.Context(), build)
	took := time.Since(began)
	if err != nil || res.Outcome != farm.OutcomeBuilt {
		b.Fatal(res.Failure, res.Excerpt, err)
	}
	log, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	return took, string(log)
}

func plainWheel(b *testing.B, dir, url string, py pip.Python, user proc.User) (time.Duration, string) {
	b.Helper()
	home := filepath.Join(dir, "plain")
	if err := os.MkdirAll(home, 0o755); err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(home)
	if err := user.Chown(home); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), py.Path, "-m", "pip", "wheel", "-v", "--no-deps", "--no-binary", "slow", "--prefer-binary",
		"--no-cache-dir", "--wheel-dir", home, "--index-url", url, "slow==1.0")
	cmd.Dir, cmd.Env = home, append(py.CleanEnv(home, ""), "TMPDIR="+home)
	user.Apply(cmd)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(began), string(out)
}
