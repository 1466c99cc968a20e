package builder

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pinwheel/internal/farm"
	"pinwheel/internal/pip"
	"pinwheel/internal/proc"
)

// backend is an in-tree PEP 517 backend that needs nothing from any index.
const backend = `
import base64, hashlib, os, subprocess, sys, time, zipfile
NAME = %q
def wheel(d, tag="py3-none-any", **files):
    info = NAME + "-1.0.dist-info/"
    files = {k + ".py": v for k, v in files.items()} or {NAME + ".py": ""}
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: %%s\nVersion: 1.0\n" %% NAME
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: %%s\n" %% tag
    record = info + "RECORD"
    lines = ["%%s,sha256=%%s,%%d" %% (k, base64.urlsafe_b64encode(hashlib.sha256(v.encode()).digest()).rstrip(b"=").decode(), len(v)) for k, v in files.items()]
    files[record] = "\n".join(lines + [record + ",,", ""])
    name = "%%s-1.0-%%s.whl" %% (NAME, tag)
    with zipfile.ZipFile(os.path.join(d, name), "w") as z:
        for k, v in files.items(): z.writestr(k, v)
    return name
def prepare_metadata_for_build_wheel(d, config_settings=None):
    info = os.path.join(d, NAME + "-1.0.dist-info")
    os.mkdir(info)
    with open(os.path.join(info, "METADATA"), "w") as f: f.write("Metadata-Version: 2.1\nName: %%s\nVersion: 1.0\n" %% NAME)
    return os.path.basename(info)
def build_wheel(d, config_settings=None, metadata_directory=None):
`

// sdist makes a source archive whose build runs the body, which has the
// wheel folder in d and must return wheel(d).
func sdist(t *testing.T, name, body string) []byte {
	t.Helper()
	return sdistRequiring(t, name, "", body)
}

// sdistRequiring is an sdist that requires something to be built with.
func sdistRequiring(t *testing.T, name, requires, body string) []byte {
	t.Helper()
	if requires != "" {
		requires = `"` + requires + `"`
	}
	code := fmt.Sprintf(backend, name)
	for line := range strings.Lines(strings.TrimSpace(body)) {
		code += "    " + line
	}
	return archive(t, name, map[string]string{
		"bk.py":          code + "\n",
		"pyproject.toml": "[build-system]\nrequires = [" + requires + "]\nbuild-backend = \"bk\"\nbackend-path = [\".\"]\n",
		"PKG-INFO":       "Metadata-Version: 2.1\nName: " + name + "\nVersion: 1.0\n",
	})
}

// archive makes a source archive of name 1.0 with these files.
func archive(t *testing.T, name string, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for file, text := range files {
		must(t, w.WriteHeader(&tar.Header{Name: name + "-1.0/" + file, Mode: 0o644, Size: int64(len(text))}))
		_, err := w.Write([]byte(text))
		must(t, err)
	}
	must(t, w.Close())
	must(t, z.Close())
	return b.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// index serves the conformance sdists and the given ones, by project name.
func index(t *testing.T, more map[string][]byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/{name}/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<a href="/files/%[1]s-1.0.tar.gz">%[1]s-1.0.tar.gz</a>`, strings.ReplaceAll(r.PathValue("name"), "-", "_"))
	})
	mux.HandleFunc("/files/{file}", func(w http.ResponseWriter, r *http.Request) {
		if b, ok := more[strings.TrimSuffix(r.PathValue("file"), "-1.0.tar.gz")]; ok {
			w.Write(b)
			return
		}
		http.ServeFile(w, r, filepath.Join("testdata", "badsdists", filepath.Base(r.PathValue("file"))))
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/simple/"
}

// findPython asks once what takes a second.
var findPython = sync.OnceValues(func() (pip.Python, error) {
	py, _, err := pip.Find(context.Background(), "", proc.BuildUser())
	return py, err
})

// modes are those to test here. Without a working bwrap its tests fail, with
// the remedy: a fence that nobody tests is none. PINWHEEL_TEST_NO_BWRAP=1 says
// that one knows.
func modes() []Mode {
	if os.Getenv("PINWHEEL_TEST_NO_BWRAP") == "1" {
		return []Mode{None}
	}
	return []Mode{Bwrap, None}
}

func bwrapOnly(t *testing.T) {
	t.Helper()
	if os.Getenv("PINWHEEL_TEST_NO_BWRAP") == "1" {
		t.Skip("PINWHEEL_TEST_NO_BWRAP=1")
	}
}

// newBuild is a build of name==1.0 in a folder of its own that the build user
// can enter. What it made is not imported: TestImports and its neighbours ask for that.
func newBuild(t *testing.T, mode Mode, name, url string) Build {
	t.Helper()
	py, err := findPython()
	must(t, err)
	user := proc.BuildUser()
	dir, err := proc.SharedTempDir("builder-test-", user)
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return Build{Package: name, Version: "1.0", IndexURL: url, Python: py, Mode: mode, User: user,
		Limits: farm.Limits{Timeout: 4 * time.Minute, LogLimit: 1 << 20}, SkipImports: true,
		Dir: filepath.Join(dir, "b"), LogPath: filepath.Join(dir, "log")}
}

// build runs b and checks what must hold after every build.
func build(t *testing.T, b Build) Result {
	t.Helper()
	r, err := Run(t.Context(), b)
	must(t, err)
	nothingLeft(t, b)
	switch built := r.Outcome == farm.OutcomeBuilt; {
	case built && (len(r.Wheels) != 1 || r.Failure != farm.Failure{} || r.Excerpt != ""):
		t.Errorf("built, but %+v", r)
	case !built && (r.Outcome != farm.OutcomeFailed || len(r.Wheels) != 0 || !r.Failure.Cause.Valid()):
		t.Errorf("not built, but %+v", r)
	}
	if len(r.Excerpt) > farm.MaxExcerpt || r.Excerpt != farm.Clean(r.Excerpt) {
		t.Errorf("excerpt %q", r.Excerpt)
	}
	info, err := os.Stat(b.LogPath)
	must(t, err)
	if info.Size() != r.Log.Size || r.Log.Size > b.Limits.LogLimit {
		t.Errorf("the log has %d bytes, is told as %d, limit %d", info.Size(), r.Log.Size, b.Limits.LogLimit)
	}
	if r.Record.Seconds <= 0 || r.Record.PeakRSS < 1<<20 || r.Record.Compiler == "" || r.Record.Sandbox != string(b.Mode) {
		t.Errorf("record %+v", r.Record)
	}
	return r
}

// nothingLeft checks that neither process nor file of a build is there.
func nothingLeft(t *testing.T, b Build) {
	t.Helper()
	entries, err := os.ReadDir(b.Dir)
	must(t, err)
	for _, e := range entries {
		if e.Name() != "out" {
			t.Errorf("the build left %s", e.Name())
		}
	}
	if left := inBox(t, b.Dir); len(left) > 0 {
		t.Errorf("still there: %v", left)
	}
}

// inBox lists the processes, as number and command line, that work in the box
// below dir: by their arguments, their environment or what is mounted for them.
func inBox(t *testing.T, dir string) map[int]string {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	found := map[int]string{}
	for _, p := range procs {
		pid, err := strconv.Atoi(filepath.Base(p))
		must(t, err)
		args, _ := os.ReadFile(filepath.Join(p, "cmdline")) // gone is fine, here and below
		env, _ := os.ReadFile(filepath.Join(p, "environ"))
		mounts, _ := os.ReadFile(filepath.Join(p, "mountinfo"))
		if bytes.Contains(slices.Concat(args, env, mounts), []byte(filepath.Join(dir, "box"))) {
			found[pid] = string(args)
		}
	}
	return found
}

func readLog(t *testing.T, b Build) string {
	t.Helper()
	text, err := os.ReadFile(b.LogPath)
	must(t, err)
	return string(text)
}
