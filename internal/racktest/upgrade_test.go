package racktest

import (
	"strings"

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
	ended := r.start("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	r.eventually("pi-01 is to be replaced", func() bool { return r.slaves()["pi-01"].Paused })
	r.has("1.0.0", "pi-01") // it is not replaced under its build
	g.Open()
	ended().well()
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
}

// together replaces two slaves at once, each of which builds.
func (r *rack) together(vars map[string]any) {
	r.t.Helper()
	vars["slave_program_file"] = r.releases.newest() + "/pinwheel-slave"
	g := r.hold("first", "second")
	r.eventually("both build", func() bool { return g.Asked() == 2 })
	ended := r.start("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"), "-e", "at_once=2")
	r.eventually("both are to be replaced", func() bool { s := r.slaves(); return s["pi-01"].Paused && s["pi-02"].Paused })
	g.Open()
	p := ended().well()
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

// noWorse: a program that does not serve the farm goes no further than one slave.
func (r *rack) noWorse(vars map[string]any) {
	r.t.Helper()
	delete(vars, "farm_checksums")
	vars["slave_program_file"] = r.releases.old() + "/pinwheel-slave"
	p := r.play("upgrade.yml", "-i", r.inventory(vars, "pi-01", "pi-02"))
	delete(vars, "slave_program_file")
	if p.code == 0 {
		r.t.Errorf("a program of another protocol is taken:\n%s", p.text)
	}
	p.says("pi-01", "protocol", "the one before is back")
	r.has("1.1.0", "pi-01", "pi-02")
	r.serves("pi-01", "pi-02")
}
