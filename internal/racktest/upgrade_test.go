package racktest

import (
	"strings"

	"github.com/google/go-cmp/cmp"

	"pinwheel/internal/pypitest"
)

// upgrade has new programs replace the old ones, while a build is under way, and one slave
// is paused by a person.
func (r *rack) upgrade(vars map[string]any) {
	r.t.Helper()
	idle := r.start("site.yml", "-i", r.inventory(vars, "pi-01"), "--check", "--diff") // meanwhile: all is as it was
	next := r.releases.next()
	kernel := r.processor().kernel
	vars["farm_programs"] = map[string]string{kernel: next}
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	p.says("farm", "farm: "+next+"/pinwheel-master is not the program of farm_checksums")
	vars["farm_checksums"] = map[string]string{kernel + "/pinwheel-master": r.sum(next + "/pinwheel-master"), kernel + "/pinwheel-slave": r.sum(next + "/pinwheel-slave")}
	r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01"), "--check").well()
	idle().idle()
	r.has("1.0.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
	r.asked("slaves pause pi-02")
	g := r.hold("held")
	g.Await(patience)
	wait, end := r.launch("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	r.eventually("pi-01 is to be replaced", func() bool { return r.slaves()["pi-01"].Paused })
	end() // it is cut off, and leaves the slave paused; had it come further, it would have left a part of what it keeps, too
	wait()
	r.machines["pi-01"].do("cp -p /usr/local/bin/pinwheel-slave /usr/local/bin/pinwheel-slave.kept")
	r.has("1.0.0", "pi-01") // it is not replaced under its build
	ended := r.start("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	g.Open()
	ended().well()
	r.built("held", "1.0")
	if n := g.Asked(); n != 1 {
		r.t.Errorf("the build that was under way was begun %d times", n)
	}
	r.has("1.1.0", "pi-01", "pi-02")
	r.keepsNothing()
	if s := r.slaves(); s["pi-01"].Paused || !s["pi-02"].Paused {
		r.t.Errorf("after the upgrade: %+v", s)
	}
	r.asked("slaves resume pi-02")
	r.serves("pi-01", "pi-02")
}

// together replaces two slaves at once, each of which builds; of one, a play that was cut off has
// copied the program before, and the third is none.
func (r *rack) together(vars map[string]any) {
	r.t.Helper()
	vars["slave_program_file"] = r.releases.newest() + "/pinwheel-slave"
	g := r.hold("first", "second")
	r.eventually("both build", func() bool { return g.Asked() == 2 })
	r.machines["pi-02"].put(vars["slave_program_file"].(string), "/usr/local/bin/new", 0o755)
	r.machines["pi-02"].do("mv /usr/local/bin/new /usr/local/bin/pinwheel-slave")
	ended := r.start("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02", "pi-bare"), "-e", "at_once=2")
	r.eventually("both are to be replaced", func() bool { s := r.slaves(); return s["pi-01"].Paused && s["pi-02"].Paused })
	g.Open()
	p := ended()
	p.says("pi-bare", "pi-bare: there is no slave to be upgraded", "enroll.yml -e pi=pi-bare")
	p.alone("pi-bare")
	if c := p.recap["pi-01"]; c.failed != 0 {
		r.t.Errorf("pi-01 was not upgraded:\n%s", p.text)
	}
	if c := p.recap[leader]; c.changed != 0 {
		r.t.Errorf("of the master, which is as it was, %d things were changed:\n%s", c.changed, p.text)
	}
	r.built("first", "1.0")
	r.built("second", "1.0")
	if n := g.Asked(); n != 2 {
		r.t.Errorf("the two builds that were under way were begun %d times", n)
	}
	r.has("1.2.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
	r.asked("slaves pause pi-01 --reason upgrade") // as a play that was cut off at the very end
	again := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01")).well()
	want := map[string][]string{"pi-01": {"slave : Resume it, unless somebody else had paused it"}}
	if diff := cmp.Diff(want, again.changes()); diff != "" {
		r.t.Errorf("an upgrade of what is as new changes (-want +got):\n%s\n%s", diff, again.text)
	}
	r.serves("pi-01")
}

// hold adds releases whose builds wait until the gate is opened.
func (r *rack) hold(names ...string) *pypitest.Gate {
	r.t.Helper()
	g := pypitest.NewGate(r.t)
	for _, slave := range []string{"pi-01", "pi-02"} {
		r.machines[slave].host.Lend(strings.TrimPrefix(g.URL, "http://"))
	}
	for _, name := range names {
		if err := r.index.Add(pypitest.Release{Name: name, Version: "1.0", Kind: pypitest.Network, Address: g.URL}); err != nil {
			r.t.Fatal(err)
		}
		r.asked("add " + name + " 1.0")
	}
	return g
}

// has wants the program of a version to be installed, and to serve the farm.
func (r *rack) has(version string, names ...string) {
	r.t.Helper()
	for _, name := range names {
		if out := r.machines[name].do("pinwheel-slave --version"); !strings.Contains(out, version) {
			r.t.Errorf("%s has %s, want %s", name, out, version)
		}
		r.eventually(name+" serves as "+version, func() bool { return r.slaves()[name].Version == version })
	}
}

// keepsNothing wants what a play keeps of before to be gone with it.
func (r *rack) keepsNothing() {
	r.t.Helper()
	for _, name := range []string{"pi-01", "pi-02"} {
		if out := r.machines[name].do("find /usr/local/bin /etc/pinwheel /etc/systemd/system -name '*.kept'"); out != "" {
			r.t.Errorf("%s has still:\n%s", name, out)
		}
	}
}

// noWorse: a program that does not serve the farm goes no further than one slave.
func (r *rack) noWorse(vars map[string]any) {
	r.t.Helper()
	delete(vars, "farm_checksums")
	vars["slave_program_file"] = r.releases.old() + "/pinwheel-slave"
	settings := vars["slave_settings"]
	vars["slave_settings"] = map[string]any{"allow-network": "127.0.0.0/8", "max-temperature": 70}
	look := "sha256sum /etc/pinwheel/slave.toml /etc/systemd/system/pinwheel-slave.service"
	before := r.machines["pi-01"].do(look)
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	delete(vars, "slave_program_file")
	vars["slave_settings"] = settings
	r.keepsNothing()
	if after := r.machines["pi-01"].do(look); after != before {
		r.t.Errorf("before a program that does not serve the farm, and after it:\n%s%s", before, after)
	}
	if p.code == 0 {
		r.t.Errorf("a program of another protocol is taken:\n%s", p.text)
	}
	p.says("pi-01", "protocol", "the one before is back")
	r.has("1.1.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
}
