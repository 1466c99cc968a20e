package racktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinwheel/internal/hosttest"
	"pinwheel/internal/proc"
	"pinwheel/internal/pypitest"
)

const (
	// patience bounds every wait; a test that passes never waits so long.
	patience = 5 * time.Minute

	leader      = "farm" // the master's machine
	farmName    = "farm.example"
	farmAddress = "fd00:77::10"
	deskAddress = "fd00:77::1"
)

// rack is the machines, and the desk of the operator, whose network has them.
type rack struct {
	t           *testing.T
	dir         string   // of the operator
	tools       string   // the folder with ansible-playbook
	root        string   // the bare Debian
	key         string   // the operator's
	known       string   // known_hosts
	mirror      string   // of Debian, as machines reach it
	env         []string // of the operator, beside the usual
	index       *pypitest.Server
	lent        []string // addresses of this process's loopback
	desk        *hosttest.Host
	machines    map[string]*machine
	hosts       map[string]map[string]any // variables of the slaves in the inventory
	lead        string                    // the master's machine in the inventory
	inventories int
	building    chan struct{} // closed once all programs are built that were wanted so far
	releases    releases
	played      []string // what was played, as usage has it
}

// newRack is a rack without machines.
func newRack(t *testing.T) *rack {
	t.Helper()
	tools, root := os.Getenv("PINWHEEL_ANSIBLE"), os.Getenv("PINWHEEL_HOST_ROOT")
	if tools == "" || root == "" {
		t.Skip("PINWHEEL_ANSIBLE and PINWHEEL_HOST_ROOT are not set: `make test-ansible` sets them")
	}
	// Short, since ssh keeps sockets below it; what a killed test leaves goes with the next.
	temp, err := proc.NewTempDir("rack-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := temp.Remove(); err != nil {
			t.Error(err)
		}
	})
	dir := temp.Path
	r := &rack{t: t, dir: dir, tools: tools, root: root, key: filepath.Join(dir, "key"), known: filepath.Join(dir, "known_hosts"),
		lead: leader, index: pypitest.New(t), machines: map[string]*machine{}, hosts: map[string]map[string]any{}}
	r.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", r.key)
	proxy := newMirror(t)
	r.mirror = proxy.URL
	r.lent = []string{strings.TrimPrefix(proxy.URL, "http://"), strings.TrimPrefix(r.index.Base(), "http://")}
	r.desk = newSwitch(t, deskAddress)
	return r
}

func (r *rack) mkdir(dir string, mode os.FileMode) {
	r.t.Helper()
	if err := os.MkdirAll(dir, mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rack) write(path, text string, mode os.FileMode) {
	r.t.Helper()
	r.mkdir(filepath.Dir(path), 0o755)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		r.t.Fatal(err)
	}
}

// must runs a program of this machine to its end.
func (r *rack) must(argv ...string) string {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

// sum is the SHA-256 of a program.
func (r *rack) sum(path string) string {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// knows has the operator know a machine by its key.
func (r *rack) knows(line string) {
	r.t.Helper()
	f, err := os.OpenFile(r.known, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line)
		f.Close()
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// step tells how long a part of the test took.
func (r *rack) step(name string, do func()) {
	r.t.Helper()
	began := time.Now()
	do()
	r.t.Logf("== %s: %.0f s", name, time.Since(began).Seconds())
}

// inventory writes the inventory with these slaves, and returns its path.
func (r *rack) inventory(vars map[string]any, slaves ...string) string {
	r.t.Helper()
	all := map[string]any{
		"farm_host": farmName, "farm_targets": []string{r.target()},
		"ansible_user": "root", "ansible_python_interpreter": quickPython, "ansible_ssh_private_key_file": r.key,
		"ansible_ssh_common_args": "-F none -o UserKnownHostsFile=" + r.known + " -o ConnectTimeout=60",
		"farm_pki_dir":            filepath.Join(r.dir, "pki"),
		"farm_names":              []string{"DNS:" + farmName, "IP:" + farmAddress},
	}
	maps.Copy(all, vars)
	hosts := map[string]any{}
	for _, name := range slaves {
		hosts[name] = r.reach(name, r.hosts[name])
	}
	text, err := json.MarshalIndent(map[string]any{
		"all":      map[string]any{"vars": all},
		"master":   map[string]any{"hosts": map[string]any{r.lead: r.reach(r.lead, nil)}},
		"database": map[string]any{"children": map[string]any{"master": map[string]any{}}},
		"web":      map[string]any{"children": map[string]any{"master": map[string]any{}}},
		"slaves":   map[string]any{"hosts": hosts},
	}, "", " ")
	if err != nil {
		r.t.Fatal(err)
	}
	r.inventories++ // a play may still read the one before
	path := filepath.Join(r.dir, fmt.Sprintf("inventory-%d.json", r.inventories))
	r.write(path, string(text), 0o600)
	return path
}

func (r *rack) reach(name string, vars map[string]any) map[string]any {
	all := map[string]any{}
	maps.Copy(all, vars)
	if m := r.machines[name]; m != nil {
		all["ansible_host"], all["ansible_port"] = m.address, m.port
	}
	return all
}

// processor is how the machines' kind goes by in various places.
type processor struct{ kernel, library, target string } // target: of Debian 12's own Python

func (r *rack) processor() processor {
	return map[string]processor{
		"amd64": {"x86_64", "x86_64-linux-gnu", "cp311-linux_x86_64"},
		"arm64": {"aarch64", "aarch64-linux-gnu", "cp311-linux_aarch64"},
		"armhf": {"armv7l", "arm-linux-gnueabihf", "cp311-linux_armv7l"},
	}[strings.TrimSpace(r.must("dpkg", "--print-architecture"))]
}

// target is what the farm builds for, and what each machine's own system is.
func (r *rack) target() string { return r.processor().target }

// tally is a machine's line of a play's recap.
type tally struct{ ok, changed, unreachable, failed int }

// played is what a play did.
type played struct {
	t     *testing.T
	what  string
	code  int
	text  string
	recap map[string]tally
	took  time.Duration
}

var aRecap = regexp.MustCompile(`(?m)^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// play runs a playbook as the operator does, to its end.
func (r *rack) play(book string, args ...string) played {
	r.t.Helper()
	return r.start(book, args...)()
}

// start is play for what goes on beside other things; wait waits for its end.
func (r *rack) start(book string, args ...string) (wait func() played) {
	r.t.Helper()
	wait, _ = r.launch(book, args...)
	return wait
}

// launch is start for what may be cut off: by end, which kills it.
func (r *rack) launch(book string, args ...string) (wait func() played, end func()) {
	r.t.Helper()
	folder, err := filepath.Abs("../../ansible")
	if err != nil {
		r.t.Fatal(err)
	}
	r.played = append(r.played, usage(book+" "+strings.Join(args, " ")))
	// In a PID namespace and a home of its own: the connections that ssh keeps open end with it.
	home := filepath.Join(r.dir, fmt.Sprintf("home-%d", len(r.played)))
	r.mkdir(home, 0o700)
	argv := append([]string{"--pid", "--mount-proc", "--fork", "--kill-child", "--", filepath.Join(r.tools, "ansible-playbook"), filepath.Join(folder, book)}, args...)
	ctx, cancel := context.WithTimeout(r.t.Context(), 5*patience)
	cmd := exec.CommandContext(ctx, "unshare", argv...)
	cmd.Dir = r.dir
	cmd.Env = []string{"PATH=" + r.tools + ":" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8", "ANSIBLE_CONFIG=" + filepath.Join(folder, "ansible.cfg"),
		"ANSIBLE_NOCOLOR=1", "PYTHONDONTWRITEBYTECODE=1", "TMPDIR=" + home, "TZ=DESK-5:45"}
	cmd.Env = append(cmd.Env, r.env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := played{t: r.t, what: book + " " + strings.Join(args, " "), recap: map[string]tally{}}
	began := time.Now()
	r.desk.Run(func() { err = cmd.Start() })
	if err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		_ = cmd.Wait() // the exit code tells
		p.took = time.Since(began)
	}()
	asked := false
	r.t.Cleanup(func() {
		if <-ended; r.t.Failed() && !asked {
			r.t.Logf("%s was under way:\n%s", p.what, out.String())
		}
	})
	return func() played {
		r.t.Helper()
		asked = true
		<-ended
		p.code, p.text = cmd.ProcessState.ExitCode(), out.String()
		p.read()
		r.t.Logf("%s: exit status %d after %.1f s, %v", p.what, p.code, p.took.Seconds(), p.recap)
		return p
	}, cancel
}

// read takes the recap out of what the play said.
func (p *played) read() {
	for _, m := range aRecap.FindAllStringSubmatch(p.text, -1) {
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(m[i+2]) // digits
		}
		p.recap[m[1]] = tally{n[0], n[1], n[2], n[3]}
	}
}

// well wants a play without any failure.
func (p played) well() played {
	p.t.Helper()
	if p.code != 0 {
		p.t.Fatalf("%s: exit status %d\n%s", p.what, p.code, p.text)
	}
	return p
}

// idle wants a play that changed nothing.
func (p played) idle() {
	p.t.Helper()
	p.well()
	for name, c := range p.recap {
		if c.changed != 0 {
			p.t.Errorf("%s changed %d things of %s:\n%s", p.what, c.changed, name, p.text)
			return
		}
	}
}

var (
	aTask   = regexp.MustCompile(`^(?:TASK|RUNNING HANDLER) \[(.*)\] \*+\n$`)
	aChange = regexp.MustCompile(`^changed: \[([^\] ]+)`)
)

// changes are the tasks that changed something, by machine.
func (p played) changes() map[string][]string {
	all, task := map[string][]string{}, ""
	for line := range strings.Lines(p.text) {
		if m := aTask.FindStringSubmatch(line); m != nil {
			task = m[1]
		}
		if m := aChange.FindStringSubmatch(line); m != nil && !slices.Contains(all[m[1]], task) {
			all[m[1]] = append(all[m[1]], task)
		}
	}
	return all
}

// says wants one line of the play that has all the words, and says of whom.
func (p played) says(of string, words ...string) {
	p.t.Helper()
	for line := range strings.Lines(p.text) {
		if strings.HasPrefix(line, "fatal: ["+of) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return
		}
	}
	p.t.Errorf("%s: no line of %s with %q:\n%s", p.what, of, words, p.text)
}

// alone wants just one line of the play to be about what is wrong with a machine.
func (p played) alone(of string) {
	p.t.Helper()
	if n := strings.Count(p.text, "\nfatal: ["+of+"]"); n != 1 {
		p.t.Errorf("%s: %d lines of what is wrong with %s:\n%s", p.what, n, of, p.text)
	}
}

// eventually asks again and again: what is waited for happens on another machine, which
// tells nobody.
func (r *rack) eventually(what string, ok func() bool) {
	r.t.Helper()
	if !r.until(ok) {
		r.t.Fatalf("not within %v: %s", patience, what)
	}
}

func (r *rack) until(ok func() bool) bool {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
	return true
}

// asked is a command of the master, on its machine.
func (r *rack) asked(command string) string {
	r.t.Helper()
	return r.machines[leader].do(fmt.Sprintf("cd / && runuser -u pinwheel -- pinwheel-master %s --config /etc/pinwheel/master.toml", command))
}
