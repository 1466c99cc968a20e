package pip

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/proc"
)

func TestProve(t *testing.T) {
	t.Parallel()
	name, wheel := makeWheel(t, "apple", "1.0", "pear>=1", map[string]string{
		"apple/__init__.py": "import pear\n", "apple/seed.py": "", "single.py": "", "space/ship/__init__.py": "", "tests/__init__.py": "1/0"})
	depName, dep := makeWheel(t, "pear", "1.5", "", map[string]string{"pear.py": "print('noise on stdout')\n"})
	farmIndex := serveIndex(t, map[string][]byte{name: wheel})
	upstream := serveIndex(t, map[string][]byte{depName: dep})
	p := Proof{Python: machinePython(t), User: proc.BuildUser(), Package: "apple", Version: "1.0",
		Index: farmIndex, Upstream: upstream, Dir: sharedDir(t)}
	got, err := Prove(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got.Seconds <= 0 || got.SHA256 != sumOf(wheel) || !strings.HasPrefix(got.URL, strings.TrimSuffix(farmIndex, "simple/")) {
		t.Errorf("Prove = %+v", got)
	}
	if diff := cmp.Diff([]string{"apple", "single", "space.ship"}, got.Imported); diff != "" {
		t.Error(diff)
	}
	if left, err := os.ReadDir(p.Dir); err != nil || len(left) != 0 {
		t.Errorf("the proof left %v, %v", left, err)
	}
}

// Every step that breaks says which it was, and leaves nothing.
func TestProveNamesTheStep(t *testing.T) {
	t.Parallel()
	badName, bad := makeWheel(t, "bad", "1.0", "", map[string]string{"bad.py": "raise RuntimeError('rotten')\n"})
	needsName, needs := makeWheel(t, "needs", "1.0", "nowhere-to-be-found", map[string]string{"needs.py": ""})
	exitName, exit := makeWheel(t, "exits", "1.0", "", map[string]string{"exits.py": "import os; os._exit(7)\n"})
	index := serveIndex(t, map[string][]byte{badName: bad, needsName: needs, exitName: exit})
	py := machinePython(t)
	for pkg, want := range map[string]string{
		"bad":    "prove bad==1.0: import bad: RuntimeError: rotten",
		"needs":  "prove needs==1.0: install its dependencies: exit status 1: ",
		"exits":  "prove exits==1.0: import it: exit status 7",
		"absent": "prove absent==1.0: install from " + index + ": exit status 1: ",
	} {
		t.Run(pkg, func(t *testing.T) {
			t.Parallel()
			p := Proof{Python: py, User: proc.BuildUser(), Package: pkg, Version: "1.0", Index: index, Upstream: index, Dir: sharedDir(t)}
			_, err := Prove(t.Context(), p)
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Prove = %v\nwant %s…", err, want)
			}
			if left, err := os.ReadDir(p.Dir); err != nil || len(left) != 0 {
				t.Errorf("the proof left %v, %v", left, err)
			}
		})
	}
}

func TestProveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := Proof{Python: machinePython(t), User: proc.BuildUser(), Package: "a", Version: "1", Index: "http://127.0.0.1:1/", Dir: sharedDir(t)}
	if _, err := Prove(ctx, p); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("Prove = %v", err)
	}
}

// A pip before 22.2 writes no report; then the choice is made again.
func TestTakeAgain(t *testing.T) {
	t.Parallel()
	name, wheel := makeWheel(t, "apple", "1.0", "", map[string]string{"apple.py": ""})
	index := serveIndex(t, map[string][]byte{name: wheel})
	py := machinePython(t)
	v := &prover{Proof: Proof{Python: py, User: proc.BuildUser(), Package: "apple", Version: "1.0", Index: index},
		dir: sharedDir(t), env: py.CleanEnv("/nonexistent", ""), base: []string{py.Path, "-m", "pip"}}
	if err := v.User.Chown(v.dir); err != nil {
		t.Fatal(err)
	}
	url, sum, err := v.takeAgain(t.Context(), "Collecting apple\n  Downloading http://h:1/files/apple-1.0-py3-none-any.whl (1 kB)\n")
	if err != nil || sum != sumOf(wheel) || url != "http://h:1/files/apple-1.0-py3-none-any.whl" {
		t.Errorf("takeAgain = %q, %q, %v", url, sum, err)
	}
}

func TestHasReport(t *testing.T) {
	t.Parallel()
	for pip, want := range map[string]bool{"20.3.4": false, "22.1.2": false, "22.2": true, "23.0.1": true, "26.3.dev0": true, "?": false} {
		if hasReport(pip) != want {
			t.Errorf("hasReport(%s) is not %v", pip, want)
		}
	}
}

func TestParseReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, url, sum, fails string }{
		{`{"install":[{"download_info":{"url":"u","archive_info":{"hash":"sha256=aa"}}}]}`, "u", "aa", ""},
		{`{"install":[{"download_info":{"url":"u","archive_info":{"hash":"md5=x","hashes":{"sha256":"bb"}}}}]}`, "u", "bb", ""},
		{`{"install":[]}`, "", "", "installed 0 distributions"},
		{`no`, "", "", "read pip's report: "},
	} {
		url, sum, err := parseReport([]byte(c.in))
		if url != c.url || sum != c.sum || (err == nil) != (c.fails == "") || (err != nil && !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("parseReport(%s) = %q, %q, %v", c.in, url, sum, err)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`{"install":[{"download_info":{"url":"u","archive_info":{"hash":"sha256=aa"}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if url, sum, err := parseReport(b); err != nil && url+sum != "" {
			t.Errorf("parseReport(%q) gives both %q %q and %v", b, url, sum, err)
		}
	})
}

func TestOpenPlainRefusesLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc/hostname", link); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, dir} {
		if f, err := openPlain(path); err == nil {
			f.Close()
			t.Errorf("openPlain(%s) opened it", path)
		}
	}
}

func TestFetchWheel(t *testing.T) {
	py := machinePython(t)
	name, wheel := makeWheel(t, "apple", "1.0", "", map[string]string{"apple.py": ""})
	other := strings.Replace(name, "py3-none-any", "cp312-cp312-manylinux_2_17_aarch64", 1)
	quiet(t)
	t.Setenv("PIP_INDEX_URL", serveIndex(t, map[string][]byte{name: wheel, other: append(wheel, 0)}))
	for file, sum := range map[string]string{name: sumOf(wheel), other: sumOf(append(wheel, 0))} {
		dir := t.TempDir()
		path, err := FetchWheel(t.Context(), py, file, sum, dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := fileSum(path); err != nil || got != sum || filepath.Base(path) != file {
			t.Errorf("FetchWheel(%s) = %s with %s, %v", file, path, got, err)
		}
	}
	dir := t.TempDir()
	if _, err := FetchWheel(t.Context(), py, name, strings.Repeat("0", 64), dir); err == nil {
		t.Error("FetchWheel took a wheel of another hash")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("FetchWheel left %v, %v", left, err)
	}
}
