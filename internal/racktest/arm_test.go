package racktest

import (
	"os"
	"strings"
	"testing"
)

const armTarget = "cp311-linux_armv7l"

// TestAcceptance is a farm for 32-bit ARM, from bare machines to a wheel that the pip of a
// 32-bit ARM system takes from nginx. The slave is of this processor, as a 64-bit Pi is one
// of its own, and builds in a root of 32 bits; an emulated machine could not fence builds.
func TestAcceptance(t *testing.T) {
	root := os.Getenv("PINWHEEL_ARM_ROOT")
	if root == "" {
		t.Skip("PINWHEEL_ARM_ROOT is not set: `make acceptance` sets it")
	}
	r := newRack(t)
	vars := r.settings(r.build("bin", "1.0.0", nil, "master", "slave")())
	vars["farm_targets"] = []string{armTarget}
	r.add("farm", 10, 22, sick{})
	r.add("pi-01", 11, 5093, sick{other: root})
	r.hosts["pi-01"] = map[string]any{"slave_targets": []map[string]string{{"root": otherRoot, "target": armTarget}}}
	r.play("site.yml", "-i", r.inventory(vars, "pi-01")).well()
	r.serves("pi-01")
	r.machines["pi-01"].do("chroot " + otherRoot + " dpkg-query --show libffi-dev:armhf")

	r.index.MustAdd(t, "-- demo==1.0 --\nkind: extension\n")
	r.asked("add demo 1.0")
	r.built("demo", "1.0")
	r.installInRoot(r.add("pi-zero-2", 12, 22, sick{other: root}))
}

// installInRoot has an ordinary user of the machine's root install the wheel, with the farm as
// extra index, and use it.
func (r *rack) installInRoot(m *machine) {
	r.t.Helper()
	inside := func(command string) string {
		r.t.Helper()
		return m.do("chroot --userspec=1000:1000 " + otherRoot + " env HOME=/tmp/pi LANG=C.UTF-8 sh -ec '" + command + "'")
	}
	m.do("mount -t proc proc " + otherRoot + "/proc && mount --rbind /dev " + otherRoot + "/dev && install -d -o 1000 -g 1000 " + otherRoot + "/tmp/pi")
	m.put(r.dir+"/pki/ca.pem", otherRoot+"/etc/ssl/farm.pem", 0o644)
	m.do("printf 'extra-index-url = https://" + farmName + "/simple/\\ncert = /etc/ssl/farm.pem\\n' >>" + otherRoot + "/etc/pip.conf")
	inside("python3 -m venv /tmp/pi/try")
	r.eventually("demo is on its page", func() bool { return r.paged("demo") })
	said := inside("/tmp/pi/try/bin/pip --disable-pip-version-check install --no-cache-dir -v demo==1.0 2>&1")
	if want := "https://" + farmName + "/simple/demo/demo-1.0-cp311-" + armTarget + ".whl"; !strings.Contains(said, want) {
		r.t.Errorf("pip did not take %s:\n%s", want, said)
	}
	got := inside(`/tmp/pi/try/bin/python -c "import demo, sysconfig; print(demo.version, sysconfig.get_config_var(\"MULTIARCH\"))"`)
	if got != "1.0 arm-linux-gnueabihf\n" {
		r.t.Errorf("demo 1.0 in a 32-bit ARM system says %q", got)
	}
}
