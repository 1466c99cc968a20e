package racktest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"pinwheel/internal/hosttest"
)

// machine is a bare host of the rack, reached by ssh only.
type machine struct {
	r       *rack
	name    string
	address string
	port    int
	host    *hosttest.Host
	log     *hosttest.Lines // of its sshd
}

// sick is what is wrong with a machine from the start, or odd.
type sick struct {
	clock string // of libfaketime: "+2d"
	disk  string // its size, instead of the usual
	zone  string // its time zone, instead of UTC
	other string // a root of 32-bit ARM, of which it has a copy at otherRoot
}

// otherRoot is where a machine has its root of another kind.
const otherRoot = "/var/cache/pinwheel/roots/other"

// quickPython is the machine's Python for ansible; builds and everybody else have the usual one.
const quickPython = "/usr/local/lib/rack/python3"

// usualDisk is room for compilers, Postgres and builds; only what is written is taken.
const usualDisk = "4g"

// add puts a machine into the rack and turns it on.
func (r *rack) add(name string, number, port int, s sick) *machine {
	r.t.Helper()
	m := &machine{r: r, name: name, address: fmt.Sprintf("fd00:77::%d", number), port: port, host: newHost(r.t), log: hosttest.NewLines(patience)}
	plug(m.host, r.desk, number, m.address)
	for _, address := range r.lent {
		m.host.Lend(address)
	}
	files := m.files(s)
	size := usualDisk
	if s.disk != "" {
		size = s.disk
	}
	script, err := filepath.Abs("testdata/machine")
	if err != nil {
		r.t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--",
		script, r.root, name, size, files, fmt.Sprint(port), s.other)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = m.log, m.log
	// It dies with the thread of its host, and so with this process.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	m.host.Run(func() { err = cmd.Start() })
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait() // it is killed
		m.log.End()
	}()
	r.t.Cleanup(func() {
		if r.t.Failed() {
			m.tell()
		}
		_ = cmd.Process.Kill()
		<-done
	})
	m.log.Await(r.t, "Server listening on")
	r.machines[name] = m
	return m
}

// files are what is laid over the bare Debian: keys, names, the way to a mirror, and what
// plays systemd.
func (m *machine) files(s sick) string {
	m.r.t.Helper()
	dir := filepath.Join(m.r.dir, "files-"+m.name)
	key := filepath.Join(dir, "etc/ssh/ssh_host_ed25519_key")
	m.r.mkdir(filepath.Dir(key), 0o755)
	m.r.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", m.name, "-f", key)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		m.r.t.Fatal(err)
	}
	m.r.knows("[" + m.address + "]:" + fmt.Sprint(m.port) + " " + string(public))
	if m.port == 22 {
		m.r.knows(m.address + " " + string(public))
	}
	m.r.mkdir(filepath.Join(dir, "root/.ssh"), 0o700)
	authorized, err := os.ReadFile(m.r.key + ".pub")
	if err != nil {
		m.r.t.Fatal(err)
	}
	write := func(path, text string, mode os.FileMode) { m.r.write(filepath.Join(dir, path), text, mode) }
	write("root/.ssh/authorized_keys", string(authorized), 0o600)
	write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"+farmAddress+" "+farmName+"\n", 0o644)
	write("etc/resolv.conf", "", 0o644)
	write("etc/apt/apt.conf.d/90rack", `Acquire::http::Proxy "`+m.r.mirror+`"; Acquire::Languages "none"; APT::Sandbox::User "root"; Acquire::Retries "3";`+"\n", 0o644)
	write("etc/dpkg/dpkg.cfg.d/rack", "force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n", 0o644)
	// As on a Raspberry Pi OS, where pip knows the farm's upstream without being told.
	write("etc/pip.conf", "[global]\nindex-url = "+m.r.index.URL()+"\n", 0o644)
	// Packages start nothing by themselves: here is no systemd that they would ask.
	write("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
	standIn, err := os.ReadFile("testdata/systemctl")
	if err != nil {
		m.r.t.Fatal(err)
	}
	for _, path := range []string{"usr/local/bin/systemctl", "usr/local/bin/journalctl", "usr/local/sbin/init"} {
		write(path, string(standIn), 0o755)
	}
	quick, err := os.ReadFile("testdata/sitecustomize.py")
	if err != nil {
		m.r.t.Fatal(err)
	}
	write(strings.TrimPrefix(quickPython, "/"), "#!/bin/sh\nPYTHONPATH=${0%/*} exec /usr/bin/python3 \"$@\"\n", 0o755)
	write(filepath.Join(filepath.Dir(quickPython), "sitecustomize.py"), string(quick), 0o644)
	if s.clock != "" {
		write("etc/faketimerc", s.clock+"\n", 0o644)
		write("etc/ld.so.preload", "/usr/lib/"+m.r.processor().library+"/faketime/libfaketime.so.1\n", 0o644)
	}
	if s.zone != "" {
		if err := os.Symlink("/usr/share/zoneinfo/"+s.zone, filepath.Join(dir, "etc/localtime")); err != nil {
			m.r.t.Fatal(err)
		}
	}
	return dir
}

// ssh runs a command there, as an operator does; what it prints comes back.
func (m *machine) ssh(ctx context.Context, command string) (string, error) {
	return m.send(ctx, nil, command)
}

// send is ssh with something for the command to read.
func (m *machine) send(ctx context.Context, input io.Reader, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ssh", "-i", m.r.key, "-o", "UserKnownHostsFile="+m.r.known, "-o", "BatchMode=yes", "-o", "ConnectTimeout=20",
		"-o", "LogLevel=ERROR", "-F", "none", "-p", fmt.Sprint(m.port), "root@"+m.address, command)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &out
	var err error
	m.r.desk.Run(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	return out.String(), err
}

// do is ssh for a command that succeeds.
func (m *machine) do(command string) string {
	m.r.t.Helper()
	out, err := m.ssh(m.r.t.Context(), command)
	if err != nil {
		m.r.t.Fatalf("%s: %s: %v\n%s", m.name, command, err, out)
	}
	return out
}

// put copies a file there.
func (m *machine) put(from, to string, mode os.FileMode) {
	m.r.t.Helper()
	f, err := os.Open(from)
	if err != nil {
		m.r.t.Fatal(err)
	}
	defer f.Close()
	if out, err := m.send(m.r.t.Context(), f, fmt.Sprintf("cat >%s && chmod %o %s", to, mode, to)); err != nil {
		m.r.t.Fatalf("%s: put %s: %v\n%s", m.name, to, err, out)
	}
}

// tell logs what the machine's services said.
func (m *machine) tell() {
	// The test's own context has ended by now.
	out, _ := m.ssh(context.Background(), "tail -n 25 /var/log/standin/*.log /var/log/nginx/error.log "+hand+"/log 2>/dev/null")
	m.r.t.Logf("%s says:\n%s", m.name, out)
}
