package pypitest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// get asks the server as a plain client would.
func get(t *testing.T, url, accept string) (status int, kind, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(b)
}

// simplePage is what we look at in a PEP 691 page.
type simplePage struct {
	Files []struct {
		Filename string
		URL      string
		Size     int
		Hashes   map[string]string
		Core     any `json:"core-metadata"`
	}
}

func readPage(t *testing.T, s *pypitest.Server, name string) simplePage {
	t.Helper()
	_, _, body := get(t, s.URL()+name+"/", "application/vnd.pypi.simple.v1+json")
	var p simplePage
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestFilesAreWhatPagesSay fetches every file, and the metadata of every wheel, and hashes them.
func TestFilesAreWhatPagesSay(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- all==1.0 --\nsdist: .tar.gz .zip .tgz\nwheel: py3-none-any\nwheel: cp311-cp311-linux_armv7l\n")
	p := readPage(t, s, "all")
	if len(p.Files) != 5 {
		t.Fatalf("%d files, want 5", len(p.Files))
	}
	for _, f := range p.Files {
		_, _, body := get(t, f.URL, "")
		if len(body) != f.Size || sum(body) != f.Hashes["sha256"] {
			t.Errorf("%s: %d bytes with %s, the page says %d and %v", f.Filename, len(body), sum(body), f.Size, f.Hashes)
		}
		want, isWheel := f.Core.(map[string]any)
		if isWheel != strings.HasSuffix(f.Filename, ".whl") {
			t.Errorf("%s: core metadata %v", f.Filename, f.Core)
		}
		if _, _, body := get(t, f.URL+".metadata", ""); isWheel && sum(body) != want["sha256"] {
			t.Errorf("%s.metadata: %s, the page says %v", f.Filename, sum(body), want)
		}
	}
}

func sum(s string) string {
	b := sha256.Sum256([]byte(s))
	return hex.EncodeToString(b[:])
}

// TestSameStorySameBytes: two servers give the same hashes for every kind that does not name its server.
func TestSameStorySameBytes(t *testing.T) {
	t.Parallel()
	a, b := pypitest.New(t), pypitest.New(t)
	for _, kind := range pypitest.Kinds() {
		if kind == pypitest.Network {
			continue
		}
		r := pypitest.Release{Name: "same-" + string(kind), Version: "1.0", Kind: kind, Wheels: []string{"py3-none-any"}}
		for _, s := range []*pypitest.Server{a, b} {
			if err := s.Add(r); err != nil {
				t.Fatal(err)
			}
		}
		of := func(s *pypitest.Server) (hashes []string) {
			for _, f := range readPage(t, s, r.Name).Files {
				hashes = append(hashes, f.Filename+" "+f.Hashes["sha256"])
			}
			return hashes
		}
		if diff := cmp.Diff(of(a), of(b)); diff != "" || len(of(a)) != 2 {
			t.Errorf("%s differs:\n%s", kind, diff)
		}
	}
}

// TestNegotiation: who asks for nothing gets HTML, as from PyPI.
func TestNegotiation(t *testing.T) {
	t.Parallel()
	const v1 = "application/vnd.pypi.simple.v1+json"
	open, only := pypitest.New(t, "-- demo==1.0 --\n"), pypitest.New(t, "-- demo==1.0 --\n")
	only.HTMLOnly(true)
	for _, c := range []struct{ accept, want, wantOnly string }{
		{"", "text/html", "text/html"},
		{"*/*", "text/html", "text/html"},
		{v1, v1, "text/html"},
		{v1 + ", application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01", v1, "text/html"},
		{"text/html, " + v1 + ";q=0.5", "text/html", "text/html"},
	} {
		for _, path := range []string{"", "demo/"} {
			if _, kind, _ := get(t, open.URL()+path, c.accept); kind != c.want {
				t.Errorf("%s for %q: %s, want %s", path, c.accept, kind, c.want)
			}
			if _, kind, _ := get(t, only.URL()+path, c.accept); kind != c.wantOnly {
				t.Errorf("HTML only: %s for %q: %s, want %s", path, c.accept, kind, c.wantOnly)
			}
		}
	}
}

// TestFaults counts a fault down, prefers the nearer of two, and counts requests.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := pypitest.New(t, "-- demo==1.0 --\n-- other==1.0 --\n")
	s.Break("/", pypitest.Fault{Trouble: pypitest.Status, Status: 500})
	s.Break("/simple/demo/", pypitest.Fault{Trouble: pypitest.Status, Status: 429, Times: 2})
	for _, want := range []int{429, 429, 500} {
		if got, _, _ := get(t, s.URL()+"demo/", ""); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	s.Mend("/")
	if got, _, _ := get(t, s.URL()+"demo/", ""); got != 200 || s.Requests("/simple/demo/") != 4 || s.Requests("/simple/other/") != 0 {
		t.Errorf("status %d after Mend, %d requests", got, s.Requests("/simple/demo/"))
	}
}

// TestCloseEndsStalledAnswers: nothing outlives the server.
func TestCloseEndsStalledAnswers(t *testing.T) {
	t.Parallel()
	s, err := pypitest.Start("")
	if err != nil {
		t.Fatal(err)
	}
	s.Break("/", pypitest.Fault{Trouble: pypitest.Stalled})
	resp, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the stalled answer came to a good end")
	}
}

// TestStart reads a folder of descriptions, and names the file that is wrong.
func TestStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one.txtar", "a comment\n-- one==1.0 --\n# another\nkind: pure\n")
	s, err := pypitest.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	if status, _, _ := get(t, s.URL()+"ONE/", ""); status != 200 {
		t.Errorf("status %d", status)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	write("two.txtar", "-- one==1.0 --\n")
	if _, err := pypitest.Start(dir); err == nil || !strings.Contains(err.Error(), "two.txtar: add one==1.0: it is there already") {
		t.Errorf("error is %v", err)
	}
}

// TestWrongDescriptions gets a word about each.
func TestWrongDescriptions(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"-- demo --\n":                           "want NAME==VERSION",
		"-- demo==1.0 --\ncolour: red\n":         `unknown key "colour"`,
		"-- demo==1.0 --\nred\n":                 "want key: value",
		"-- demo==1.0 --\nkind: odd\n":           `unknown kind "odd"`,
		"-- demo==1.0 --\nsdist: none\n":         "neither sdist nor wheel",
		"-- demo==1.0 --\nsdist: .rar\n":         `unknown sdist format ".rar"`,
		"-- demo==one --\n":                      "demo==one",
		"-- demo==1.0-rc1 --\n":                  "write the version as 1.0rc1",
		"-- de mo==1.0 --\n":                     "not a valid project name",
		"-- demo==1.0/demo.py --\n":              "does not follow its release",
		"-- demo==1.0 --\nuploaded: yesterday\n": "yesterday",
		"-- demo==1.0 --\nmegabytes: many\n":     "many",
		"-- a==1 --\n-- demo==1.0/demo.py --\n":  "does not follow its release",
		"-- demo==1.0 --\n-- demo==1.0 --\n":     "it is there already",
	} {
		if err := pypitest.New(t).AddText(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	s := pypitest.New(t, "-- demo==1.0 --\n")
	for _, err := range []error{s.Yank("demo", "2", ""), s.Yank("none", "1", ""), s.Remove("none"), s.Remove("demo", "2")} {
		if err == nil {
			t.Error("a change of nothing is no error")
		}
	}
}

// unpack puts an sdist into a folder and returns the one in it.
func unpack(t *testing.T, s *pypitest.Server, name string) string {
	t.Helper()
	_, _, body := get(t, readPage(t, s, name).Files[0].URL, "")
	gz, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	dir, files := t.TempDir(), tar.NewReader(gz)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, pypitest.Module(name)+"-1.0")
		}
		var content bytes.Buffer
		if _, cerr := io.Copy(&content, files); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		path := filepath.Join(dir, h.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// backend runs the build of an sdist without pip, which would hide what it says.
func backend(t *testing.T, s *pypitest.Server, name string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), pypitest.Python(t), "-c",
		"import sys; sys.path.insert(0, 'build_backend'); import _backend; print(_backend.build_wheel('.'), flush=True)")
	cmd.Dir = unpack(t, s, name)
	return cmd
}

// TestHangs waits for the word that it hangs, and ends it.
func TestHangs(t *testing.T) {
	t.Parallel()
	cmd := backend(t, pypitest.New(t, "-- hangs-on==1.0 --\nkind: hangs\n"), "hangs-on")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("waiting for something"))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "waiting for something" {
		t.Errorf("it says %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("it does not hang: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // killed, as it should be
}

// TestDaemonHolds: the wheel is there and the backend gone, but its stdout stays open.
func TestDaemonHolds(t *testing.T) {
	t.Parallel()
	name := unique("holds-on")
	cmd := backend(t, pypitest.New(t, "-- "+name+"==1.0 --\nkind: daemon-holds\n"), name)
	cmd.WaitDelay = 3 * time.Second
	out, err := cmd.Output()
	if !errors.Is(err, exec.ErrWaitDelay) || !strings.Contains(string(out), pypitest.Module(name)+"-1.0-py3-none-any.whl") {
		t.Errorf("the backend says %q and ends with %v", out, err)
	}
	pids := pypitest.Daemons(name, "1.0")
	if len(pids) != 1 || !ignores(t, pids[0], syscall.SIGTERM) {
		t.Errorf("daemons: %v", pids)
	}
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// meter counts what it is given and keeps the end of it.
type meter struct {
	size int
	tail []byte
}

func (m *meter) Write(p []byte) (int, error) {
	m.size += len(p)
	m.tail = append(m.tail, p...)
	m.tail = m.tail[max(0, len(m.tail)-100):]
	return len(p), nil
}

// TestFloodsByDefault writes 50 MB and then a good wheel.
func TestFloodsByDefault(t *testing.T) {
	t.Parallel()
	cmd := backend(t, pypitest.New(t, "-- floods-on==1.0 --\nkind: floods\n"), "floods-on")
	var m meter
	cmd.Stdout = &m
	if err := cmd.Run(); err != nil || m.size < 50_000_000 || m.size > 51_000_000 {
		t.Errorf("%d bytes, %v", m.size, err)
	}
	if !bytes.HasSuffix(m.tail, []byte("\nfloods_on-1.0-py3-none-any.whl\n")) {
		t.Errorf("it ends with %q", m.tail)
	}
}
