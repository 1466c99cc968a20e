package racktest

import (
	"strings"
	"testing"

	"pinwheel/internal/pypitest"
)

// TestRack goes the whole way of a rack.
func TestRack(t *testing.T) {
	r := newRack(t)
	programs := r.build("bin", "1.0.0", nil, "master", "slave")
	r.write(r.dir+"/dev-packages.yml", "packages:\n  - {name: libffi-dev, reason: ffi.h, recipes: [demo]}\n", 0o644)
	vars := map[string]any{
		"farm_programs":     map[string]string{"x86_64": programs, "aarch64": programs, "armv7l": programs},
		"farm_dev_packages": r.dir + "/dev-packages.yml",
	}
	r.add("farm", 10, 22, sick{})
	r.add("pi-01", 11, 5093, sick{})
	inventory := r.inventory(vars, "pi-01")

	r.play("site.yml", "-i", inventory, "--check").well()
	r.play("site.yml", "-i", inventory).well()

	r.index.MustAdd(t, "-- demo==1.0 --\nkind: extension\n")
	r.asked("add demo 1.0")
	r.built("demo", "1.0")
	r.install("demo", "1.0")

	r.play("site.yml", "-i", inventory).idle()
	r.play("site.yml", "-i", inventory, "--check", "--diff").idle()
}

// built waits until a release has been built.
func (r *rack) built(name, version string) {
	r.t.Helper()
	r.eventually(name+" is built", func() bool { return strings.Contains(r.asked("why "+name+" "+version+" --json"), `"state": "built"`) })
}

// install has pip on a slave install the wheel from nginx, by https, and use it.
func (r *rack) install(name, version string) {
	r.t.Helper()
	m := r.machines["pi-01"]
	m.do("rm -rf /tmp/try && python3 -m venv /tmp/try")
	r.eventually("pip has "+name, func() bool {
		_, err := m.ssh(r.t.Context(), "/tmp/try/bin/pip --disable-pip-version-check install --no-cache-dir --only-binary :all: --cert /etc/ssl/certs/ca-certificates.crt --index-url https://"+
			farmName+"/simple/ "+name+"=="+version)
		return err == nil
	})
	if got := m.do("/tmp/try/bin/python -c 'import " + pypitest.Module(name) + " as m; print(m.version)'"); strings.TrimSpace(got) != version {
		r.t.Errorf("%s %s says that it is %s", name, version, got)
	}
}
