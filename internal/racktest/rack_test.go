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
	r, manual := newRack(t), openBook(t)
	programs := r.build("bin", "1.0.0", nil, "master", "slave", "monitor")
	r.write(r.dir+"/dev-packages.yml", "packages:\n  - {name: libffi-dev, reason: ffi.h, recipes: [demo]}\n", 0o644)
	vars := map[string]any{
		"farm_programs":     map[string]string{r.processor().kernel: programs},
		"farm_dev_packages": r.dir + "/dev-packages.yml",
		"farm_checksums":    map[string]string{r.processor().kernel + "/pinwheel-master": r.sum(programs + "/pinwheel-master")},
		"slave_settings":    map[string]string{"allow-network": "127.0.0.0/8"}, // the gate
	}
	// The farm is in a time zone of its own, and the operator in another.
	r.add("farm", 10, 22, sick{zone: "America/St_Johns"})
	r.add("pi-01", 11, 5093, sick{})
	r.add("pi-02", 12, 22, sick{})

	r.noMachines()
	r.firstDay(vars)

	r.index.MustAdd(t, "-- demo==1.0 --\nkind: extension\n")
	r.asked("add demo 1.0")
	r.built("demo", "1.0")
	r.install("demo", "1.0")
	r.negotiate()
	r.terminal(manual, programs)
	r.fit(manual)
	r.machines["pi-01"].do("apt-get -qq --simulate --no-install-recommends install " + strings.Join(devPackages(t), " "))

	// The one with the old program is mended, with a new disk, and enrolled.
	delete(r.hosts, "pi-02")
	r.machines["pi-02"].do("rm /etc/pinwheel/slave.creds")
	r.play("enroll.yml", "-i", r.inventory(vars, "pi-01", "pi-02"), "-e", "pi=pi-02").well()
	r.serves("pi-01", "pi-02")
	r.again(vars)

	r.upgrade(vars)
	r.remove(vars)
	r.byHand(manual, programs)
	manual.played(r.played)
	if want := r.must("../../" + manual.lines("A rack by Ansible", 4)[1]); strings.TrimSpace(want) != r.tools {
		t.Errorf("ansible is that of %s, and the manual's command makes %s", r.tools, want)
	}
}

// again plays what has been played, with one of the slaves known by the hosting's API
// alone: nothing is changed by that.
func (r *rack) again(vars map[string]any) {
	r.t.Helper()
	h := newHosting(r.t)
	h.live(3)
	h.servers["pi-00"]["status"] = "provisioning"
	delete(h.servers["pi-01"], "ip") // it is in the inventory, with its port
	h.servers["pi-02"]["ip"] = r.machines["pi-02"].address
	r.desk.Lend(strings.TrimPrefix(h.URL, "http://"))
	hosted, err := filepath.Abs("../../ansible/inventory/hostedpi.py")
	if err != nil {
		r.t.Fatal(err)
	}
	r.env = []string{"HOSTEDPI_ID=" + apiKey, "HOSTEDPI_SECRET=" + apiSecret, "HOSTEDPI_AUTH=" + h.URL, "HOSTEDPI_API=" + h.URL + "/beta/pi"}
	p := r.play("site.yml", "-i", r.inventory(vars, "pi-01"), "-i", hosted)
	r.env = nil
	p.idle()
	if _, known := p.recap["pi-02"]; !known {
		r.t.Errorf("pi-02 was not played:\n%s", p.text)
	}
	r.play("site.yml", "-i", r.inventory(vars, "pi-01", "pi-02"), "--check", "--diff").idle()
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
	r.hosts["pi-02"] = map[string]any{"slave_program_file": r.build("old", "0.9.0", r.otherProtocol(), "slave") + "/pinwheel-slave", "slave_heard_within": 10}
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
	for _, name := range []string{"pi-late", "pi-full", "pi-64", "pi-bare", "pi-gone", "pi-02"} {
		p.alone(name)
	}
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
	m.do("python3 -m venv --clear /tmp/try")
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
import http.client, json, ssl, sys
trust = ssl.create_default_context()
trust.check_hostname = False  # both are asked at an address, by the farm's name
out = []
for path, accept in json.load(sys.stdin):
    row = []
    for port in 443, 7070:
        c = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=20)
        c.request("GET", path, headers={"Host": "` + farmName + `", **({"Accept": accept} if accept else {})})
        answer = c.getresponse()
        row.append([answer.status, *map(answer.getheader, ("Content-Type", "Location", "Vary", "Cache-Control")), len(answer.read())])
        c.close()
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
	out := m.do("echo '" + string(text) + "' | python3 /tmp/ask.py")
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
	kernel := r.processor().kernel
	vars["farm_programs"] = map[string]string{kernel: next}
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	p.says("farm", "farm: "+next+"/pinwheel-master is not the program of farm_checksums")
	vars["farm_checksums"] = map[string]string{kernel + "/pinwheel-master": r.sum(next + "/pinwheel-master"), kernel + "/pinwheel-slave": r.sum(next + "/pinwheel-slave")}
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.play("upgrade.yml", "-i", inventory, "--check").well()
	r.has("1.0.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
	r.asked("slaves pause pi-02")
	g := pypitest.NewGate(r.t)
	r.machines["pi-01"].host.Lend(strings.TrimPrefix(g.URL, "http://"))
	if err := r.index.Add(pypitest.Release{Name: "held", Version: "1.0", Kind: pypitest.Network, Address: g.URL}); err != nil {
		r.t.Fatal(err)
	}
	r.asked("add held 1.0")
	g.Await(patience)
	ended := make(chan played, 1)
	go func() { ended <- r.play("upgrade.yml", "-i", inventory) }()
	r.eventually("pi-01 is to be replaced", func() bool { return r.slaves()["pi-01"].Paused })
	r.has("1.0.0", "pi-01") // it is not replaced under its build
	g.Open()
	(<-ended).well()
	r.built("held", "1.0")
	if n := g.Asked(); n != 1 {
		r.t.Errorf("the build that was under way was begun %d times", n)
	}
	r.has("1.1.0", "pi-01", "pi-02")
	if s := r.slaves(); s["pi-01"].Paused || !s["pi-02"].Paused {
		r.t.Errorf("after the upgrade: %+v", s)
	}
	r.asked("slaves resume pi-02")
	r.serves("pi-01", "pi-02")
	r.play("upgrade.yml", "-i", inventory, "-e", "at_once=2").idle()

	r.noWorse(vars)
}

// has wants the program of a version to be installed.
func (r *rack) has(version string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		if out := r.machines[name].do("pinwheel-slave --version"); !strings.Contains(out, version) {
			r.t.Errorf("%s has %s, want %s", name, out, version)
		}
	}
}

// noWorse: a program that does not serve the farm goes no further than one slave.
func (r *rack) noWorse(vars map[string]any) {
	r.t.Helper()
	delete(vars, "farm_checksums")
	vars["slave_program_file"], vars["slave_heard_within"] = filepath.Join(r.dir, "old", "pinwheel-slave"), 10
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	delete(vars, "slave_program_file")
	delete(vars, "slave_heard_within")
	if p.code == 0 {
		r.t.Errorf("a program of another protocol is taken:\n%s", p.text)
	}
	p.says("pi-01", "protocol", "the one before is back")
	r.has("1.1.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
}

// remove takes a slave away that is there, and one that is dead.
func (r *rack) remove(vars map[string]any) {
	r.t.Helper()
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.play("remove.yml", "-i", inventory, "-e", "pi=pi-02", "--check").well()
	r.serves("pi-01", "pi-02")
	r.play("remove.yml", "-i", inventory, "-e", "pi=pi-02").well()
	if s := r.slaves(); !s["pi-02"].Revoked || s["pi-01"].Revoked {
		r.t.Errorf("after pi-02 was removed: %+v", s)
	}
	if out := r.machines["pi-02"].do("ls /etc/pinwheel /usr/local/bin; systemctl is-active pinwheel-slave; true"); strings.Contains(out, "slave.creds") ||
		strings.Contains(out, "pinwheel-slave") || strings.HasSuffix(out, "\nactive\n") {
		r.t.Errorf("pi-02 still has:\n%s", out)
	}
	m := r.machines["pi-01"] // it has fallen off the net
	delete(r.machines, "pi-01")
	r.hosts["pi-01"] = map[string]any{"ansible_host": "fd00:77::98"}
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
