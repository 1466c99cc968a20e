package racktest

import (
	"fmt"
	"strings"
)

// hand is a folder for what somebody does by hand on a machine.
const hand = "/tmp/hand"

// Where a command finds the farm that the plays made, and one that was made by hand.
const (
	playedFarm = "PINWHEEL_CONFIG=/etc/pinwheel/master.toml"
	handFarm   = "XDG_STATE_HOME=/var/lib XDG_CACHE_HOME=/var/cache TMPDIR=/var/cache/pinwheel/tmp"
)

// typed is what the farm's user types there.
func (m *machine) typed(env, line string) string {
	m.r.t.Helper()
	return m.do(m.typing(env, line))
}

func (m *machine) typing(env, line string) string {
	m.r.t.Helper()
	if strings.Contains(line, "'") {
		m.r.t.Fatalf("cannot be quoted here: %s", line)
	}
	return fmt.Sprintf("install -d -o pinwheel -g pinwheel %s && cd %s && runuser -u pinwheel -- env HOME=%s %s sh -c '%s'", hand, hand, hand, env, line)
}

// begin is typed for what goes on until end is called. It waits for a word of it.
func (m *machine) begin(env, line, word string) (end func()) {
	m.r.t.Helper()
	m.do("(" + m.typing(env, "echo $$ >pid; exec "+line+" >log 2>&1") + ") </dev/null >/dev/null 2>&1 &")
	var said string
	ok := m.r.until(func() bool {
		said, _ = m.ssh(m.r.t.Context(), "cat "+hand+"/log") // it may not be there yet
		return strings.Contains(said, word)
	})
	if !ok {
		m.r.t.Fatalf("%s: %s: no %q within %v:\n%s", m.name, line, word, patience, said)
	}
	return func() {
		m.r.t.Helper()
		m.do(fmt.Sprintf("kill $(cat %s/pid) && tail --pid=$(cat %s/pid) -f /dev/null && rm %s/log", hand, hand, hand))
	}
}

// terminal looks at the farm as the manual says, on a screen and without one.
func (r *rack) terminal(b *book) {
	r.t.Helper()
	const trust = "TERM=xterm PINWHEEL_TLS_CA=/usr/local/share/ca-certificates/pinwheel-farm.crt"
	lines := b.Lines("On a terminal", 4)
	m := r.machines["farm"]
	m.put(r.releases.first()+"/pinwheel-monitor", "/usr/local/bin/pinwheel-monitor", 0o755)
	m.put("testdata/keys", "/usr/local/bin/keys", 0o755)
	m.typed(playedFarm, lines[0])
	// The screen is there once it says that it is live.
	m.typed(trust, `keys live q `+lines[1])
	if out := m.typed(trust, lines[2]); !strings.Contains(out, `"pi-01"`) {
		r.t.Errorf("%s does not know pi-01:\n%s", lines[2], out)
	}
	m.typed(playedFarm, lines[3])
}

// fit asks a slave that serves whether its machine is fit, and the farm whether it agrees
// with itself.
func (r *rack) fit(b *book) {
	r.t.Helper()
	m := r.machines["pi-01"]
	line := b.Lines("Is this machine fit?", 1)[0]
	if out := m.do("cd / && runuser -u pinwheel -- " + line); strings.Contains(out, "problem") || !strings.Contains(out, "nats") {
		r.t.Errorf("%s:\n%s", line, out)
	}
	r.machines["farm"].do("systemctl start pinwheel-audit")
}

// byHand makes another farm of what the plays left, without them: from units and an empty
// file of settings, then with figures, then with certificates of one's own.
func (r *rack) byHand(b *book) {
	r.t.Helper()
	m := r.machines["farm"]
	m.do("systemctl stop pinwheel-audit.timer pinwheel-master nginx && systemctl disable pinwheel-audit.timer pinwheel-master && rm -r /var/lib/pinwheel")
	for _, line := range b.Lines("As services", 2) {
		m.do(line)
	}
	m.do("systemctl is-active pinwheel-master pinwheel-audit.timer && systemctl is-enabled pinwheel-master pinwheel-audit.timer")
	m.do("systemctl stop pinwheel-master")

	figures := b.Lines("Figures for Prometheus", 1)[0]
	end := m.begin(handFarm, figures, `"ready":true`)
	m.do(`python3 -c 'import urllib.request as u
for page, want in ("metrics", "pinwheel_database_up 1"), ("healthz", ""), ("readyz", ""), ("debug/pprof/heap?debug=1", "heap profile"):
    assert want in u.urlopen("http://127.0.0.1:9170/" + page, timeout=20).read().decode(), page'`)
	end()
	r.secureByHand(b)
}

// secureByHand makes certificates as the manual says, and takes a wheel from the first
// command to pip by them.
func (r *rack) secureByHand(b *book) {
	r.t.Helper()
	farm, pi := r.machines["farm"], r.machines["pi-02"]
	for _, script := range b.Scripts("TLS", 2) {
		if out, err := farm.send(r.t.Context(), strings.NewReader(script), "cd /etc/pinwheel && sh -e"); err != nil {
			r.t.Fatalf("%v\n%s\n%s", err, script, out)
		}
	}
	farm.do("chown pinwheel /etc/pinwheel/farm.key")
	lines := b.Lines("TLS", 3)
	endFarm := farm.begin(handFarm, lines[0], `"ready":true`)
	farm.typed(handFarm, "pinwheel-master target add "+r.target())
	r.index.MustAdd(r.t, "-- markupsafe==2.1.5 --\nkind: extension\n")
	for _, line := range b.Lines("The first target, slave and package", 4) {
		farm.typed(handFarm, line)
	}

	pi.do("install -d -o pinwheel -g pinwheel " + hand + " && mkdir -p /etc/pinwheel")
	for from, to := range map[string]string{"/etc/pinwheel/ca.pem": "/etc/pinwheel/ca.pem", hand + "/pi-01.creds": hand + "/pi-01.creds"} {
		if out, err := pi.send(r.t.Context(), strings.NewReader(farm.do("cat "+from)), "cat >"+to); err != nil {
			r.t.Fatalf("%v: %s", err, out)
		}
	}
	pi.put(r.releases.first()+"/pinwheel-slave", "/usr/local/bin/pinwheel-slave", 0o755)
	endPi := pi.begin("", lines[1], "the master knows us")
	r.eventually("a wheel of markupsafe is on its page", func() bool { return r.paged("markupsafe") })
	out := pi.do("python3 -m venv " + hand + "/venv && PATH=" + hand + "/venv/bin:$PATH && " + lines[2])
	if !strings.Contains(out, "https://farm.example:7070/simple/markupsafe/") {
		r.t.Errorf("pip did not take the farm's wheel:\n%s", out)
	}
	endPi()
	endFarm()
}
