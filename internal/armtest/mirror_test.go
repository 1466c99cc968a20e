package armtest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// suite is a release that nobody has but the mirrors here.
const suite = "kiosk"

// mirror is an archive of packages in a form that apt reads, signed by a key of its own.
// Its packages have nothing in them.
type mirror struct {
	url, keys string // keys is the file of its public key
	mu        sync.Mutex
	asked     []string // the paths
}

func newMirror(t *testing.T, packages ...string) *mirror {
	t.Helper()
	dir := t.TempDir()
	m := &mirror{keys: filepath.Join(dir, "keys.gpg")}
	dist := filepath.Join(dir, "www", "dists", suite)
	if err := os.MkdirAll(filepath.Join(dist, "main", "binary-armhf"), 0o755); err != nil {
		t.Fatal(err)
	}
	index := emptyPackages(t, filepath.Join(dir, "www"), packages)
	release := fmt.Sprintf("Suite: %s\nCodename: %s\nArchitectures: armhf\nComponents: main\nDate: Sat, 01 Jan 2022 00:00:00 UTC\nSHA256:\n %x %d main/binary-armhf/Packages\n",
		suite, suite, sha256.Sum256([]byte(index)), len(index))
	for path, text := range map[string]string{"main/binary-armhf/Packages": index, "Release": release} {
		if err := os.WriteFile(filepath.Join(dist, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	home := t.TempDir() // a name that is short: a socket is made in it
	for _, args := range [][]string{
		{"gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--quick-gen-key", "mirror of " + packages[0], "ed25519", "sign", "never"},
		{"gpg", "--batch", "--clearsign", "--output", filepath.Join(dist, "InRelease"), filepath.Join(dist, "Release")},
		{"gpg", "--batch", "--output", m.keys, "--export"},
		{"gpgconf", "--kill", "all"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		if _, errs, err := run(t, cmd); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, errs)
		}
	}
	files := http.FileServer(http.Dir(filepath.Join(dir, "www")))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.asked = append(m.asked, r.URL.Path)
		m.mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

// emptyPackages makes them in the archive's pool, and says what its Packages says of them.
func emptyPackages(t *testing.T, www string, names []string) (index string) {
	t.Helper()
	for _, name := range names {
		control := fmt.Sprintf("Package: %s\nVersion: 1\nArchitecture: armhf\nMaintainer: nobody\nDescription: nothing\n", name)
		tree := t.TempDir()
		deb := filepath.Join(www, name+"_1_armhf.deb")
		if err := os.Mkdir(filepath.Join(tree, "DEBIAN"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, "DEBIAN", "control"), []byte(control), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, errs, err := run(t, exec.Command("dpkg-deb", "--root-owner-group", "--build", tree, deb)); err != nil {
			t.Fatalf("%v\n%s", err, errs)
		}
		text, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		index += fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %x\n\n", control, filepath.Base(deb), len(text), sha256.Sum256(text))
	}
	return index
}

// gave says whether it was asked for a package.
func (m *mirror) gave(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.asked, "/"+name+"_1_armhf.deb")
}

// TestRootOfTwoMirrors: a root comes from the mirrors that are named and from no other,
// each believed for its own keys, as Raspberry Pi OS takes Raspbian and what is added to
// it. From these here come packages that have nothing in them, so that the making ends
// once they are unpacked.
func TestRootOfTwoMirrors(t *testing.T) {
	t.Parallel()
	makesRoots(t)
	const unpacked = "I: success in" // mmdebstrap's word
	most := []string{"apt", "python3", "python3-pip", "python3-venv", "gcc", "g++", "libc6-dev", "ca-certificates"}
	for name, c := range map[string]struct {
		by   func(first, second *mirror) string // whose keys the second is to be signed with
		says string
	}{
		"each by its keys":            {func(_, second *mirror) string { return second.keys }, unpacked},
		"the second by the others'":   {func(first, _ *mirror) string { return first.keys }, "NO_PUBKEY"},
		"the second by those of none": {func(_, second *mirror) string { return second.keys + ".none" }, "InRelease"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newMirror(t, most...), newMirror(t, "python3-dev")
			line := fmt.Sprintf("deb [signed-by=%s] %s %s main", c.by(first, second), second.url, suite)
			dir := t.TempDir()
			out, errs, err := run(t, script(t, "--dir", dir, "--suite", suite, "--mirror", first.url, "--mirror", line, "--keyring", first.keys))
			if err == nil || out != "" || !strings.Contains(errs, c.says) || !strings.Contains(errs, "armroot: no root was made") {
				t.Errorf("it does not end with %q: %q, %v\n%s", c.says, out, err, errs)
			}
			believed := c.says == unpacked
			for _, p := range most {
				if first.gave(p) != believed {
					t.Errorf("the first mirror was asked for %s: %v", p, !believed)
				}
			}
			if second.gave("python3-dev") != believed {
				t.Errorf("the second mirror was asked for python3-dev: %v", !believed)
			}
			if half, whole := leftIn(t, dir); half+whole != 0 {
				t.Errorf("%d half roots and %d whole ones are left", half, whole)
			}
		})
	}
}
