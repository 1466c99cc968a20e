package corpus

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"pinwheel/internal/farm"
	"pinwheel/internal/pep"
	"pinwheel/internal/pip"
)

// tried is one case: a project that does not build, and how that is to be told.
type tried struct {
	name  string
	wants []wanted
	limit time.Duration
	serve []string                     // lines of serve:
	files map[string]map[string]string // sdists and wheels by stem, their files by path
}

// wanted is what a case must be told as where its conditions hold.
type wanted struct {
	from    string // Python's version
	pip     string // pip's
	without string // program
	built   bool
	cause   farm.Cause
	detail  *regexp.Regexp
	hint    string
}

var wantLine = regexp.MustCompile(`^want(?: from (\d\S*))?(?: from pip (\d\S*))?(?: without (\S+))?: (.*)$`)

func cases(t *testing.T) []tried {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "cases", "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	var all []tried
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		must(t, err)
		c := tried{name: strings.TrimSuffix(filepath.Base(path), ".txtar"), limit: 5 * time.Minute, files: map[string]map[string]string{}}
		for line := range strings.Lines(string(a.Comment)) {
			if err := c.line(strings.TrimSpace(line)); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
		}
		for _, f := range a.Files {
			stem, rest, _ := strings.Cut(f.Name, "/")
			if c.files[stem] == nil {
				c.files[stem] = map[string]string{}
			}
			c.files[stem][rest] = string(f.Data)
		}
		if len(c.wants) == 0 {
			t.Fatalf("%s wants nothing", path)
		}
		all = append(all, c)
	}
	return all
}

func (c *tried) line(line string) (err error) {
	if d, ok := strings.CutPrefix(line, "limit: "); ok {
		c.limit, err = time.ParseDuration(d)
		return err
	}
	if s, ok := strings.CutPrefix(line, "serve: "); ok {
		c.serve = append(c.serve, s)
		return nil
	}
	m := wantLine.FindStringSubmatch(line)
	if m == nil {
		return nil
	}
	w := wanted{from: m[1], pip: m[2], without: m[3], built: m[4] == "built"}
	if !w.built {
		f := strings.Split(m[4]+" ", " | ")
		if len(f) != 3 || !farm.Cause(f[0]).Valid() {
			return fmt.Errorf("%q: want CAUSE | DETAIL | HINT", line)
		}
		w.cause, w.hint = farm.Cause(f[0]), strings.TrimSpace(f[2])
		w.detail, err = regexp.Compile("^(?:" + f[1] + ")$")
	}
	c.wants = append(c.wants, w)
	return err
}

// want is the last of the wants that holds for builds with a Python.
func (c *tried) want(t *testing.T, py pip.Python) wanted {
	t.Helper()
	var last *wanted
	for i, w := range c.wants {
		if !older(t, py.Version, w.from) && !older(t, py.Pip, w.pip) && (w.without == "" || !onPath(py, w.without)) {
			last = &c.wants[i]
		}
	}
	if last == nil {
		t.Fatalf("nothing is wanted with Python %s", py.Version)
	}
	return *last
}

// older says whether a is before b; nothing is before no version.
func older(t *testing.T, a, b string) bool {
	t.Helper()
	if b == "" {
		return false
	}
	va, err := pep.ParseVersion(a)
	must(t, err)
	vb, err := pep.ParseVersion(b)
	must(t, err)
	return va.Compare(vb) < 0
}

// onPath looks where builds look.
func onPath(py pip.Python, name string) bool {
	for _, entry := range py.CleanEnv("/nonexistent", "") {
		path, ok := strings.CutPrefix(entry, "PATH=")
		for _, dir := range filepath.SplitList(path) {
			if _, err := exec.LookPath(filepath.Join(dir, name)); ok && err == nil {
				return true
			}
		}
	}
	return false
}

// backend is an in-tree PEP 517 backend that needs nothing from any index.
const backend = `import base64, ctypes, hashlib, os, resource, signal, subprocess, sys, time, zipfile
NAME, VERSION = %q, %q
META = "Metadata-Version: 2.1\nName: " + NAME + "\nVersion: " + VERSION + "\n"
INFO = NAME + "-" + VERSION + ".dist-info"
def wheel(d, tag="py3-none-any"):
    name = NAME + "-" + VERSION + "-" + tag + ".whl"
    with zipfile.ZipFile(os.path.join(d, name), "w") as z:
        z.writestr(NAME + ".py", "")
        z.writestr(INFO + "/METADATA", META)
        z.writestr(INFO + "/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: " + tag + "\n")
        z.writestr(INFO + "/RECORD", "".join(n + ",,\n" for n in z.namelist() + [INFO + "/RECORD"]))
    return name
def prepare_metadata_for_build_wheel(d, config_settings=None):
    os.mkdir(os.path.join(d, INFO))
    with open(os.path.join(d, INFO, "METADATA"), "w") as f: f.write(META)
    return INFO
def build_wheel(d, config_settings=None, metadata_directory=None):
%s
%s
`

const pyproject = "[build-system]\nrequires = []\nbuild-backend = \"bk\"\nbackend-path = [\".\"]\n"

// archives are what the index serves, by file name.
func (c *tried) archives(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for stem, files := range c.files {
		if strings.HasSuffix(stem, ".whl") {
			all[stem] = wheelOf(t, stem, files["METADATA"])
			continue
		}
		all[stem+".tar.gz"] = sdistOf(t, stem, files)
	}
	return all
}

func sdistOf(t *testing.T, stem string, files map[string]string) []byte {
	t.Helper()
	files = maps.Clone(files)
	name, version, _ := strings.Cut(stem, "-")
	if body, ok := files["build.py"]; ok {
		indented := ""
		for line := range strings.Lines(body) {
			indented += "    " + line
		}
		files["bk.py"] = fmt.Sprintf(backend, name, version, indented, files["hooks.py"])
		delete(files, "build.py")
		delete(files, "hooks.py")
		if _, ok := files["pyproject.toml"]; !ok {
			files["pyproject.toml"] = pyproject
		}
	}
	if raw, ok := files["raw"]; ok { // no archive at all
		return []byte(raw)
	}
	if _, ok := files["PKG-INFO"]; !ok {
		files["PKG-INFO"] = "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n"
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		must(t, w.WriteHeader(&tar.Header{Name: stem + "/" + path, Mode: 0o755, Size: int64(len(files[path]))}))
		_, err := w.Write([]byte(files[path]))
		must(t, err)
	}
	must(t, w.Close())
	must(t, z.Close())
	return b.Bytes()
}

func wheelOf(t *testing.T, filename, metadata string) []byte {
	t.Helper()
	parts := strings.Split(filename, "-")
	info := parts[0] + "-" + parts[1] + ".dist-info/"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{parts[0] + ".py", ""},
		{info + "METADATA", "Metadata-Version: 2.1\nName: " + parts[0] + "\nVersion: " + parts[1] + "\n" + metadata},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", parts[0] + ".py,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	} {
		w, err := z.Create(f[0])
		must(t, err)
		_, err = w.Write([]byte(f[1]))
		must(t, err)
	}
	must(t, z.Close())
	return b.Bytes()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// setuptools finds a real setuptools: one that a Python brings along for its venvs,
// else the index that pip here uses.
func setuptools(t *testing.T, py pip.Python) (filename string, content []byte) {
	t.Helper()
	for _, pattern := range []string{"/usr/share/python-wheels/setuptools-*.whl", filepath.Join(filepath.Dir(py.Path), "..", "lib", "python3*", "ensurepip", "_bundled", "setuptools-*.whl")} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		if len(found) > 0 {
			content, err := os.ReadFile(found[0])
			must(t, err)
			return filepath.Base(found[0]), content
		}
	}
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-d", dir, "setuptools==66.1.1").CombinedOutput()
	if err != nil {
		t.Fatalf("no setuptools here, and none to be fetched: %v\n%s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	must(t, err)
	content, err = os.ReadFile(found[0])
	must(t, err)
	return filepath.Base(found[0]), content
}
