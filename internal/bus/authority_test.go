package bus_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/bus"
	"pinwheel/internal/farm"
)

func open(t *testing.T, dir string) *bus.Authority {
	t.Helper()
	a, err := bus.OpenAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAuthorityIsMadeOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "nats")
	seen := make([]bus.Trust, 8)
	var wg sync.WaitGroup
	for i := range seen {
		wg.Go(func() {
			a, err := bus.OpenAuthority(dir)
			if err != nil {
				t.Error(err)
				return
			}
			seen[i] = a.Trust()
		})
	}
	wg.Wait()
	for _, got := range append(seen[1:], open(t, dir).Trust()) {
		if diff := cmp.Diff(seen[0], got); diff != "" {
			t.Errorf("two authorities:\n%s", diff)
		}
	}
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, filepath.Join(dir, "authority.json"): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left beside the authority: %v, %v", entries, err)
	}
}

func TestAuthorityRefusesDamage(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	open(t, other)
	foreign := readFile(t, filepath.Join(other, "authority.json"))
	for what, change := range map[string]func(own string) string{
		"empty":            func(string) string { return "" },
		"half":             func(own string) string { return own[:len(own)/2] },
		"newer":            func(own string) string { return strings.Replace(own, `"schema": 1`, `"schema": 2`, 1) },
		"seed of another":  func(own string) string { return swap(own, foreign, `"seed": "SA`) },
		"JWT of another":   func(own string) string { return swap(own, foreign, `"jwt": "`) },
		"name of another":  func(own string) string { return swap(own, foreign, `"public": "A`) },
		"operator's other": func(own string) string { return swap(own, foreign, `"public": "O`) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open(t, dir)
			path := filepath.Join(dir, "authority.json")
			damaged := change(readFile(t, path))
			if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := bus.OpenAuthority(dir); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one about %s", err, path)
			}
			if readFile(t, path) != damaged {
				t.Error("the damaged file was replaced: nobody enrolled would get in again")
			}
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// swap puts the first line of from that holds key in the place of that of own.
func swap(own, from, key string) string {
	line := func(s string) string {
		for l := range strings.Lines(s) {
			if strings.Contains(l, key) {
				return l
			}
		}
		return ""
	}
	return strings.Replace(own, line(own), line(from), 1)
}

func TestAuthorityMustBeSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if err := os.Chmod(filepath.Join(dir, "authority.json"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.OpenAuthority(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("an authority that others can read: %v", err)
	}
}

func TestEnroll(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir())
	for _, role := range []farm.Role{farm.RoleSlave, farm.RoleMonitor, farm.RoleOperator} {
		creds, public, err := a.Enroll("pi-1", role)
		if err != nil {
			t.Fatal(err)
		}
		id, err := bus.ReadIdentity(creds)
		if want := (bus.Identity{Name: "pi-1", Role: role, PublicKey: public}); err != nil || id != want {
			t.Errorf("credentials say %v, %v; want %v", id, err, want)
		}
	}
	for _, bad := range []struct{ name, role string }{
		{"", "slave"}, {"Pi", "slave"}, {"a.b", "slave"}, {"*", "slave"}, {"-a", "slave"}, {strings.Repeat("a", 64), "slave"},
		{"pi-1", "master"}, {"pi-1", ""},
	} {
		if _, _, err := a.Enroll(bad.name, farm.Role(bad.role)); err == nil {
			t.Errorf("%q was enrolled as %q", bad.name, bad.role)
		}
	}
}

func FuzzReadIdentity(f *testing.F) {
	a, err := bus.OpenAuthority(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	creds, err := a.MasterCreds()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(creds)
	f.Add([]byte("-----BEGIN NATS USER JWT-----\nx.y.z\n------END NATS USER JWT------\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		id, err := bus.ReadIdentity(data)
		if err == nil && (id.Role == "" || id.PublicKey == "") || err != nil && !errors.Is(err, bus.ErrCredentials) {
			t.Errorf("%q is %v, %v", data, id, err)
		}
	})
}
