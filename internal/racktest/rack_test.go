package racktest

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// TestRack is an operator's first day: each step begins where the one before ended.
func TestRack(t *testing.T) {
	r, manual := newRack(t), openBook(t)
	r.releases = releases{
		first:  r.build("bin", "1.0.0", nil, "master", "slave", "monitor"),
		old:    r.build("old", "0.9.0", r.otherProtocol(), "slave"),
		next:   r.build("next", "1.1.0", nil, "master", "slave"),
		newest: r.build("newest", "1.2.0", nil, "slave"),
	}
	// The farm is in a time zone of its own, and the operator in another.
	r.add(leader, 10, 22, sick{zone: "America/St_Johns"})
	r.add("pi-01", 11, 5093, sick{})
	r.add("pi-02", 12, 22, sick{})

	r.step("no machines", r.noMachines)
	vars := r.settings(r.releases.first())
	r.step("first day", func() { r.firstDay(vars) })
	r.step("first wheel, meanwhile enroll, no master", func() {
		refused, enrolled := r.unfitMaster(vars), r.enroll(vars)
		r.firstWheel()
		r.terminal(manual)
		r.fit(manual)
		refused()
		enrolled()
	})
	r.step("own certificate", func() { r.again(vars) })
	r.step("upgrade", func() { r.upgrade(vars) })
	r.step("upgrade to what is unfit", func() { r.noWorse(vars) })
	r.step("upgrade two at once", func() { r.together(vars) })
	r.step("remove", func() { r.remove(vars) })
	r.step("by hand", func() { r.byHand(manual) })
	manual.played(r.played)
	if want := r.must("../../" + manual.lines("A rack by Ansible", 4)[1]); strings.TrimSpace(want) != r.tools {
		t.Errorf("ansible is that of %s, and the manual's command makes %s", r.tools, want)
	}
}

// firstWheel is the way from a name to what pip installs.
func (r *rack) firstWheel() {
	r.t.Helper()
	r.index.MustAdd(r.t, "-- demo==1.0 --\nkind: extension\n")
	r.asked("add demo 1.0")
	r.built("demo", "1.0")
	r.install("demo", "1.0", "/etc/ssl/certs/ca-certificates.crt")
	r.negotiate()
	r.machines["pi-01"].do("apt-get -qq --simulate --no-install-recommends install " + strings.Join(devPackages(r.t), " "))
}

// enroll has the machine with the old program mended, with a new disk, and brought in again.
func (r *rack) enroll(vars map[string]any) (wait func()) {
	r.t.Helper()
	delete(r.hosts, "pi-02")
	delete(r.hosts, "pi-bare")
	r.machines["pi-02"].do("rm /etc/pinwheel/slave.creds")
	r.asked("enroll pi-bare --role operator >/dev/null")
	ended := r.start("enroll.yml", "-i", r.inventory(vars, "pi-01", "pi-02"), "-e", "pi=pi-02")
	operator := r.start("enroll.yml", "-i", r.inventory(vars, "pi-01", "pi-bare"), "-e", "pi=pi-bare")
	return func() {
		r.t.Helper()
		ended().well()
		operator().says("pi-bare", "pi-bare: the farm has enrolled that name as operator")
		if s := r.slaves()["pi-bare"]; s.Revoked {
			r.t.Errorf("an operator lost his credentials to a machine of his name: %+v", s)
		}
		r.serves("pi-01", "pi-02")
	}
}

// settings are the inventory's variables beside the usual.
func (r *rack) settings(programs string) map[string]any {
	r.t.Helper()
	r.write(r.dir+"/dev-packages.yml", "packages:\n  - {name: libffi-dev, reason: ffi.h, recipes: [demo]}\n", 0o644)
	kernel := r.processor().kernel
	return map[string]any{
		"farm_programs":     map[string]string{kernel: programs},
		"farm_dev_packages": r.dir + "/dev-packages.yml",
		"farm_checksums":    map[string]string{kernel + "/pinwheel-master": r.sum(programs + "/pinwheel-master")},
		"slave_settings":    map[string]string{"allow-network": "127.0.0.0/8"}, // the gate
		// On a machine that has other work, too.
		"slave_heard_within": 120,
	}
}

// again plays what has been played, with one of the slaves known by the hosting's API alone,
// and another certificate for the site: nothing is changed but that.
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
	r.ownCertificate(vars)
	r.env = []string{"HOSTEDPI_ID=" + apiKey, "HOSTEDPI_SECRET=" + apiSecret, "HOSTEDPI_AUTH=" + h.URL, "HOSTEDPI_API=" + h.URL + "/beta/pi"}
	g := r.hold("settled")
	g.Await(patience)
	ended := r.start("site.yml", "-i", r.inventory(vars, "pi-01"), "-i", hosted)
	r.env = nil
	r.eventually("a slave is to be changed", func() bool { s := r.slaves(); return s["pi-01"].Paused || s["pi-02"].Paused })
	g.Open()
	p := ended().well()
	slave := []string{"slave : Have its settings", "slave : Pause it, unless somebody did", "slave : Keep what is there",
		"slave : End the one that runs, if it is another", "slave : Run it, now and after each start of the machine", "slave : Resume it, unless somebody else had paused it"}
	want := map[string][]string{leader: {"common : Have certificate and key", "web : Reload nginx"}, "pi-01": slave, "pi-02": slave}
	if diff := cmp.Diff(want, p.changes()); diff != "" {
		r.t.Errorf("another certificate changed (-want +got):\n%s\n%s", diff, p.text)
	}
	r.install("demo", "1.0", publicCA)
	r.built("settled", "1.0")
	if n := g.Asked(); n != 1 {
		r.t.Errorf("the build that was under way was begun %d times", n)
	}
}

// publicCA is an authority that all machines trust, and nobody else made.
const publicCA = "/usr/local/share/ca-certificates/public.crt"

// ownCertificate has the inventory bring a certificate of another authority than the farm's.
// What is built from here on is uploaded by it.
func (r *rack) ownCertificate(vars map[string]any) {
	r.t.Helper()
	dir := filepath.Join(r.dir, "public")
	r.must("../../scripts/farmca", dir)
	r.must("../../scripts/farmca", dir, farmName, "DNS:"+farmName)
	for _, name := range []string{leader, "pi-01", "pi-02"} {
		r.machines[name].put(filepath.Join(dir, "ca.pem"), publicCA, 0o644)
		r.machines[name].do("update-ca-certificates 2>&1")
	}
	vars["farm_certificate"], vars["farm_key"] = filepath.Join(dir, farmName+".pem"), filepath.Join(dir, farmName+".key")
}

// noMachines: an inventory without hosts is an error of one line, not a success.
func (r *rack) noMachines() {
	r.t.Helper()
	empty := filepath.Join(r.dir, "empty.yml")
	r.write(empty, "all:\n", 0o644)
	own := r.inventory(map[string]any{"farm_certificate": empty})
	none, nobody, half := r.start("site.yml", "-i", empty), r.start("enroll.yml", "-i", empty, "-e", "pi=pi-99"), r.start("site.yml", "-i", own)
	apart := filepath.Join(r.dir, "apart.yml")
	r.write(apart, "master: {hosts: {farm: {}}}\nweb: {hosts: {other: {}}}\n", 0o644)
	split, all := r.start("site.yml", "-i", apart), r.start("site.yml", "-i", r.inventory(nil), "-e", "at_once=0")
	p := none()
	if p.code == 0 {
		r.t.Errorf("an inventory without hosts is played well:\n%s", p.text)
	}
	p.says("localhost", "the inventory has no hosts")
	nobody().says("localhost", "pi-99 is not in the group slaves")
	half().says("localhost", "farm_certificate and farm_key go together")
	split().says("localhost", "the groups web and database of the inventory want the master's machine")
	all().says("localhost", "at_once is 0, and wants a number of slaves")
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
	r.hosts["pi-64"] = map[string]any{"farm_targets": []string{"cp311-linux_armv7l"}, "slave_targets": []map[string]string{{"root": "/var/cache/pinwheel/roots/none", "target": "cp311-linux_armv7l"}}}
	r.add("pi-bare", 24, 22, sick{})
	r.hosts["pi-bare"] = map[string]any{"farm_targets": []string{"cp39-linux_armv7l"}}
	r.hosts["pi-gone"] = map[string]any{"ansible_host": "fd00:77::99"}
	r.hosts["pi-02"] = map[string]any{"slave_program_file": r.releases.old() + "/pinwheel-slave"}
	p := r.play("site.yml", "-i", r.inventory(vars, "pi-01", "pi-02", "pi-late", "pi-full", "pi-64", "pi-bare", "pi-gone"))
	if p.code == 0 {
		r.t.Errorf("it is played well, with half of the machines unfit")
	}
	p.says("pi-late", "pi-late: the clock is 172", "s ahead of this machine's", "timedatectl")
	p.says("pi-full", "pi-full: ", " MB are free for /var/lib/pinwheel, and 2048 are wanted")
	p.says("pi-64", "pi-64: there is no root /var/cache/pinwheel/roots/none for cp311-linux_armv7l", "docs/operations.md, Roots")
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

// unfitMaster: without a master nothing goes on, also not where a farm runs already.
func (r *rack) unfitMaster(vars map[string]any) (wait func()) {
	r.t.Helper()
	r.lead = "pi-late"
	inventory := r.inventory(vars, "pi-01")
	r.lead = leader
	site, upgrade := r.start("site.yml", "-i", inventory), r.start("upgrade.yml", "-i", inventory)
	return func() {
		r.t.Helper()
		for _, p := range []played{site(), upgrade()} {
			p.says("pi-late", "pi-late: the clock is 172")
			p.says("localhost", "pi-late: the master's machine is not fit", "nothing goes on without it")
			p.alone("pi-late")
			if c := p.recap["pi-01"]; p.code == 0 || c.changed+c.failed != 0 || strings.Contains(p.text, "PLAY [The slaves]") {
				r.t.Errorf("%s goes on without a master:\n%s", p.what, p.text)
			}
		}
	}
}

// slave is what the master knows of one.
type slave struct {
	Name, Version   string
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

// paged is true once a wheel stands on a project's page.
func (r *rack) paged(name string) bool {
	r.t.Helper()
	return r.machines["farm"].do("cat /var/lib/pinwheel/site/simple/"+name+"/index.html 2>/dev/null | grep -c '\\.whl' || true") != "0\n"
}

// install has pip on a slave, which trusts some authorities, install the wheel from nginx, by
// https, and use it.
func (r *rack) install(name, version, trust string) {
	r.t.Helper()
	m := r.machines["pi-01"]
	m.do("python3 -m venv --clear /tmp/try")
	r.eventually("pip has "+name, func() bool {
		_, err := m.ssh(r.t.Context(), "/tmp/try/bin/pip --disable-pip-version-check install --no-cache-dir --only-binary :all: --cert "+trust+" --index-url https://"+
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

// remove takes a slave away that is there, and one that is dead.
func (r *rack) remove(vars map[string]any) {
	r.t.Helper()
	inventory := r.inventory(vars, "pi-01", "pi-02")
	r.play("remove.yml", "-i", inventory, "-e", "pi=pi-02", "--check").well()
	r.serves("pi-01", "pi-02")
	r.machines["pi-02"].do("mv /usr/local/bin/systemctl /usr/local/bin/systemctl.well && printf '#!/bin/sh\nexit 1\n' >/usr/local/bin/systemctl && chmod +x /usr/local/bin/systemctl")
	if p := r.play("remove.yml", "-i", inventory, "-e", "pi=pi-02"); p.code == 0 || !r.slaves()["pi-02"].Revoked {
		r.t.Errorf("a machine that cannot stop its slave keeps its credentials:\n%s", p.text)
	}
	r.machines["pi-02"].do("mv /usr/local/bin/systemctl.well /usr/local/bin/systemctl")
	there := r.start("remove.yml", "-i", inventory, "-e", "pi=pi-02")
	m := r.machines["pi-01"] // it has fallen off the net
	delete(r.machines, "pi-01")
	r.hosts["pi-01"] = map[string]any{"ansible_host": "fd00:77::98"}
	dead := r.start("remove.yml", "-i", r.inventory(vars, "pi-01"), "-e", "pi=pi-01", "-e", "drain=false")
	r.machines["pi-01"] = m
	there().well()
	p := dead()
	if s := r.slaves(); !s["pi-02"].Revoked || !s["pi-01"].Revoked {
		r.t.Errorf("after pi-02 was removed, and pi-01, which nobody could reach: %+v\n%s", s, p.text)
	}
	if out := r.machines["pi-02"].do("ls /etc/pinwheel /usr/local/bin; systemctl is-active pinwheel-slave; true"); strings.Contains(out, "slave.creds") ||
		strings.Contains(out, "pinwheel-slave") || strings.HasSuffix(out, "\nactive\n") {
		r.t.Errorf("pi-02 still has:\n%s", out)
	}
	r.eventually("pi-01 is refused", func() bool {
		out := m.do("journalctl --unit=pinwheel-slave --lines=30; true")
		return strings.Contains(out, "credentials not accepted")
	})
}
