package bench_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"pinwheel/internal/builder"
	"pinwheel/internal/farm"
	"pinwheel/internal/farmtest"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// backend compiles one generated C file of the sdist again and again, as often
// as UNITS says, and makes a pure wheel: all the time goes to the compiler, as in
// a real build.
const backend = `
import base64, hashlib, os, subprocess, zipfile
UNITS = %d

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open("unit.c", "w") as f:
        for i in range(400):
            f.write("int f%%d(int *a, int n) { int s = %%d; for (int i = 0; i < n; i++) for (int j = 0; j < i; j++) s += a[i] * a[j] + j; return s; }\n" %% (i, i))
    for i in range(UNITS):
        subprocess.check_call(["cc", "-O2", "-c", "unit.c", "-o", "unit.o"])
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

// BenchmarkBuild builds in the sandbox in turn with plain `pip wheel` of the same
// Python, user and options. Units 0 shows the fixed cost, the other the factor on
// a build of some 20 s.
func BenchmarkBuild(b *testing.B) {
	for _, units := range []int{0, 8} {
		b.Run(fmt.Sprintf("units=%d", units), func(b *testing.B) {
			url, py, user := index(b, units), farmtest.Python(b), proc.BuildUser()
			dir, err := proc.SharedTempDir("pinwheel-bench-", user)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { os.RemoveAll(dir) })
			var ours, theirs, differences []time.Duration
			for range b.N {
				o, t := sandboxed(b, dir, url, py, user), plainWheel(b, dir, url, py, user)
				ours, theirs, differences = append(ours, o), append(theirs, t), append(differences, o-t)
			}
			b.ReportMetric(quantile(ours, 0.5)/1000, "build-s")
			b.ReportMetric(quantile(theirs, 0.5)/1000, "plain-s")
			b.ReportMetric(quantile(differences, 0.5), "more-ms")
			b.ReportMetric(quantile(ours, 0.5)/quantile(theirs, 0.5), "x-plain")
		})
	}
}

func sandboxed(b *testing.B, dir, url string, py pip.Python, user proc.User) time.Duration {
	b.Helper()
	began := time.Now()
	res, err := builder.Run(b.Context(), builder.Build{Package: "slow", Version: "1.0", IndexURL: url, Python: py,
		Mode: builder.Bwrap, User: user, SkipImports: true, Dir: filepath.Join(dir, "b"), LogPath: filepath.Join(dir, "log")})
	took := time.Since(began)
	if err != nil || res.Outcome != farm.OutcomeBuilt {
		b.Fatal(res.Failure, res.Excerpt, err)
	}
	return took
}

func plainWheel(b *testing.B, dir, url string, py pip.Python, user proc.User) time.Duration {
	b.Helper()
	home := filepath.Join(dir, "plain")
	if err := os.MkdirAll(home, 0o755); err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(home)
	if err := user.Chown(home); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), py.Path, "-m", "pip", "wheel", "--no-deps", "--no-binary", "slow", "--prefer-binary",
		"--no-cache-dir", "--wheel-dir", home, "--index-url", url, "slow==1.0")
	cmd.Dir, cmd.Env = home, append(py.CleanEnv(home, ""), "TMPDIR="+home)
	user.Apply(cmd)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	return time.Since(began)
}
