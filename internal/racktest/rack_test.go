package racktest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// TestRack is an operator's first day: each step begins where the one before ended.
func TestRack(t *testing.T) {
	r := newRack(t)
	programs := r.build("bin", "1.0.0", nil, "master", "slave")
	r.write(r.dir+"/dev-packages.yml", "packages:\n  - {name: libffi-dev, reason: ffi.h, recipes: [demo]}\n", 0o644)
	vars := map[string]any{
		"farm_programs":     map[string]string{"x86_64": programs, "aarch64": programs, "armv7l": programs},
		"farm_dev_packages": r.dir + "/dev-packages.yml",
		"farm_checksums":    map[string]string{"x86_64/pinwheel-master": r.sum(programs + "/pinwheel-master")},
		"slave_settings":    map[string]string{"allow-network": "127.0.0.0/8"}, // the gate
	}
	r.add("farm", 10, 22, sick{})
	r.add("pi-01", 11, 5093, sick{})
	r.add("pi-02", 12, 22, sick{})

	r.noMachines()
	r.firstDay(vars)

	r.index.MustAdd(t, "-- demo==1.0 --\nkind: extension\n")
	r.asked("add demo 1.0")
	r.built("demo", "1.0")
	r.install("demo", "1.0")
	r.negotiate()

	// The one with the old program is mended, and enrolled.
	delete(r.hosts["pi-02"], "slave_program_file")
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.play("enroll.yml", "-i", inventory, "-e", "pi=pi-02").well()
	r.serves("pi-01", "pi-02")

	r.play("site.yml", "-i", inventory).idle()
	r.play("site.yml", "-i", inventory, "--check", "--diff").idle()

	r.upgrade(vars)
	r.remove(vars)
}

// noMachines: an inventory without hosts is an error of one line, not a success.
func (r *rack) noMachines() {
	r.t.Helper()
	empty := filepath.Join(r.dir, "empty.yml")
	r.write(empty, "all:\n", 0o644)
	p := r.play("site.yml", "-i", empty)
	if p.code == 0 {
		r.t.Errorf("an inventory without hosts is played well:\n%s", p.text)
	}
	p.says("localhost", "the inventory has no hosts")
	p = r.play("enroll.yml", "-i", empty, "-e", "pi=pi-99")
	p.says("localhost", "pi-99 is not in the group slaves")
}

// firstDay puts a farm on the rack, where not all machines are as they should be.
func (r *rack) firstDay(vars map[string]any) {
	r.t.Helper()
	r.play("site.yml", "-i", r.inventory(vars, "pi-01"), "--check").well()
	if out := r.machines["farm"].do("ls /etc/pinwheel /usr/local/bin/pinwheel-master /etc/postgresql 2>/dev/null; true"); out != "" {
		r.t.Errorf("--check has changed something:\n%s", out)
	}
	r.add("pi-late", 21, 22, sick{clock: "+2d"})
	r.add("pi-full", 22, 22, sick{disk: "300m"})
	r.add("pi-64", 23, 22, sick{})
	r.hosts["pi-64"] = map[string]any{"slave_targets": []map[string]string{{"root": "/var/cache/pinwheel/roots/none", "target": "cp311-linux_armv7l"}}}
	r.add("pi-bare", 24, 22, sick{})
	r.hosts["pi-bare"] = map[string]any{"farm_targets": []string{"cp39-linux_armv7l"}}
	r.hosts["pi-gone"] = map[string]any{"ansible_host": "fd00:77::99"}
	r.hosts["pi-02"] = map[string]any{"slave_program_file": r.build("old", "0.9.0", r.otherProtocol(), "slave") + "/pinwheel-slave"}
	p := r.play("site.yml", "-i", r.inventory(vars, "pi-01", "pi-02", "pi-late", "pi-full", "pi-64", "pi-bare", "pi-gone"))
	if p.code == 0 {
		r.t.Errorf("it is played well, with half of the machines unfit")
	}
	p.says("pi-late", "pi-late: the clock is 172", "s ahead of this machine's", "timedatectl")
	p.says("pi-full", "pi-full: ", " MB are free for /var/lib/pinwheel, and 2048 are wanted")
	p.says("pi-64", "pi-64: there is no root /var/cache/pinwheel/roots/none for cp311-linux_armv7l", "scripts/armroot")
	p.says("pi-bare", "pi-bare: its own system is "+r.target(), "the farm builds for cp39-linux_armv7l", "slave_targets names no root")
	p.says("pi-gone", "UNREACHABLE")
	p.says("pi-02", "pi-02: the slave does not serve the farm: ", "protocol")
	for _, name := range []string{"farm", "pi-01"} {
		if c := p.recap[name]; c.failed+c.unreachable != 0 || c.changed == 0 {
			r.t.Fatalf("%s: %+v\n%s", name, c, p.text)
		}
	}
	r.serves("pi-01")
}

// otherProtocol are the flags of a build whose program speaks protocol 0.
func (r *rack) otherProtocol() []string {
	r.t.Helper()
	source, err := filepath.Abs("../bus/message.go")
	if err != nil {
		r.t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		r.t.Fatal(err)
	}
	old := strings.Replace(string(text), "const Protocol = ", "const Protocol = -1 + ", 1)
	if old == string(text) {
		r.t.Fatalf("%s has no constant Protocol", source)
	}
	replaced, overlay := filepath.Join(r.dir, "old.go"), filepath.Join(r.dir, "overlay.json")
	r.write(replaced, old, 0o644)
	list, err := json.Marshal(map[string]map[string]string{"Replace": {source: replaced}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.write(overlay, string(list), 0o644)
	return []string{"-overlay", overlay}
}

// slave is what the master knows of one.
type slave struct {
	Name, Doing     string
	Revoked, Paused bool
}

func (r *rack) slaves() map[string]slave {
	r.t.Helper()
	var list struct{ Slaves []slave }
	if err := json.Unmarshal([]byte(r.asked("slaves list --json")), &list); err != nil {
		r.t.Fatal(err)
	}
	all := map[string]slave{}
	for _, s := range list.Slaves {
		all[s.Name] = s
	}
	return all
}

// serves wants the services of these slaves to run, and no pause.
func (r *rack) serves(names ...string) {
	r.t.Helper()
	all := r.slaves()
	for _, name := range names {
		if s, known := all[name]; !known || s.Paused || s.Revoked {
			r.t.Errorf("%s is %+v", name, s)
		}
		if out, err := r.machines[name].ssh(r.t.Context(), "systemctl is-active pinwheel-slave && systemctl is-enabled pinwheel-slave"); err != nil {
			r.t.Errorf("%s: %s", name, out)
		}
	}
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

// negotiate asks nginx in all the ways that it answers by itself, and some that it leaves to
// the master: the answers must be those of the master alone.
func (r *rack) negotiate() {
	r.t.Helper()
	script := `
import json, ssl, sys, urllib.error, urllib.request
class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_): return None
opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=ssl.create_default_context()))
out = []
for path, accept in json.load(sys.stdin):
    row = []
    for base in sys.argv[1:]:
        request = urllib.request.Request(base + path, headers={"Accept": accept} if accept else {})
        try: answer = opener.open(request, timeout=20)
        except urllib.error.HTTPError as e: answer = e
        row.append([answer.status, answer.headers.get("Content-Type"), answer.headers.get("Location"), answer.headers.get("Vary"), answer.headers.get("Cache-Control"), len(answer.read())])
    out.append(row)
print(json.dumps(out))
`
	pip := "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
	wheel := "/simple/demo/demo-1.0-" + strings.Replace(r.target(), "-", "-cp311-", 1) + ".whl"
	asked := [][2]string{
		{"/simple/", pip}, {"/simple/demo/", pip}, {"/simple/demo/", "text/html"}, {"/simple/demo/", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"},
		{"/simple/demo/", "*/*"}, {"/simple/demo/", "application/vnd.pypi.simple.v1+html"}, {"/simple/demo/", "image/png"}, {"/simple/demo/", "application/vnd.pypi.simple.latest+json"},
		{"/simple/Demo/", pip}, {"/simple/demo", pip}, {"/simple/other/", pip}, {"/simple/demo/index.json", ""}, {"/simple/demo/index.html.gz", ""},
		{wheel, ""}, {wheel + ".metadata", ""}, {wheel + ".build.json", ""}, {"/simple/demo/.lock", ""}, {"/healthz", ""},
	}
	text, err := json.Marshal(asked)
	if err != nil {
		r.t.Fatal(err)
	}
	m := r.machines["farm"]
	m.do("cat >/tmp/ask.py <<'END'\n" + script + "\nEND")
	var rows [][2][]any
	out := m.do("echo '" + string(text) + "' | python3 /tmp/ask.py https://" + farmName + " http://127.0.0.1:7070")
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	for i, row := range rows {
		if row[1][0] == float64(404) { // in whose words does not matter
			row[0], row[1] = row[0][:1], row[1][:1]
		}
		if diff := cmp.Diff(row[1], row[0]); diff != "" {
			r.t.Errorf("%q, Accept %q: (-master +nginx)\n%s", asked[i][0], asked[i][1], diff)
		}
	}
}

// upgrade has new programs replace the old ones, while a build is under way, and one slave
// is paused by a person.
func (r *rack) upgrade(vars map[string]any) {
	r.t.Helper()
	next := r.build("next", "1.1.0", nil, "master", "slave")
	vars["farm_programs"] = map[string]string{"x86_64": next, "aarch64": next, "armv7l": next}
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	p.says("farm", "farm: "+next+"/pinwheel-master is not the program of farm_checksums")
	vars["farm_checksums"] = map[string]string{"x86_64/pinwheel-master": r.sum(next + "/pinwheel-master"), "x86_64/pinwheel-slave": r.sum(next + "/pinwheel-slave")}
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.asked("slaves pause pi-02")
	g := newGate(r.t)
	r.machines["pi-01"].place.lend(strings.TrimPrefix(g.URL, "http://"))
	if err := r.index.Add(pypitest.Release{Name: "held", Version: "1.0", Kind: pypitest.Network, Address: g.URL}); err != nil {
		r.t.Fatal(err)
	}
	r.asked("add held 1.0")
	g.await()
	ended := make(chan played)
	go func() { ended <- r.play("upgrade.yml", "-i", inventory) }()
	r.eventually("pi-01 is to be replaced", func() bool { return r.slaves()["pi-01"].Paused })
	if out := r.machines["pi-01"].do("pinwheel-slave --version"); !strings.Contains(out, "1.0.0") {
		r.t.Errorf("pi-01 was replaced under its build: %s", out)
	}
	g.open()
	(<-ended).well()
	r.built("held", "1.0")
	if n := g.asks(); n != 1 {
		r.t.Errorf("the build that was under way was begun %d times", n)
	}
	for _, name := range []string{"pi-01", "pi-02"} {
		if out := r.machines[name].do("pinwheel-slave --version"); !strings.Contains(out, "1.1.0") {
			r.t.Errorf("%s has %s", name, out)
		}
	}
	if s := r.slaves(); s["pi-01"].Paused || !s["pi-02"].Paused {
		r.t.Errorf("after the upgrade: %+v", s)
	}
	r.asked("slaves resume pi-02")
	r.serves("pi-01", "pi-02")
	r.play("upgrade.yml", "-i", inventory).idle()

	r.noWorse(vars)
}

// noWorse: a program that does not serve the farm goes no further than one slave.
func (r *rack) noWorse(vars map[string]any) {
	r.t.Helper()
	delete(vars, "farm_checksums")
	vars["slave_program_file"] = filepath.Join(r.dir, "old", "pinwheel-slave")
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	delete(vars, "slave_program_file")
	if p.code == 0 {
		r.t.Errorf("a program of another protocol is taken:\n%s", p.text)
	}
	p.says("pi-01", "protocol", "the one before is back")
	for _, name := range []string{"pi-01", "pi-02"} {
		if out := r.machines[name].do("pinwheel-slave --version"); !strings.Contains(out, "1.1.0") {
			r.t.Errorf("%s has %s", name, out)
		}
	}
	r.serves("pi-01", "pi-02")
}

// remove takes a slave away that is there, and one that is dead.
func (r *rack) remove(vars map[string]any) {
	r.t.Helper()
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.play("remove.yml", "-i", inventory, "-e", "pi=pi-02").well()
	if s := r.slaves(); !s["pi-02"].Revoked || s["pi-01"].Revoked {
		r.t.Errorf("after pi-02 was removed: %+v", s)
	}
	if out := r.machines["pi-02"].do("ls /etc/pinwheel /usr/local/bin; systemctl is-active pinwheel-slave; true"); strings.Contains(out, "slave.creds") ||
		strings.Contains(out, "pinwheel-slave") || strings.HasSuffix(out, "\nactive\n") {
		r.t.Errorf("pi-02 still has:\n%s", out)
	}
	r.hosts["pi-01"] = map[string]any{} // it has fallen off the net
	m := r.machines["pi-01"]
	delete(r.machines, "pi-01")
	r.hosts["pi-01"]["ansible_host"] = "fd00:77::98"
	p := r.play("remove.yml", "-i", r.inventory(vars, "pi-01"), "-e", "pi=pi-01", "-e", "drain=false")
	r.machines["pi-01"] = m
	if s := r.slaves(); !s["pi-01"].Revoked {
		r.t.Errorf("after pi-01 was removed, which nobody could reach: %+v\n%s", s, p.text)
	}
	r.eventually("pi-01 is refused", func() bool {
		out := m.do("journalctl --unit=pinwheel-slave --lines=30; true")
		return strings.Contains(out, "credentials not accepted")
	})
}
