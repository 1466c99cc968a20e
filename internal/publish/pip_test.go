package publish

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"pinwheel/internal/web"
)

// requests notes what a pip asked for, and can hide the JSON form from it.
type requests struct {
	mu       sync.Mutex
	next     http.Handler
	htmlOnly bool
	paths    []string
	pages    []string // how each page was answered: status and encoding
}

func (r *requests) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.paths = append(r.paths, req.URL.Path)
	r.mu.Unlock()
	if r.htmlOnly {
		req.Header.Set("Accept", "text/html")
	}
	seen := &answer{ResponseWriter: w, code: http.StatusOK}
	r.next.ServeHTTP(seen, req)
	if strings.HasSuffix(req.URL.Path, "/") {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pages = append(r.pages, strings.TrimSpace(strconv.Itoa(seen.code)+" "+w.Header().Get("Content-Encoding")))
	}
}

// answer notes the status of one.
type answer struct {
	http.ResponseWriter
	code int
}

func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// answers tells how the pages were answered since the last call.
func (r *requests) answers() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.pages
	r.pages = nil
	return out
}

func (r *requests) asked(path string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.paths, path)
}

// TestRealPip lets every pip of this machine install from the site, by both forms
// of the pages.
func TestRealPip(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.build(artifact{project: "Demo.App", version: "1.9", requires: []string{"demo_dep>=0.1"}})
	w.build(artifact{project: "Demo.App", version: "1.10+farm.1", requires: []string{"demo_dep>=0.1"}})
	w.build(artifact{project: "Demo.App", version: "1.11"})
	w.build(artifact{project: "Demo.App", version: "2.0", requiresPython: ">=3.999"})
	w.build(artifact{project: "demo-dep", version: "0.1"})
	w.build(artifact{project: "evil", version: "1.0"})
	w.yank("Demo.App", "1.11", "it is <broken> & \"bad\"")
	w.setStatus("demo-dep", "archived", "finished") // nothing that pip minds
	w.setStatus("evil", "quarantined", "malware")
	w.write(w.publisher())
	site := web.New(web.Config{Store: w.Store, Depot: w.depot, SiteDir: w.site(), Log: zerolog.Nop(), Version: "test"})
	for _, python := range pythons(t) {
		for form, htmlOnly := range map[string]bool{"json": false, "html": true} {
			t.Run(strings.ReplaceAll(strings.TrimPrefix(python, "/"), "/", "_")+"/"+form, func(t *testing.T) {
				t.Parallel()
				seen := &requests{next: site, htmlOnly: htmlOnly}
				srv := httptest.NewServer(seen)
				t.Cleanup(srv.Close)
				version := pipInstall(t, python, srv.URL+"/simple/")
				// pip reads metadata by its new name since 23.2 (PEP 714).
				early := "/simple/demo-app/demo_app-1.10+farm.1-py3-none-any.whl.metadata"
				if want := newer(version, 23, 2); seen.asked(early) != want {
					t.Errorf("pip %v asked for the metadata: %v, want %v", version, !want, want)
				}
				for _, a := range seen.answers() {
					if a != "200 gzip" {
						t.Errorf("a page was answered with %s", a)
					}
				}
				pipAgain(t, python, srv.URL, seen)
				pipRefused(t, python, srv.URL)
			})
		}
	}
}

// pythons are the interpreters that this user can run and that have pip.
func pythons(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err != nil || exec.Command(path, "-m", "pip", "--version").Run() != nil {
			continue
		}
		if !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	if len(out) == 0 {
		t.Fatal("no python3 with pip: install python3-pip")
	}
	return out
}

// pipInstall installs Demo_app from the index alone, and checks that what came is
// the version that was not yanked, with its dependency.
func pipInstall(t *testing.T, python, index string) (version []string) {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), python, append([]string{"-m", "pip", "--isolated", "--disable-pip-version-check", "--no-cache-dir"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("pip %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	run("install", "--no-warn-script-location", "--only-binary", ":all:", "--index-url", index, "--target", filepath.Join(dir, "installed"), "Demo_app")
	found, err := filepath.Glob(filepath.Join(dir, "installed", "*.dist-info"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	if diff := cmp.Diff([]string{"demo_app-1.10+farm.1.dist-info", "demo_dep-0.1.dist-info"}, found); diff != "" {
		t.Errorf("installed:\n%s", diff)
	}
	// A yanked version is still there for who pins it (PEP 592), with its reason.
	out := run("download", "--no-deps", "--index-url", index, "--dest", filepath.Join(dir, "down"), "demo.app==1.11")
	if !strings.Contains(out, `it is <broken> & "bad"`) {
		t.Errorf("pip does not tell why it was yanked:\n%s", out)
	}
	return regexp.MustCompile(`pip ([0-9]+)\.([0-9]+)`).FindStringSubmatch(run("--version"))
}

// pipAgain asks twice with a cache: what did not change is not sent again, and what
// pip kept compressed it still understands.
func pipAgain(t *testing.T, python, url string, seen *requests) {
	t.Helper()
	dir := t.TempDir()
	for _, want := range []string{"200 gzip", "304"} {
		// Without TLS, pip keeps only what a trusted host sends.
		cmd := exec.CommandContext(t.Context(), python, "-m", "pip", "--isolated", "--disable-pip-version-check", "download",
			"--cache-dir", filepath.Join(dir, "cache"), "--trusted-host", "127.0.0.1", "--no-deps", "--only-binary", ":all:",
			"--index-url", url+"/simple/", "--dest", dir, "demo-dep")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pip download: %v\n%s", err, out)
		}
		if got := seen.answers(); len(got) != 1 || got[0] != want {
			t.Errorf("pages were answered with %q, want %s", got, want)
		}
	}
}

// pipRefused tries to get a wheel that is withheld, by its page and by its address.
func pipRefused(t *testing.T, python, url string) {
	t.Helper()
	dir := t.TempDir()
	for what, want := range map[string]string{
		"evil": "No matching distribution found for evil",
		url + "/simple/evil/evil-1.0-py3-none-any.whl": "404",
	} {
		cmd := exec.CommandContext(t.Context(), python, "-m", "pip", "--isolated", "--disable-pip-version-check", "download",
			"--no-cache-dir", "--no-deps", "--index-url", url+"/simple/", "--dest", dir, what)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("pip download %s: %v, want %q:\n%s", what, err, want, out)
		}
	}
}

func newer(version []string, major, minor int) bool {
	have := [2]int{}
	for i := range have {
		for _, c := range version[i+1] {
			have[i] = 10*have[i] + int(c-'0')
		}
	}
	return have[0] > major || have[0] == major && have[1] >= minor
}
